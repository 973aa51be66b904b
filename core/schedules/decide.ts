/** What becomes of one expected occurrence. Pure: the same rows and the same `now` give the same answer everywhere. */
import { isAtLeast, roleOver } from '../access/grants.ts';
import { TO_RUN } from '../access/operations.ts';
import { grantsOf, type PrincipalRow } from '../access/principals.ts';
import type { AgentRow } from '../agents/model.ts';
import type { CoreConfig } from '../config.ts';
import { secondShowing } from './expected.ts';
import type { ScheduleRow } from './model.ts';

export type Decision =
  | { readonly disposition: 'dispatched'; readonly displaces?: Displacement }
  | { readonly disposition: 'buffered'; readonly blockingRunId?: string }
  | { readonly disposition: 'skipped'; readonly reason: SkipReason; readonly blockingRunId?: string }
  | { readonly disposition: 'missed'; readonly reason: 'outside_catchup_window' };

/** The new run waits until these have ended, and they are told to end. */
export interface Displacement {
  readonly runIds: readonly string[];
  readonly how: 'cancel' | 'terminate';
}

export type SkipReason =
  | 'paused'
  | 'completed'
  | 'deleted'
  | 'skipped_by_request'
  | 'unauthorized'
  | 'agent_deleted'
  | 'overlap'
  | 'buffer_full'
  | 'no_remaining_runs'
  | 'too_many_live_runs';

export interface FireRows {
  readonly schedule: ScheduleRow;
  readonly principal: PrincipalRow | undefined;
  readonly agent: AgentRow | undefined;
}

/** More than this many waiting occurrences are skipped: the buffer is embedded in the row. */
export const BUFFER_LIMIT = 50;

export const flexibleMs = (schedule: Pick<ScheduleRow, 'flexibleWindowSeconds'>): number =>
  (schedule.flexibleWindowSeconds ?? 0) * 1000;

/** How late an occurrence may be decided and still run: the catch-up window counts from the end of the flexible one. */
export const catchupMs = (
  schedule: Pick<ScheduleRow, 'catchupWindowSeconds' | 'flexibleWindowSeconds'>,
  config: CoreConfig,
): number => (schedule.catchupWindowSeconds ?? config.catchupWindowSeconds) * 1000 + flexibleMs(schedule);

/** A local time that comes twice may rightly be delivered the second time: it is late only when that is long ago too. */
export function isTooLate(config: CoreConfig, schedule: ScheduleRow, at: number, now: number): boolean {
  const limit = catchupMs(schedule, config);
  return now - at > limit && now - (secondShowing(schedule, at) ?? at) > limit;
}

/**
 * The revision of the occurrence's time has said that it is expected; everything else is as it is now (design.md §5.1). A
 * pause or a delete that has been acknowledged always wins over an occurrence that is still under way: the transaction is
 * guarded by the schedule's version. A revocation, or the end of an agent, wins if it was acknowledged before this decision
 * read the row; one that comes between that read and the commit meets the next occurrence. A condition on the principal
 * would make its one item take part in every fire of everything that it has created.
 */
export function decideOccurrence(config: CoreConfig, rows: FireRows, at: number, now: number): Decision {
  const { schedule } = rows;
  const stopped = statusReason(schedule);
  if (stopped !== undefined) return skipped(stopped);
  if (schedule.skips.includes(at)) return skipped('skipped_by_request');
  if (isTooLate(config, schedule, at, now)) return { disposition: 'missed', reason: 'outside_catchup_window' };
  const refused = accessReason(rows);
  if (refused !== undefined) return skipped(refused);
  if (schedule.remainingRuns !== undefined && schedule.buffer.length >= schedule.remainingRuns)
    return skipped('no_remaining_runs');
  return overlapDecision(config, schedule);
}

/** Why a schedule that is not active starts nothing. */
export function statusReason(schedule: Pick<ScheduleRow, 'status'>): SkipReason | undefined {
  switch (schedule.status) {
    case 'active':
      return undefined;
    case 'paused':
      return 'paused';
    case 'completed':
      return 'completed';
    case 'deleting':
    case 'deleted':
      return 'deleted';
  }
}

/** Whether the creator may still have this run: asked at every fire, and again when a buffered occurrence gets its turn. */
export function accessReason({ schedule, principal, agent }: FireRows): SkipReason | undefined {
  if (principal === undefined || principal.status !== 'active' || principal.tenantId !== schedule.tenantId)
    return 'unauthorized';
  if (!isAtLeast(roleOver(grantsOf(principal), schedule.agentId), TO_RUN)) return 'unauthorized';
  if (agent === undefined || agent.status !== 'active') return 'agent_deleted';
  return undefined;
}

function overlapDecision(config: CoreConfig, schedule: ScheduleRow): Decision {
  const { liveRuns, buffer } = schedule;
  const [blocking] = liveRuns;
  const busy = blocking !== undefined || buffer.length > 0;
  const because = blocking === undefined ? {} : { blockingRunId: blocking };
  const full = liveRuns.length >= config.maxLiveRunsPerSchedule;
  switch (schedule.overlapPolicy) {
    case 'skip':
      return busy ? { disposition: 'skipped', reason: 'overlap', ...because } : { disposition: 'dispatched' };
    case 'buffer_one':
    case 'buffer_all': {
      if (!busy) return { disposition: 'dispatched' };
      const limit = schedule.overlapPolicy === 'buffer_one' ? 1 : BUFFER_LIMIT;
      return buffer.length >= limit
        ? { disposition: 'skipped', reason: 'buffer_full', ...because }
        : { disposition: 'buffered', ...because };
    }
    case 'cancel_other':
    case 'terminate_other':
      if (full) return { ...skipped('too_many_live_runs'), ...because };
      return blocking === undefined
        ? { disposition: 'dispatched' }
        : {
            disposition: 'dispatched',
            displaces: { runIds: liveRuns, how: schedule.overlapPolicy === 'cancel_other' ? 'cancel' : 'terminate' },
          };
    case 'allow_all':
      return full ? { ...skipped('too_many_live_runs'), ...because } : { disposition: 'dispatched' };
  }
}

const skipped = (reason: SkipReason) => ({ disposition: 'skipped', reason }) as const;
