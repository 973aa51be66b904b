/**
 * What a pause or a completion withheld: when the schedule goes on, or is deleted, it is recorded as one skipped range,
 * and never fires. What was due before the pause and had not been decided belongs to it.
 */
import { evidence } from '../runs/change.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, SCHEMA_VERSION } from '../table/rows.ts';
import { nextExpected, nextOfAny } from './expected.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';

/** A pause of years with a minutely cadence is counted up to here, and said to be at least as many. */
const COUNT_LIMIT = 100_000;
const LOOK_BACK_MS = [3600_000, 86_400_000, 31 * 86_400_000, 400 * 86_400_000];

/** The write of the range, if anything fell into it. */
export function withheldRange(
  schedule: ScheduleRow,
  reason: 'paused' | 'completed',
  now: number,
  writer: string,
): readonly Write[] {
  // A pause ends what is expected, and is to be told of all the same; after a completion nothing is expected any more.
  const next = reason === 'paused' ? nextOfAny : nextExpected;
  const first = next(schedule, schedule.decidedThrough);
  if (first === undefined || first >= now) return [];
  let through = first;
  let count = 1;
  for (; count < COUNT_LIMIT; count++) {
    const following = next(schedule, through);
    if (following === undefined || following >= now) break;
    through = following;
  }
  if (count === COUNT_LIMIT) through = lastBefore(schedule, next, through, now);
  const more = count === COUNT_LIMIT ? ' or more (counting stopped there)' : '';
  const row: OccurrenceRow = {
    ...keys.occurrence(schedule.id, first),
    schemaVersion: SCHEMA_VERSION,
    tenantId: schedule.tenantId,
    scheduleId: schedule.id,
    at: first,
    ...(through > first && { through, count }),
    disposition: 'skipped',
    reason,
    specVersion: schedule.specVersion,
    decidedAt: now,
    evidence: evidence('schedule', now, `${count}${more} occurrences came while it was ${reason}`),
    writer,
  };
  return [{ kind: 'put', item: asItem(row), guards: [guard('withheld.rangeOnce', absent)] }];
}

/** The last occurrence before now, looked for in growing steps back from there. */
function lastBefore(schedule: ScheduleRow, next: typeof nextOfAny, from: number, now: number): number {
  for (const back of LOOK_BACK_MS) {
    let found: number | undefined;
    for (let at = next(schedule, Math.max(from, now - back) - 1); at !== undefined && at < now; at = next(schedule, at))
      found = at;
    if (found !== undefined) return found;
  }
  return from;
}
