/** What has been committed is answered so, though the step after it fails; and that step is done later by others. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Ports } from '../../../core/ports.ts';
import { retryRun } from '../../../core/runs/retry.ts';
import { createRun } from '../../../core/runs/service.ts';
import { getBackfill, startBackfill } from '../../../core/schedules/backfill.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { apiRun, finishAs, MINUTE, none, runRow, SECOND, scheduleRow, storeWith } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const HOUR = 60 * MINUTE;

/** After its first transaction the table takes nothing more, and no execution starts. */
function cutShort(): Ports {
  let transactions = 0;
  const { store, workflow } = world.ports;
  return {
    ...world.ports,
    store: storeWith(store, {
      transact: async (writes) => {
        if (++transactions > 1) throw new StoreUnavailable();
        return store.transact(writes);
      },
    }),
    workflow: { ...workflow, start: () => Promise.reject(new Error('throttled')) },
  };
}

async function watchdog(): Promise<void> {
  for (let times = 0; times < 6; times++) {
    world.now += 30 * SECOND;
    await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
  }
}
const started = () => [...new Set(world.executions.map(({ input }) => input.runId))];

it('a run, and one that is done again', async () => {
  const { id } = await apiRun(world);
  const { agentId } = await runRow(world, id);
  await finishAs(world, id, 'failed');
  const made = [
    await createRun(cutShort(), world.caller, agentId, null),
    await retryRun(cutShort(), world.caller, id, undefined, none),
  ];
  expect(made.map(({ status }) => status)).toEqual(['queued', 'queued']);
  await watchdog();
  expect(started()).toEqual(expect.arrayContaining(made.map((run) => run.id)));
});

it('a trigger that displaces another run', async () => {
  const { id } = await world.schedule((await world.agent()).id, { overlapPolicy: 'cancel_other' });
  const first = await triggerSchedule(world.ports, world.caller, id, {}, none);
  const second = await triggerSchedule(cutShort(), world.caller, id, {}, none);
  expect(second).toMatchObject({ status: 'queued', waiting: { blockedBy: [first.id] } });
  expect((await runRow(world, first.id)).cancel).toBeUndefined();
  await watchdog();
  expect((await runRow(world, first.id)).cancel).toMatchObject({ cause: 'overlap', requestedBy: second.id });
});

it('a backfill', async () => {
  const cadence = { cron: '0 * * * *', timezone: 'UTC' };
  const { id } = await world.schedule((await world.agent()).id, { cadence });
  const range = {
    from: MONDAY_NOON - HOUR,
    to: MONDAY_NOON - HOUR,
    overlapPolicy: 'buffer_all',
    again: false,
  } as const;
  const backfill = await startBackfill(cutShort(), world.caller, id, range, none);
  expect(backfill.status).toBe('running');
  expect((await scheduleRow(world, id)).liveRuns).toEqual([]);
  await watchdog();
  const { items } = await getBackfill(world.ports, world.caller, id, backfill.backfillId);
  expect(started()).toEqual(items.map(({ runId }) => runId));
});
