/** How often a cadence fires. */
import type { Cadence } from '../schedules/model.ts';
import { parseCron } from './parse.ts';

const DAY_SECONDS = 86_400;

/**
 * At most so many times in one day, on the days on which it fires at all. Exact for a cron: each of its times of day comes
 * once, whatever the clocks do (`occurrences.ts`).
 */
export function firesPerDay(cadence: Cadence): number {
  switch (cadence.kind) {
    case 'at':
      return 1;
    case 'every':
      return Math.ceil(DAY_SECONDS / cadence.everySeconds);
    case 'cron': {
      const parsed = parseCron(cadence.cron);
      return parsed.ok ? parsed.cron.minutes.length * parsed.cron.hours.length : 0;
    }
  }
}
