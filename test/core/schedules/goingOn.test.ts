/** What becomes of a schedule that stood still and goes on, or is told to by an edit that the clock may refuse. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ClockRejected, type Ports } from '../../../core/ports.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { clockSpec, syncClock } from '../../../core/schedules/clockSync.ts';
import { fire } from '../../../core/schedules/fire.ts';
import type { OccurrenceRow } from '../../../core/schedules/model.ts';
import { getSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { skipOccurrence, unskipOccurrence } from '../../../core/schedules/skips.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, MINUTE, none, SECOND, scheduleRow } from '../support.ts';

const DAY = 24 * 60 * MINUTE;
const iso = (at: number) => new Date(at).toISOString();

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
const patch = (id: string, change: Parameters<typeof patchSchedule>[3], ports: Ports = world.ports) =>
  patchSchedule(ports, world.caller, id, change, any);
const pause = (id: string) => pauseSchedule(world.ports, world.caller, id, '', none);
const resume = (id: string, ports: Ports = world.ports) => resumeSchedule(ports, world.caller, id, none);

async function ledger(id: string): Promise<readonly OccurrenceRow[]> {
  const found = await world.ports.store.query({ pk: keys.schedule(id).pk, prefix: 'OCC#', limit: 500 });
  return found.items as unknown as readonly OccurrenceRow[];
}

/** A clock that takes all but this expression. */
const refusing = (cron: string): Ports => ({
  ...world.ports,
  clock: {
    ...world.ports.clock,
    put: async (spec) => {
      if ('cron' in spec.cadence && spec.cadence.cron === cron) throw new ClockRejected('too strange');
      await world.ports.clock.put(spec);
    },
  },
});

describe('a spec that the clock refuses', () => {
  const strange = { cron: '7 3 * * *', timezone: 'UTC' };

  it('is never taken for one that it took: a refused resume stands paused, and no tick tries it for ever', async () => {
    const { id } = await scheduled();
    await pause(id);
    await patch(id, { cadence: strange });
    expect((await scheduleRow(world, id)).lastSyncedSpec?.cadence).toMatchObject({ cron: '*/5 * * * *' });
    const ports = refusing(strange.cron);
    await expect(resume(id, ports)).rejects.toThrow('the schedule is paused');
    const stood = await getSchedule(world.ports, world.caller, id);
    expect(stood).toMatchObject({ status: 'paused', pause: { kind: 'auto' }, cadence: strange });
    for (let minute = 1; minute <= 5; minute++) {
      world.now += MINUTE;
      await tick(ports, { owner: 'test', budgetMs: 10_000 });
    }
    expect((await scheduleRow(world, id)).version).toBe(stood.version);
  });

  it('pauses a schedule that was created paused and never had another', async () => {
    const { id } = await scheduled({ cadence: strange, paused: true });
    await expect(resume(id, refusing(strange.cron))).rejects.toThrow('the schedule is paused');
    expect((await scheduleRow(world, id)).status).toBe('paused');
  });

  it('is put back where an active schedule had one before', async () => {
    const { id } = await scheduled();
    await expect(patch(id, { cadence: strange }, refusing(strange.cron))).rejects.toThrow('put back');
    expect(await getSchedule(world.ports, world.caller, id)).toMatchObject({
      status: 'active',
      cadence: { cron: '*/5 * * * *' },
    });
  });

  it('pauses where the clock refuses what it once took', async () => {
    const { id } = await scheduled();
    const row = await scheduleRow(world, id);
    await world.ports.store.transact([
      { kind: 'update', key: keys.schedule(id), set: { clock: { ...row.clock, status: 'pending' } }, guards: [] },
    ]);
    await syncClock(refusing('*/5 * * * *'), id);
    expect((await scheduleRow(world, id)).status).toBe('paused');
  });
});

describe('an edit that gives a completed schedule more runs', () => {
  it('does not wake one whose window is over', async () => {
    const { id } = await scheduled({ window: { endAt: iso(MONDAY_NOON + 6 * MINUTE) } });
    world.now = MONDAY_NOON + 5 * MINUTE;
    await fire(world.ports, { scheduleId: id, scheduledTime: world.now });
    world.now += 10 * MINUTE;
    const after = await patch(id, { remainingRuns: 5 });
    expect(after.status).toBe('completed');
  });

  it('records what had been due and undecided when it completed (I5)', async () => {
    const { id } = await scheduled({ remainingRuns: 1, overlapPolicy: 'allow_all' });
    world.now = MONDAY_NOON + 21 * MINUTE;
    await fire(world.ports, { scheduleId: id, scheduledTime: MONDAY_NOON + 5 * MINUTE });
    await patch(id, { remainingRuns: 3 });
    const entries = await ledger(id);
    expect(entries.map(({ at, through, reason }) => [at, through, reason])).toEqual([
      [MONDAY_NOON + 5 * MINUTE, undefined, undefined],
      [MONDAY_NOON + 10 * MINUTE, MONDAY_NOON + 20 * MINUTE, 'completed'],
    ]);
    expect((await scheduleRow(world, id)).status).toBe('active');
  });
});

describe('a pause', () => {
  it('of months is covered to its end by its range (I5)', async () => {
    const { id } = await scheduled({ cadence: { cron: '* * * * *', timezone: 'UTC' } });
    await pause(id);
    world.now += 100 * DAY + 30 * SECOND;
    await resume(id);
    const [range, ...others] = await ledger(id);
    expect(others).toEqual([]);
    expect(range).toMatchObject({ reason: 'paused', count: 100_000, through: MONDAY_NOON + 100 * DAY });
    expect(range?.evidence.detail).toContain('or more');
  });

  it('is recorded when the schedule is deleted in it (I5)', async () => {
    const { id } = await scheduled();
    await pause(id);
    world.now += 61 * MINUTE;
    await deleteSchedule(world.ports, world.caller, id, any, { cancelRuns: false });
    expect(await ledger(id)).toMatchObject([{ reason: 'paused', count: 12, through: MONDAY_NOON + 60 * MINUTE }]);
  });

  it('that outlives the only occurrence ends in completion, with its entry', async () => {
    const { id } = await scheduled({ cadence: { at: iso(MONDAY_NOON + 5 * MINUTE) } });
    await pause(id);
    world.now += 10 * MINUTE;
    const after = await resume(id);
    expect(after).toMatchObject({ status: 'completed', nextOccurrences: [] });
    expect(await ledger(id)).toMatchObject([
      { at: MONDAY_NOON + 5 * MINUTE, disposition: 'skipped', reason: 'paused' },
    ]);
    expect(world.clocks.has(id)).toBe(false);
  });
});

describe('an edit', () => {
  it('that changes nothing begins no revision, whatever the order of the fields', async () => {
    const window = { startAt: iso(MONDAY_NOON), endAt: iso(MONDAY_NOON + 9 * DAY) };
    const { id } = await scheduled({ cadence: { every: 'PT15M' }, window });
    await patch(id, { cadence: { every: 900 } } as never);
    await patch(id, { window: { endAt: MONDAY_NOON + 9 * DAY, startAt: MONDAY_NOON } } as never);
    expect((await scheduleRow(world, id)).specVersion).toBe(1);
  });

  it('within the allowed skew leaves what a fire has decided ahead to its revision', async () => {
    const { id } = await scheduled();
    world.now = MONDAY_NOON + 5 * MINUTE - 4 * SECOND;
    await fire(world.ports, { scheduleId: id, scheduledTime: MONDAY_NOON + 5 * MINUTE });
    await patch(id, { cadence: { cron: '*/7 * * * *', timezone: 'UTC' } });
    const row = await scheduleRow(world, id);
    expect(row.revisions.at(-1)?.from).toBeGreaterThan(row.decidedThrough);
    expect((await ledger(id)).map((entry) => entry.specVersion)).toEqual([1]);
  });

  it('inside a flexible window leaves the due occurrence to the clock', async () => {
    const { id } = await scheduled({ cadence: { cron: '0 * * * *', timezone: 'UTC' }, flexibleWindow: 'PT15M' });
    world.now = MONDAY_NOON + 62 * MINUTE;
    expect(clockSpec(await scheduleRow(world, id), world.now)?.startAt).toBe(MONDAY_NOON + 60 * MINUTE);
  });
});

describe('an occurrence that was taken out', () => {
  const at = MONDAY_NOON + 30 * MINUTE;
  const skip = (id: string) => skipOccurrence(world.ports, world.caller, id, { occurrence: at, reason: '' }, none);
  const unskip = (id: string) => unskipOccurrence(world.ports, world.caller, id, { occurrence: at }, none);

  it('can be put back while the schedule is paused', async () => {
    const { id } = await scheduled();
    await skip(id);
    await pause(id);
    await unskip(id);
    expect((await scheduleRow(world, id)).skips).toEqual([]);
  });

  it('is forgotten when an edit takes its time away, and when a resume leaves it behind', async () => {
    const { id } = await scheduled();
    await skip(id);
    await patch(id, { cadence: { cron: '7 * * * *', timezone: 'UTC' } });
    expect((await scheduleRow(world, id)).skips).toEqual([]);
    const other = await scheduled();
    await skip(other.id);
    await pause(other.id);
    world.now = at + MINUTE;
    await resume(other.id);
    expect((await scheduleRow(world, other.id)).skips).toEqual([]);
  });
});
