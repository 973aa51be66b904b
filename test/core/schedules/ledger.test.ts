import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { BackfillRequest } from '../../../core/contract/schedules.ts';
import { ClockRejected } from '../../../core/ports.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { getRun } from '../../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { advanceSchedule } from '../../../core/schedules/advance.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../../core/schedules/backfill.ts';
import { dryRunPatch } from '../../../core/schedules/dryRun.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { firedInTime } from '../../../core/schedules/ledger.ts';
import { listOccurrences, listRevisions, listUpcoming } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { skipOccurrence, unskipOccurrence } from '../../../core/schedules/skips.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, none } from '../support.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEP = 5 * MINUTE;
const FIRST = MONDAY_NOON + STEP;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

async function scheduled(more: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, more);
}

const fireAt = (scheduleId: string, at: number) => {
  world.now = Math.max(world.now, at);
  return fire(world.ports, { scheduleId, scheduledTime: at });
};
const entries = async (scheduleId: string) =>
  (await listOccurrences(world.ports, world.caller, scheduleId, { limit: 1000 })).items.toReversed();
const body = (scheduleId: string) => getSchedule(world.ports, world.caller, scheduleId);
const explain = (scheduleId: string, at: number) => explainOccurrence(world.ports, world.caller, scheduleId, at);
const watch = () => tick(world.ports, { owner: 'test', budgetMs: 60_000 });
const succeed = async (runId: string) => {
  const evidence = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' };
  await finishRun(world.ports, runId, { status: 'succeeded', evidence }, { attempt: 1 });
};

/** Every minute from `from` to `to` stands in the ledger exactly once, by itself or in a range. */
async function expectComplete(scheduleId: string, from: number, to: number, stepMs: number) {
  const covered = new Map<number, number>();
  for (const entry of await entries(scheduleId)) {
    const last = Date.parse(entry.through ?? entry.occurrence);
    let count = 0;
    for (let at = Date.parse(entry.occurrence); at <= last; at += stepMs, count++)
      covered.set(at, (covered.get(at) ?? 0) + 1);
    expect(entry.count ?? 1).toBe(count);
  }
  const missing: string[] = [];
  for (let at = from; at <= to; at += stepMs)
    if (covered.get(at) !== 1) missing.push(`${isoSecond(at)}: ${covered.get(at) ?? 0} times`);
  expect(missing).toEqual([]);
}

describe('outages', () => {
  const minutely = { cadence: { cron: '* * * * *', timezone: 'UTC' } };

  it('ends complete and floods nothing after three hours of silence', async () => {
    const { id } = await scheduled(minutely);
    world.now = MONDAY_NOON + 3 * HOUR + 500;
    await fireAt(id, MONDAY_NOON + 3 * HOUR);
    await expectComplete(id, MONDAY_NOON + MINUTE, MONDAY_NOON + 3 * HOUR, MINUTE);
    const found = await entries(id);
    expect(found[0]).toMatchObject({ disposition: 'missed', reason: 'outside_catchup_window', count: 120 });
    const reasons = Object.groupBy(found.slice(1), (entry) => `${entry.disposition} ${entry.reason ?? ''}`);
    expect(Object.fromEntries(Object.entries(reasons).map(([reason, list]) => [reason, list?.length]))).toEqual({
      'dispatched ': 1,
      'skipped overlap': 59,
    });
    expect(world.executions).toHaveLength(1);
  });

  it('settles one delivery that was dropped between two that arrived', async () => {
    const { id } = await scheduled({ ...minutely, overlapPolicy: 'allow_all' });
    await fireAt(id, MONDAY_NOON + MINUTE);
    await fireAt(id, MONDAY_NOON + 3 * MINUTE);
    expect((await entries(id)).map((entry) => entry.disposition)).toEqual(['dispatched', 'dispatched', 'dispatched']);
  });

  it('does bounded work for thirty days of silence, and records a range', async () => {
    const { id } = await scheduled(minutely);
    world.now = MONDAY_NOON + 30 * DAY + 500;
    await fireAt(id, MONDAY_NOON + 30 * DAY);
    const found = await entries(id);
    expect(found.length).toBeLessThan(70);
    await expectComplete(id, MONDAY_NOON + MINUTE, MONDAY_NOON + 30 * DAY, MINUTE);
  });

  it('is settled by the watchdog when no delivery comes at all, and not before the grace', async () => {
    const { id } = await scheduled();
    world.now = FIRST + 60_000;
    await watch();
    expect(await entries(id)).toEqual([]);
    world.now = FIRST + 121_000;
    expect((await watch()).actions).toMatchObject([{ rule: 'occurrence_overdue', subject: id }]);
    expect(await entries(id)).toMatchObject([{ disposition: 'dispatched', occurrence: isoSecond(FIRST) }]);
  });
});

describe('the seed story', () => {
  it('a missed occurrence, then a trigger that ends cleanly: not overdue, next occurrence and last run agree', async () => {
    const { id } = await scheduled({
      cadence: { every: 'P1D', startAt: isoSecond(MONDAY_NOON + HOUR) },
      catchupWindow: 'PT10M',
    });
    world.now = MONDAY_NOON + HOUR + 20 * MINUTE;
    expect(await body(id)).toMatchObject({ overdue: true, overdueSince: isoSecond(MONDAY_NOON + HOUR) });
    await watch();
    const run = await triggerSchedule(world.ports, world.caller, id, {}, none);
    expect(await body(id)).toMatchObject({ overdue: false, liveRuns: [run.id] });
    await succeed(run.id);
    expect(await body(id)).toMatchObject({
      overdue: false,
      lastRun: { runId: run.id, status: 'succeeded' },
      nextOccurrences: expect.arrayContaining([isoSecond(MONDAY_NOON + HOUR + DAY)]),
    });
    expect(await entries(id)).toMatchObject([{ disposition: 'missed', occurrence: isoSecond(MONDAY_NOON + HOUR) }]);
  });

  it('a queued or buffered occurrence is not overdue, nor a schedule that is paused, completed or has not begun', async () => {
    const { id } = await scheduled({ overlapPolicy: 'buffer_one' });
    await fireAt(id, FIRST);
    await fireAt(id, FIRST + STEP);
    world.now = FIRST + STEP + 4 * MINUTE;
    expect(await body(id)).toMatchObject({ overdue: false, buffered: [isoSecond(FIRST + STEP)] });
    const later = await scheduled({ window: { startAt: isoSecond(MONDAY_NOON + DAY) } });
    const stopped = await scheduled();
    await pauseSchedule(world.ports, world.caller, stopped.id, '', none);
    world.now += 2 * HOUR;
    expect((await body(later.id)).overdue).toBe(false);
    expect((await body(stopped.id)).overdue).toBe(false);
  });

  it('the flexible window is part of the grace, and fires spread without changing the identity', async () => {
    const { id } = await scheduled({ flexibleWindow: 'PT15M', cadence: { cron: '0 * * * *', timezone: 'UTC' } });
    world.now = MONDAY_NOON + HOUR + 16 * MINUTE;
    expect((await body(id)).overdue).toBe(false);
    await fireAt(id, MONDAY_NOON + HOUR);
    expect(await entries(id)).toMatchObject([{ occurrence: isoSecond(MONDAY_NOON + HOUR), disposition: 'dispatched' }]);
    expect(world.clocks.get(id)).toMatchObject({ flexibleWindowSeconds: 900 });
  });

  it('the flexible window is no lateness: a fire within it is in time, and proves that the clock lives', async () => {
    const { id } = await scheduled({
      flexibleWindow: 'PT15M',
      cadence: { cron: '0 * * * *', timezone: 'UTC' },
      overlapPolicy: 'allow_all',
    });
    const lateness = () =>
      world.measured.filter(({ name }) => name === 'FireLatenessSeconds').map(({ value }) => value);
    const proven = async (at: number) => {
      const item = await world.ports.store.get(keys.occurrence(id, at));
      return item === undefined ? undefined : firedInTime(world.ports.config, item);
    };
    const first = MONDAY_NOON + HOUR;
    world.now = first + 14 * MINUTE;
    await fireAt(id, first);
    expect(lateness()).toEqual([0]);
    expect(await proven(first)).toBe(world.now);
    const second = first + HOUR;
    world.now = second + 17 * MINUTE;
    await fireAt(id, second);
    expect(lateness()).toEqual([0, 120]);
    expect(await proven(second)).toBeUndefined();
  });
});

describe('skip and unskip', () => {
  it('takes one future occurrence out and puts another back, and says so in the ledger and beforehand', async () => {
    const { id } = await scheduled({ overlapPolicy: 'allow_all' });
    await skipOccurrence(world.ports, world.caller, id, { occurrence: FIRST, reason: 'holiday' }, none);
    await skipOccurrence(world.ports, world.caller, id, { occurrence: FIRST + STEP, reason: '' }, none);
    const after = await unskipOccurrence(world.ports, world.caller, id, { occurrence: FIRST + STEP }, none);
    expect(after).toMatchObject({ skips: [isoSecond(FIRST)], version: 4 });
    expect(after.nextOccurrences[0]).toBe(isoSecond(FIRST + STEP));
    const upcoming = await listUpcoming(world.ports, world.caller, id, 2);
    expect(upcoming.items).toEqual([
      { occurrence: isoSecond(FIRST), skipped: true },
      { occurrence: isoSecond(FIRST + STEP) },
    ]);
    expect((await explain(id, FIRST)).answer).toMatch(/will be skipped/);
    expect(await fireAt(id, FIRST)).toMatchObject({ outcome: 'skipped', reason: 'skipped_by_request' });
    expect(await fireAt(id, FIRST + STEP)).toMatchObject({ outcome: 'dispatched' });
    expect(await body(id)).toMatchObject({ skips: [] });
  });

  it('refuses what is past, decided, or no occurrence, and names the nearest one', async () => {
    const { id } = await scheduled();
    const skip = (occurrence: number) =>
      skipOccurrence(world.ports, world.caller, id, { occurrence, reason: '' }, none);
    await expect(skip(FIRST + MINUTE)).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ pointer: '/occurrence', message: expect.stringContaining(isoSecond(FIRST + STEP)) }],
    });
    await fireAt(id, FIRST);
    await expect(skip(FIRST)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('explain', () => {
  it('answers for what ran, was skipped, missed, paused, unexpected, and has not come', async () => {
    const { id } = await scheduled();
    const first = await fireAt(id, FIRST);
    const runId = 'runId' in first ? first.runId : '';
    await fireAt(id, FIRST + STEP);
    expect(await explain(id, FIRST)).toMatchObject({
      expected: true,
      answer: expect.stringMatching(/^It ran: run/),
      run: { runId },
    });
    expect(await explain(id, FIRST + STEP)).toMatchObject({
      answer: expect.stringContaining(`still live, and its overlap policy is to skip then: ${runId}`),
      blockingRun: { runId, status: 'queued' },
      occurrence: { disposition: 'skipped', reason: 'overlap' },
    });
    expect(await explain(id, FIRST + MINUTE)).toMatchObject({
      expected: false,
      answer: expect.stringContaining('not an occurrence'),
      nearest: { before: isoSecond(FIRST), after: isoSecond(FIRST + STEP) },
    });
    expect((await explain(id, FIRST + 2 * STEP)).answer).toBe('It has not come yet.');
    await pauseSchedule(world.ports, world.caller, id, '', none);
    world.now = FIRST + 6 * STEP + 1;
    await resumeSchedule(world.ports, world.caller, id, none);
    expect((await explain(id, FIRST + 3 * STEP)).answer).toMatch(/one of 5 recorded together.*the schedule was paused/);
    expect((await explain(id, MONDAY_NOON - DAY)).answer).toMatch(/no schedule yet/);
  });

  it('names the revision that was in force, also long after it was replaced', async () => {
    const { id } = await scheduled();
    await fireAt(id, FIRST);
    world.now = FIRST + HOUR;
    await watch();
    await patchSchedule(world.ports, world.caller, id, { cadence: { cron: '0 6 * * *', timezone: 'UTC' } }, any);
    const then = await explain(id, FIRST);
    expect(then).toMatchObject({
      expected: true,
      revision: { specVersion: 1, by: world.caller.principalId, cadence: { cron: '*/5 * * * *' } },
    });
    expect((await explain(id, FIRST + 2 * DAY)).revision?.specVersion).toBe(2);
    const revisions = await listRevisions(world.ports, world.caller, id, { limit: 10 });
    expect(revisions.items.map((each) => each.specVersion)).toEqual([1, 2]);
  });
});

describe('backfill', () => {
  const hourly = { cadence: { cron: '0 * * * *', timezone: 'UTC' }, overlapPolicy: 'allow_all' } as const;
  const request = (from: number, to: number, more: object = {}) =>
    BackfillRequest.parse({ from: isoSecond(from), to: isoSecond(to), ...more });
  const start = (id: string, from: number, to: number, more: object = {}) =>
    startBackfill(world.ports, world.caller, id, request(from, to, more), none);

  it('runs each past occurrence once, one after the other, beside the ledger and not in its place', async () => {
    const { id } = await scheduled(hourly);
    await fireAt(id, MONDAY_NOON + HOUR);
    const started = await start(id, MONDAY_NOON - 2 * HOUR, MONDAY_NOON + HOUR);
    expect(started).toMatchObject({ status: 'running', leftAlone: 1 });
    expect(started.items.map((each) => each.occurrence)).toEqual(
      [-2, -1, 0].map((hours) => isoSecond(MONDAY_NOON + hours * HOUR)),
    );
    const scheduledRun = (await body(id)).liveRuns[0] ?? '';
    // The schedule's own run is live: the backfill waits for it, then goes on, one at a time.
    await succeed(scheduledRun);
    for (const { runId, occurrence } of started.items) {
      await advanceSchedule(world.ports, id);
      await advanceSchedule(world.ports, id);
      expect(await body(id)).toMatchObject({ liveRuns: [runId] });
      expect(await getRun(world.ports, world.caller, runId)).toMatchObject({
        occurrence,
        trigger: { kind: 'backfill' },
        backfillId: started.backfillId,
      });
      await succeed(runId);
    }
    await advanceSchedule(world.ports, id);
    expect(await getBackfill(world.ports, world.caller, id, started.backfillId)).toMatchObject({
      status: 'completed',
      remaining: 0,
    });
    expect((await body(id)).backfill).toBeUndefined();
    expect((await listScheduleRuns(world.ports, world.caller, id, { limit: 10 })).items).toHaveLength(4);
    const again = await start(id, MONDAY_NOON - 2 * HOUR, MONDAY_NOON + HOUR);
    expect(again).toMatchObject({ status: 'completed', leftAlone: 4, items: [] });
  });

  it('repeats what has run only when asked to, under ids of its own', async () => {
    const { id } = await scheduled(hourly);
    const first = await fireAt(id, MONDAY_NOON + HOUR);
    await succeed('runId' in first ? first.runId : '');
    const again = await start(id, MONDAY_NOON + HOUR, MONDAY_NOON + HOUR, { again: true });
    expect(again.items).toHaveLength(1);
    expect(again.items[0]?.runId).not.toBe('runId' in first ? first.runId : '');
  });

  it('side by side has at most ten live, and stops when it is cancelled', async () => {
    const { id } = await scheduled(hourly);
    const started = await start(id, MONDAY_NOON - 23 * HOUR, MONDAY_NOON, { overlapPolicy: 'allow_all' });
    expect((await body(id)).liveRuns).toHaveLength(10);
    const cancelled = await cancelBackfill(world.ports, world.caller, id, started.backfillId, { kind: 'none' });
    expect(cancelled).toMatchObject({ status: 'cancelled', remaining: 0 });
    for (const runId of (await body(id)).liveRuns) await succeed(runId);
    await advanceSchedule(world.ports, id);
    expect(await body(id)).toMatchObject({ liveRuns: [] });
  });

  it('refuses the future, a second one at a time, an empty range and more than the limit', async () => {
    const { id } = await scheduled({ cadence: { cron: '* * * * *', timezone: 'UTC' } });
    await expect(start(id, MONDAY_NOON, MONDAY_NOON + HOUR)).rejects.toMatchObject({ errors: [{ pointer: '/to' }] });
    await expect(start(id, MONDAY_NOON - 2 * DAY, MONDAY_NOON)).rejects.toMatchObject({
      errors: [{ message: expect.stringContaining('1000') }],
    });
    await expect(start(id, MONDAY_NOON - 30_000, MONDAY_NOON - 20_000)).rejects.toMatchObject({
      errors: [{ pointer: '/from' }],
    });
    await start(id, MONDAY_NOON - HOUR, MONDAY_NOON);
    await expect(start(id, MONDAY_NOON - HOUR, MONDAY_NOON)).rejects.toMatchObject({ code: 'illegal_transition' });
  });

  it('goes on while the schedule is paused, and ends with its delete', async () => {
    const { id } = await scheduled(hourly);
    const started = await start(id, MONDAY_NOON - 3 * HOUR, MONDAY_NOON);
    await pauseSchedule(world.ports, world.caller, id, '', none);
    await succeed((await body(id)).liveRuns[0] ?? '');
    await advanceSchedule(world.ports, id);
    expect((await body(id)).liveRuns).toEqual([started.items[1]?.runId]);
    await deleteSchedule(world.ports, world.caller, id, any, { cancelRuns: true });
    await advanceSchedule(world.ports, id);
    expect(await body(id)).toMatchObject({ status: 'deleted', liveRuns: [] });
    expect((await getBackfill(world.ports, world.caller, id, started.backfillId)).remaining).toBe(0);
  });
});

describe('edits', () => {
  it('a dry run answers what would change, and changes nothing', async () => {
    const { id } = await scheduled({ cadence: { cron: '0 9 * * *', timezone: 'Europe/Berlin' } });
    const dry = await dryRunPatch(
      world.ports,
      world.caller,
      id,
      { cadence: { cron: '0 9 * * 1-5', timezone: 'Europe/Berlin' } },
      none,
    );
    expect(dry.added).toEqual([]);
    expect(dry.removed).toHaveLength(8);
    expect(dry.unchanged).toBe(22);
    expect(await body(id)).toMatchObject({ version: 1, cadence: { cron: '0 9 * * *' } });
  });

  it('a dry run warns of DST and predicts overlaps from the durations of past runs', async () => {
    const { id } = await scheduled({ overlapPolicy: 'allow_all' });
    const fired = await fireAt(id, FIRST);
    const runId = 'runId' in fired ? fired.runId : '';
    const evidence = { source: 'test', observedAt: '', detail: '' };
    world.now = FIRST + 20 * MINUTE;
    await finishRun(world.ports, runId, { status: 'succeeded', evidence, startedAt: FIRST }, { attempt: 1 });
    const dry = await dryRunPatch(
      world.ports,
      world.caller,
      id,
      { cadence: { cron: '*/10 2 * * *', timezone: 'Europe/Berlin' } },
      none,
    );
    expect(dry.overlaps).toMatchObject({ p95Seconds: 1200, sample: 1 });
    expect(dry.overlaps.predicted).toBeGreaterThan(100);
    expect(dry.warnings.join(' ')).toMatch(/2027-03-28/);
  });

  it('switches between kinds of cadence, each from its own moment on', async () => {
    const { id } = await scheduled({ overlapPolicy: 'allow_all' });
    world.now = FIRST + MINUTE;
    // The first occurrence is due and not yet delivered: it stays with the revision that expected it.
    await patchSchedule(world.ports, world.caller, id, { cadence: { everySeconds: 0 } as never }, any).catch(
      () => undefined,
    );
    await patchSchedule(
      world.ports,
      world.caller,
      id,
      { cadence: { every: 600, startAt: FIRST + 10 * MINUTE } as never },
      any,
    );
    await patchSchedule(world.ports, world.caller, id, { cadence: { at: FIRST + HOUR } as never }, any);
    expect((await body(id)).nextOccurrences).toEqual([isoSecond(FIRST + HOUR)]);
    expect(await fireAt(id, FIRST)).toMatchObject({ outcome: 'dispatched' });
    expect(await fireAt(id, FIRST + 10 * MINUTE)).toMatchObject({ outcome: 'ignored', reason: 'unexpected' });
    await fireAt(id, FIRST + HOUR);
    expect(await body(id)).toMatchObject({ status: 'completed' });
  });
});

describe('the clock', () => {
  it('that refuses a new spec: the row goes back to the last one that it took, and the caller hears why', async () => {
    const { id } = await scheduled();
    const refusing = {
      ...world.ports,
      clock: {
        ...world.ports.clock,
        put: () => Promise.reject(new ClockRejected('ValidationException: no such expression')),
      },
    };
    await expect(
      patchSchedule(refusing, world.caller, id, { cadence: { cron: '1 * * * *', timezone: 'UTC' } }, any),
    ).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ pointer: '/cadence', message: expect.stringContaining('no such expression') }],
    });
    expect(await body(id)).toMatchObject({ cadence: { cron: '*/5 * * * *' }, version: 3, status: 'active' });
    await watch();
    world.now += MINUTE + 1000;
    await watch();
    expect(await body(id)).toMatchObject({ clock: { status: 'synced' } });
    expect(await fireAt(id, FIRST)).toMatchObject({ outcome: 'dispatched' });
  });

  it('that refuses a new schedule: it is taken back and its name is free', async () => {
    const agent = await world.agent();
    const { put } = world.ports.clock;
    Object.assign(world.ports.clock, {
      put: () => Promise.reject(new ClockRejected('too many schedules in the group')),
    });
    await expect(world.schedule(agent.id, { name: 'mine' })).rejects.toMatchObject({ code: 'invalid_request' });
    Object.assign(world.ports.clock, { put });
    expect(await world.schedule(agent.id, { name: 'mine' })).toMatchObject({ status: 'active' });
  });

  it('that cannot be reached strands nothing: pause, edit, resume and delete work, and the watchdog puts it right', async () => {
    const { id } = await scheduled();
    const { put, delete: remove } = world.ports.clock;
    const down = () => Promise.reject(new Error('the clock is down'));
    Object.assign(world.ports.clock, { put: down, delete: down });
    expect(await pauseSchedule(world.ports, world.caller, id, '', none)).toMatchObject({
      status: 'paused',
      clock: { status: 'pending' },
    });
    await patchSchedule(world.ports, world.caller, id, { cadence: { cron: '7 * * * *', timezone: 'UTC' } }, any);
    await resumeSchedule(world.ports, world.caller, id, none);
    expect(world.clocks.get(id)?.cadence).toEqual({ cron: '*/5 * * * *', timezone: 'UTC' });
    Object.assign(world.ports.clock, { put, delete: remove });
    world.now += MINUTE + 1000;
    await watch();
    expect(world.clocks.get(id)?.cadence).toEqual({ cron: '7 * * * *', timezone: 'UTC' });
    expect(await body(id)).toMatchObject({ clock: { status: 'synced' } });
    world.clocks.clear();
    await deleteSchedule(world.ports, world.caller, id, any, { cancelRuns: false });
    expect(await body(id)).toMatchObject({ status: 'deleted' });
  });

  it('that fires an old spec after an edit starts nothing, and is noticed', async () => {
    const { id } = await scheduled();
    await patchSchedule(world.ports, world.caller, id, { cadence: { cron: '7 * * * *', timezone: 'UTC' } }, any);
    expect(await fireAt(id, FIRST)).toEqual({ outcome: 'ignored', reason: 'unexpected' });
    expect(await body(id)).toMatchObject({ clock: { status: 'pending' }, liveRuns: [] });
  });
});
