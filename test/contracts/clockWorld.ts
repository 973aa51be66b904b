/** What the harnesses of all clocks share: the core's side of {@link ClockHarness}, over a world of its own. */
import { ScheduleCreate, SchedulePatch } from '../../core/contract/schedules.ts';
import { ClockRejected, type ClockSpec, type Ports, type ScheduleClock } from '../../core/ports.ts';
import { deleteSchedule } from '../../core/schedules/actions.ts';
import { clockSpec } from '../../core/schedules/clockSync.ts';
import { type Delivery, type FireResult, fire } from '../../core/schedules/fire.ts';
import { listOccurrences } from '../../core/schedules/ledgerLists.ts';
import { createSchedule, patchSchedule } from '../../core/schedules/service.ts';
import { tick } from '../../core/watchdog/tick.ts';
import { SECOND, scheduleRow } from '../core/support.ts';
import type { World } from '../support/world.ts';
import type { ClockHarness, Delivered } from './scheduleClock.ts';

type Adapter = Pick<ClockHarness, 'clock' | 'lose' | 'advance' | 'restart' | 'stop'>;

/** The calls of `fire`, with the failures that the test has planted. */
export interface Deliverer {
  readonly deliveries: Delivered[];
  failing: number;
  deliver(delivery: Delivery): Promise<FireResult>;
}

export function deliverer(world: World): Deliverer {
  const made: Deliverer = {
    deliveries: [],
    failing: 0,
    deliver: async (delivery) => {
      made.deliveries.push({ ...delivery, at: world.now });
      if (made.failing > 0) {
        made.failing--;
        throw new Error('fire failed');
      }
      return fire(world.ports, delivery);
    },
  };
  return made;
}

export async function clockHarness(world: World, fires: Deliverer, adapter: () => Adapter): Promise<ClockHarness> {
  const agent = await world.agent();
  let made = 0;
  let refusal: string | undefined;
  const specOf = async (scheduleId: string): Promise<ClockSpec> => {
    const spec = clockSpec(await scheduleRow(world, scheduleId), world.now);
    if (spec === undefined) throw new Error('nothing to put');
    return spec;
  };
  /** The clock as the core reaches it. */
  const reached: ScheduleClock = {
    put: async (spec) => {
      if (harness.unreachable) throw new Error('the clock is down');
      const problem = refusal;
      refusal = undefined;
      if (problem !== undefined) throw new ClockRejected(problem);
      await adapter().clock.put(spec);
    },
    delete: async (scheduleId) => {
      if (harness.unreachable) throw new Error('the clock is down');
      await adapter().clock.delete(scheduleId);
    },
    look: (spec) => adapter().clock.look(spec),
    list: (after) => adapter().clock.list(after),
  };
  const ports: Ports = { ...world.ports, clock: reached };
  const harness: ClockHarness = {
    get clock() {
      return adapter().clock;
    },
    get deliveries() {
      return fires.deliveries;
    },
    get failing() {
      return fires.failing;
    },
    set failing(count) {
      fires.failing = count;
    },
    unreachable: false,
    refuseNext: (problem) => {
      refusal = problem;
    },
    lose: (scheduleId) => adapter().lose(scheduleId),
    now: () => world.now,
    create: async ({ cron }) => {
      const request = {
        name: `made ${++made}`,
        cadence: { cron, timezone: 'UTC' },
        overlapPolicy: 'allow_all',
        confirmFrequency: true,
      };
      const { id } = await createSchedule(ports, world.caller, agent.id, ScheduleCreate.parse(request));
      return specOf(id);
    },
    change: async (scheduleId, { cron }) => {
      const patch = SchedulePatch.parse({ cadence: { cron, timezone: 'UTC' }, confirmFrequency: true });
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
      const patch = SchedulePatch.parse({ cadence: { cron, timezone: 'UTC' }, confirmFrequency: true });
      await patchSchedule(world.ports, world.caller, scheduleId, patch, { kind: 'any' });
      return specOf(scheduleId);
    },
    retire: async (scheduleId) => {
      await deleteSchedule(world.ports, world.caller, scheduleId, { kind: 'any' }, { cancelRuns: true });
    },
    advance: (milliseconds) => adapter().advance(milliseconds),
    restart: () => adapter().restart(),
    stop: () => adapter().stop(),
  };
  return harness;
}
