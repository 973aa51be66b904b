import type { PrincipalCaller } from '../agents/service.ts';
import { isoSecond } from '../contract/common.ts';
import type { ScheduleBody } from '../contract/schedules.ts';
import { CandorError, InvalidRequest } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition, requireVersion } from '../rules.ts';
import { cancelRun } from '../runs/cancel.ts';
import { evidence } from '../runs/change.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { absent, guard } from '../table/model.ts';
import { asItem, SCHEMA_VERSION } from '../table/rows.ts';
import { changeSchedule, revised } from './change.ts';
import { syncClock } from './clockSync.ts';
import { deletionWrites } from './deletion.ts';
import { nextExpected, nextOfAny } from './expected.ts';
import { settleWholeBuffer } from './ledger.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';
import { bodyOf, loadLiveSchedule, loadSchedule, refuseRejected } from './service.ts';

/** Nothing is dispatched after this has been acknowledged, whatever is on its way (I4). */
export async function pauseSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  reason: string,
  precondition: Precondition,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.status === 'paused') return { done: undefined };
    if (schedule.status !== 'active') throw illegal(schedule, 'paused');
    const now = ports.time.now();
    const after: ScheduleRow = {
      ...revised(schedule, revisionOf(schedule, now, false, caller)),
      status: 'paused',
      pause: { kind: 'user', reason, by: caller.principalId, at: now },
      buffer: [],
    };
    return {
      writes: [
        ...settleWholeBuffer(schedule, 'paused', now),
        ...changeSchedule(
          ports,
          schedule,
          { type: 'schedule.paused', after, by: caller.principalId, detail: { reason } },
          now,
          writer,
        ),
      ],
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
  refuseRejected(await syncClock(ports, scheduleId));
  return bodyOf(ports, await loadSchedule(ports, caller.tenantId, scheduleId));
}

/** Takes effect from now: what fell into the pause is recorded as one skipped range and never fires. */
export async function resumeSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  precondition: Precondition,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.status === 'active') return { done: undefined };
    if (schedule.status !== 'paused') throw illegal(schedule, 'resumed');
    const now = ports.time.now();
    const { pause, ...unpaused } = schedule;
    const after: ScheduleRow = {
      ...revised(unpaused, revisionOf(schedule, now, true, caller)),
      status: 'active',
      decidedThrough: Math.max(schedule.decidedThrough, now - 1),
      failureStreak: 0,
    };
    if (nextExpected(after, now) === undefined)
      throw new InvalidRequest('Nothing is left to resume: the schedule has no future occurrence.', [
        { pointer: '/cadence', message: 'has no occurrence after now; change it first' },
      ]);
    const range = pausedRange(schedule, now, writer);
    return {
      writes: [
        ...changeSchedule(
          ports,
          schedule,
          {
            type: 'schedule.resumed',
            after,
            by: caller.principalId,
            detail: { pausedSince: pause === undefined ? null : isoSecond(pause.at) },
          },
          now,
          writer,
        ),
        ...(range === undefined
          ? []
          : [{ kind: 'put', item: asItem(range), guards: [guard('resume.rangeOnce', absent)] } as const]),
      ],
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
  refuseRejected(await syncClock(ports, scheduleId));
  return bodyOf(ports, await loadSchedule(ports, caller.tenantId, scheduleId));
}

const revisionOf = (schedule: ScheduleRow, now: number, active: boolean, caller: PrincipalCaller) => ({
  from: now,
  active,
  cadence: schedule.cadence,
  ...(schedule.window !== undefined && { window: schedule.window }),
  by: caller.principalId,
});

/** A pause of years with a minutely cadence is counted up to here, and said to be at least as many. */
const RANGE_COUNT_LIMIT = 100_000;

/** What fell into the pause, and what was due before it but had not been decided: a resume never fires into the past. */
function pausedRange(schedule: ScheduleRow, now: number, writer: string): OccurrenceRow | undefined {
  const first = nextOfAny(schedule, schedule.decidedThrough);
  if (first === undefined || first >= now) return undefined;
  let through = first;
  let count = 1;
  for (; count < RANGE_COUNT_LIMIT; count++) {
    const next = nextOfAny(schedule, through);
    if (next === undefined || next >= now) break;
    through = next;
  }
  const more = count === RANGE_COUNT_LIMIT ? ' (and more: counting stopped here)' : '';
  return {
    ...keys.occurrence(schedule.id, first),
    schemaVersion: SCHEMA_VERSION,
    tenantId: schedule.tenantId,
    scheduleId: schedule.id,
    at: first,
    ...(count > 1 && { through, count }),
    disposition: 'skipped',
    reason: 'paused',
    specVersion: schedule.specVersion,
    decidedAt: now,
    evidence: evidence('resume', now, `${count} occurrences fell into the pause${more}`),
    writer,
  };
}

export const illegal = (schedule: ScheduleRow, action: string) =>
  new CandorError('illegal_transition', `Schedule ${schedule.id} is ${schedule.status}, so it cannot be ${action}.`, {
    remedy:
      schedule.status === 'completed'
        ? 'Give it a cadence or window with a future occurrence first.'
        : 'Read the schedule again.',
    facts: { currentStatus: schedule.status },
  });

/**
 * @throws CandorError `live_runs` naming them, unless they are to be cancelled: then the schedule is `deleting` until the
 * last of them has ended
 */
export async function deleteSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  precondition: Precondition,
  options: { readonly cancelRuns: boolean },
): Promise<'deleted' | 'deleting'> {
  const live = await commit<readonly string[]>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    requireVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.liveRuns.length > 0 && !options.cancelRuns)
      throw new CandorError('live_runs', `Schedule ${scheduleId} has ${schedule.liveRuns.length} live runs.`, {
        remedy: 'Wait until they have ended, cancel them, or delete with ?cancelRuns=true.',
        facts: { runs: schedule.liveRuns.map((runId) => ({ runId })) },
      });
    const now = ports.time.now();
    return {
      writes: deletionWrites(ports, schedule, caller.principalId, now, writer),
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: schedule.liveRuns,
    };
  });
  await syncClock(ports, scheduleId);
  for (const runId of live)
    await cancelRun(ports, caller.tenantId, runId, {
      by: caller.principalId,
      reason: 'the schedule was deleted',
      cause: 'request',
    }).catch((error: unknown) => {
      // It ended by itself in between: then there is nothing to cancel.
      if (!(error instanceof CandorError && error.code === 'run_ended')) throw error;
    });
  return live.length === 0 ? 'deleted' : 'deleting';
}
