/** What every Rates keeps: a minute's requests and no more, of each caller for itself, and again after the wait that it names. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Rates } from '../../core/ports.ts';

/** In the middle of a minute. */
const BEGIN = Date.UTC(2027, 2, 1, 12, 0, 30);
export const REQUESTS_PER_MINUTE = 5;

export interface RatesHarness {
  readonly rates: Rates;
  readonly clock: { now: number };
}

export function ratesContract(name: string, begin: () => Promise<RatesHarness> | RatesHarness): void {
  describe(`${name} keeps the contract of rates`, () => {
    let rates: Rates;
    let clock: RatesHarness['clock'];
    beforeEach(async () => {
      ({ rates, clock } = await begin());
      clock.now = BEGIN;
    });
    const take = async (times: number, caller = 'a') => {
      const waits: (number | undefined)[] = [];
      for (let count = 0; count < times; count++) waits.push(await rates.take(caller));
      return waits;
    };
    const free = (times: number) => Array.from({ length: times }, () => undefined);

    it('takes so many at once, then names whole seconds to wait, after which it takes one', async () => {
      expect(await take(REQUESTS_PER_MINUTE)).toEqual(free(REQUESTS_PER_MINUTE));
      const [wait = 0, again] = await take(2);
      expect([Number.isInteger(wait), wait >= 1, wait <= 60, again]).toEqual([true, true, true, wait]);
      clock.now += wait * 1000;
      expect(await take(1)).toEqual([undefined]);
    });

    it('takes a whole minute’s again after a quiet minute, and not more', async () => {
      await take(REQUESTS_PER_MINUTE + 3);
      clock.now += 60_000;
      const waits = await take(REQUESTS_PER_MINUTE + 1);
      expect(waits.slice(0, -1)).toEqual(free(REQUESTS_PER_MINUTE));
      expect(waits.at(-1)).toBeGreaterThan(0);
    });

    it('counts each caller for itself', async () => {
      await take(REQUESTS_PER_MINUTE + 1, 'a');
      expect(await take(REQUESTS_PER_MINUTE, 'b')).toEqual(free(REQUESTS_PER_MINUTE));
    });

    it('counts requests that come at the same moment', async () => {
      const waits = await Promise.all(Array.from({ length: 4 * REQUESTS_PER_MINUTE }, () => rates.take('a')));
      expect(waits.filter((wait) => wait === undefined)).toHaveLength(REQUESTS_PER_MINUTE);
    });

    it('gives nothing for a clock that is set back', async () => {
      await take(REQUESTS_PER_MINUTE);
      clock.now -= 20_000;
      expect((await take(1))[0]).toBeGreaterThan(0);
    });
  });
}
