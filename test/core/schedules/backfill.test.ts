/** Backfills beside the clock, beside edits, and what explain and the ledger say afterwards. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { advanceSchedule } from '../../../core/schedules/advance.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../../core/schedules/backfill.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { patchSchedule } from '../../../core/schedules/service.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, finishAs, MINUTE, none, running, SECOND, scheduleRow, startingFrom } from '../support.ts';

const HOUR = 60 * MINUTE;
const hourly = { cron: '0 * * * *', timezone: 'UTC' };
const minutely = { cron: '* * * * *', timezone: 'UTC' };

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

async function scheduled(overrides: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, overrides);
}
type Options = Partial<Parameters<typeof startBackfill>[3]>;
const backfill = (id: string, from: number, to: number, options: Options = {}, caller = world.caller) =>
  startBackfill(world.ports, caller, id, { from, to, overlapPolicy: 'buffer_all', again: false, ...options }, none);
const deliver = (id: string, at: number) => fire(world.ports, { scheduleId: id, scheduledTime: at });
const patch = (id: string, change: Parameters<typeof patchSchedule>[3]) =>
  patchSchedule(world.ports, world.caller, id, change, any);
const explain = (id: string, at: number) => explainOccurrence(world.ports, world.caller, id, at);
const iso = (at: number) => new Date(at).toISOString().replace('.000', '');
const revoke = (principalId: string) =>
  world.ports.store.transact([
    { kind: 'update', key: keys.principal(principalId), set: { status: 'revoked' }, guards: [] },
  ]);
const notes = async (id: string) =>
  (await world.ports.store.query({ pk: keys.schedule(id).pk, prefix: 'NOTE#', limit: 100 })).items;

describe('a backfill', () => {
  it('leaves what is due and undecided to the clock: it runs once (I1)', async () => {
    const { id } = await scheduled({ cadence: hourly });
    world.now = MONDAY_NOON + HOUR + 30 * MINUTE;
    const started = await backfill(id, MONDAY_NOON - 2 * HOUR, world.now);
    expect(started.items.map((item) => item.occurrence)).not.toContain(iso(MONDAY_NOON + HOUR));
    expect(started.leftAlone).toBe(1);
    expect((await deliver(id, MONDAY_NOON + HOUR)).outcome).not.toBe('ignored');
  });

  it('follows the revision of each time, pauses included, and the window before the schedule existed', async () => {
    const window = { startAt: new Date(MONDAY_NOON - 90 * MINUTE).toISOString() };
    const { id } = await scheduled({ cadence: hourly, window, catchupWindow: 'PT1M' });
    world.now = MONDAY_NOON + 2 * HOUR + 10 * MINUTE;
    await deliver(id, MONDAY_NOON + 2 * HOUR);
    await patch(id, { cadence: { cron: '30 * * * *', timezone: 'UTC' } });
    await pauseSchedule(world.ports, world.caller, id, '', none);
    world.now += HOUR;
    await resumeSchedule(world.ports, world.caller, id, none);
    const { items } = await backfill(id, MONDAY_NOON - 5 * HOUR, world.now, { overlapPolicy: 'allow_all' });
    expect(items.map((item) => item.occurrence)).toEqual(
      [-90, -30, 60, 120, 150].map((minutes) => iso(MONDAY_NOON + minutes * MINUTE)),
    );
  });

  it('asks whether the one who ordered it may still run, and says why it was cancelled', async () => {
    const { id } = await scheduled({ cadence: hourly });
    const deputy = { ...world.caller, principalId: 'prn_deputy' };
    const admin = await world.ports.store.get(keys.principal(world.caller.principalId));
    await world.ports.store.transact([
      { kind: 'put', item: { ...admin, ...keys.principal(deputy.principalId), id: deputy.principalId } },
    ]);
    const started = await backfill(id, MONDAY_NOON - 3 * HOUR, MONDAY_NOON, {}, deputy);
    await revoke(deputy.principalId);
    await finishAs(world, started.items[0]?.runId ?? '');
    await advanceSchedule(world.ports, id);
    const after = await getBackfill(world.ports, world.caller, id, started.backfillId);
    expect(after).toMatchObject({ status: 'cancelled', reason: 'unauthorized' });
    expect(await notes(id)).toMatchObject([{ type: 'schedule.backfill_cancelled' }]);
  });

  it('of somebody who may goes on although the creator of the schedule may not any more', async () => {
    const { id } = await scheduled({ cadence: hourly });
    const deputy = { ...world.caller, principalId: 'prn_deputy' };
    const admin = await world.ports.store.get(keys.principal(world.caller.principalId));
    await world.ports.store.transact([
      { kind: 'put', item: { ...admin, ...keys.principal(deputy.principalId), id: deputy.principalId } },
    ]);
    await revoke(world.caller.principalId);
    const started = await backfill(id, MONDAY_NOON - 3 * HOUR, MONDAY_NOON, {}, deputy);
    expect(started).toMatchObject({ status: 'running' });
    await revoke(deputy.principalId);
    const refused = await backfill(id, MONDAY_NOON - 30 * MINUTE, MONDAY_NOON, {}, deputy).catch((error) => error);
    expect(refused).toBeInstanceOf(Error);
  });

  it('that was cancelled at once does not answer that it has completed', async () => {
    const { id } = await scheduled({ cadence: hourly });
    await revoke(world.caller.principalId);
    expect(await backfill(id, MONDAY_NOON - 3 * HOUR, MONDAY_NOON)).toMatchObject({ status: 'cancelled' });
  });

  it('is cancelled only at the version that the caller has seen', async () => {
    const { id } = await scheduled({ cadence: hourly });
    const { backfillId } = await backfill(id, MONDAY_NOON - 3 * HOUR, MONDAY_NOON);
    const cancel = (version: number) =>
      cancelBackfill(world.ports, world.caller, id, backfillId, { kind: 'version', version });
    await expect(cancel(7)).rejects.toThrow('is at version 1');
    expect(await cancel(1)).toMatchObject({ status: 'cancelled' });
  });

  it('never has more runs live than a schedule may (I10)', async () => {
    world = await engine.world({ checkShards: 1, maxLiveRunsPerSchedule: 3 });
    const { id } = await scheduled({ cadence: hourly });
    await backfill(id, MONDAY_NOON - 9 * HOUR, MONDAY_NOON, { overlapPolicy: 'allow_all' });
    expect((await scheduleRow(world, id)).liveRuns).toHaveLength(3);
  });
});

describe('what is said afterwards', () => {
  it('explain finds the range under any number of backfilled runs, and names them', async () => {
    const { id } = await scheduled({ cadence: minutely, catchupWindow: 'PT1M' });
    world.now = MONDAY_NOON + 125 * MINUTE + SECOND;
    await deliver(id, MONDAY_NOON + 120 * MINUTE);
    const from = MONDAY_NOON + 10 * MINUTE;
    const { items } = await backfill(id, from, from + 40 * MINUTE, { overlapPolicy: 'buffer_all' });
    for (const { runId } of items) {
      await finishAs(world, runId);
      await advanceSchedule(world.ports, id);
    }
    const at = from + 39 * MINUTE;
    const found = await explain(id, at);
    expect(found.answer).toMatch(/^It was missed \(one of \d+ recorded together\).* A backfill ran it: run_/);
    expect(found.backfills).toEqual([{ backfillId: expect.any(String), runId: items[39]?.runId }]);
  });

  it('explain tells the policy that decided, not the one of today', async () => {
    const { id } = await scheduled({ cadence: minutely });
    world.now = MONDAY_NOON + 2 * MINUTE;
    await deliver(id, MONDAY_NOON + MINUTE);
    await deliver(id, MONDAY_NOON + 2 * MINUTE);
    await patch(id, { overlapPolicy: 'allow_all' });
    expect((await explain(id, MONDAY_NOON + 2 * MINUTE)).policy).toMatchObject({
      overlapPolicy: 'skip',
      of: 'decision',
    });
  });

  it('the ledger answers a range that began before the time that was asked for', async () => {
    const { id } = await scheduled({ cadence: minutely, catchupWindow: 'PT1M' });
    world.now = MONDAY_NOON + 125 * MINUTE + SECOND;
    await deliver(id, MONDAY_NOON + 120 * MINUTE);
    const filter = { from: MONDAY_NOON + 60 * MINUTE, disposition: 'missed' } as const;
    const { items } = await listOccurrences(world.ports, world.caller, id, { limit: 10 }, filter);
    expect(items).toMatchObject([{ occurrence: iso(MONDAY_NOON + MINUTE) }]);
    const later = { from: MONDAY_NOON + 125 * MINUTE, disposition: 'missed' } as const;
    expect((await listOccurrences(world.ports, world.caller, id, { limit: 10 }, later)).items).toEqual([]);
  });
});

describe('a policy that was changed while something waited', () => {
  it('lets a waiting run go when those that it displaces have ended, whatever was started beside it', async () => {
    const { id } = await scheduled({ cadence: minutely, overlapPolicy: 'cancel_other' });
    world.now = MONDAY_NOON + MINUTE;
    const first = await deliver(id, world.now);
    const firstId = 'runId' in first ? first.runId : '';
    const { runner } = await startingFrom(world, firstId);
    await runner.beat();
    await runner.beat([running(firstId)]);
    world.now += MINUTE;
    await deliver(id, world.now);
    const [, waiting = ''] = (await scheduleRow(world, id)).liveRuns;
    await patch(id, { overlapPolicy: 'allow_all' });
    world.now += MINUTE;
    await deliver(id, world.now);
    expect((await scheduleRow(world, id)).waitingRuns).toEqual([waiting]);
    await finishAs(world, firstId);
    await advanceSchedule(world.ports, id);
    expect((await scheduleRow(world, id)).waitingRuns).toEqual([]);
    expect(world.executions.map((each) => each.input.runId)).toContain(waiting);
  });

  it('drains no more at once than may be live (I10)', async () => {
    world = await engine.world({ checkShards: 1, maxLiveRunsPerSchedule: 3 });
    const { id } = await scheduled({ cadence: minutely, overlapPolicy: 'buffer_all' });
    for (let minute = 1; minute <= 10; minute++) {
      world.now = MONDAY_NOON + minute * MINUTE;
      await deliver(id, world.now);
    }
    await patch(id, { overlapPolicy: 'allow_all' });
    await advanceSchedule(world.ports, id);
    expect((await scheduleRow(world, id)).liveRuns).toHaveLength(3);
  });
});

describe('who is told, and what counts', () => {
  it('a revocation is told once, not at each occurrence, and again after it was lifted', async () => {
    const { id } = await scheduled({ cadence: minutely });
    const admin = await world.ports.store.get(keys.principal(world.caller.principalId));
    let minute = 0;
    const pass = async (count: number) => {
      for (let passed = 0; passed < count; passed++) {
        world.now = MONDAY_NOON + ++minute * MINUTE;
        const result = await deliver(id, world.now);
        if (result.outcome === 'dispatched') await finishAs(world, result.runId);
      }
    };
    await revoke(world.caller.principalId);
    await pass(5);
    expect(await notes(id)).toHaveLength(1);
    if (admin !== undefined) await world.ports.store.transact([{ kind: 'put', item: admin }]);
    await pass(1);
    await revoke(world.caller.principalId);
    await pass(2);
    expect(await notes(id)).toHaveLength(2);
  });

  it('is told too when it is a buffered occurrence that is refused', async () => {
    const { id } = await scheduled({ cadence: minutely, overlapPolicy: 'buffer_one' });
    world.now = MONDAY_NOON + MINUTE;
    const first = await deliver(id, world.now);
    world.now += MINUTE;
    await deliver(id, world.now);
    await revoke(world.caller.principalId);
    await finishAs(world, 'runId' in first ? first.runId : '');
    await advanceSchedule(world.ports, id);
    expect(await notes(id)).toMatchObject([{ type: 'schedule.unauthorized' }]);
  });

  it('a run by hand that fails does not pause the schedule', async () => {
    const { id } = await scheduled({ cadence: hourly, pauseOnFailure: { consecutive: 1 } });
    const run = await triggerSchedule(world.ports, world.caller, id, {}, none);
    await finishAs(world, run.id, 'failed');
    expect(await scheduleRow(world, id)).toMatchObject({ status: 'active', failureStreak: 0 });
  });
});
