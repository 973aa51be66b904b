/** Artifacts in files: `<data dir>/artifacts/<run>/<attempt>/<sha256>`. The content is its own name, so nothing clashes. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { Artifact } from '../../core/contract/runner.ts';
import { InvalidRequest } from '../../core/errors.ts';
import type { ArtifactStore, LogAddress, Time } from '../../core/ports.ts';
import { hasCode, makePrivateFolder } from './files.ts';

const SAFE_ID = /^[a-z0-9_]+$/;
const SAFE_HASH = /^[0-9a-f]{64}$/;

export class FileArtifactStore implements ArtifactStore {
  readonly #folder: string;
  readonly #time: Pick<Time, 'now'>;

  constructor(options: { readonly dataDir: string; readonly time: Pick<Time, 'now'> }) {
    this.#folder = path.join(options.dataDir, 'artifacts');
    this.#time = options.time;
  }

  async put(
    address: LogAddress,
    artifact: Artifact,
    body: ReadableStream<Uint8Array> | undefined,
  ): Promise<{ readonly kind: 'stored' | 'here' }> {
    const file = this.#file(address, artifact);
    if (body === undefined) return { kind: 'here' };
    await makePrivateFolder(path.dirname(file));
    const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
    const handle = await open(temporary, 'wx', 0o600);
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const part of body) {
        bytes += part.length;
        if (bytes > artifact.bytes) break;
        hash.update(part);
        await handle.write(part);
      }
      if (bytes !== artifact.bytes || hash.digest('hex') !== artifact.sha256)
        throw new InvalidRequest('The bytes are not those that were announced.', [
          { pointer: 'sha256', message: `does not fit the ${bytes} bytes that were sent` },
        ]);
      await handle.sync();
      await rename(temporary, file);
    } finally {
      await handle.close();
      await rm(temporary, { force: true });
    }
    return { kind: 'stored' };
  }

  async get(
    address: LogAddress,
    artifact: Artifact,
  ): Promise<{ readonly kind: 'bytes'; readonly body: ReadableStream<Uint8Array> } | undefined> {
    const file = this.#file(address, artifact);
    try {
      await stat(file);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
    return { kind: 'bytes', body: Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array> };
  }

  /** Removes the artifacts of runs to which nothing was written for this long. Answers how many runs that were. */
  async sweep(olderThanMs: number): Promise<number> {
    const before = this.#time.now() - olderThanMs;
    let removed = 0;
    for (const run of await namesIn(this.#folder)) {
      const folder = path.join(this.#folder, run);
      const attempts = (await namesIn(folder)).map((attempt) => path.join(folder, attempt));
      const times = await Promise.all([folder, ...attempts].map(async (each) => (await stat(each)).mtimeMs));
      if (Math.max(...times) >= before) continue;
      await rm(folder, { recursive: true, force: true });
      removed++;
    }
    return removed;
  }

  #file({ runId, attempt }: LogAddress, { sha256 }: Artifact): string {
    if (!SAFE_ID.test(runId)) throw new RangeError(`"${runId}" is not the id of a run`);
    if (!Number.isInteger(attempt) || attempt < 1) throw new RangeError(`${attempt} is not the number of an attempt`);
    if (!SAFE_HASH.test(sha256)) throw new RangeError(`"${sha256}" is not a SHA-256`);
    return path.join(this.#folder, runId, String(attempt), sha256);
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
