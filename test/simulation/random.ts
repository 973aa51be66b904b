/** The one source of chance in a simulation: small, seeded, the same everywhere. */

/** Sfc32, seeded by splitmix32: seeds that stand side by side give streams that have nothing in common. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    let state = seed >>> 0;
    const split = () => {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    this.#a = split();
    this.#b = split();
    this.#c = split();
    for (let round = 0; round < 12; round++) this.bits();
  }

  bits(): number {
    const sum = (this.#a + this.#b + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0;
    return sum;
  }

  /** From 0 up to but not including 1. */
  next(): number {
    return this.bits() / 2 ** 32;
  }

  /** A whole number from 0 up to but not including `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** @throws RangeError where there is nothing to pick from */
  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)];
    if (found === undefined) throw new RangeError('there is nothing to pick from');
    return found;
  }

  maybe<T>(share: number, from: readonly T[]): T | undefined {
    return from.length > 0 && this.chance(share) ? this.pick(from) : undefined;
  }

  /** Of all orders of size between these bounds the same share: delays that are mostly short and now and then very long. */
  spread(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.next());
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.bits() & 255);
  }

  /** A part of the list, in its order: each one with this chance. */
  subset<T>(from: readonly T[], share: number): readonly T[] {
    return from.filter(() => this.chance(share));
  }
}
