/** How much a caller may ask, counted in the process: there is only the one. */
import type { Rates, Time } from '../../core/ports.ts';

export interface LocalRatesOptions {
  readonly requestsPerMinute: number;
  readonly time: Pick<Time, 'now'>;
}

interface Bucket {
  /** Requests that may come at once. */
  left: number;
  at: number;
}

/** So many callers are remembered before those that have all of their requests again are forgotten. */
const CALLERS_MAX = 10_000;
const MINUTE_MS = 60_000;

/** A bucket of a minute's requests per caller, which fills up steadily. */
export class LocalRates implements Rates {
  readonly #options: LocalRatesOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: LocalRatesOptions) {
    this.#options = options;
  }

  async take(caller: string): Promise<number | undefined> {
    const now = this.#options.time.now();
    const bucket = this.#bucket(caller, now);
    bucket.left = this.#leftAt(bucket, now);
    bucket.at = now;
    if (bucket.left < 1) return Math.ceil((1 - bucket.left) * (60 / this.#options.requestsPerMinute));
    bucket.left--;
    return undefined;
  }

  #bucket(caller: string, now: number): Bucket {
    const known = this.#buckets.get(caller);
    if (known !== undefined) return known;
    if (this.#buckets.size >= CALLERS_MAX)
      for (const [name, each] of this.#buckets)
        if (this.#leftAt(each, now) >= this.#options.requestsPerMinute) this.#buckets.delete(name);
    const bucket = { left: this.#options.requestsPerMinute, at: now };
    this.#buckets.set(caller, bucket);
    return bucket;
  }

  /** A wall clock that is set back gives nothing, and takes nothing away. */
  #leftAt({ left, at }: Bucket, now: number): number {
    const { requestsPerMinute } = this.#options;
    return Math.min(requestsPerMinute, left + (Math.max(0, now - at) * requestsPerMinute) / MINUTE_MS);
  }
}
