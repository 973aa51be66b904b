/** What the shim keeps of a run's output: records in `capture.ndjson`, masked, and capped at the limit of its log. */
import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';
import { Mask } from './mask.ts';
import { monotonicMs } from './proc.ts';

export type Stream = 'stdout' | 'stderr' | 'candor';

/** Escaped as JSON (six bytes for one at worst) a record of this size still fits into one log chunk. */
const RECORD_BYTES_MAX = 32 * 1024;
const TOUCH_MS = 500;

export interface CaptureOptions {
  readonly file: string;
  readonly maxLogBytes: number;
  readonly mask: readonly string[];
  /** Where the records' times begin, on the monotonic clock. */
  readonly startedMs: number;
}

/** How many bytes at the end of `bytes` begin a UTF-8 sequence that is not complete yet. */
function incompleteTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** Writes records to the capture file. Writing synchronously is the backpressure: while it writes, nothing is read. */
export class Capture {
  readonly #fd: number;
  readonly #held: Record<Stream, Buffer> = {
    stdout: Buffer.alloc(0),
    stderr: Buffer.alloc(0),
    candor: Buffer.alloc(0),
  };
  readonly #masks: Record<Stream, Mask>;
  readonly #maxBytes: number;
  readonly #startedMs: number;
  #keptBytes = 0;
  #droppedBytes = 0;
  /** Lost to the disk since the last record that it took. */
  #lostBytes = 0;
  #fileBytes = 0;
  #touchedMs = 0;

  constructor({ file, maxLogBytes, mask, startedMs }: CaptureOptions) {
    this.#fd = fs.openSync(file, 'a', 0o600);
    this.#maxBytes = maxLogBytes;
    this.#masks = { stdout: new Mask(mask), stderr: new Mask(mask), candor: new Mask(mask) };
    this.#startedMs = startedMs;
  }

  take(stream: Stream, data: Buffer): void {
    this.#takeMasked(stream, this.#masks[stream].take(data));
  }

  /** Says something in Candor's own name; it does not count against the limit. */
  say(text: string): void {
    const mask = this.#masks.candor;
    this.#record('candor', Buffer.concat([mask.take(Buffer.from(text)), mask.end()]));
  }

  /** Keeps what has waited for the next piece of output: there is none from this process any more. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#takeMasked(stream, this.#masks[stream].end());
      const rest = this.#held[stream];
      this.#held[stream] = Buffer.alloc(0);
      this.#keep(stream, rest);
    }
  }

  /** Answers how many bytes the disk has not taken without the log saying so. */
  close(): number {
    this.flush();
    const dropped = `${this.#droppedBytes} bytes dropped here: the limit of ${this.#maxBytes} bytes was reached`;
    if (this.#droppedBytes > 0 && !this.#record('candor', Buffer.from(dropped))) this.#lostBytes += this.#droppedBytes;
    this.#sayLost();
    try {
      fs.fsyncSync(this.#fd);
      fs.closeSync(this.#fd);
    } catch {
      // The end of the work must be told, whatever becomes of its output.
    }
    return this.#lostBytes;
  }

  #takeMasked(stream: Stream, data: Buffer): void {
    const held = this.#held[stream];
    const bytes = held.length > 0 ? Buffer.concat([held, data]) : data;
    const whole = bytes.length - incompleteTail(bytes);
    this.#held[stream] = Buffer.from(bytes.subarray(whole));
    this.#keep(stream, bytes.subarray(0, whole));
  }

  #keep(stream: Stream, bytes: Buffer): void {
    let kept = bytes;
    // Once something was dropped nothing is kept any more, so that what is stored has no hole before its end.
    const roomBytes = this.#droppedBytes > 0 ? 0 : this.#maxBytes - this.#keptBytes;
    if (kept.length > roomBytes) {
      kept = kept.subarray(0, Math.max(0, roomBytes));
      kept = kept.subarray(0, kept.length - incompleteTail(kept));
      this.#droppedBytes += bytes.length - kept.length;
      this.#touch();
    }
    this.#keptBytes += kept.length;
    for (let from = 0; from < kept.length; ) {
      let piece = kept.subarray(from, from + RECORD_BYTES_MAX);
      if (from + piece.length < kept.length) piece = piece.subarray(0, piece.length - incompleteTail(piece));
      this.#record(stream, piece);
      from += piece.length;
    }
  }

  /** Output that is not kept is a sign of life all the same: the runner sees that the file's time has changed. */
  #touch(): void {
    if (monotonicMs() < this.#touchedMs + TOUCH_MS) return;
    this.#touchedMs = monotonicMs();
    try {
      fs.futimesSync(this.#fd, new Date(), new Date());
    } catch {
      // The next output is as good a sign.
    }
  }

  /** A full disk must not end the work: what it does not take is counted, and said in its place once it takes more. */
  #record(stream: Stream, bytes: Buffer): boolean {
    if (this.#sayLost() && this.#write(stream, bytes)) return true;
    // Candor's own words are nobody's output.
    if (stream !== 'candor') this.#lostBytes += bytes.length;
    this.#touch();
    return false;
  }

  #sayLost(): boolean {
    if (this.#lostBytes === 0) return true;
    const text = `${this.#lostBytes} bytes dropped here: they could not be written to disk`;
    if (!this.#write('candor', Buffer.from(text))) return false;
    this.#lostBytes = 0;
    return true;
  }

  #write(stream: Stream, bytes: Buffer): boolean {
    const atMs = Math.max(0, Math.round(monotonicMs() - this.#startedMs));
    const content = isUtf8(bytes) ? { text: bytes.toString('utf8') } : { base64: bytes.toString('base64') };
    const line = Buffer.from(`${JSON.stringify({ atMs, stream, ...content })}\n`);
    try {
      for (let written = 0; written < line.length; ) written += fs.writeSync(this.#fd, line, written);
      this.#fileBytes += line.length;
      return true;
    } catch {
      this.#takeBack();
      return false;
    }
  }

  /** Half a line is no record, and would spoil the next one. Nobody has read it: the runner reads whole lines only. */
  #takeBack(): void {
    try {
      fs.ftruncateSync(this.#fd, this.#fileBytes);
    } catch {
      // The runner passes over a line that is none.
    }
  }
}
