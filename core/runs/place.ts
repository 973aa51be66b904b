/** Place: a queued run gets its way to a VM (design.md §5.2). Repeating it is harmless. */
import type { Ports } from '../ports.ts';
import type { RunRow } from './model.ts';

/** Deterministic, so that any number of placements of one attempt start one execution. At most 80 characters, no colon. */
export const executionName = (runId: string, attempt: number): string => `${runId}-${attempt}`;

export async function placeRun(
  ports: Pick<Ports, 'workflow'>,
  run: Pick<RunRow, 'tenantId' | 'id' | 'attempt'>,
): Promise<'started' | 'exists'> {
  return ports.workflow.start(executionName(run.id, run.attempt), {
    tenantId: run.tenantId,
    runId: run.id,
    attempt: run.attempt,
  });
}
