/**
 * cancel_other and terminate_other: the new run has been committed and waits; the others are told to end. That it waits,
 * and for whom, stands on the run: so a crash in between loses nothing, the watchdog tells them again.
 */
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { cancelRun } from '../runs/cancel.ts';
import type { RunRow } from '../runs/model.ts';
import { advanceSchedule } from './advance.ts';
import type { Displacement } from './decide.ts';

/** For whoever has been promised the run already: what goes wrong is the watchdog's to do again, and no failure of the request. */
export async function displaceOrLeave(ports: Ports, run: RunRow, displaces: Displacement): Promise<void> {
  try {
    await displace(ports, run, displaces);
  } catch (error) {
    ports.log.warn('displace.left_to_watchdog', { runId: run.id, error: String(error) });
  }
}

export async function displace(ports: Ports, run: RunRow, { runIds, how }: Displacement): Promise<void> {
  for (const runId of runIds) {
    const order = {
      by: run.id,
      reason: `displaced by ${run.displayName}`,
      cause: 'overlap',
      force: how === 'terminate',
    } as const;
    await cancelRun(ports, run, runId, order).catch((error: unknown) => {
      // It ended by itself in between: then it is out of the way.
      if (!(error instanceof CandorError && error.code === 'run_ended')) throw error;
    });
  }
  // Those that ended at once leave nobody to wait for.
  if (run.scheduleId !== undefined) await advanceSchedule(ports, run.scheduleId);
}
