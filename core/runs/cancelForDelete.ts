/** The runs of what has been deleted with them: cancelled by the request, and again by the fan-out of its event. */
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { cancelRun } from './cancel.ts';
import type { RunRow } from './model.ts';

/** One that cannot be cancelled just now does not hold up the others. @throws what the first such one threw */
export async function cancelForDelete(
  ports: Ports,
  runs: readonly Pick<RunRow, 'tenantId' | 'id'>[],
  by: string,
  what: 'agent' | 'schedule' = 'agent',
): Promise<void> {
  const failures: unknown[] = [];
  for (const run of runs)
    await cancelRun(ports, run, run.id, { by, reason: `the ${what} was deleted`, cause: 'request' }).catch(
      (error: unknown) => {
        // It ended by itself in between: then there is nothing to cancel.
        if (!(error instanceof CandorError && error.code === 'run_ended')) failures.push(error);
      },
    );
  if (failures.length > 0) throw failures[0];
}
