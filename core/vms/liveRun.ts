/** What every state of the provisioning reads first: the run, if the attempt still wants a VM. */
import { isTerminal } from '../contract/runs.ts';
import { attemptVmId } from '../ids.ts';
import type { ExecutionInput, Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { RunMovedOn } from './stateErrors.ts';

/** @throws RunMovedOn where the run has ended, is at another attempt, or another VM's */
export async function liveRun(ports: Pick<Ports, 'store'>, input: ExecutionInput): Promise<RunRow> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(input.runId)));
  if (run === undefined || run.tenantId !== input.tenantId) throw new RunMovedOn(`there is no run ${input.runId}`);
  // fence: table.endedProvision
  if (isTerminal(run.status)) throw new RunMovedOn(`run ${run.id} has ended: ${run.status}`);
  if (run.attempt !== input.attempt) throw new RunMovedOn(`run ${run.id} is at attempt ${run.attempt}`);
  // fence: table.dispatchedProvision
  if (run.vmId !== undefined && run.vmId !== vmOf(run))
    throw new RunMovedOn(`run ${run.id} was dispatched to ${run.vmId}`);
  return run;
}

/** The VM that is launched for the present attempt. */
export const vmOf = (run: RunRow) => attemptVmId(run.id, run.attempt, run.createdAt);
