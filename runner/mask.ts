/**
 * Blanks values out of a stream of bytes, wherever it is cut into pieces: what could be the beginning of a value waits
 * for the next piece. Overlapping values are blanked out together, so that no part of one is left.
 */

export const BLANK = Buffer.from('***');
/** A line of a value that has several is a secret too, unless it is too short to be told from anything else. */
const LINE_BYTES_MIN = 8;

interface Span {
  readonly from: number;
  readonly to: number;
}

export class Mask {
  readonly #values: readonly Buffer[];
  #held: Buffer = Buffer.alloc(0);
  /** This many bytes at the start of the held ones belong to a value that has been blanked out already. */
  #coveredBytes = 0;

  constructor(values: readonly string[]) {
    const lines = values.flatMap((value) => value.split(/\r?\n/)).filter((line) => line.length >= LINE_BYTES_MIN);
    this.#values = [...new Set([...values, ...lines])]
      .filter((value) => value !== '')
      .map((value) => Buffer.from(value));
  }

  /** Answers as much of the stream, blanked out, as is certain by now. */
  take(data: Buffer): Buffer {
    if (this.#values.length === 0) return data;
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, data]) : data;
    return this.#emit(bytes, bytes.length - this.#possibleBeginning(bytes));
  }

  /** Answers the rest: there is no next piece. */
  end(): Buffer {
    return this.#emit(this.#held, this.#held.length);
  }

  #emit(bytes: Buffer, until: number): Buffer {
    const spans = this.#spans(bytes);
    const parts: Buffer[] = [];
    let done = 0;
    let coveredBytes = 0;
    for (const { from, to } of spans) {
      const continues = from === 0 && this.#coveredBytes > 0;
      if (from >= until && !continues) break;
      parts.push(bytes.subarray(done, from));
      // The beginning of a span that was blanked out with the piece before is not blanked out twice.
      if (!continues) parts.push(BLANK);
      done = Math.min(to, until);
      coveredBytes = to - done;
    }
    parts.push(bytes.subarray(done, until));
    this.#held = Buffer.from(bytes.subarray(until));
    this.#coveredBytes = coveredBytes;
    // A copy of all output that has nothing to hide would be garbage faster than it is collected.
    return spans.length > 0 ? Buffer.concat(parts) : bytes.subarray(0, until);
  }

  /** What is to be blanked out, in order and without overlaps. */
  #spans(bytes: Buffer): Span[] {
    const found: Span[] = this.#coveredBytes > 0 ? [{ from: 0, to: this.#coveredBytes }] : [];
    for (const value of this.#values) {
      for (let from = bytes.indexOf(value); from !== -1; from = bytes.indexOf(value, from + 1)) {
        found.push({ from, to: from + value.length });
      }
    }
    const merged: Span[] = [];
    for (const span of found.sort((left, right) => left.from - right.from)) {
      const last = merged.at(-1);
      if (last && span.from < last.to) merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, span.to) };
      else merged.push(span);
    }
    return merged;
  }

  /** Length of the longest end of `bytes` that a value begins with. */
  #possibleBeginning(bytes: Buffer): number {
    let longest = 0;
    for (const value of this.#values) {
      for (let length = Math.min(value.length - 1, bytes.length); length > longest; length -= 1) {
        if (bytes.subarray(bytes.length - length).equals(value.subarray(0, length))) longest = length;
      }
    }
    return longest;
  }
}

/** A text that is whole, with the values blanked out. */
export function masked(text: string, values: readonly string[]): string {
  const mask = new Mask(values);
  return Buffer.concat([mask.take(Buffer.from(text)), mask.end()]).toString('utf8');
}
