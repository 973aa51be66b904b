import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOCAL_TENANT } from '../../../core/access/principals.ts';
import { isTerminal, type RunStatus } from '../../../core/contract/runs.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { eventsOf } from '../support.ts';
import { Storm } from './storm.ts';

/** `STORM_SEED=7 npm run test:storm` plays another one, of a thousand runs. */
const RUNS = Number(process.env.STORM_RUNS ?? 120);
const SEED = Number(process.env.STORM_SEED ?? 20_270_301);
const TIME_LIMIT_MS = 1_800_000;

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const CONFIG = {
  checkShards: 1,
  maxConcurrentRunsPerTenant: 20,
  maxConcurrentVmsPerTenant: 22,
  startTimeoutSeconds: 120,
  watchdogIntervalSeconds: 10,
  watchdogBatch: 1000,
  retryBackoffSeconds: 1,
};

const ALWAYS = ['cancelled while queued', 'cancelled while running', 'starts refused'];
const IN_A_LONG_ONE = [
  'cancelled while provisioning',
  'cancelled while starting',
  'cancelled while cancelling',
  'no capacity',
  'workflow away',
  'watchdog vm_dead',
  'watchdog queued_unplaced',
];

describe('a storm of runs', () => {
  it(
    `breaks no rule, ends every run and leaves nothing behind (${RUNS} runs, seed ${SEED})`,
    async () => {
      const world = await engine.world(CONFIG);
      const storm = new Storm(world, { runs: RUNS, seed: SEED });
      const startedAt = performance.now();
      await storm.play();
      if (process.env.STORM_LOG !== undefined)
        process.stderr.write(`${storm.summary()}\n${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
      const { mirror } = storm;
      expect(mirror.violations).toEqual([]);
      expect(storm.errors).toEqual([]);
      expect(storm.watchdogFailures).toEqual([]);
      expect(mirror.runs.size).toBe(RUNS);
      expect(mirror.liveRuns()).toEqual([]);
      expect(mirror.existingVms()).toEqual([]);
      expect([...mirror.free, ...mirror.wanting]).toEqual([]);
      await expectNothingHeld(world, storm);
      await expectWholeHistories(world, storm);
      // It was a storm: the limits were reached, and everything that was to happen did.
      expect(mirror.most.get(`tenant#${LOCAL_TENANT}`)).toBe(CONFIG.maxConcurrentRunsPerTenant);
      for (const what of RUNS >= 500 ? [...ALWAYS, ...IN_A_LONG_ONE] : ALWAYS)
        expect(storm.counts.get(what), what).toBeGreaterThan(0);
    },
    TIME_LIMIT_MS,
  );
});

/** The table itself, not the mirror. */
async function expectNothingHeld(world: World, storm: Storm): Promise<void> {
  const { store } = world.ports;
  for (const limit of storm.mirror.limits()) {
    const { pk } = keys.limit(limit.id);
    const items = (await store.query({ pk, limit: 1000 })).items;
    expect(items.map(({ sk, used }) => ({ sk, used }))).toEqual([{ sk: 'META', used: 0 }]);
  }
  for (const agentId of storm.mirror.agents.keys()) {
    const { pk } = keys.agent(agentId);
    expect((await store.query({ pk, prefix: 'FREE#', limit: 10 })).items).toEqual([]);
    expect((await store.query({ pk, prefix: 'WANT#', limit: 10 })).items).toEqual([]);
  }
}

async function expectWholeHistories(world: World, storm: Storm): Promise<void> {
  for (const id of storm.mirror.runs.keys()) {
    const run = await world.ports.store.get(keys.run(id));
    const events = await eventsOf(world, keys.run(id).pk);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    const ends = events.filter(({ status }) => status !== undefined && isTerminal(status as RunStatus));
    expect(ends.map(({ status }) => status)).toEqual([run?.status]);
  }
}
