/** A schedule with a patch laid over it. Pure: the dry run and the edit itself decide on the same row. */
import { overlay } from '../agents/service.ts';
import type { SchedulePatch } from '../contract/schedules.ts';
import { acceptCadence, hasFuture, refuseWithoutOccurrence, sameFields } from './cadenceRequest.ts';
import { revised, specRow } from './change.ts';
import type { ScheduleRow, Window } from './model.ts';

export function patchedSchedule(schedule: ScheduleRow, patch: SchedulePatch, by: string, now: number): ScheduleRow {
  const {
    window: _w,
    catchupWindowSeconds: _c,
    flexibleWindowSeconds: _f,
    pauseOnFailure: _p,
    remainingRuns: _r,
    overrides: _o,
    metadata: _m,
    ...rest
  } = schedule;
  const window = overlay(schedule.window, patch.window as Window | null | undefined);
  const catchupWindowSeconds = overlay(schedule.catchupWindowSeconds, patch.catchupWindow);
  const flexibleWindowSeconds = overlay(schedule.flexibleWindowSeconds, patch.flexibleWindow);
  const pauseOnFailure = overlay(schedule.pauseOnFailure, patch.pauseOnFailure);
  const remainingRuns = overlay(schedule.remainingRuns, patch.remainingRuns);
  const overrides = overlay(schedule.overrides, patch.overrides as ScheduleRow['overrides'] | null | undefined);
  const metadata = overlay(schedule.metadata, patch.metadata);
  const cadence =
    patch.cadence === undefined ? schedule.cadence : acceptCadence(patch.cadence, window, now, schedule.cadence);
  const after: ScheduleRow = {
    ...rest,
    name: patch.name ?? schedule.name,
    cadence,
    ...(window !== undefined && { window }),
    overlapPolicy: patch.overlapPolicy ?? schedule.overlapPolicy,
    ...(catchupWindowSeconds !== undefined && { catchupWindowSeconds }),
    ...(flexibleWindowSeconds !== undefined && { flexibleWindowSeconds }),
    ...(pauseOnFailure !== undefined && { pauseOnFailure }),
    ...(remainingRuns !== undefined && { remainingRuns }),
    ...(overrides !== undefined && { overrides }),
    ...(metadata !== undefined && { metadata }),
    inputVersion: patch.input === undefined ? schedule.inputVersion : schedule.version + 1,
  };
  // A fire within the allowed skew may have decided a few seconds ahead: that does not come again.
  const from = Math.max(now, schedule.decidedThrough);
  const revives = schedule.status === 'completed' && after.remainingRuns !== 0 && hasFuture(cadence, window, from);
  const timesChange = !sameFields(cadence, schedule.cadence) || !sameFields(window, schedule.window);
  const specChanges = timesChange || flexibleWindowSeconds !== schedule.flexibleWindowSeconds;
  if (!specChanges && !(revives && patch.remainingRuns !== undefined)) return after;
  if (timesChange) refuseWithoutOccurrence(cadence, window, from);
  // A completed schedule that is given a future is active again, from now on.
  const status = revives ? 'active' : schedule.status;
  const next = revised(after, { ...specRow(after), from: now, active: status === 'active', by });
  return {
    ...next,
    status,
    ...(revives && { decidedThrough: Math.max(schedule.decidedThrough, now - 1) }),
  };
}
