/** One future occurrence, taken out or put back by hand. */
import type { PrincipalCaller } from '../agents/service.ts';
import { isoSecond } from '../contract/common.ts';
import type { ScheduleBody } from '../contract/schedules.ts';
import { InvalidRequest } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { changeSchedule } from './change.ts';
import { isExpected, nextExpected } from './expected.ts';
import type { ScheduleRow } from './model.ts';
import { bodyOf, loadLiveSchedule, loadSchedule } from './service.ts';

/** So many may be taken out at a time: they stand on the row that every fire reads. */
const SKIP_LIMIT = 100;

/** @throws InvalidRequest where the time is past, decided, or no occurrence of the schedule */
export async function skipOccurrence(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  request: { readonly occurrence: number; readonly reason: string },
  precondition: Precondition,
): Promise<ScheduleBody> {
  return changeSkips(ports, caller, scheduleId, precondition, 'schedule.occurrence_skipped', request, (schedule) => {
    if (schedule.skips.includes(request.occurrence)) return undefined;
    if (schedule.skips.length >= SKIP_LIMIT)
      throw invalid(
        `${SKIP_LIMIT} occurrences are taken out already, which is the limit; a pause or a window can say more`,
      );
    return [...schedule.skips, request.occurrence].sort((left, right) => left - right);
  });
}

export async function unskipOccurrence(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  request: { readonly occurrence: number },
  precondition: Precondition,
): Promise<ScheduleBody> {
  const facts = { ...request, reason: '' };
  return changeSkips(ports, caller, scheduleId, precondition, 'schedule.occurrence_unskipped', facts, (schedule) =>
    schedule.skips.includes(request.occurrence) ? schedule.skips.filter((at) => at !== request.occurrence) : undefined,
  );
}

async function changeSkips(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  precondition: Precondition,
  type: string,
  { occurrence, reason }: { readonly occurrence: number; readonly reason: string },
  change: (schedule: ScheduleRow) => readonly number[] | undefined,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    const now = ports.time.now();
    // What was taken out may be put back even where it is expected no longer: in a pause, or after an edit.
    if (!schedule.skips.includes(occurrence) || occurrence <= schedule.decidedThrough || occurrence <= now)
      refuseUndecidable(schedule, occurrence, now);
    const skips = change(schedule);
    if (skips === undefined) return { done: undefined };
    const after: ScheduleRow = { ...schedule, skips };
    const detail = { occurrence: isoSecond(occurrence), ...(reason !== '' && { reason }) };
    return {
      writes: changeSchedule(ports, schedule, { type, after, by: caller.principalId, detail }, now, writer),
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
  return bodyOf(ports, await loadSchedule(ports, caller, scheduleId));
}

function refuseUndecidable(schedule: ScheduleRow, occurrence: number, now: number): void {
  if (occurrence <= schedule.decidedThrough || occurrence <= now)
    throw invalid(`must be a future occurrence: ${isoSecond(occurrence)} has been decided already, or is due`);
  if (isExpected(schedule, occurrence)) return;
  const next = nextExpected(schedule, occurrence);
  const nearest = next === undefined ? 'the schedule has none after it' : `the next one after it is ${isoSecond(next)}`;
  throw invalid(`is not an occurrence of this schedule; ${nearest}`);
}

const invalid = (message: string) =>
  new InvalidRequest('The occurrence cannot be taken.', [{ pointer: '/occurrence', message }]);
