/**
 * What a VM that is gone has left of its runs' ends, where nobody is there any more to report it. It goes the way of a
 * heartbeat's reports: a live run gets its true end, a lost one its correction, once; what is fenced off changes nothing.
 */
import type { RegistryEntry } from '../contract/runner.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { VmRow } from './model.ts';
import { closeVm } from './release.ts';
import { takeReport } from './report.ts';

/**
 * To be told before the VM is called terminated: its end makes what is live on it lost. Telling it again is harmless.
 * @throws CandorError that is retryable: then it is to be told again
 */
export async function takeLeftOutcomes(ports: Ports, vmId: string, left: readonly RegistryEntry[]): Promise<void> {
  const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
  if (vm === undefined) return;
  const now = ports.time.now();
  // The slots that these ends free are not to be given to runs that would only be lost there.
  await closeVm(ports, vm, evidence('fleet', now, 'none of its processes is left'), now);
  for (const entry of left) {
    const run = asRow<RunRow>(await ports.store.get(keys.run(entry.runId)));
    if (run?.tenantId !== vm.tenantId) continue;
    await takeReport(ports, vm, run, entry, false).catch((error: unknown) => {
      if (error instanceof CandorError && error.retryable) throw error;
      // It would be refused for ever, and the VM with it.
      const { runId, attempt, state } = entry;
      ports.log.error('vm.left_outcome_not_taken', { vmId, runId, attempt, state, error: String(error) });
    });
  }
}
