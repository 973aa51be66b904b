/** The end of a VM: asked for, then observed. A request to terminate proves nothing; only an observation does. */
import type { Evidence } from '../contract/common.ts';
import { isTerminal } from '../contract/runs.ts';
import { freePlace } from '../limits/admit.ts';
import { admitWaiting } from '../limits/next.ts';
import type { InstanceObservation, Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import { finishRun } from '../runs/finish.ts';
import type { RunRow } from '../runs/model.ts';
import { tryAgain } from '../runs/tryAgain.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { changeVm, vmProof } from './change.ts';
import { drainIdle, wakeExecution } from './drain.ts';
import { type Slot, startNeverSent, type VmRow } from './model.ts';
import { verdictOfCancel } from './outcome.ts';

/** How long after a launch call without an answer its instance may still appear. */
// fence: looks.launchSettled
const LAUNCH_SETTLE_MS = 60_000;

/** Lets go of a VM that carries nothing: drains it, asks for its end, and looks. Does nothing while a slot is taken. */
export async function releaseVm(ports: Ports, vmId: string, why: string): Promise<'released' | 'in_use' | 'none'> {
  const drained = await drainIdle(ports, vmId, why);
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
 * Looks at a VM's instance and records its end if it was seen, in two looks where runs are on it (design.md §5.4): they are
 * tried again, or end, as {@link loseRun} says. A look that fails throws, and changes nothing.
 */
export async function observeVm(ports: Ports, vmId: string): Promise<InstanceObservation | undefined> {
  const seen = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
  if (seen === undefined || seen.status === 'terminated') return undefined;
  const lookedAt = ports.time.now();
  const look = () => ports.fleet.observe(vmId, seen.instanceId, seen.intent.openedAt);
  let observation = await look();
  // fence: looks.endTwice
  if (observation.status === 'terminated' && seen.slots.length > 0) observation = await look();
  // fence: fence.endSeen
  if (observation.status !== 'terminated') return observation;
  const now = ports.time.now();
  await closeVm(ports, seen, evidence('fleet', now, observation.detail), now);
  const ended = await commit<VmRow | undefined>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.status === 'terminated') return { done: undefined };
    // The launch has been answered since: this look was for another instance, or for any.
    // fence: looks.sameInstance
    if (vm.instanceId !== seen.instanceId) return { done: undefined };
    // By the slots as they stand now, not as they were before the look: a run may have been dispatched to it meanwhile.
    // The end of a run changes the VM's row, so the write below loses, and this is read and decided again.
    for (const slot of vm.slots) await loseRun(ports, vm, slot, observation, now);
    // A launch whose answer has not come may yet bring an instance: only a look that begins a while later settles it.
    const mayAppear = vm.instanceId === undefined && (vm.intent.open || vm.intent.unanswered === true);
    if (mayAppear && lookedAt - vm.intent.openedAt < LAUNCH_SETTLE_MS) return { done: undefined };
    const places = vm.places ?? [];
    const change = {
      status: 'terminated',
      evidence: evidence('fleet', now, observation.detail),
      deadlineAt: null,
      set: { terminatedAt: now, commands: [], slots: [], taskToken: undefined, places: undefined },
    } as const;
    return {
      writes: [
        ...changeVm(ports.config, vm, change, now, writer),
        ...places.flatMap((limitId) => freePlace(limitId, vm.id)),
      ],
      proof: vmProof(vm, change),
      result: vm,
    };
  });
  if (ended === undefined) return observation;
  tellLife(ports, ended, now);
  await wakeExecution(ports, ended);
  for (const limitId of ended.places ?? [])
    await admitWaiting(ports, limitId).catch((error: unknown) =>
      ports.log.warn('vm.places_not_passed_on', { vmId, limitId, error: String(error) }),
    );
  return observation;
}

/**
 * How a VM's life was spent: told by whoever's write ended it, so once; where that process dies just then, never. The row is
 * as it was before that write.
 */
function tellLife({ metrics }: Pick<Ports, 'metrics'>, vm: VmRow, now: number): void {
  const wholeMs = Math.max(0, now - vm.createdAt);
  const busyMs = Math.min(wholeMs, (vm.busyMs ?? 0) + (vm.busySince === undefined ? 0 : now - vm.busySince));
  metrics.put('VmSeconds', busyMs / 1000, { use: 'with_run' });
  metrics.put('VmSeconds', (wholeMs - busyMs) / 1000, { use: 'without_run' });
}

/** It takes no further run from here on: the places that the ends of its runs free are not to lead to a VM that is gone. */
export function closeVm(
  ports: Ports,
  { id, instanceId }: Pick<VmRow, 'id' | 'instanceId'>,
  found: Evidence,
  now: number,
): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(id)));
    if (vm?.status !== 'ready' || vm.slots.length === 0 || vm.instanceId !== instanceId) return { done: undefined };
    const deadlineAt = now + ports.config.drainSeconds * 1000;
    const change = { status: 'draining', evidence: found, deadlineAt, set: { drainingSince: now } } as const;
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: undefined };
  });
}

/** The end of a run whose VM was seen to be gone: another attempt where that is sure to be the first one at work, else `lost`. */
export async function loseRun(
  ports: Ports,
  vm: VmRow,
  slot: Slot,
  seen: Pick<InstanceObservation, 'detail'>,
  now: number,
): Promise<void> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(slot.runId)));
  if (run === undefined || isTerminal(run.status) || run.attempt !== slot.attempt) return;
  const found = evidence('fleet', now, seen.detail);
  const mayHaveStarted = run.startedAt !== undefined || !startNeverSent(vm, slot);
  const fault = { attempt: slot.attempt, reason: 'vm_terminated', evidence: found, mayHaveStarted };
  if ((await tryAgain(ports, run.id, fault)) !== undefined) return;
  const { cancel } = run;
  // Its end had been asked for: then that of its VM is the proof that the work is gone.
  const finished = await finishRun(
    ports,
    run.id,
    {
      ...(cancel === undefined
        ? mayHaveStarted
          ? { status: 'lost', reason: 'vm_terminated' }
          : { status: 'failed', reason: 'vm_lost_before_start' }
        : { ...verdictOfCancel(cancel.cause), reason: 'vm_terminated_after_cancel' }),
      evidence: found,
      ...(cancel !== undefined && { cancel: { ...cancel, processGoneAt: now, vmTerminatedAt: now } }),
    },
    { attempt: slot.attempt, version: run.version },
  );
  // It has changed since it was judged: it may have been cancelled.
  if (finished === undefined) await loseRun(ports, vm, slot, seen, now);
}
