/** Worlds that begin shortly before the clocks of a time zone are changed, with schedules that have to do with that. */
import type { ScheduleCreateInput } from '../../core/contract/schedules.ts';
import type { Random } from './random.ts';
import { MINUTE, scheduleOf } from './workload.ts';
import type { Simulation } from './world.ts';

export interface Calendar {
  readonly startAt: number;
  readonly timezone: string;
}

/** In 2027: when an hour is left out, and when one comes twice. */
const CHANGES = [
  { timezone: 'Europe/Berlin', at: Date.UTC(2027, 2, 28, 1) },
  { timezone: 'Europe/Berlin', at: Date.UTC(2027, 9, 31, 1) },
  { timezone: 'America/New_York', at: Date.UTC(2027, 2, 14, 7) },
  { timezone: 'America/New_York', at: Date.UTC(2027, 10, 7, 6) },
] as const;

export function calendarOf(random: Random): Calendar {
  const { timezone, at } = random.pick(CHANGES);
  // After the first seconds, in which schedules are made, or in the repeated hour itself.
  const before = random.chance(0.8) ? random.between(2, 8) : -random.between(45, 58);
  return { timezone, startAt: at - before * MINUTE };
}

/** The same schedule, at times of day that are left out or come twice there. */
function acrossTheChange(schedule: ScheduleCreateInput, how: number, { timezone }: Calendar): ScheduleCreateInput {
  const minute = 5 * (how % 12);
  const crons = [
    '*/5 * * * *',
    '*/2 1-3 * * *',
    `${minute} 1 * * *`,
    `${minute} 2 * * *`,
    `${minute} 3 * * *`,
    `${minute},${(minute + 7) % 60} 0-4 * * *`,
  ];
  return { ...schedule, cadence: { cron: crons[how % crons.length] ?? '* * * * *', timezone } };
}

export function scheduleThere(
  { time, calendar }: Simulation,
  random: Random,
  how: number,
  index: number,
): ScheduleCreateInput {
  const drawn = scheduleOf(random, index, time.now);
  return calendar === undefined ? drawn : acrossTheChange(drawn, how, calendar);
}
