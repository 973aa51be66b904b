/**
 * When a cadence fires. The rules are EventBridge Scheduler's: a local time that does not exist (spring) is skipped, one
 * that exists twice (autumn) fires once, the first time; `every` counts 24-hour days. croner finds the candidates, and a
 * candidate that it moved out of a gap is dropped, because croner would fire it late.
 */
import { Cron } from 'croner';
import { firstInstant, offsetAt } from '../cadence/zone.ts';
import type { Cadence } from './model.ts';

const CACHE_LIMIT = 2000;
const cache = new Map<string, Cron>();

function compiled(cron: string, timezone: string): Cron {
  const key = `${timezone} ${cron}`;
  let found = cache.get(key);
  if (found === undefined) {
    if (cache.size >= CACHE_LIMIT) cache.delete(cache.keys().next().value ?? '');
    // A leading seconds field of 0: the minute is the finest grain of a cron cadence.
    found = new Cron(`0 ${cron}`, { timezone });
    cache.set(key, found);
  }
  return found;
}

/** What is wrong with a 5-field cron expression, in words; undefined if nothing is. */
export function cronProblem(cron: string, timezone: string): string | undefined {
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== 5)
    return `must have 5 fields (minute hour day-of-month month day-of-week), it has ${fields.length}`;
  const [, , dayOfMonth = '', , dayOfWeek = ''] = fields;
  if (!/^[\d*,/\-A-Za-z]+$/.test(fields.join(''))) return 'may use only digits, names, and the signs * , - /';
  const restricted = (field: string) => field !== '*';
  if (restricted(dayOfMonth) && restricted(dayOfWeek))
    return 'restricts both day-of-month and day-of-week, which EventBridge Scheduler cannot express: make two schedules, one with each';
  try {
    compiled(cron, timezone);
  } catch (error) {
    return `is not a cron expression: ${error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error)}`;
  }
  return undefined;
}

/** How far ahead an occurrence is looked for: a leap day comes at the latest after 8 years. */
const GAP_TRIES = 400;

/** The first occurrence strictly after `after`, undefined if there is none. */
export function nextOccurrence(cadence: Cadence, after: number): number | undefined {
  switch (cadence.kind) {
    case 'at':
      return cadence.at > after ? cadence.at : undefined;
    case 'every': {
      const step = cadence.everySeconds * 1000;
      if (after < cadence.startAt) return cadence.startAt;
      return cadence.startAt + (Math.floor((after - cadence.startAt) / step) + 1) * step;
    }
    case 'cron': {
      const pattern = compiled(cadence.cron, cadence.timezone);
      let from = new Date(after);
      for (let tries = 0; tries < GAP_TRIES; tries++) {
        const next = pattern.nextRun(from);
        if (next === null) return undefined;
        const at = next.getTime();
        if (at > after && pattern.match(next) && isFirstShowing(cadence.timezone, at)) return at;
        from = next;
      }
      return undefined;
    }
  }
}

/** croner fires a pattern of several hours again in the hour that autumn repeats: only the first showing counts. */
function isFirstShowing(timezone: string, at: number): boolean {
  const first = firstInstant(timezone, at + offsetAt(timezone, at));
  return first.kind === 'instant' && first.at === at;
}

/** Whether the cadence names exactly this instant. */
export const isOccurrence = (cadence: Cadence, at: number): boolean => nextOccurrence(cadence, at - 1) === at;
