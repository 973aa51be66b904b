/** A clock that is gone without anybody having been told: what came due is settled, and the clock is set again. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { ClockRejected, type Ports } from '../../../core/ports.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, MINUTE, none, page, SECOND, scheduleRow } from '../support.ts';

const HOUR = 60 * MINUTE;
const cadence = (cron: string) => ({ cadence: { cron, timezone: 'UTC' } });

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const scheduled = async (cron: string) => world.schedule((await world.agent()).id, cadence(cron));
const body = (id: string) => getSchedule(world.ports, world.caller, id);
const ledger = async (id: string) =>
  (await listOccurrences(world.ports, world.caller, id, page)).items.map((each) => [each.occurrence, each.disposition]);
const watch = (ports: Ports = world.ports) => tick(ports, { owner: 'test', budgetMs: 60_000 });
/** The watchdog's looks up to a time, one in each interval, a second past the minute. */
async function watchUntil(minute: number): Promise<void> {
  const end = minute + SECOND;
  if (world.now % MINUTE === 0) world.now += SECOND;
  while (world.now < end) {
    world.now = Math.min(end, world.now + world.ports.config.watchdogIntervalSeconds * SECOND);
    await watch();
  }
}

describe('a clock that has vanished', () => {
  it('is found by the occurrence that did not come: it runs late, and the clock is set again', async () => {
    const { id } = await scheduled('0 * * * *');
    world.clocks.clear();
    const due = MONDAY_NOON + HOUR;
    await watchUntil(due + MINUTE);
    // It may still be on its way.
    expect([await ledger(id), world.clocks.size]).toEqual([[], 0]);
    await watchUntil(due + 6 * MINUTE);
    expect(await ledger(id)).toEqual([[isoSecond(due), 'dispatched']]);
    expect(new Set(world.executions.map((each) => each.input.runId)).size).toBe(1);
    expect(world.clocks.get(id)).toMatchObject({ specVersion: 1, startAt: due + HOUR });
    expect(await body(id)).toMatchObject({ clock: { status: 'synced', specVersion: 1 }, overdue: false, version: 1 });
  });

  it('is overdue for whoever reads it in between, since its time', async () => {
    const { id } = await scheduled('0 * * * *');
    world.clocks.clear();
    world.now = MONDAY_NOON + HOUR + 3 * MINUTE;
    expect(await body(id)).toMatchObject({ overdue: true, overdueSince: isoSecond(MONDAY_NOON + HOUR) });
  });

  it('is set again only once: a clock that fires is left alone', async () => {
    const { id } = await scheduled('*/10 * * * *');
    let puts = 0;
    const clock = { ...world.ports.clock, put: async () => void puts++ };
    world.now = MONDAY_NOON + 10 * MINUTE;
    await fire(world.ports, { scheduleId: id, scheduledTime: world.now, specVersion: 1 });
    world.now += 5 * MINUTE + SECOND;
    await watch({ ...world.ports, clock });
    expect(puts).toBe(0);
    for (let minutes = 0; minutes < 9; minutes++) {
      world.now += MINUTE;
      await watch({ ...world.ports, clock });
    }
    expect(puts).toBe(1);
  });

  it('that cannot be set again at once stays pending, and runs come from the watchdog until it can', async () => {
    const { id } = await scheduled('*/10 * * * *');
    world.clocks.clear();
    const down = () => Promise.reject(new Error('the clock is down'));
    const { put } = world.ports.clock;
    Object.assign(world.ports.clock, { put: down });
    await watchUntil(MONDAY_NOON + 25 * MINUTE);
    expect(await body(id)).toMatchObject({ clock: { status: 'pending' }, status: 'active' });
    expect((await ledger(id)).map(([at]) => at)).toEqual(['2027-03-01T12:20:00Z', '2027-03-01T12:10:00Z']);
    Object.assign(world.ports.clock, { put });
    await watchUntil(MONDAY_NOON + 29 * MINUTE);
    expect(world.clocks.get(id)).toMatchObject({ startAt: MONDAY_NOON + 30 * MINUTE });
    expect(await body(id)).toMatchObject({ clock: { status: 'synced' } });
  });

  it('that will not have the very spec which it had pauses the schedule, with the reason', async () => {
    const { id } = await scheduled('0 * * * *');
    world.clocks.clear();
    Object.assign(world.ports.clock, { put: () => Promise.reject(new ClockRejected('the group is gone')) });
    await watchUntil(MONDAY_NOON + HOUR + 6 * MINUTE);
    expect((await ledger(id)).at(-1)).toEqual([isoSecond(MONDAY_NOON + HOUR), 'dispatched']);
    expect(await body(id)).toMatchObject({
      status: 'paused',
      pause: { kind: 'auto', reason: expect.stringContaining('the group is gone') },
    });
  });

  it('hinders neither an edit, which sets it again, nor a pause, a resume or a delete', async () => {
    const { id } = await scheduled('0 * * * *');
    world.clocks.clear();
    await patchSchedule(world.ports, world.caller, id, cadence('30 * * * *'), any);
    expect(world.clocks.get(id)).toMatchObject({ specVersion: 2 });
    world.clocks.clear();
    await pauseSchedule(world.ports, world.caller, id, '', none);
    await resumeSchedule(world.ports, world.caller, id, none);
    expect(world.clocks.get(id)).toMatchObject({ startAt: MONDAY_NOON + 30 * MINUTE });
    world.clocks.clear();
    expect(await deleteSchedule(world.ports, world.caller, id, any, { cancelRuns: false })).toBe('deleted');
    expect(await scheduleRow(world, id)).toMatchObject({ status: 'deleted', clock: { status: 'synced' } });
  });

  it('is found at the same time where it may fire within a flexible window', async () => {
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id, { ...cadence('0 * * * *'), flexibleWindow: 'PT30M' });
    world.clocks.clear();
    const due = MONDAY_NOON + HOUR;
    await watchUntil(due + 40 * MINUTE);
    expect(await ledger(id)).toEqual([[isoSecond(due), 'dispatched']]);
    expect(world.clocks.get(id)).toMatchObject({ startAt: due + HOUR });
  });
});
