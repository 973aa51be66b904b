/** pauseOnFailure: counts what was the agent's own fault; infrastructure, cancels and losses neither count nor clear. Pure. */
import type { Verdict } from '../runs/finish.ts';
import type { Pause, ScheduleRow } from './model.ts';

/** Verdicts that the agent's own work has brought about. */
const OWN_FAULTS = new Set(['exit_code', 'signal', 'out_of_memory', 'run_timeout', 'idle']);

export function streakAfter(streak: number, verdict: Pick<Verdict, 'status' | 'reason'>): number {
  if (verdict.status === 'succeeded') return 0;
  const own = (verdict.status === 'failed' || verdict.status === 'timed_out') && OWN_FAULTS.has(verdict.reason ?? '');
  return own ? streak + 1 : streak;
}

/** The pause that a failure brings about, if it does. */
export function failurePause(schedule: ScheduleRow, streak: number, now: number): Pause | undefined {
  const limit = schedule.pauseOnFailure?.consecutive;
  if (limit === undefined || streak < limit || streak <= schedule.failureStreak || schedule.status !== 'active')
    return undefined;
  return { kind: 'auto', reason: `${streak} failures in a row`, by: 'candor', at: now };
}
