/** The beginning of a VM's end: it takes no further run, and with nothing left on it its runner is told to stop. */
import { CandorError, NotFound } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition } from '../rules.ts';
import { evidence } from '../runs/change.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, rowAfter, vmProof, withCommand } from './change.ts';
import type { VmRow } from './model.ts';

/** Drains a VM that carries nothing. Does nothing while a slot is taken. */
export function drainIdle(ports: Ports, vmId: string, why: string): Promise<VmRow | 'in_use' | 'none'> {
  return commit<VmRow | 'in_use' | 'none'>(ports, async (writer) => {
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
  caller: { readonly tenantId: string; readonly principalId: string },
  vmId: string,
  precondition: Precondition,
): Promise<VmRow> {
  const drained = await commit<VmRow>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.tenantId !== caller.tenantId) throw new NotFound('VM', vmId);
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

/** The execution that waits for this VM's registration goes on, finds the VM unfit, and gives its run another attempt. */
export async function wakeExecution(ports: Ports, vm: VmRow): Promise<void> {
  if (vm.taskToken === undefined || vm.registeredAt !== undefined) return;
  await ports.workflow
    .signal(vm.taskToken, { vmId: vm.id })
    .catch((error: unknown) => ports.log.warn('vm.execution_not_woken', { vmId: vm.id, error: String(error) }));
}
