/**
 * When a cadence fires. The rules are EventBridge Scheduler's ("Schedule types", "Daylight savings time"): a cron time that
 * does not exist on the local clock (spring) is skipped, one that exists twice (autumn) fires once, and a day of a rate has
 * 24 hours. Which of the two instants it is, and what a cron with several times an hour does in the repeated hour, AWS does
 * not document. Our one rule: each local time fires at its *first* instant (*unverified on AWS*: `scripts/probe-scheduler.ts`
 * finds out). An occurrence is its UTC instant.
 */
import type { Cadence } from '../schedules/model.ts';
import { type ParsedCron, parseCron } from './parse.ts';
import { MINUTE_MS, nextWall } from './wall.ts';
import { firstInstant, offsetAt, shownUntil } from './zone.ts';

/** The last second whose year has four digits: what lies behind it could be answered, but never sent (`Instant`). */
export const LAST_INSTANT = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * The first occurrence strictly after `after`, in epoch milliseconds; undefined if there is none (a date that does not
 * exist, years that are over, a single time that has passed, an expression that `parseCron` refuses).
 * @throws RangeError if the time zone is unknown
 */
export function nextOccurrence(cadence: Cadence, after: number): number | undefined {
  const next = unboundedNext(cadence, after);
  return next === undefined || next > LAST_INSTANT ? undefined : next;
}

function unboundedNext(cadence: Cadence, after: number): number | undefined {
  switch (cadence.kind) {
    case 'at':
      return cadence.at > after ? cadence.at : undefined;
    case 'every':
      return nextOfEvery(cadence.startAt, cadence.everySeconds * 1000, after);
    case 'cron': {
      const parsed = parseCron(cadence.cron);
      return parsed.ok ? nextOfCron(parsed.cron, cadence.timezone, after) : undefined;
    }
  }
}

function nextOfEvery(startAt: number, stepMs: number, after: number): number {
  if (after < startAt) return startAt;
  return startAt + (Math.floor((after - startAt) / stepMs) + 1) * stepMs;
}

/**
 * Each turn of the loop either answers or moves the local time on: by a whole jump of the clock, or by a whole repetition.
 * So a pattern that only ever names skipped times ends after a turn per year.
 */
export function nextOfCron(cron: ParsedCron, timezone: string, after: number): number | undefined {
  const local = after + offsetAt(timezone, after);
  let wall = nextWall(cron, Math.floor(local / MINUTE_MS) * MINUTE_MS + MINUTE_MS);
  while (wall !== undefined) {
    const found = firstInstant(timezone, wall);
    if (found.kind === 'gap') {
      wall = nextWall(cron, found.resumesAt);
    } else if (found.at > after) {
      return found.at;
    } else {
      // This local time came for the first time before `after`: it is being repeated, and so is the rest of its hour.
      wall = nextWall(cron, Math.max(wall + MINUTE_MS, shownUntil(timezone, found.at, after) ?? wall));
    }
  }
  return undefined;
}

/** The first `limit` occurrences strictly after `after`, not later than `until`. */
export function occurrences(
  cadence: Cadence,
  after: number,
  limit: number,
  until = Number.POSITIVE_INFINITY,
): readonly number[] {
  const found: number[] = [];
  let last = after;
  while (found.length < limit) {
    const next = nextOccurrence(cadence, last);
    if (next === undefined || next > until) break;
    found.push(next);
    last = next;
  }
  return found;
}

/** Whether the cadence names exactly this instant. */
export const isOccurrence = (cadence: Cadence, at: number): boolean => nextOccurrence(cadence, at - 1) === at;
