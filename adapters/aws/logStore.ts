/** Captured output in S3: `logs/<tenant>/<run>/<attempt>/<chunk>.ndjson`, one record per line. A bucket rule expires it. */
import { GetObjectCommand, NoSuchKey, PutObjectCommand, type S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { ChunkConflict } from '../../core/errors.ts';
import type { LogAddress, LogRecord, LogStore } from '../../core/ports.ts';
import { CHUNK_MAX, chunkName, chunkText, recordsOf } from '../system/logChunks.ts';
import { attemptPrefix, type BucketOptions } from './bucket.ts';

/** Chunks that are asked for at once. Whoever follows a log mostly finds one or none: more would only cost. */
const READ_AHEAD = 8;
/** An object of this name is there, or is just being written. */
const THERE = ['PreconditionFailed', 'ConditionalRequestConflict'];

export class S3LogStore implements LogStore {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor({ client, bucket }: BucketOptions) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /** @throws RangeError when the address or the number cannot be part of a key; ChunkConflict */
  async putChunk(address: LogAddress, chunk: number, records: readonly LogRecord[]): Promise<void> {
    const body = Buffer.from(chunkText(records));
    const key = keyOf(address, chunk);
    const put = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: body,
      ContentLength: body.length,
      ContentType: 'application/x-ndjson',
      IfNoneMatch: '*',
    });
    try {
      await this.#client.send(put);
    } catch (error) {
      if (!(error instanceof S3ServiceException && THERE.includes(error.name))) throw error;
      const stored = await this.#readChunk(key);
      // Just being written, and not there yet: the caller tries again.
      if (stored === undefined) throw error;
      if (stored !== body.toString()) throw new ChunkConflict(chunk);
    }
  }

  /** @throws RangeError when the address or the number cannot be part of a key */
  async read(
    address: LogAddress,
    from: number,
    maxChunks: number,
    maxBytes = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly records: readonly LogRecord[]; readonly next: number }> {
    const records: LogRecord[] = [];
    let bytes = 0;
    let next = from;
    const end = Math.min(from + maxChunks, CHUNK_MAX + 1);
    // The first one alone: at the end of a log that is followed there is nothing behind it.
    for (let width = 1; next < end; width = READ_AHEAD) {
      const numbers = Array.from({ length: Math.min(width, end - next) }, (_, index) => next + index);
      const texts = await Promise.all(numbers.map((number) => this.#readChunk(keyOf(address, number))));
      // Output is shown without gaps: a missing chunk may still arrive, and then what follows it does too.
      const missing = texts.indexOf(undefined);
      const present = missing < 0 ? texts : texts.slice(0, missing);
      for (const text of present) {
        bytes += Buffer.byteLength(text ?? '');
        if (next > from && bytes > maxBytes) return { records, next };
        records.push(...recordsOf(text ?? ''));
        next += 1;
      }
      if (missing >= 0) break;
    }
    return { records, next };
  }

  async #readChunk(key: string): Promise<string | undefined> {
    try {
      const answer = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: key }));
      return (await answer.Body?.transformToString('utf-8')) ?? '';
    } catch (error) {
      // Without the right to list the bucket S3 calls what is absent forbidden; that is a fault of the grant, and stays one.
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  }
}

const keyOf = (address: LogAddress, chunk: number): string => `${attemptPrefix('logs', address)}${chunkName(chunk)}`;
