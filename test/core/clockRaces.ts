/** Interleavings around the clocks of schedules and the watchdog’s checks of them; played in `guards.test.ts`. */
import type { Ports } from '../../core/ports.ts';
import { pauseSchedule } from '../../core/schedules/actions.ts';
import { advanceSchedule } from '../../core/schedules/advance.ts';
import { syncClock } from '../../core/schedules/clockSync.ts';
import { firstUndecided } from '../../core/schedules/expected.ts';
import { fire } from '../../core/schedules/fire.ts';
import { patchSchedule } from '../../core/schedules/service.ts';
import { skipOccurrence } from '../../core/schedules/skips.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { tick } from '../../core/watchdog/tick.ts';
import type { World } from '../support/world.ts';
import type { Race } from './race.ts';
import { buffering, FIRST, fireFirst, scheduled, trigger } from './schedules/support.ts';
import { any, finishAs, interleaved, MINUTE, none, scheduleRow } from './support.ts';

/** The check of a schedule with a synced clock stands at what is due next, and nowhere else. */
async function checkIsRight(world: World, scheduleId: string): Promise<boolean> {
  const row = await scheduleRow(world, scheduleId);
  return row.clock.status === 'pending' || row.checkAt === firstUndecided(row);
}

/** A schedule with a clock that is known to be out of step. */
async function drifted(world: World) {
  const schedule = await scheduled(world);
  world.now = FIRST - MINUTE;
  await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST - 2 * MINUTE });
  return schedule;
}

/** Ports whose rival comes just before the watchdog moves a schedule's check, not before its clock is marked. */
function atAlign(world: World, scheduleId: string, rival: () => Promise<unknown>): Ports {
  const { pk } = keys.schedule(scheduleId);
  let done = false;
  return {
    ...world.ports,
    store: new Proxy(world.ports.store, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        if (name !== 'transact') return member.bind(target) as unknown;
        return async (writes: Parameters<typeof target.transact>[0]) => {
          const [first] = writes;
          const moves = first?.kind === 'update' && first.key.pk === pk && first.set?.clock === undefined;
          if (moves && !done) {
            done = true;
            await rival();
          }
          return target.transact(writes);
        };
      },
    }),
  };
}

export const CLOCK_RACES: readonly Race[] = [
  {
    without: ['fire.driftOfThisSpec'],
    when: 'an edit comes between the sight of a drift and its note',
    breaks: 'I8: the clock’s record goes back to the older spec',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST - MINUTE;
      const cadence = { cron: '7 * * * *', timezone: 'UTC' };
      const edit = () => patchSchedule(world.ports, world.caller, schedule.id, { cadence }, any);
      await fire(interleaved(world, edit), { scheduleId: schedule.id, scheduledTime: FIRST - 2 * MINUTE });
      return (await scheduleRow(world, schedule.id)).clock.specVersion === 2;
    },
  },
  {
    without: ['fire.driftSeenAtRest'],
    when: 'two triggers come between the sight of a drift and its note',
    breaks: 'I8: liveSeq goes back, to where another fire has read it',
    held: async (world) => {
      const schedule = await scheduled(world, { overlapPolicy: 'allow_all' });
      world.now = FIRST - MINUTE;
      const rival = async () => {
        await trigger(world.ports, world, schedule.id);
        await trigger(world.ports, world, schedule.id);
      };
      await fire(interleaved(world, rival), { scheduleId: schedule.id, scheduledTime: FIRST - 2 * MINUTE });
      return (await scheduleRow(world, schedule.id)).liveSeq === 2;
    },
  },
  {
    without: ['align.liveSetUnchanged'],
    when: 'a buffer is drained between the watchdog’s look at a schedule and the move of its check',
    breaks: 'the check stands at what is due next',
    held: async (world) => {
      const { schedule, live } = await buffering(world);
      world.now += MINUTE;
      const rival = async () => {
        await finishAs(world, live);
        await advanceSchedule(world.ports, schedule.id);
      };
      await tick(atAlign(world, schedule.id, rival), { owner: 'test', budgetMs: MINUTE });
      return checkIsRight(world, schedule.id);
    },
  },
  {
    without: ['align.scheduleUnchanged'],
    when: 'a pause comes between the watchdog’s look at a schedule and the move of its check',
    breaks: 'the check stands at what is due next',
    held: async (world) => {
      const { schedule } = await buffering(world);
      world.now += MINUTE;
      const rival = () => pauseSchedule(world.ports, world.caller, schedule.id, '', none);
      await tick(atAlign(world, schedule.id, rival), { owner: 'test', budgetMs: MINUTE });
      return checkIsRight(world, schedule.id);
    },
  },
  {
    without: ['clock.scheduleUnchanged'],
    when: 'an edit whose own sync fails comes between a put and its mark',
    breaks: 'the clock is called in step with a spec that it does not have',
    held: async (world) => {
      const schedule = await drifted(world);
      const deaf = { ...world.ports, clock: { ...world.ports.clock, put: () => Promise.reject(new Error('down')) } };
      const cadence = { cron: '7 * * * *', timezone: 'UTC' };
      const rival = () => patchSchedule(deaf, world.caller, schedule.id, { cadence }, any);
      await syncClock(interleaved(world, rival), schedule.id);
      const { clock, specVersion } = await scheduleRow(world, schedule.id);
      const told = world.clocks.get(schedule.id)?.specVersion;
      return clock.status === 'pending' || (clock.specVersion === specVersion && told === specVersion);
    },
  },
  {
    without: ['clock.scheduleUnchanged'],
    when: 'an occurrence is taken out between a put and its mark',
    breaks: 'what was taken out stays out',
    held: async (world) => {
      const schedule = await drifted(world);
      const request = { occurrence: FIRST + 5 * MINUTE, reason: '' };
      const rival = () => skipOccurrence(world.ports, world.caller, schedule.id, request, none);
      await syncClock(interleaved(world, rival), schedule.id);
      return (await scheduleRow(world, schedule.id)).skips.includes(request.occurrence);
    },
  },
  {
    without: ['clock.liveSetUnchanged'],
    when: 'a fire comes between a put and its mark',
    breaks: 'the check stands at what is due next',
    held: async (world) => {
      const schedule = await drifted(world);
      const rival = async () => {
        world.now = FIRST;
        await fireFirst(world.ports, schedule.id);
      };
      await syncClock(interleaved(world, rival), schedule.id);
      return checkIsRight(world, schedule.id);
    },
  },
];
