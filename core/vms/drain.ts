/** The beginning of a VM's end: it takes no further run, and with nothing left on it its runner is told to stop. */
import { type Reach, reached } from '../access/grants.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition } from '../rules.ts';
import { evidence } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, leaseEnd, rowAfter, vmProof, withCommand } from './change.ts';
import { isGivenUp, type VmRow } from './model.ts';
import { type HeldSlot, heldSlots, isToStay } from './slots.ts';
import { taskTokenOf } from './taskToken.ts';

/** Drains a VM that carries nothing. Does nothing while a slot is taken. */
export function drainIdle(ports: Ports, vmId: string, why: string): Promise<VmRow | 'in_use' | 'none'> {
  return commit<VmRow | 'in_use' | 'none'>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    // fence: table.vmGone
    if (vm === undefined || vm.status === 'terminated') return { done: 'none' };
    // fence: fence.notInUse
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
      result: rowAfter(vm, change),
    };
  });
}

/**
 * Drain by order: work that is on the VM goes on to its end, nothing new begins, and with the last of it the VM goes.
 * Repeating it is harmless.
 * @throws NotFound; CandorError `illegal_transition` for a VM that is gone
 */
export async function requestDrain(
  ports: Ports,
  caller: Reach & { readonly principalId: string },
  vmId: string,
  precondition: Precondition,
): Promise<VmRow> {
  const drained = await commit<VmRow>(ports, async (writer) => {
    const vm = reached(caller, asRow<VmRow>(await ports.store.get(keys.vm(vmId))), 'VM', vmId);
    honourVersion('VM', vmId, vm.version, precondition);
    if (vm.status === 'terminated')
      throw new CandorError('illegal_transition', `${vmId} has been seen to be gone: there is nothing to drain.`);
    if (vm.status === 'draining' || vm.drain !== undefined) return { done: vm };
    const now = ports.time.now();
    const idle = vm.slots.length === 0;
    const set = { drain: asValue({ requestedAt: now, requestedBy: caller.principalId }), drainingSince: now };
    const change = {
      status: 'draining',
      evidence: evidence('api', now, `${caller.principalId} asked for its drain`),
      // With work on it there is no end to promise yet: that is the work's own.
      ...(idle
        ? {
            deadlineAt: now + ports.config.drainSeconds * 1000,
            set: { ...set, ...withCommand(vm, { kind: 'stop-vm' }) },
          }
        : { deadlineAt: vm.leaseUntil ?? now, set }),
    } as const;
    return {
      writes: changeVm(ports.config, vm, change, now, writer),
      proof: vmProof(vm, change),
      result: { ...rowAfter(vm, change), version: vm.version + 1 },
    };
  });
  await wakeExecution(ports, drained);
  return drained;
}

export type GivenUp =
  /** Its end is to be asked for: nothing that is known to be well is on it, and nothing begins on it any more. */
  | { readonly kind: 'condemned'; readonly vm: VmRow }
  /** Other work on it is well: it takes nothing further, and is condemned once that has ended. */
  | { readonly kind: 'draining'; readonly now: boolean }
  /** The VM, or the run from it. */
  | { readonly kind: 'gone' };

/**
 * The durable word that a VM is given up because a run on it does not end: before its end is asked for, so that no run is
 * placed on a VM that is about to be terminated (I9).
 * @param now when that was judged, epoch milliseconds: what was spared then is not ended because this comes later
 */
export function giveUp(ports: Ports, vmId: string, runId: string, now: number): Promise<GivenUp> {
  return commit<GivenUp>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.status === 'terminated' || vm.slots.every((slot) => slot.runId !== runId))
      return { done: { kind: 'gone' } };
    const trustedUntil = leaseEnd(vm, ports.config);
    const isOther = (held: HeldSlot) => held.slot.runId !== runId && isToStay(ports.config, vm, held, now);
    const waits = now <= trustedUntil && (await heldSlots(ports, vm)).some(isOther);
    const drains = vm.status === 'draining';
    if (drains && waits) return { done: { kind: 'draining', now: false } };
    const why = `${runId} was told to end and has not`;
    const change = {
      ...(!drains && { status: 'draining' as const }),
      // What waited for the work promised no end.
      ...(!isGivenUp(vm) && { deadlineAt: waits ? trustedUntil : now + ports.config.drainSeconds * 1000 }),
      evidence: evidence('watchdog', now, waits ? `${why}: it takes nothing further` : `${why}: it is given up`),
      set: {
        drainingSince: vm.drainingSince ?? now,
        // An order to drain waits for the work: it is over.
        drain: waits ? asValue({ requestedAt: now, requestedBy: 'watchdog' }) : undefined,
      },
      // A lease that has run out is renewed by a heartbeat, which does not raise the version.
      guards: [guard('escalate.noHeartbeatSince', eq('heartbeatSeq', vm.heartbeatSeq))],
    };
    return {
      writes: changeVm(ports.config, vm, change, now, writer),
      proof: vmProof(vm, change),
      result: waits ? { kind: 'draining', now: true } : { kind: 'condemned', vm: rowAfter(vm, change) },
    };
  });
}

/**
 * The execution that waits for this VM goes on, finds it unfit, and gives its run another attempt. Where the run has the VM's
 * marker nobody waits; a registration alone does not say that: it may have been cut short before the dispatch.
 */
export async function wakeExecution(ports: Ports, vm: VmRow): Promise<void> {
  await ports.store
    .get(keys.run(vm.purpose.runId))
    .then((run) => (asRow<RunRow>(run)?.vmId === vm.id ? undefined : taskTokenOf(ports, vm)))
    .then((token) => token && ports.workflow.signal(token, { vmId: vm.id }))
    .catch((error: unknown) => ports.log.warn('vm.execution_not_woken', { vmId: vm.id, error: String(error) }));
}
