/** What only the detail of one run tells: facts that stand in other items, read when somebody asks. */
import type { ArtifactBody, CancelBody } from '../contract/runs.ts';
import { isTerminal } from '../contract/runs.ts';
import { attemptVmId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { VmRow } from '../vms/model.ts';
import type { RunRow } from './model.ts';
import { payloadOf } from './payload.ts';

/** The files that the run has left, as its runner found and stored them. */
export async function artifactsOf(
  ports: Pick<Ports, 'store'>,
  run: RunRow,
): Promise<readonly ArtifactBody[] | undefined> {
  if (run.artifactCount === undefined) return undefined;
  return payloadOf(await ports.store.get(keys.runArtifacts(run.id))) as readonly ArtifactBody[] | undefined;
}

/**
 * What the run's VM cost after its end was asked for: until the VM was seen to be gone; or until the process was, where
 * the VM went on to other work, or was kept for it.
 */
export async function billedAfterCancel(
  ports: Pick<Ports, 'store' | 'time'>,
  run: RunRow,
): Promise<CancelBody['billed'] | undefined> {
  const { cancel } = run;
  if (cancel === undefined) return undefined;
  const vmId = run.vmId ?? attemptVmId(run.id, run.attempt, run.createdAt);
  const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
  const since = (at: number) => Math.max(0, Math.round((at - cancel.requestedAt) / 100) / 10);
  if (vm === undefined) return { seconds: 0, final: isTerminal(run.status) };
  const goneAt = cancel.processGoneAt;
  const wentOn = servedOthers(vm, run) || (vm.warmForSeconds ?? 0) > 0;
  if (goneAt !== undefined && wentOn && goneAt !== cancel.vmTerminatedAt)
    return { seconds: since(goneAt), final: true };
  return { seconds: since(vm.terminatedAt ?? ports.time.now()), final: vm.terminatedAt !== undefined };
}

/** Whether anything else than this run has kept the VM. */
const servedOthers = (vm: VmRow, run: RunRow): boolean =>
  vm.slots.some((slot) => slot.runId !== run.id) || (vm.lastRunId !== undefined && vm.lastRunId !== run.id);
