/**
 * The journal: one fact per line, appended and synced before anything is done about it. A line that a crash has torn
 * was never acted upon, so it is cut off.
 */
import fs from 'node:fs';
import path from 'node:path';
import { readText, syncFolder, writeAtomically } from './files.ts';
import { apply, EMPTY, type Fact, type State, snapshotOf } from './state.ts';

/** A journal longer than this is rewritten as a snapshot. */
const COMPACT_ABOVE_BYTES = 1024 * 1024;

export interface Replay {
  readonly state: State;
  /** Bytes up to the end of the last whole line. */
  readonly wholeBytes: number;
  /** Lines that were whole but made no sense. There are none unless the disk has failed. */
  readonly badLines: number;
}

/** Rebuilds the state from the journal's content. Never throws, wherever the content was cut. */
export function replay(content: string): Replay {
  const end = content.lastIndexOf('\n') + 1;
  let state = EMPTY;
  let badLines = 0;
  for (const line of content.slice(0, end).split('\n')) {
    if (line === '') continue;
    const fact = parseFact(line);
    if (fact) state = apply(state, fact);
    else badLines += 1;
  }
  return { state, wholeBytes: Buffer.byteLength(content.slice(0, end)), badLines };
}

const KINDS: ReadonlySet<unknown> = new Set<Fact['kind']>([
  'taken',
  'signal',
  'signal-missed',
  'outcome',
  'acknowledged',
  'unwanted',
  'snapshot',
]);

function parseFact(line: string): Fact | undefined {
  try {
    const fact: unknown = JSON.parse(line);
    const known = typeof fact === 'object' && fact !== null && 'kind' in fact && KINDS.has(fact.kind);
    return known ? (fact as Fact) : undefined;
  } catch {
    return undefined;
  }
}

/** The open journal file of this VM. */
export class Journal {
  readonly #file: string;
  #fd: number;
  #bytes: number;

  private constructor(file: string, fd: number, bytes: number) {
    this.#file = file;
    this.#fd = fd;
    this.#bytes = bytes;
  }

  /** Opens the journal, cuts off a torn last line and replays the rest. */
  static open(file: string): { readonly journal: Journal; readonly replayed: Replay } {
    const replayed = replay(readText(file) ?? '');
    const fd = fs.openSync(file, 'a', 0o600);
    fs.ftruncateSync(fd, replayed.wholeBytes);
    fs.fsyncSync(fd);
    syncFolder(path.dirname(file));
    return { journal: new Journal(file, fd, replayed.wholeBytes), replayed };
  }

  /** Writes the durable ones among the facts in one piece; they are on disk when it returns. */
  append(facts: readonly Fact[]): void {
    const lines = facts.filter(({ kind }) => kind !== 'observed').map((fact) => `${JSON.stringify(fact)}\n`);
    if (lines.length === 0) return;
    const bytes = Buffer.from(lines.join(''));
    for (let written = 0; written < bytes.length; ) written += fs.writeSync(this.#fd, bytes, written);
    fs.fdatasyncSync(this.#fd);
    this.#bytes += bytes.length;
  }

  /** Replaces a journal that has grown long by the state that it amounts to. */
  compact(state: State): void {
    if (this.#bytes <= COMPACT_ABOVE_BYTES) return;
    const line = `${JSON.stringify(snapshotOf(state))}\n`;
    writeAtomically(this.#file, line);
    fs.closeSync(this.#fd);
    this.#fd = fs.openSync(this.#file, 'a', 0o600);
    // Outcomes that are still to be acknowledged may be long themselves: then the next one is due at twice the size.
    this.#bytes = Math.min(Buffer.byteLength(line), COMPACT_ABOVE_BYTES / 2);
  }
}
