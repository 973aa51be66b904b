/** A VM for a run that may begin: one of its agent's that is free, or else an execution that launches one (design.md §5.2). */
import type { LetIn } from '../limits/admit.ts';
import { countsVms } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import { freeVms } from '../vms/free.ts';
import { claimDispatch } from './dispatch.ts';
import { startExecution } from './execution.ts';

export interface Given {
  readonly placement: 'started' | 'exists';
  /** Limits on VMs under which the run held a place that it did not need: others may have it. */
  readonly freed: readonly string[];
}

/** More than one may be tried, as another run may be faster at each of them. */
const VMS_TRIED = 5;

/** @param run as it was let in. It is not read anew: a later attempt would need an admission of its own */
export async function giveVm(ports: Ports, run: LetIn): Promise<Given> {
  for (const vmId of run.mayReuse === true ? await freeVms(ports, run, VMS_TRIED) : []) {
    const claim = await claimDispatch(ports, run.id, run.attempt, vmId);
    if (claim === 'claimed') return { placement: 'started', freed: (run.admitted ?? []).filter(countsVms) };
    if (claim !== 'vm_unfit') return { placement: 'exists', freed: [] };
  }
  return { placement: await startExecution(ports, run), freed: [] };
}
