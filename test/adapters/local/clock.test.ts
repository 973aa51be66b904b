import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LocalClock } from '../../../adapters/local/clock.ts';
import { ScheduleCreate, SchedulePatch } from '../../../core/contract/schedules.ts';
import { ClockRejected, type ClockSpec, type Ports, type ScheduleClock } from '../../../core/ports.ts';
import { deleteSchedule, pauseSchedule } from '../../../core/schedules/actions.ts';
import { spreadMs } from '../../../core/schedules/check.ts';
import { clockSpec } from '../../../core/schedules/clockSync.ts';
import { type Delivery, fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { createSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type ClockHarness, type Delivered, scheduleClockContract } from '../../contracts/scheduleClock.ts';
import { MINUTE, SECOND, scheduleRow } from '../../core/support.ts';
import { MONDAY_NOON, silentLog, type TestEngine, testEngine, type World } from '../../support/world.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

/** Time moves in steps of the precision that the contract grants: a look after each of them is early enough. */
const STEP_MS = 60_000;

/** The real clock over a real table; time stands still but for `advance`, and each step waits for the turn that it brings. */
async function localHarness(): Promise<ClockHarness> {
  const world = await engine.world();
  const agent = await world.agent();
  const deliveries: Delivered[] = [];
  let turns = 0;
  let clock: LocalClock;
  let made = 0;
  let refusal: string | undefined;
  /** This clock's memory is the table, so it can lose nothing: these are kept from it until they are put again. */
  const lost = new Set<string>();
  const deliver = async (delivery: Delivery) => {
    if (lost.has(delivery.scheduleId)) return { outcome: 'ignored', reason: 'nothing_due' } as const;
    deliveries.push({ ...delivery, at: world.now });
    if (harness.failing > 0) {
      harness.failing--;
      throw new Error('fire failed');
    }
    return fire(world.ports, delivery);
  };
  const begin = () => {
    const { store, time, config } = world.ports;
    const onTurn = async () => {
      turns++;
    };
    clock = new LocalClock({ store, time, log: silentLog, checkShards: config.checkShards, fire: deliver, onTurn });
    clock.start();
  };
  const specOf = async (scheduleId: string): Promise<ClockSpec> => {
    const spec = clockSpec(await scheduleRow(world, scheduleId), world.now);
    if (spec === undefined) throw new Error('nothing to put');
    return spec;
  };
  /** The clock as the core reaches it; it takes every spec by itself, so a refusal comes from here. */
  const reached: ScheduleClock = {
    put: async (spec) => {
      if (harness.unreachable) throw new Error('the clock is down');
      const problem = refusal;
      refusal = undefined;
      if (problem !== undefined) throw new ClockRejected(problem);
      lost.delete(spec.scheduleId);
      await clock.put(spec);
    },
    delete: async (scheduleId) => {
      if (harness.unreachable) throw new Error('the clock is down');
      await clock.delete(scheduleId);
    },
  };
  const ports: Ports = { ...world.ports, clock: reached };
  /** A clock that is told of something due at once looks at once. */
  const look = async () => {
    const before = turns;
    // Of no schedule that is tested: a put also forgets when to retry.
    await clock.put({ scheduleId: 'sch_0', startAt: 0 } as ClockSpec);
    await vi.waitFor(
      () => {
        if (turns <= before) throw new Error('the clock has not looked yet');
      },
      { timeout: 20_000, interval: 1 },
    );
  };
  const harness: ClockHarness = {
    get clock() {
      return clock;
    },
    deliveries,
    failing: 0,
    unreachable: false,
    refuseNext: (problem) => {
      refusal = problem;
    },
    lose: async (scheduleId) => void lost.add(scheduleId),
    now: () => world.now,
    create: async ({ cron }) => {
      const request = { name: `made ${++made}`, cadence: { cron, timezone: 'UTC' }, overlapPolicy: 'allow_all' };
      const { id } = await createSchedule(ports, world.caller, agent.id, ScheduleCreate.parse(request));
      return specOf(id);
    },
    change: async (scheduleId, { cron }) => {
      const patch = SchedulePatch.parse({ cadence: { cron, timezone: 'UTC' } });
      await patchSchedule(ports, world.caller, scheduleId, patch, { kind: 'any' });
    },
    deliver: ({ scheduleId, scheduledTime, specVersion }) =>
      fire(world.ports, {
        scheduleId,
        ...(scheduledTime !== undefined && { scheduledTime }),
        ...(specVersion !== undefined && { specVersion }),
      }),
    row: (scheduleId) => scheduleRow(world, scheduleId),
    ledger: async (scheduleId) => {
      const { items } = await listOccurrences(world.ports, world.caller, scheduleId, { limit: 100 });
      return items
        .map(({ occurrence, disposition, reason }) =>
          [occurrence.slice(11, 16), disposition, reason ?? ''].join(' ').trim(),
        )
        .reverse();
    },
    watch: async () => {
      world.now += world.ports.config.watchdogIntervalSeconds * SECOND;
      await tick(ports, { owner: 'test', budgetMs: 60_000 });
    },
    schedule: async ({ cron }, more = {}) => {
      const { id } = await world.schedule(agent.id, {
        cadence: { cron, timezone: 'UTC' },
        ...more,
        overlapPolicy: 'allow_all',
      });
      return specOf(id);
    },
    edit: async (scheduleId, { cron }) => {
      const patch = SchedulePatch.parse({ cadence: { cron, timezone: 'UTC' } });
      await patchSchedule(world.ports, world.caller, scheduleId, patch, { kind: 'any' });
      return specOf(scheduleId);
    },
    retire: async (scheduleId) => {
      await deleteSchedule(world.ports, world.caller, scheduleId, { kind: 'any' }, { cancelRuns: true });
    },
    advance: async (milliseconds) => {
      const end = world.now + milliseconds;
      while (world.now < end) {
        world.now = Math.min(end, world.now + STEP_MS);
        await look();
      }
    },
    restart: async () => {
      await clock.stop();
      begin();
    },
    stop: () => clock.stop(),
  };
  begin();
  return harness;
}

scheduleClockContract('the local clock', { refusesSpecs: false, losesSchedules: false }, localHarness);

describe('the local clock in a flexible window', () => {
  it('fires each schedule at an offset of its own, always the same; what it delivers is the nominal time', async () => {
    const harness = await localHarness();
    onTestFinished(() => harness.stop());
    const steps = new Map<string, number>();
    // Offsets come from ids: enough of them that two lie in different steps of the harness's time.
    while (new Set(steps.values()).size < 3) {
      const spec = await harness.schedule({ cron: '0 * * * *' }, { flexibleWindow: 'PT10M' });
      const offset = spreadMs({ id: spec.scheduleId, flexibleWindowSeconds: 600 }, spec.startAt);
      expect(offset).toBeLessThan(10 * MINUTE);
      steps.set(spec.scheduleId, Math.ceil(offset / STEP_MS));
    }
    const start = Date.UTC(2027, 2, 1, 13);
    await harness.advance(start + 11 * MINUTE - harness.now());
    expect(harness.deliveries.map((each) => each.scheduledTime)).toEqual([...steps.keys()].map(() => start));
    expect(new Map(harness.deliveries.map((each) => [each.scheduleId, (each.at - start) / STEP_MS]))).toEqual(steps);
    for (const scheduleId of steps.keys()) expect(await harness.ledger(scheduleId)).toEqual(['13:00 dispatched']);
  });
});

describe('what the local clock remembers of a row', () => {
  const HOUR = 60 * MINUTE;
  let world: World;
  let clock: LocalClock;
  /** The core with this clock in it: an edit tells it. */
  let ports: Ports;
  let turns: number;
  let failing: boolean;
  beforeEach(async () => {
    world = await engine.world();
    turns = 0;
    failing = false;
    const { store, time, config } = world.ports;
    clock = new LocalClock({
      store,
      time,
      log: silentLog,
      checkShards: config.checkShards,
      fire: (delivery) => (failing ? Promise.reject(new Error('fire failed')) : fire(world.ports, delivery)),
      onTurn: async () => {
        turns++;
      },
    });
    ports = { ...world.ports, clock };
    clock.start();
    return () => clock.stop();
  });

  /** The next turn but one: what the first one found in the table may be older than this call. */
  async function look(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      const before = turns;
      await clock.put({ scheduleId: 'sch_0', startAt: 0 } as ClockSpec);
      await vi.waitFor(() => expect(turns).toBeGreaterThan(before), { timeout: 20_000, interval: 1 });
    }
  }
  const remembered = () => Reflect.get(clock, 'retries') as ReadonlyMap<string, unknown>;
  const occurrencesOf = async (id: string) =>
    (await listOccurrences(world.ports, world.caller, id, { limit: 100 })).items.map((each) => each.occurrence);
  const patch = (to: Ports, id: string) =>
    patchSchedule(to, world.caller, id, SchedulePatch.parse({ cadence: { cron: '*/5 * * * *', timezone: 'UTC' } }), {
      kind: 'any',
    });

  /** Hourly, with one occurrence that waits: its row is looked at every minute, long before its next occurrence. */
  async function waiting(): Promise<string> {
    const agent = await world.agent();
    const cadence = { cron: '0 * * * *', timezone: 'UTC' };
    const { id } = await world.schedule(agent.id, { cadence, overlapPolicy: 'buffer_one' });
    for (const hours of [1, 2]) {
      world.now = MONDAY_NOON + hours * HOUR;
      await fire(world.ports, { scheduleId: id, scheduledTime: world.now });
    }
    expect((await scheduleRow(world, id)).buffer).toHaveLength(1);
    return id;
  }

  it('is forgotten by an edit: the next occurrence of the new cadence fires at its time', async () => {
    const id = await waiting();
    world.now = MONDAY_NOON + 2 * HOUR + 4 * MINUTE + 20 * SECOND;
    await look();
    expect(remembered().size).toBe(1);
    world.now += 10 * SECOND;
    await patch(ports, id);
    world.now = MONDAY_NOON + 2 * HOUR + 5 * MINUTE;
    await look();
    expect((await occurrencesOf(id))[0]).toBe('2027-03-01T14:05:00Z');
  });

  it('is old after a minute, where the edit came while the clock was looking', async () => {
    const id = await waiting();
    world.now = MONDAY_NOON + 2 * HOUR + 4 * MINUTE + 20 * SECOND;
    await look();
    await patch(world.ports, id);
    world.now += MINUTE;
    await look();
    expect((await occurrencesOf(id))[0]).toBe('2027-03-01T14:05:00Z');
  });

  it('is forgotten when its clock is deleted, and when it has left the index', async () => {
    const agent = await world.agent();
    const { id: paused } = await world.schedule(agent.id);
    const { id: settled } = await world.schedule(agent.id);
    world.now = MONDAY_NOON + 5 * MINUTE;
    failing = true;
    await look();
    expect(remembered().size).toBe(2);
    await pauseSchedule(ports, world.caller, paused, '', { kind: 'none' });
    expect(remembered().size).toBe(1);
    await fire(world.ports, { scheduleId: settled, scheduledTime: world.now });
    world.now += 3 * MINUTE;
    await look();
    expect(remembered().size).toBe(0);
  });
});
