/** The instance metadata service of one emulated instance: version 2, on a loopback port of its own instead of 169.254.169.254. */
import { randomUUID } from 'node:crypto';
import http from 'node:http';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
  /** ISO 8601. */
  readonly expiration: string;
}

export interface InstanceFacts {
  readonly instanceId: string;
  readonly region: string;
  readonly availabilityZone: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly userData: string;
  readonly roleName: string;
  /** Of the instance profile's role, in a session that is named after the instance. */
  readonly credentials: () => Promise<Credentials>;
}

export interface Metadata {
  readonly url: string;
  close(): Promise<void>;
}

export async function serveMetadata(facts: InstanceFacts): Promise<Metadata> {
  const tokens = new Set<string>();
  const answer = async (method: string, path: string, token: string | undefined): Promise<[number, string]> => {
    if (method === 'PUT' && path === '/latest/api/token') {
      const fresh = randomUUID();
      tokens.add(fresh);
      return [200, fresh];
    }
    // The launch template asks for version 2: without a token nothing is told.
    if (token === undefined || !tokens.has(token)) return [401, ''];
    const value = await lookUp(facts, path);
    return value === undefined ? [404, ''] : [200, value];
  };
  const server = http.createServer((request, response) => {
    const token = request.headers['x-aws-ec2-metadata-token'];
    const path = decodeURIComponent((request.url ?? '/').replace(/\?.*$/, ''));
    answer(request.method ?? 'GET', path, typeof token === 'string' ? token : undefined).then(
      ([status, body]) => response.writeHead(status, { 'content-type': 'text/plain' }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the metadata service has no port');
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${address.port}`, close };
}

async function lookUp(facts: InstanceFacts, path: string): Promise<string | undefined> {
  const { instanceId, region, availabilityZone, tags, userData, roleName } = facts;
  const plain: Readonly<Record<string, string>> = {
    '/latest/user-data': userData,
    '/latest/meta-data/instance-id': instanceId,
    '/latest/meta-data/placement/region': region,
    '/latest/meta-data/placement/availability-zone': availabilityZone,
    '/latest/meta-data/tags/instance': Object.keys(tags).join('\n'),
    '/latest/meta-data/iam/security-credentials': roleName,
    '/latest/dynamic/instance-identity/document': JSON.stringify({ instanceId, region, availabilityZone }),
  };
  const known = plain[path.replace(/\/$/, '')];
  if (known !== undefined) return known;
  const tag = /^\/latest\/meta-data\/tags\/instance\/(.+)$/.exec(path)?.[1];
  if (tag !== undefined) return tags[tag];
  if (path !== `/latest/meta-data/iam/security-credentials/${roleName}`) return undefined;
  const { accessKeyId, secretAccessKey, token, expiration } = await facts.credentials();
  return JSON.stringify({
    Code: 'Success',
    Type: 'AWS-HMAC',
    LastUpdated: new Date().toISOString(),
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    Token: token,
    Expiration: expiration,
  });
}
