/** The execution that gets a run its VM: named after run and attempt, so that repeating the start is harmless. */
import type { Ports } from '../ports.ts';
import type { RunRow } from './model.ts';

/** Deterministic, so that any number of placements of one attempt start one execution. At most 80 characters, no colon. */
export const executionName = (runId: string, attempt: number): string => `${runId}-${attempt}`;

export async function startExecution(
  ports: Pick<Ports, 'workflow'>,
  run: Pick<RunRow, 'tenantId' | 'id' | 'attempt'>,
): Promise<'started' | 'exists'> {
  return ports.workflow.start(executionName(run.id, run.attempt), {
    tenantId: run.tenantId,
    runId: run.id,
    attempt: run.attempt,
  });
}
