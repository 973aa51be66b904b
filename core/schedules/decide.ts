/** What becomes of one expected occurrence. Pure: the same rows and the same `now` give the same answer everywhere. */
import type { PrincipalRow } from '../access/principals.ts';
import type { AgentRow } from '../agents/model.ts';
import type { CoreConfig } from '../config.ts';
import type { ScheduleRow } from './model.ts';

export type Decision =
  | { readonly disposition: 'dispatched' }
  | { readonly disposition: 'skipped'; readonly reason: SkipReason; readonly blockingRunId?: string }
  | { readonly disposition: 'missed'; readonly reason: 'outside_catchup_window' };

export type SkipReason =
  | 'paused'
  | 'completed'
  | 'deleted'
  | 'unauthorized'
  | 'agent_deleted'
  | 'overlap'
  | 'too_many_live_runs';

export interface FireRows {
  readonly schedule: ScheduleRow;
  readonly principal: PrincipalRow | undefined;
  readonly agent: AgentRow | undefined;
}

export const catchupMs = (schedule: Pick<ScheduleRow, 'catchupWindowSeconds'>, config: CoreConfig): number =>
  (schedule.catchupWindowSeconds ?? config.catchupWindowSeconds) * 1000;

/**
 * The revision of the occurrence's time has said that it is expected; everything else is as it is now (design.md §5.1):
 * a pause, a delete or a revocation that has been acknowledged always wins over an occurrence that is still under way.
 */
export function decideOccurrence(config: CoreConfig, rows: FireRows, at: number, now: number): Decision {
  const { schedule, principal, agent } = rows;
  if (schedule.status === 'paused') return skipped('paused');
  if (schedule.status === 'completed') return skipped('completed');
  if (schedule.status !== 'active') return skipped('deleted');
  if (now - at > catchupMs(schedule, config)) return { disposition: 'missed', reason: 'outside_catchup_window' };
  if (principal === undefined || principal.status !== 'active' || principal.tenantId !== schedule.tenantId)
    return skipped('unauthorized');
  if (agent === undefined || agent.status !== 'active') return skipped('agent_deleted');
  const [blocking] = schedule.liveRuns;
  if (schedule.overlapPolicy === 'skip' && blocking !== undefined)
    return { disposition: 'skipped', reason: 'overlap', blockingRunId: blocking };
  if (schedule.liveRuns.length >= config.maxLiveRunsPerSchedule) return skipped('too_many_live_runs');
  return { disposition: 'dispatched' };
}

const skipped = (reason: SkipReason): Decision => ({ disposition: 'skipped', reason });
