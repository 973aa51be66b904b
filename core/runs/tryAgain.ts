/** The next attempt, and its placement at once where there is nothing to wait for; else the watchdog places it in time. */
import type { Ports } from '../ports.ts';
import type { RunRow } from './model.ts';
import { type Fault, nextAttempt } from './nextAttempt.ts';
import { placeRun } from './place.ts';

/** @returns as {@link nextAttempt} */
export async function tryAgain(ports: Ports, runId: string, fault: Fault): Promise<RunRow | undefined> {
  const run = await nextAttempt(ports, runId, fault);
  if (run !== undefined)
    await placeRun(ports, run).catch((error: unknown) =>
      ports.log.warn('attempt.not_placed', { runId, attempt: run.attempt, error: String(error) }),
    );
  return run;
}
