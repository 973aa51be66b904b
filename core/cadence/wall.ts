/**
 * When a cron expression matches on a timeline without zones: local clock times, written as if they were UTC. A set per
 * field makes this a few look-ups; croner, which could do it too, costs 50 times as much per answer and knows L, W and #
 * by rules that are not AWS's.
 */
import { daysNamed } from './days.ts';
import type { ParsedCron } from './parse.ts';

export const MINUTE_MS = 60_000;

/** The first matching local minute at or after `wall`; undefined if there is none up to the end of 2199. */
export function nextWall(cron: ParsedCron, wall: number): number | undefined {
  const start = new Date(Math.ceil(wall / MINUTE_MS) * MINUTE_MS);
  const [year, month, day] = [start.getUTCFullYear(), start.getUTCMonth() + 1, start.getUTCDate()];
  if (cron.years.includes(year) && cron.months.includes(month) && daysNamed(cron.days, year, month) & (1 << day)) {
    const time = nextTime(cron, start.getUTCHours(), start.getUTCMinutes());
    if (time !== undefined) return Date.UTC(year, month - 1, day) + time;
  }
  return firstOnLaterDay(cron, year, month, day);
}

/** Milliseconds into the day of the first matching time at or after the given one. */
function nextTime(cron: ParsedCron, hour: number, minute: number): number | undefined {
  if (cron.hours.includes(hour)) {
    const found = cron.minutes.find((value) => value >= minute);
    if (found !== undefined) return (hour * 60 + found) * MINUTE_MS;
  }
  const later = cron.hours.find((value) => value > hour);
  return later === undefined ? undefined : (later * 60 + (cron.minutes[0] ?? 0)) * MINUTE_MS;
}

/** At most 230 years of 12 months are looked at, with a few bit operations for each. */
function firstOnLaterDay(cron: ParsedCron, year: number, month: number, day: number): number | undefined {
  const time = ((cron.hours[0] ?? 0) * 60 + (cron.minutes[0] ?? 0)) * MINUTE_MS;
  for (const candidateYear of cron.years) {
    if (candidateYear < year) continue;
    for (const candidateMonth of cron.months) {
      if (candidateYear === year && candidateMonth < month) continue;
      const isSameMonth = candidateYear === year && candidateMonth === month;
      const days = daysNamed(cron.days, candidateYear, candidateMonth) & (isSameMonth ? daysAfter(day) : -1);
      if (days !== 0) return Date.UTC(candidateYear, candidateMonth - 1, lowestBit(days)) + time;
    }
  }
  return undefined;
}

const daysAfter = (day: number) => (day >= 31 ? 0 : -1 << (day + 1));
const lowestBit = (bits: number) => 31 - Math.clz32(bits & -bits);
