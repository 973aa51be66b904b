/** Captured output in files: `<data dir>/logs/<run>/<attempt>/<chunk>.ndjson`, one record per line. */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ChunkConflict } from '../../core/errors.ts';
import type { LogAddress, LogRecord, LogStore, Time } from '../../core/ports.ts';
import { chunkName, chunkText, recordsOf } from '../system/logChunks.ts';
import { hasCode, makePrivateFolder, readIfThere, writeOnce } from './files.ts';

/** Ids become names of folders, so nothing that could lead out of the log folder is an id. */
const SAFE_ID = /^[a-z0-9_]+$/;

export class FileLogStore implements LogStore {
  readonly #folder: string;
  readonly #time: Pick<Time, 'now'>;

  constructor(options: { readonly dataDir: string; readonly time: Pick<Time, 'now'> }) {
    this.#folder = path.join(options.dataDir, 'logs');
    this.#time = options.time;
  }

  /** @throws RangeError when the address or the number cannot be a file's name; ChunkConflict */
  async putChunk(address: LogAddress, chunk: number, records: readonly LogRecord[]): Promise<void> {
    const file = this.#chunkFile(address, chunk);
    await makePrivateFolder(path.dirname(file));
    const text = chunkText(records);
    if (!(await writeOnce(file, text)) && (await readIfThere(file)) !== text) throw new ChunkConflict(chunk);
  }

  /** @throws RangeError when the address or the number cannot be a file's name */
  async read(
    address: LogAddress,
    from: number,
    maxChunks: number,
    maxBytes = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly records: readonly LogRecord[]; readonly next: number }> {
    const records: LogRecord[] = [];
    let bytes = 0;
    let next = from;
    // Output is shown without gaps: a missing chunk may still arrive, and then what follows it does too.
    for (; next < from + maxChunks; next++) {
      const text = await readIfThere(this.#chunkFile(address, next));
      if (text === undefined) break;
      bytes += Buffer.byteLength(text);
      if (next > from && bytes > maxBytes) break;
      records.push(...recordsOf(text));
    }
    return { records, next };
  }

  /** Removes the output of runs to which nothing was written for this long. Answers how many runs that were. */
  async sweep(olderThanMs: number): Promise<number> {
    const before = this.#time.now() - olderThanMs;
    let removed = 0;
    for (const run of await entriesOf(this.#folder)) {
      const folder = path.join(this.#folder, run);
      const attempts = (await entriesOf(folder)).map((attempt) => path.join(folder, attempt));
      // A folder's time is that of the last name that came into it: every chunk leaves its mark there.
      const times = await Promise.all([folder, ...attempts].map(modifiedAt));
      if (Math.max(...times) >= before) continue;
      await rm(folder, { recursive: true, force: true });
      removed++;
    }
    return removed;
  }

  #chunkFile({ runId, attempt }: LogAddress, chunk: number): string {
    if (!SAFE_ID.test(runId)) throw new RangeError(`"${runId}" is not the id of a run`);
    if (!Number.isInteger(attempt) || attempt < 1) throw new RangeError(`${attempt} is not the number of an attempt`);
    return path.join(this.#folder, runId, String(attempt), chunkName(chunk));
  }
}

async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

async function modifiedAt(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    // Gone meanwhile: then it is as old as can be.
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}
