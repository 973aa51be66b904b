/**
 * A VM that is an EC2 instance: which VM it is and where it reports stands in the instance's tags, and who it is is
 * proved by its instance profile, whose credentials sign the registration (Signature Version 4, service `execute-api`).
 * AWS names the profile's session after the instance. Nothing of it is in the user data, and nothing is kept on disk.
 */
import { createHash, createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignatureV4 } from '@smithy/signature-v4';
import { log } from './log.ts';
import type { Identity } from './settings.ts';

const TOKEN_SECONDS = '300';
const ANSWER_MS = 2000;
const LOOK_AGAIN_MS = 2000;

/** Version 2 of the instance metadata service, by AWS's documentation of it. */
class Metadata {
  readonly #endpoint: string;

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** @throws where the service does not answer; undefined where it knows nothing of that name */
  async read(path: string): Promise<string | undefined> {
    const token = await this.#ask('api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': TOKEN_SECONDS }, 'PUT');
    return this.#ask(`meta-data/${path}`, { 'x-aws-ec2-metadata-token': token ?? '' });
  }

  tag(name: string): Promise<string | undefined> {
    return this.read(`tags/instance/candor:${name}`);
  }

  async #ask(path: string, headers: Record<string, string>, method = 'GET'): Promise<string | undefined> {
    const url = new URL(`/latest/${path}`, this.#endpoint);
    const response = await fetch(url, { method, headers, signal: AbortSignal.timeout(ANSWER_MS) });
    const text = await response.text();
    if (response.ok) return text;
    if (response.status === 404) return undefined;
    throw new Error(`the instance's metadata service answered ${response.status} for ${path}`);
  }
}

/** Waits for as long as it takes: early in a boot neither the service nor the tags need be there. */
export async function instanceIdentity(endpoint: string): Promise<Identity> {
  const metadata = new Metadata(endpoint);
  for (;;) {
    try {
      const identity = await identityOf(metadata);
      if (identity !== undefined) return identity;
    } catch (error) {
      log.warn('instance_metadata_unreachable', { reason: String(error) });
    }
    await sleep(LOOK_AGAIN_MS);
  }
}

async function identityOf(metadata: Metadata): Promise<Identity | undefined> {
  const [vmId, url] = [await metadata.tag('vm'), await metadata.tag('url')];
  if (vmId === undefined || url === undefined) {
    log.warn('instance_without_tags', { missing: vmId === undefined ? 'candor:vm' : 'candor:url' });
    return undefined;
  }
  const selfDestructSeconds = Number(await metadata.tag('self-destruct-seconds'));
  const sign: Identity['sign'] = (...request) => signed(metadata, ...request);
  return { vmId, url: url.replace(/\/+$/, ''), sign, ...(selfDestructSeconds > 0 && { selfDestructSeconds }) };
}

interface ProfileCredentials {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
}

/** The headers of a request that API Gateway's IAM authorizer takes for the instance's. @throws without credentials */
async function signed(
  metadata: Metadata,
  url: string,
  method: string,
  body: string | Buffer,
): Promise<Readonly<Record<string, string>>> {
  const region = await metadata.read('placement/region');
  const role = await metadata.read('iam/security-credentials/');
  const text = role && (await metadata.read(`iam/security-credentials/${role.trim()}`));
  if (!text || !region) throw new Error('the instance has no instance profile');
  const { AccessKeyId, SecretAccessKey, Token } = JSON.parse(text) as ProfileCredentials;
  const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token };
  const signer = new SignatureV4({ service: 'execute-api', region, credentials, sha256: Sha256 });
  const { protocol, hostname, port, host, pathname } = new URL(url);
  const request = await signer.sign({
    method,
    protocol,
    hostname,
    ...(port !== '' && { port: Number(port) }),
    path: pathname,
    headers: { host, 'content-type': 'application/json' },
    body,
  });
  return request.headers;
}

type Data = string | ArrayBuffer | ArrayBufferView;

function bytesOf(data: Data): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}

/** What the signer needs of a hash, by Node's own. */
class Sha256 {
  readonly #hash;

  constructor(secret?: Data) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }

  update(data: Data): void {
    this.#hash.update(bytesOf(data));
  }

  reset(): void {
    throw new Error('a hash is used once');
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}
