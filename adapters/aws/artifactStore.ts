/**
 * Artifacts in S3: `artifacts/<tenant>/<run>/<attempt>/<sha256>`. The bytes never pass through a Lambda, which takes 6 MB at
 * most: the caller is sent to S3 with a URL that is good for this one object, of this length, with this checksum.
 */
import { GetObjectCommand, HeadObjectCommand, NotFound, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Artifact } from '../../core/contract/runner.ts';
import type { ArtifactStore, LogAddress } from '../../core/ports.ts';
import { attemptPrefix, type BucketOptions } from './bucket.ts';

/** S3 judges a URL when the request begins: however long the transfer takes, it has only to begin in this time. */
const URL_SECONDS = 300;
const SAFE_HASH = /^[0-9a-f]{64}$/;
/** S3 holds the bytes against it as a header only; in the query, where the signer would put it, S3 does not look at it. */
const CHECKSUM_HEADER = 'x-amz-checksum-sha256';

interface Elsewhere {
  readonly kind: 'elsewhere';
  readonly url: string;
}

export class S3ArtifactStore implements ArtifactStore {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor({ client, bucket }: BucketOptions) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /**
   * What is sent to the URL is refused by S3 where its length or its SHA-256 is another one than was announced. Both are
   * signed headers: whoever sends the bytes has to send them along, as they were signed.
   * @throws RangeError when the address or the hash cannot be part of a key
   */
  async put(address: LogAddress, artifact: Artifact, body: ReadableStream<Uint8Array> | undefined): Promise<Elsewhere> {
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: keyOf(address, artifact),
      ContentLength: artifact.bytes,
      ContentType: 'application/octet-stream',
      ChecksumSHA256: Buffer.from(artifact.sha256, 'hex').toString('base64'),
    });
    const url = await getSignedUrl(this.#client, command, {
      expiresIn: URL_SECONDS,
      signableHeaders: new Set(['host', 'content-length', 'content-type']),
      unhoistableHeaders: new Set([CHECKSUM_HEADER]),
    });
    // What came unasked is not wanted here; nobody is kept waiting for its end.
    await body?.cancel();
    return { kind: 'elsewhere', url };
  }

  /** @throws RangeError when the address or the hash cannot be part of a key */
  async get(address: LogAddress, artifact: Artifact): Promise<Elsewhere | undefined> {
    const object = { Bucket: this.#bucket, Key: keyOf(address, artifact) };
    if (!(await this.#isThere(object, artifact.bytes))) return undefined;
    const name = encodeURIComponent(artifact.path.split('/').at(-1) ?? artifact.path);
    const command = new GetObjectCommand({
      ...object,
      // What an agent has written is never shown as a page of ours.
      ResponseContentType: 'application/octet-stream',
      ResponseContentDisposition: `attachment; filename*=UTF-8''${name}`,
    });
    return { kind: 'elsewhere', url: await getSignedUrl(this.#client, command, { expiresIn: URL_SECONDS }) };
  }

  async #isThere(object: { readonly Bucket: string; readonly Key: string }, bytes: number): Promise<boolean> {
    try {
      const answer = await this.#client.send(new HeadObjectCommand(object));
      return answer.ContentLength === bytes;
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
  }
}

function keyOf(address: LogAddress, { sha256 }: Artifact): string {
  if (!SAFE_HASH.test(sha256)) throw new RangeError(`"${sha256}" is not a SHA-256`);
  return `${attemptPrefix('artifacts', address)}${sha256}`;
}
