/** What happened, as a hash of all of it, and where somebody wants to read it, line by line. */
import type { IndexEntry, Item } from '../../core/table/model.ts';
import { digest } from './digest.ts';
import type { Change } from './table.ts';

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
    this.#mix(this.#elapsedMs());
    this.#mix(incarnation);
    this.#mix(site);
  }

  /** What the table has shown: which items as of which version, or where they stand. What is in them was mixed in when it was written. */
  read(items: readonly (Item | IndexEntry | undefined)[]): void {
    this.#mix(items.length);
    for (const item of items) {
      this.#mix(digest(item?.sk));
      this.#mix(digest((item as Item | undefined)?.version ?? item?.sort));
    }
  }

  /** What another service was asked, and what it has answered. */
  answered<T>(request: unknown, answer: T): T {
    this.#mix(digest(request));
    this.#mix(digest(answer));
    return answer;
  }

  /** What a transaction has made of the items that it wrote. */
  changed(changes: readonly Change[]): void {
    for (const { key, after, write } of changes) {
      this.#mix(digest(key.pk));
      this.#mix(digest(key.sk));
      if (write.kind !== 'update') {
        this.#mix(digest(after));
        continue;
      }
      this.#mix(digest(write.set));
      for (const name in write.add) this.#mix(digest(after?.[name]));
    }
  }

  add(what: string, facts?: object): void {
    this.#mix(this.#elapsedMs());
    this.#mix(digest(what));
    this.line(what, facts);
  }

  /** For people only. */
  line(what: string, facts?: object): void {
    if (!this.keeps) return;
    const elapsedMs = this.#elapsedMs();
    const seconds = (elapsedMs / 1000).toFixed(3).padStart(10);
    this.lines.push(`${seconds} ${what}${facts === undefined ? '' : ` ${JSON.stringify(facts)}`}`);
  }

  #mix(what: number): void {
    const low = Math.imul(this.#low ^ what, 0x01000193);
    this.#high = (Math.imul(this.#high + low, 0x85ebca6b) ^ (low >>> 15)) >>> 0;
    this.#low = low >>> 0;
  }

  get hash(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0');
  }
}
