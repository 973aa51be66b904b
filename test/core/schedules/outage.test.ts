/** Long silences, by whichever way they end: few entries, each occurrence answered once, nothing floods (I5, I14). */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LocalClock } from '../../../adapters/local/clock.ts';
import { isoSecond } from '../../../core/contract/common.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { firstUndecided } from '../../../core/schedules/expected.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { fireMany } from '../../../core/schedules/fireMany.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule } from '../../../core/schedules/service.ts';
import { skipOccurrence } from '../../../core/schedules/skips.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, silentLog, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { MINUTE, none, scheduleRow } from '../support.ts';

const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const FIRST = MONDAY_NOON + MINUTE;
const minutely = { cadence: { cron: '* * * * *', timezone: 'UTC' } };

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
  return world.schedule(agent.id, { ...minutely, ...more });
}

const watch = () => tick(world.ports, { owner: 'test', budgetMs: 60_000 });
const entries = async (scheduleId: string) =>
  (await listOccurrences(world.ports, world.caller, scheduleId, { limit: 1000 })).items.toReversed();

/** Every minute from the first one to `to` stands in the ledger exactly once, by itself or in a range; nothing later does. */
async function expectComplete(scheduleId: string, to: number) {
  const covered = new Map<number, number>();
  for (const entry of await entries(scheduleId)) {
    const last = Date.parse(entry.through ?? entry.occurrence);
    let count = 0;
    for (let at = Date.parse(entry.occurrence); at <= last; at += MINUTE, count++)
      covered.set(at, (covered.get(at) ?? 0) + 1);
    expect(entry.count ?? 1).toBe(count);
  }
  const wrong: string[] = [];
  for (let at = FIRST; at <= to; at += MINUTE)
    if (covered.get(at) !== 1) wrong.push(`${isoSecond(at)}: ${covered.get(at) ?? 0} times`);
  expect(wrong).toEqual([]);
  expect(Math.max(...covered.keys())).toBe(to);
}

/** The real clock, until nothing that is due is undecided; answers how often it had to look. */
async function clockSettles(ids: readonly string[], many: boolean): Promise<number> {
  const { store, time, config } = world.ports;
  let turns = 0;
  const clock = new LocalClock({
    store,
    time,
    log: silentLog,
    checkShards: config.checkShards,
    fire: (delivery) => fire(world.ports, delivery),
    ...(many && { fireMany: (rows) => fireMany(world.ports, rows) }),
    onTurn: async () => {
      turns++;
    },
  });
  clock.start();
  const settled = async () => {
    for (const id of ids) {
      const due = firstUndecided(await scheduleRow(world, id));
      if (due !== undefined && due <= world.now) throw new Error(`${isoSecond(due)} is not settled`);
    }
  };
  await vi.waitFor(settled, { timeout: 60_000, interval: 20 }).finally(() => clock.stop());
  return turns;
}

describe.each([
  ['twelve hours', 12 * HOUR, 1],
  ['thirty days', 30 * DAY, 5],
] as const)('after %s of silence', (_name, silence, ranges) => {
  const last = MONDAY_NOON + silence;
  // Exactly so late is not too late.
  const beyondWindow = silence / MINUTE - 61;

  async function expectCaughtUp(id: string, to = last) {
    await expectComplete(id, to);
    const found = await entries(id);
    const missed = found.filter((entry) => entry.disposition === 'missed');
    expect(missed).toHaveLength(ranges);
    expect(missed.reduce((sum, entry) => sum + (entry.count ?? 1), 0)).toBe(beyondWindow + 1);
    expect(found.filter((entry) => entry.disposition === 'dispatched')).toHaveLength(1);
  }

  it('the clock of one machine records a range and catches up', { timeout: 90_000 }, async () => {
    const { id } = await scheduled();
    world.now = last + 500;
    const turns = await clockSettles([id], false);
    await expectCaughtUp(id);
    expect(turns).toBeLessThan(100);
    expect(world.executions).toHaveLength(1);
  });

  it('so do many schedules in shared transactions', { timeout: 90_000 }, async () => {
    const agent = await world.agent();
    const ids: string[] = [];
    for (let index = 0; index < 9; index++) ids.push((await world.schedule(agent.id, minutely)).id);
    world.now = last + 500;
    const turns = await clockSettles(ids, true);
    for (const id of ids) await expectCaughtUp(id);
    expect(turns).toBeLessThan(100);
    expect(world.executions).toHaveLength(ids.length);
  });

  it('so does the watchdog alone, in one tick', async () => {
    const { id } = await scheduled();
    world.now = last + 500;
    const { actions } = await watch();
    // The last ones are within the grace: they are the clock's for now.
    await expectCaughtUp(id, last - 2 * MINUTE);
    expect(actions).toMatchObject([{ rule: 'occurrence_overdue', did: expect.stringMatching(/missed.*dispatched/) }]);
  });

  it('so does a delivery of the first of them, the rest coming from the watchdog', async () => {
    const { id } = await scheduled();
    world.now = last + 500;
    expect(await fire(world.ports, { scheduleId: id, scheduledTime: FIRST })).toMatchObject({ outcome: 'missed' });
    expect(await fire(world.ports, { scheduleId: id, scheduledTime: FIRST + MINUTE })).toEqual({
      outcome: 'ignored',
      reason: 'covered_by_range',
    });
    await watch();
    await expectCaughtUp(id, last - 2 * MINUTE);
  });
});

describe('a schedule that is stopped after a silence', () => {
  const last = MONDAY_NOON + 2 * DAY;

  it('paused: one delivery settles all of it as one range, and the resume counts none of it again', async () => {
    const { id } = await scheduled();
    world.now = last + 500;
    await pauseSchedule(world.ports, world.caller, id, '', none);
    const result = await fire(world.ports, { scheduleId: id, scheduledTime: last });
    expect(result).toEqual({ outcome: 'skipped', reason: 'paused', duplicate: false });
    expect(await entries(id)).toMatchObject([{ disposition: 'skipped', reason: 'paused', count: 2880 }]);
    world.now += 10 * MINUTE;
    await resumeSchedule(world.ports, world.caller, id, none);
    expect((await entries(id)).map((entry) => entry.count)).toEqual([2880, 10]);
    await expectComplete(id, last + 10 * MINUTE);
    expect(world.executions).toEqual([]);
  });

  it('deleted: one tick settles all of it, and it is at rest (I14)', async () => {
    const { id } = await scheduled();
    world.now = last + 500;
    await deleteSchedule(world.ports, world.caller, id, { kind: 'any' }, { cancelRuns: false });
    world.now += 2 * MINUTE;
    await watch();
    expect(await entries(id)).toMatchObject([{ disposition: 'skipped', reason: 'deleted', count: 2880 }]);
    await expectComplete(id, last);
    const row = await scheduleRow(world, id);
    expect(firstUndecided(row)).toBeUndefined();
    expect(row.checkIn).toBeUndefined();
  });

  it.each([
    ['paused', (id: string) => pauseSchedule(world.ports, world.caller, id, '', none)],
    ['deleted', (id: string) => deleteSchedule(world.ports, world.caller, id, { kind: 'any' }, { cancelRuns: false })],
  ] as const)('%s: the clock of one machine settles it too', async (reason, stop) => {
    const { id } = await scheduled();
    world.now = last + 500;
    await stop(id);
    await clockSettles([id], false);
    expect(await entries(id)).toMatchObject([{ disposition: 'skipped', reason, count: 2880 }]);
  });

  it('completed by its last run while it caught up: what was left is one range', async () => {
    const { id } = await scheduled({ remainingRuns: 1, overlapPolicy: 'allow_all' });
    world.now = MONDAY_NOON + 3 * HOUR + 500;
    await clockSettles([id], false);
    const found = await entries(id);
    expect(found.map((entry) => `${entry.disposition} ${entry.reason ?? ''}`)).toEqual([
      'missed outside_catchup_window',
      'dispatched ',
      'skipped completed',
    ]);
    await expectComplete(id, MONDAY_NOON + 3 * HOUR);
    expect((await getSchedule(world.ports, world.caller, id)).status).toBe('completed');
  });
});

describe('a range', () => {
  it('never covers what somebody took out by hand, what can still run, or what is to come', async () => {
    const { id } = await scheduled({ catchupWindow: 'PT10M' });
    const out = MONDAY_NOON + 30 * MINUTE;
    await skipOccurrence(world.ports, world.caller, id, { occurrence: out, reason: 'holiday' }, none);
    world.now = MONDAY_NOON + HOUR;
    await watch();
    const found = await entries(id);
    const ranges = found.filter((entry) => entry.count !== undefined);
    expect(ranges.map((entry) => [entry.occurrence, entry.through])).toEqual([
      [isoSecond(FIRST), isoSecond(out - MINUTE)],
      [isoSecond(out + MINUTE), isoSecond(MONDAY_NOON + 49 * MINUTE)],
    ]);
    expect(found.find((entry) => entry.occurrence === isoSecond(out))).toMatchObject({ reason: 'skipped_by_request' });
    expect(found.find((entry) => entry.occurrence === isoSecond(MONDAY_NOON + 50 * MINUTE))).toMatchObject({
      disposition: 'dispatched',
    });
    await expectComplete(id, MONDAY_NOON + 58 * MINUTE);
  });
});

describe('a tick', () => {
  it('does bounded work for one schedule, and the next ones go on until nothing is overdue', async () => {
    const { id } = await scheduled({ catchupWindow: 'P1D', overlapPolicy: 'skip' });
    world.now = MONDAY_NOON + 4 * HOUR + 500;
    await watch();
    expect(await entries(id)).toHaveLength(100);
    await watch();
    await watch();
    await expectComplete(id, MONDAY_NOON + 4 * HOUR - 2 * MINUTE);
  });
});
