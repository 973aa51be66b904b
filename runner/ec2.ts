/**
 * A VM that is an EC2 instance proves who it is by its instance profile, whose credentials sign the registration
 * (Signature Version 4, service `execute-api`): AWS names the profile's session after the instance. So there is no key in
 * its folder, and the credentials are kept nowhere. Which VM it is and where it reports its boot has read from its tags.
 */
import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Identity } from './settings.ts';

const TOKEN_SECONDS = '300';
const ANSWER_MS = 2000;

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

  async #ask(path: string, headers: Record<string, string>, method = 'GET'): Promise<string | undefined> {
    const url = new URL(`/latest/${path}`, this.#endpoint);
    const response = await fetch(url, { method, headers, signal: AbortSignal.timeout(ANSWER_MS) });
    const text = await response.text();
    if (response.ok) return text;
    if (response.status === 404) return undefined;
    throw new Error(`the instance's metadata service answered ${response.status} for ${path}`);
  }
}

interface ProfileCredentials {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
}

/** Signs requests so that API Gateway's IAM authorizer takes them for the instance's. */
export function instanceSigner(region: string, metadataEndpoint: string): NonNullable<Identity['sign']> {
  const metadata = new Metadata(metadataEndpoint);
  return async (url, method, body) => {
    // They are short-lived and the registration is rare: asked for each time, they are never out of date.
    const credentials = await credentialsOf(metadata);
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
  };
}

async function credentialsOf(metadata: Metadata) {
  const role = await metadata.read('iam/security-credentials/');
  const text = role && (await metadata.read(`iam/security-credentials/${role.trim()}`));
  if (!text) throw new Error('the instance has no instance profile');
  const { AccessKeyId, SecretAccessKey, Token } = JSON.parse(text) as ProfileCredentials;
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token };
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
