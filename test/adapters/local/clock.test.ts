import { afterAll, beforeAll, vi } from 'vitest';
import { LocalClock } from '../../../adapters/local/clock.ts';
import { SchedulePatch } from '../../../core/contract/schedules.ts';
import type { ClockSpec } from '../../../core/ports.ts';
import { deleteSchedule } from '../../../core/schedules/actions.ts';
import { clockSpec } from '../../../core/schedules/clockSync.ts';
import { type Delivery, fire } from '../../../core/schedules/fire.ts';
import { patchSchedule } from '../../../core/schedules/service.ts';
import { type ClockHarness, type Delivered, scheduleClockContract } from '../../contracts/scheduleClock.ts';
import { scheduleRow } from '../../core/support.ts';
import { silentLog, type TestEngine, testEngine } from '../../support/world.ts';

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
  let lastSpec: ClockSpec | undefined;
  const deliver = async (delivery: Delivery) => {
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
  /** A clock that is told of something due at once looks at once. */
  const look = async () => {
    const before = turns;
    if (lastSpec !== undefined) await clock.put({ ...lastSpec, startAt: 0 });
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
    now: () => world.now,
    schedule: async ({ cron }, more = {}) => {
      const { id } = await world.schedule(agent.id, {
        cadence: { cron, timezone: 'UTC' },
        ...more,
        overlapPolicy: 'allow_all',
      });
      lastSpec = await specOf(id);
      return lastSpec;
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

scheduleClockContract('the local clock', localHarness);
