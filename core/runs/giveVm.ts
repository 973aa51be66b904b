/** A VM for a run that may begin: one of its agent's that is free, or else an execution that launches one (design.md §5.2). */
import { countsVms } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { freeVms } from '../vms/free.ts';
import { claimDispatch } from './dispatch.ts';
import { startExecution } from './execution.ts';
import type { RunRow } from './model.ts';

export interface Given {
  readonly placement: 'started' | 'exists';
  /** Limits on VMs under which the run held a place that it did not need: others may have it. */
  readonly freed: readonly string[];
}

/** More than one may be tried, as another run may be faster at each of them. */
const VMS_TRIED = 5;

export async function giveVm(ports: Ports, seen: RunRow): Promise<Given> {
  if (seen.mayReuse !== true) return { placement: await startExecution(ports, seen), freed: [] };
  // Its admission has changed a limited run since it was read.
  const run = seen.limited === true ? (asRow<RunRow>(await ports.store.get(keys.run(seen.id))) ?? seen) : seen;
  for (const vmId of await freeVms(ports, run, VMS_TRIED)) {
    const claim = await claimDispatch(ports, run.id, run.attempt, vmId);
    if (claim === 'claimed') return { placement: 'started', freed: (run.admitted ?? []).filter(countsVms) };
    if (claim !== 'vm_unfit') return { placement: 'exists', freed: [] };
  }
  return { placement: await startExecution(ports, run), freed: [] };
}
