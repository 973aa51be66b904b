/**
 * The journal: one line for each decision, appended and synced before anything is done about it. A line that a crash
 * has torn was never acted upon, so it is blanked out. All facts of a decision are one line, as a crash may keep the
 * later half of a write and lose the earlier.
 *
 * Behind the last line the file is filled with zeros: writing over them needs no new room, so that work can still be
 * ended, and its end kept, when it has filled the disk.
 */
import fs from 'node:fs';
import path from 'node:path';
import { syncFolder, writeAtomically } from './files.ts';
import { log } from './log.ts';
import { apply, EMPTY, type Fact, type State, snapshotOf } from './state.ts';

/** A journal longer than this is rewritten as a snapshot. */
const COMPACT_ABOVE_BYTES = 1024 * 1024;
/** There are at least this many zeros, and at most twice as many, as long as the disk has room. */
const RESERVE_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

export interface Replay {
  readonly state: State;
  /** Bytes up to the end of the last line that is whole. */
  readonly wholeBytes: number;
  /** Lines before it that made no sense. There are none unless the disk has failed. */
  readonly badLines: number;
}

/** Rebuilds the state from the journal's content. Never throws, wherever the content was cut. */
export function replay(content: Buffer): Replay {
  let state = EMPTY;
  let wholeBytes = 0;
  let badLines = 0;
  let badSinceWhole = 0;
  for (let from = 0; from < content.length; ) {
    const end = content.indexOf(NEWLINE, from);
    if (end === -1) break;
    const facts = parseFacts(content.toString('utf8', from, end));
    from = end + 1;
    if (!facts) {
      badSinceWhole += 1;
      continue;
    }
    state = facts.reduce(apply, state);
    wholeBytes = from;
    badLines += badSinceWhole;
    badSinceWhole = 0;
  }
  return { state, wholeBytes, badLines };
}

const KINDS: ReadonlySet<unknown> = new Set<Fact['kind']>([
  'taken',
  'signal',
  'signal-missed',
  'outcome',
  'acknowledged',
  'unwanted',
  'lease-lost',
  'snapshot',
]);

function parseFacts(line: string): readonly Fact[] | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    const facts: readonly unknown[] = Array.isArray(parsed) ? parsed : [parsed];
    const known = facts.every(
      (fact) => typeof fact === 'object' && fact !== null && 'kind' in fact && KINDS.has(fact.kind),
    );
    return known ? (facts as readonly Fact[]) : undefined;
  } catch {
    return undefined;
  }
}

/** The open journal file of this VM. */
export class Journal {
  readonly #file: string;
  #fd: number;
  /** Where the next line goes. */
  #end: number;
  /** Length of the file, the zeros included. */
  #length: number;
  #compactAboveBytes = COMPACT_ABOVE_BYTES;

  private constructor(file: string, fd: number, end: number, length: number) {
    this.#file = file;
    this.#fd = fd;
    this.#end = end;
    this.#length = length;
  }

  /** Opens the journal, replays it and blanks out what stands behind its last whole line. */
  static open(file: string): { readonly journal: Journal; readonly replayed: Replay } {
    const { O_RDWR, O_CREAT } = fs.constants;
    const fd = fs.openSync(file, O_RDWR | O_CREAT, 0o600);
    const content = fs.readFileSync(file);
    const replayed = replay(content);
    const journal = new Journal(file, fd, replayed.wholeBytes, content.length);
    // Blanked out and not cut off: the room that the file has is its reserve.
    if (content.subarray(replayed.wholeBytes).some((byte) => byte !== 0)) {
      writeAt(fd, Buffer.alloc(content.length - replayed.wholeBytes), replayed.wholeBytes);
    }
    journal.#reserve();
    // Lines that are whole may not have been synced by the runner that wrote them, and are about to be acted upon.
    fs.fsyncSync(fd);
    syncFolder(path.dirname(file));
    return { journal, replayed };
  }

  /**
   * Writes the durable ones among the facts as one line; it is on disk when this returns.
   * @throws if it cannot be written; then nothing of it is in the journal
   */
  append(facts: readonly Fact[]): void {
    const durable = facts.filter(({ kind }) => kind !== 'observed');
    if (durable.length === 0) return;
    const line = Buffer.from(`${JSON.stringify(durable.length === 1 ? durable[0] : durable)}\n`);
    try {
      writeAt(this.#fd, line, this.#end);
      fs.fdatasyncSync(this.#fd);
    } catch (error) {
      this.#blank(line.length);
      throw error;
    }
    this.#end += line.length;
    this.#length = Math.max(this.#length, this.#end);
    if (this.#length - this.#end < RESERVE_BYTES) this.#reserve();
  }

  /** Replaces a journal that has grown long by the state that it amounts to. A disk that is full can wait for it. */
  compact(state: State): void {
    if (this.#end <= this.#compactAboveBytes) return;
    const line = Buffer.from(`${JSON.stringify(snapshotOf(state))}\n`);
    // Outcomes that are still to be acknowledged may be long themselves: then the next one is due at twice the size.
    this.#compactAboveBytes = Math.max(COMPACT_ABOVE_BYTES, 2 * line.length);
    try {
      writeAtomically(this.#file, line);
    } catch (error) {
      fs.rmSync(`${this.#file}.tmp`, { force: true });
      this.#compactAboveBytes = this.#end + COMPACT_ABOVE_BYTES;
      log.warn('journal_not_compacted', { bytes: this.#end, reason: String(error) });
      return;
    }
    const former = this.#fd;
    this.#fd = fs.openSync(this.#file, fs.constants.O_RDWR);
    fs.closeSync(former);
    this.#end = line.length;
    this.#length = line.length;
    this.#reserve();
  }

  /** Adds zeros at the end. Without them everything works too, as long as the disk has room. */
  #reserve(): void {
    const wanted = this.#end + 2 * RESERVE_BYTES;
    if (this.#length >= wanted) return;
    try {
      writeAt(this.#fd, Buffer.alloc(wanted - this.#length), this.#length);
      fs.fsyncSync(this.#fd);
    } catch {
      // As much of it as there was room for is there.
    }
    this.#length = fs.fstatSync(this.#fd).size;
  }

  /** Takes back a line that may have been written in part. */
  #blank(length: number): void {
    try {
      const written = Math.min(length, fs.fstatSync(this.#fd).size - this.#end);
      if (written > 0) writeAt(this.#fd, Buffer.alloc(written), this.#end);
    } catch {
      // The next line goes over it, and what of it then still stands behind that one is no line.
    }
  }
}

function writeAt(fd: number, bytes: Buffer, position: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += fs.writeSync(fd, bytes, written, bytes.length - written, position + written);
  }
}
