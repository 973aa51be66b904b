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

/** By AWS's documentation of the instance metadata service, version 2. Another endpoint is for tests. */
const ENDPOINT = process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? 'http://169.254.169.254';
const TOKEN_SECONDS = '300';
const ANSWER_MS = 2000;
const LOOK_AGAIN_MS = 2000;

/** @throws where the service does not answer; undefined where it knows nothing of that name */
async function metadata(path: string): Promise<string | undefined> {
  const token = await ask('/latest/api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': TOKEN_SECONDS }, 'PUT');
  return ask(`/latest/${path}`, { 'x-aws-ec2-metadata-token': token ?? '' });
}

async function ask(path: string, headers: Record<string, string>, method = 'GET'): Promise<string | undefined> {
  const response = await fetch(new URL(path, ENDPOINT), { method, headers, signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await response.text();
  if (response.ok) return text;
  if (response.status === 404) return undefined;
  throw new Error(`the instance's metadata service answered ${response.status} for ${path}`);
}

const tag = (name: string) => metadata(`meta-data/tags/instance/candor:${name}`);

/** Waits for as long as it takes: early in a boot neither the service nor the tags need be there. */
export async function instanceIdentity(): Promise<Identity> {
  for (;;) {
    try {
      const [vmId, url, seconds] = [await tag('vm'), await tag('url'), await tag('self-destruct-seconds')];
      if (vmId !== undefined && url !== undefined) {
        const selfDestructSeconds = Number(seconds);
        const limited = selfDestructSeconds > 0;
        return { vmId, url: url.replace(/\/+$/, ''), sign, ...(limited && { selfDestructSeconds }) };
      }
      log.warn('instance_without_tags', { missing: vmId === undefined ? 'candor:vm' : 'candor:url' });
    } catch (error) {
      log.warn('instance_metadata_unreachable', { reason: String(error) });
    }
    await sleep(LOOK_AGAIN_MS);
  }
}

interface ProfileCredentials {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
}

/** The headers of a request that API Gateway's IAM authorizer takes for the instance's. @throws without credentials */
async function sign(url: string, method: string, body: string | Buffer): Promise<Readonly<Record<string, string>>> {
  const region = await metadata('meta-data/placement/region');
  const role = await metadata('meta-data/iam/security-credentials/');
  const text = role && (await metadata(`meta-data/iam/security-credentials/${role.trim()}`));
  if (!text || !region) throw new Error('the instance has no instance profile');
  const { AccessKeyId, SecretAccessKey, Token } = JSON.parse(text) as ProfileCredentials;
  const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token };
  const signer = new SignatureV4({ service: 'execute-api', region, credentials, sha256: Sha256 });
  const { protocol, hostname, port, host, pathname } = new URL(url);
  const signed = await signer.sign({
    method,
    protocol,
    hostname,
    ...(port !== '' && { port: Number(port) }),
    path: pathname,
    headers: { host, 'content-type': 'application/json' },
    body,
  });
  return signed.headers;
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
