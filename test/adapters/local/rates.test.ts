import { expect, it } from 'vitest';
import { LocalRates } from '../../../adapters/local/rates.ts';
import { REQUESTS_PER_MINUTE, ratesContract } from '../../contracts/rates.ts';

function begin(requestsPerMinute = REQUESTS_PER_MINUTE) {
  const clock = { now: 0 };
  return { clock, rates: new LocalRates({ requestsPerMinute, time: { now: () => clock.now } }) };
}

ratesContract('LocalRates', begin);

it('takes one again as soon as a minute’s share of time has gone by', async () => {
  const { clock, rates } = begin(60);
  for (let count = 0; count < 60; count++) expect(await rates.take('a')).toBeUndefined();
  expect(await rates.take('a')).toBe(1);
  clock.now += 1000;
  expect([await rates.take('a'), await rates.take('a')]).toEqual([undefined, 1]);
});

it('forgets callers that have all of their requests again, and none that has not', async () => {
  const { clock, rates } = begin(1);
  clock.now = 59_000;
  await rates.take('late');
  clock.now = 0;
  for (let count = 0; count < 10_000; count++) await rates.take(`early ${count}`);
  clock.now = 60_000;
  await rates.take('the one too many');
  expect(await rates.take('late')).toBe(59);
  expect(await rates.take('early 7')).toBeUndefined();
});
