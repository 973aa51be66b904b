import { afterAll, beforeAll, expect, it } from 'vitest';
import { TableRates } from '../../../adapters/aws/rates.ts';
import { sweepGarbage } from '../../../core/table/garbage.ts';
import { REQUESTS_PER_MINUTE, ratesContract } from '../../contracts/rates.ts';
import { storeWith } from '../../core/support.ts';
import { type TestEngine, testEngine } from '../../support/world.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

async function begin() {
  const world = await engine.world({ maxRequestsPerMinute: REQUESTS_PER_MINUTE, sweepsGarbage: true });
  const clock = { now: 0 };
  let writes = 0;
  const store = storeWith(world.ports.store, {
    transact: async (of) => {
      writes++;
      await world.ports.store.transact(of);
    },
  });
  const { config } = world.ports;
  const another = () => new TableRates({ store, config, time: { now: () => clock.now } });
  return { clock, rates: another(), another, world, writes: () => writes };
}

ratesContract('TableRates', begin);

it('counts over all functions, and asks the table no further for who has used up the minute', async () => {
  const { clock, rates, another, writes } = await begin();
  clock.now = 30_000;
  const second = another();
  for (let count = 0; count < REQUESTS_PER_MINUTE; count++) await (count % 2 === 0 ? rates : second).take('a');
  expect([await rates.take('a'), await second.take('a')]).toEqual([30, 30]);
  const asked = writes();
  expect([await rates.take('a'), await second.take('a'), writes()]).toEqual([30, 30, asked]);
});

it('leaves nothing behind: a counter is garbage when its minute is over', async () => {
  const { clock, rates, world } = await begin();
  clock.now = 30_000;
  await rates.take('a');
  world.now = 119_999;
  expect(await sweepGarbage(world.ports)).toBe(0);
  world.now = 120_000;
  expect(await sweepGarbage(world.ports)).toBe(1);
});
