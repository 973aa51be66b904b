import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LocalClock } from '../../../adapters/local/clock.ts';
import { SchedulePatch } from '../../../core/contract/schedules.ts';
import type { ClockSpec, Ports, ScheduleClock } from '../../../core/ports.ts';
import { pauseSchedule } from '../../../core/schedules/actions.ts';
import { spreadMs } from '../../../core/schedules/check.ts';
import { type Delivery, fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { patchSchedule } from '../../../core/schedules/service.ts';
import { clockHarness, deliverer } from '../../contracts/clockWorld.ts';
import { type ClockHarness, scheduleClockContract } from '../../contracts/scheduleClock.ts';
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
  const fires = deliverer(world);
  let turns = 0;
  let local: LocalClock;
  /** This clock's memory is the table, so it can lose nothing: these are kept from it until they are put again. */
  const lost = new Set<string>();
  const begin = () => {
    const { store, time, config } = world.ports;
    const onTurn = async () => {
      turns++;
    };
    const deliver = async (delivery: Delivery) =>
      lost.has(delivery.scheduleId)
        ? ({ outcome: 'ignored', reason: 'nothing_due' } as const)
        : fires.deliver(delivery);
    local = new LocalClock({ store, time, log: silentLog, checkShards: config.checkShards, fire: deliver, onTurn });
    local.start();
  };
  const clock: ScheduleClock = {
    put: async (spec) => {
      lost.delete(spec.scheduleId);
      await local.put(spec);
    },
    delete: (scheduleId) => local.delete(scheduleId),
  };
  /** A clock that is told of something due at once looks at once. */
  const look = async () => {
    const before = turns;
    // Of no schedule that is tested: a put also forgets when to retry.
    await local.put({ scheduleId: 'sch_0', startAt: 0 } as ClockSpec);
    await vi.waitFor(
      () => {
        if (turns <= before) throw new Error('the clock has not looked yet');
      },
      { timeout: 20_000, interval: 1 },
    );
  };
  const adapter = {
    clock,
    lose: async (scheduleId: string) => void lost.add(scheduleId),
    advance: async (milliseconds: number) => {
      const end = world.now + milliseconds;
      while (world.now < end) {
        world.now = Math.min(end, world.now + STEP_MS);
        await look();
      }
    },
    restart: async () => {
      await local.stop();
      begin();
    },
    stop: () => local.stop(),
  };
  const harness = await clockHarness(world, fires, () => adapter);
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
