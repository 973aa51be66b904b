/** Which occurrences are expected: the revisions of a schedule, each in force from its own time until the next. Pure. */
import { nextOccurrence } from '../cadence/occurrences.ts';
import { firstInstant, offsetAt, offsetChanges } from '../cadence/zone.ts';
import type { Revision, ScheduleRow } from './model.ts';

type Planned = Pick<ScheduleRow, 'revisions'>;

/** The revision in force at a time. */
export function revisionAt(schedule: Planned, at: number): Revision | undefined {
  return schedule.revisions.findLast((revision) => revision.from <= at);
}

/** The first occurrence of one revision strictly after `after` and before `before`. */
function nextInRevision(revision: Revision, after: number, before: number): number | undefined {
  const from = Math.max(after, revision.from - 1, (revision.window?.startAt ?? 0) - 1);
  const next = nextOccurrence(revision.cadence, from);
  if (next === undefined || next >= before) return undefined;
  return revision.window?.endAt !== undefined && next >= revision.window.endAt ? undefined : next;
}

/** The first expected occurrence strictly after `after`, over all revisions that are active. */
export const nextExpected = (schedule: Planned, after: number): number | undefined =>
  nextWhere(schedule, after, (revision) => revision.active);

/** The first occurrence strictly after `after` of whichever revision, those of a pause included. */
export const nextOfAny = (schedule: Planned, after: number): number | undefined =>
  nextWhere(schedule, after, () => true);

function nextWhere(schedule: Planned, after: number, wanted: (revision: Revision) => boolean): number | undefined {
  for (const [index, revision] of schedule.revisions.entries()) {
    const before = schedule.revisions[index + 1]?.from ?? Number.POSITIVE_INFINITY;
    if (before <= after || !wanted(revision)) continue;
    const next = nextInRevision(revision, after, before);
    if (next !== undefined) return next;
  }
  return undefined;
}

export const isExpected = (schedule: Planned, at: number): boolean => nextExpected(schedule, at - 1) === at;

/** No clock was ever put back by more. */
const PUT_BACK_MAX_MS = 86_400_000;

function timezoneAt(schedule: Planned, at: number): string | undefined {
  const cadence = revisionAt(schedule, at)?.cadence;
  return cadence?.kind === 'cron' ? cadence.timezone : undefined;
}

/**
 * The occurrence that a delivered time stands for. Where the clocks are put back, a local time comes twice and is expected
 * at its first instant; at which of the two AWS delivers it is not documented, so the second one stands for the first.
 */
export function occurrenceMeant(schedule: Planned, delivered: number): number {
  const timezone = timezoneAt(schedule, delivered);
  if (timezone === undefined || isExpected(schedule, delivered)) return delivered;
  const first = firstInstant(timezone, delivered + offsetAt(timezone, delivered));
  return first.kind === 'instant' && first.at < delivered && isExpected(schedule, first.at) ? first.at : delivered;
}

/** The second instant of an occurrence whose local time comes twice. */
export function secondShowing(schedule: Planned, at: number): number | undefined {
  const timezone = timezoneAt(schedule, at);
  if (timezone === undefined) return undefined;
  const wall = at + offsetAt(timezone, at);
  for (const change of offsetChanges(timezone, at, at + PUT_BACK_MAX_MS))
    if (wall >= change.at + change.after && wall < change.at + change.before) return wall - change.after;
  return undefined;
}

/** Up to `limit` expected occurrences strictly after `after`. */
export function upcoming(schedule: Planned, after: number, limit: number): readonly number[] {
  const found: number[] = [];
  for (
    let at = nextExpected(schedule, after);
    at !== undefined && found.length < limit;
    at = nextExpected(schedule, at)
  )
    found.push(at);
  return found;
}

/** The first occurrence that is expected and has not been decided. */
export const firstUndecided = (schedule: Pick<ScheduleRow, 'revisions' | 'decidedThrough'>): number | undefined =>
  nextExpected(schedule, schedule.decidedThrough);

/** Only what an undecided occurrence can still need: so the row, which every fire reads and writes, stays small. */
export function prunedRevisions(revisions: readonly Revision[], decidedThrough: number): readonly Revision[] {
  const inForce = revisions.findLastIndex((revision) => revision.from <= decidedThrough);
  return inForce <= 0 ? revisions : revisions.slice(inForce);
}
