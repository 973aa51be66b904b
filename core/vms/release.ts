/** The end of a VM: asked for, then observed. A request to terminate proves nothing; only an observation does. */
import { isTerminal } from '../contract/runs.ts';
import type { InstanceObservation, Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import { finishRun } from '../runs/finish.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { changeVm, vmProof, withCommand } from './change.ts';
import type { VmRow } from './model.ts';

/** How long after a launch call without an answer its instance may still appear. */
const LAUNCH_SETTLE_MS = 60_000;

/** Lets go of a VM that carries nothing: drains it, asks for its end, and looks. Does nothing while a slot is taken. */
export async function releaseVm(ports: Ports, vmId: string, why: string): Promise<'released' | 'in_use' | 'none'> {
  const drained = await commit<VmRow | 'in_use' | 'none'>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.status === 'terminated') return { done: 'none' };
    if (vm.slots.length > 0) return { done: 'in_use' };
    if (vm.status === 'draining') return { done: vm };
    const now = ports.time.now();
    const change = {
      status: 'draining',
      evidence: evidence('release', now, why),
      deadlineAt: now + ports.config.drainSeconds * 1000,
      set: { ...withCommand(vm, { kind: 'stop-vm' }), drainingSince: now },
    } as const;
    return {
      writes: changeVm(ports.config, vm, change, now, writer),
      proof: vmProof(vm, change),
      result: { ...vm, status: 'draining' },
    };
  });
  if (typeof drained === 'string') return drained;
  await terminateVm(ports, drained);
  return 'released';
}

/** Asks for the end of the instances, then looks once; the watchdog looks again until they are gone. */
export async function terminateVm(ports: Ports, vm: VmRow): Promise<void> {
  await ports.fleet.terminate(vm.id, vm.instanceId);
  await observeVm(ports, vm.id);
}

/**
 * Looks at a VM's instance and records its end if it was seen. Runs that it still carried are `lost`: their evidence
 * ended with it. A look that fails throws, and changes nothing.
 */
export async function observeVm(ports: Ports, vmId: string): Promise<InstanceObservation | undefined> {
  const seen = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
  if (seen === undefined || seen.status === 'terminated') return undefined;
  const observation = await ports.fleet.observe(vmId, seen.instanceId);
  if (observation.status !== 'terminated') return observation;
  const now = ports.time.now();
  await commit<void>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.status === 'terminated') return { done: undefined };
    // By the slots as they stand now, not as they were before the look: a run may have been dispatched to it meanwhile.
    // The end of a run changes the VM's row, so the write below loses, and this is read and decided again.
    for (const slot of vm.slots) await loseRun(ports, slot.runId, slot.attempt, observation, now);
    // A launch whose answer has not come may yet bring an instance: only a second look, after a while, settles it.
    if (vm.intent.open && vm.instanceId === undefined && now - vm.intent.openedAt < LAUNCH_SETTLE_MS)
      return { done: undefined };
    const change = {
      status: 'terminated',
      evidence: evidence('fleet', now, observation.detail),
      deadlineAt: null,
      set: { terminatedAt: now, commands: [], slots: [], taskToken: undefined },
    } as const;
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: undefined };
  });
  return observation;
}

async function loseRun(
  ports: Ports,
  runId: string,
  attempt: number,
  seen: InstanceObservation,
  now: number,
): Promise<void> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
  if (run === undefined || isTerminal(run.status)) return;
  const { cancel } = run;
  // The VM was ended because the cancel got no answer: then its end is the proof that the work is gone.
  const escalated = cancel !== undefined;
  await finishRun(
    ports,
    runId,
    {
      status: escalated ? (cancel.cause === 'timeout' ? 'timed_out' : 'cancelled') : 'lost',
      reason: escalated ? 'vm_terminated_after_cancel' : 'vm_terminated',
      evidence: evidence('fleet', now, seen.detail),
      ...(cancel !== undefined && { cancel: { ...cancel, processGoneAt: now, vmTerminatedAt: now } }),
    },
    { attempt },
  );
}
