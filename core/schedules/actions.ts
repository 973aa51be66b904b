import type { PrincipalCaller } from '../agents/service.ts';
import { isoSecond } from '../contract/common.ts';
import type { ScheduleBody } from '../contract/schedules.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition, requireVersion } from '../rules.ts';
import { cancelForDelete } from '../runs/cancelForDelete.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { changeSchedule, revised } from './change.ts';
import { syncClock } from './clockSync.ts';
import { deletionWrites } from './deletion.ts';
import { firstUndecided } from './expected.ts';
import { settleWholeBuffer } from './ledger.ts';
import type { ScheduleRow } from './model.ts';
import { bodyOf, loadLiveSchedule, loadSchedule, refuseRejected } from './service.ts';
import { withheldRange } from './withheld.ts';

/** Nothing is dispatched after this has been acknowledged, whatever is on its way (I4). */
export async function pauseSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  reason: string,
  precondition: Precondition,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
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
  return bodyOf(ports, await loadSchedule(ports, caller, scheduleId));
}

/**
 * Takes effect from now: what fell into the pause is recorded as one skipped range and never fires. Where nothing is to
 * come any more the schedule is `completed`.
 */
export async function resumeSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  precondition: Precondition,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.status === 'active') return { done: undefined };
    if (schedule.status !== 'paused') throw illegal(schedule, 'resumed');
    const now = ports.time.now();
    const { pause, ...unpaused } = schedule;
    const resumed: ScheduleRow = {
      ...revised(unpaused, revisionOf(schedule, now, true, caller)),
      decidedThrough: Math.max(schedule.decidedThrough, now - 1),
      skips: schedule.skips.filter((at) => at >= now),
      failureStreak: 0,
    };
    // Its time has passed in the pause: it has nothing to go on with, and says so.
    const status = firstUndecided(resumed) === undefined ? 'completed' : 'active';
    const after: ScheduleRow = { ...resumed, status };
    return {
      writes: [
        ...changeSchedule(
          ports,
          schedule,
          {
            type: status === 'active' ? 'schedule.resumed' : 'schedule.completed',
            after,
            by: caller.principalId,
            detail: { pausedSince: pause === undefined ? null : isoSecond(pause.at) },
          },
          now,
          writer,
        ),
        ...withheldRange(schedule, 'paused', now, writer),
      ],
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
  refuseRejected(await syncClock(ports, scheduleId));
  return bodyOf(ports, await loadSchedule(ports, caller, scheduleId));
}

const revisionOf = (schedule: ScheduleRow, now: number, active: boolean, caller: PrincipalCaller) => ({
  from: now,
  active,
  cadence: schedule.cadence,
  ...(schedule.window !== undefined && { window: schedule.window }),
  by: caller.principalId,
});

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
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
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
  const runs = live.map((id) => ({ tenantId: caller.tenantId, id }));
  await cancelForDelete(ports, runs, caller.principalId, 'schedule');
  return live.length === 0 ? 'deleted' : 'deleting';
}
