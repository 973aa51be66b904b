/**
 * Sends what the shim captures, in numbered chunks. Before a chunk is sent, its number and byte range are written to
 * `upload.marks`: so the same number always carries the same content, over restarts of the runner too.
 */
import fs from 'node:fs';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readText } from './files.ts';
import { backoffMs, Patience, type PatienceDoor } from './patience.ts';
import { monotonicMs } from './proc.ts';

const CHUNK_BYTES_MAX = 256 * 1024;
/** Bound of the contract. */
const CHUNK_RECORDS_MAX = 5000;
/** What a chunk's body begins and ends with; between them stand the lines of the capture, with commas for their ends. */
const HEAD = Buffer.from('{"records":[');
const TAIL = Buffer.from(']}');
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const PAUSE_MS = 200;

interface Range {
  readonly chunk: number;
  readonly from: number;
  readonly to: number;
}

/** `refused`: neither this chunk nor one after it will ever be taken. */
export type Stored = 'stored' | 'failed' | 'refused';

export interface UploadDoor extends PatienceDoor {
  /** Stores a chunk's body, whose bytes may change once it has answered. `failed`: it could not be stored just now. */
  readonly put: (chunk: number, body: Buffer) => Promise<Stored>;
}

/** The upload of one run's output. */
export class LogUpload {
  readonly #capture: string;
  readonly #marks: string;
  readonly #door: UploadDoor;
  /** One for all chunks: memory that is let go of is not free before much more of it has been let go of. */
  #buffer: Buffer | undefined;
  #chunk = 0;
  #offset = 0;
  #unsent: Range | undefined;
  #busy: Promise<void> | undefined;
  #draining = false;
  #refused = false;
  #failures = 0;
  #notBeforeMs = 0;

  constructor(folder: string, door: UploadDoor) {
    this.#capture = path.join(folder, 'capture.ndjson');
    this.#marks = path.join(folder, 'upload.marks');
    this.#door = door;
    const range = readMark(this.#marks);
    if (!range) return;
    // Whether the last chunk was stored before the runner died is not known; sending it again is harmless.
    this.#unsent = range;
    this.#chunk = range.chunk;
    this.#offset = range.from;
  }

  /** Number of chunks that have been stored. */
  get stored(): number {
    return this.#chunk;
  }

  /** Sends a chunk if there is output and the time for it has come. Does not wait for it. */
  poke(): void {
    if (this.#busy || this.#draining || this.#refused || monotonicMs() < this.#notBeforeMs) return;
    this.#busy = this.#step()
      .then(() => undefined)
      .finally(() => {
        this.#busy = undefined;
      });
  }

  /** Sends all that is left, and lets go of the memory. Answers how many bytes of the capture could not be stored in the time that is given. */
  async drain(): Promise<number> {
    // From here on this is the only one that sends: two senders would settle the same chunk twice.
    this.#draining = true;
    await this.#busy;
    const patience = new Patience(this.#door);
    for (;;) {
      const result = await this.#step();
      const isOver = result === 'nothing' || this.#refused || (result === 'failed' && patience.isOver());
      if (isOver) {
        this.#buffer = undefined;
        return result === 'nothing' ? 0 : this.#remainingBytes();
      }
      if (result === 'sent') patience.renew();
      else await sleep(Math.min(Math.max(0, this.#notBeforeMs - monotonicMs()), 1000));
    }
  }

  async #remainingBytes(): Promise<number> {
    return (await sizeOf(this.#capture)) - this.#offset;
  }

  async #step(): Promise<'sent' | 'nothing' | 'failed'> {
    let range: Range | undefined;
    try {
      range = this.#unsent ?? (await this.#next());
      if (!range) return 'nothing';
      this.#unsent = range;
      const body = asBody(await this.#read(range.from, range.to));
      const answer = await this.#door.put(range.chunk, body);
      this.#refused = answer === 'refused';
      if (answer !== 'stored') return this.#failed();
    } catch {
      // The disk fails or is full. That is no reason to end the work; it counts as output that cannot be stored.
      return this.#failed();
    }
    this.#failures = 0;
    this.#notBeforeMs = monotonicMs() + PAUSE_MS;
    this.#unsent = undefined;
    this.#chunk = range.chunk + 1;
    this.#offset = range.to;
    return 'sent';
  }

  #failed(): 'failed' {
    this.#failures += 1;
    this.#notBeforeMs = monotonicMs() + backoffMs(this.#failures);
    return 'failed';
  }

  /** Settles what the next chunk holds, durably, before anyone can have seen it. */
  async #next(): Promise<Range | undefined> {
    const from = this.#offset;
    if ((await sizeOf(this.#capture)) <= from) return undefined;
    const length = cut((await this.#read(from, from + CHUNK_BYTES_MAX)).subarray(HEAD.length));
    if (length === 0) return undefined;
    const range = { chunk: this.#chunk, from, to: from + length };
    writeMark(this.#marks, range);
    return range;
  }

  /** Reads a part of the capture into the buffer, behind room for a body's head. */
  async #read(from: number, to: number): Promise<Buffer> {
    this.#buffer ??= Buffer.allocUnsafe(HEAD.length + CHUNK_BYTES_MAX + TAIL.length);
    const handle = await open(this.#capture, 'r');
    try {
      const until = HEAD.length + to - from;
      let end = HEAD.length;
      while (end < until) {
        const { bytesRead } = await handle.read(this.#buffer, end, until - end, from + end - HEAD.length);
        if (bytesRead === 0) break;
        end += bytesRead;
      }
      return this.#buffer.subarray(0, end);
    } finally {
      await handle.close();
    }
  }
}

/**
 * Marks are written in turn to two slots, over room that the file has already: a full disk does not refuse them, and
 * one that is torn leaves the other, whose chunk may be sent again while that of the torn one was never sent.
 */
const SLOT_BYTES = 128;

/** Makes the file with the marks, while there is room. */
export function reserveMarks(folder: string): void {
  fs.writeFileSync(path.join(folder, 'upload.marks'), ' '.repeat(2 * SLOT_BYTES), { mode: 0o600 });
}

function writeMark(file: string, range: Range): void {
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  try {
    const slot = Buffer.from(`${JSON.stringify(range).padEnd(SLOT_BYTES - 1)}\n`);
    if (fs.writeSync(fd, slot, 0, slot.length, (range.chunk % 2) * SLOT_BYTES) < slot.length) {
      throw new Error('the mark was written in part only');
    }
    fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function readMark(file: string): Range | undefined {
  const text = readText(file) ?? '';
  const ranges = [0, SLOT_BYTES].flatMap((from) => {
    try {
      return [JSON.parse(text.slice(from, from + SLOT_BYTES)) as Range];
    } catch {
      return [];
    }
  });
  return ranges.sort((left, right) => right.chunk - left.chunk)[0];
}

/** Length of the whole lines at the start of `bytes` that make up one chunk. */
function cut(bytes: Buffer): number {
  let end = 0;
  for (let records = 0; records < CHUNK_RECORDS_MAX; records += 1) {
    const next = bytes.indexOf(NEWLINE, end) + 1;
    if (next === 0) break;
    end = next;
  }
  // The shim writes no line as long as a chunk. Should there be one, it is passed over rather than waited on for ever.
  return end === 0 && bytes.length === CHUNK_BYTES_MAX ? bytes.length : end;
}

/**
 * Makes a chunk's body, in place, of the lines that stand behind the room for its head. Those that are no records are left
 * out: only a shim that died in the middle of a write, or a failing disk, leaves such.
 */
function asBody(bytes: Buffer): Buffer {
  HEAD.copy(bytes);
  let written = HEAD.length;
  for (let from = written; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline === -1 ? bytes.length : newline;
    if (isRecord(bytes.toString('utf8', from, to))) {
      bytes.copyWithin(written, from, to);
      written += to - from;
      bytes[written] = COMMA;
      written += 1;
    }
    from = to + 1;
  }
  // The last comma, if there is one, makes room for the end, for which there is room behind all lines too.
  const last = written === HEAD.length ? written : written - 1;
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, last + TAIL.length);
  TAIL.copy(body, last);
  return body;
}

function isRecord(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}
