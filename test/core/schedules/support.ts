/** What the tests of schedules share: one whose first occurrence is near, its fires and its triggers. */
import type { Ports } from '../../../core/ports.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import { MONDAY_NOON, type World } from '../../support/world.ts';
import { MINUTE, none, SECOND } from '../support.ts';

/** The first occurrence of {@link scheduled}. */
export const FIRST = MONDAY_NOON + 5 * MINUTE;

export async function scheduled(world: World, overrides: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, overrides);
}

export const fireFirst = (ports: Ports, scheduleId: string) => fire(ports, { scheduleId, scheduledTime: FIRST });

export const trigger = (ports: Ports, world: World, scheduleId: string) =>
  triggerSchedule(ports, world.caller, scheduleId, {}, none);

/** A schedule with a live run and an occurrence that waits for its end: the watchdog looks at it every minute. */
export async function buffering(world: World) {
  const schedule = await scheduled(world, { overlapPolicy: 'buffer_one' });
  const live = (await trigger(world.ports, world, schedule.id)).id;
  world.now = FIRST + SECOND;
  await fireFirst(world.ports, schedule.id);
  return { schedule, live };
}
