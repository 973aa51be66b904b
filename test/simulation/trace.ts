/** What happened, as a hash of all of it, and where somebody wants to read it, line by line. */
export class Trace {
  readonly lines: string[] = [];
  readonly keeps: boolean;
  readonly #elapsedMs: () => number;
  #low = 0x811c9dc5;
  #high = 0x01000193;

  constructor(keeps: boolean, elapsedMs: () => number) {
    this.keeps = keeps;
    this.#elapsedMs = elapsedMs;
  }

  /** A call of a port, by numbers: that is most of what happens. */
  step(incarnation: number, site: number): void {
    let low = Math.imul(this.#low ^ this.#elapsedMs(), 0x01000193);
    low = Math.imul(low ^ incarnation, 0x01000193);
    low = Math.imul(low ^ site, 0x01000193);
    this.#high = (Math.imul(this.#high + low, 0x85ebca6b) ^ (low >>> 15)) >>> 0;
    this.#low = low >>> 0;
  }

  add(what: string, facts?: object): void {
    const elapsedMs = this.#elapsedMs();
    let { low, high } = { low: this.#low ^ elapsedMs, high: this.#high };
    for (let at = 0; at < what.length; at++) {
      low = Math.imul(low ^ what.charCodeAt(at), 0x01000193);
      high = Math.imul(high + low, 0x85ebca6b) ^ (low >>> 15);
    }
    this.#low = low >>> 0;
    this.#high = high >>> 0;
    this.line(what, facts);
  }

  /** For people only. */
  line(what: string, facts?: object): void {
    if (!this.keeps) return;
    const elapsedMs = this.#elapsedMs();
    const seconds = (elapsedMs / 1000).toFixed(3).padStart(10);
    this.lines.push(`${seconds} ${what}${facts === undefined ? '' : ` ${JSON.stringify(facts)}`}`);
  }

  get hash(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0');
  }
}
