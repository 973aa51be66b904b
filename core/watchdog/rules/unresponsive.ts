/** A VM that is `unresponsive`: silent, while the fleet says that it runs. At its second deadline it is given up. */
import { evidence } from '../../runs/change.ts';
import { commit } from '../../table/commit.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import { changeVm, vmProof } from '../../vms/change.ts';
import type { VmRow } from '../../vms/model.ts';
import { terminateVm } from '../../vms/release.ts';
import { isHolding, noEvidence, type RuleContext, rule } from '../rule.ts';
import { isoOf } from './ready.ts';

export const unresponsiveRule = rule<VmRow, undefined, { readonly do: 'give_up' }>({
  evidence: noEvidence,
  decide: (vm, _none, view) => {
    if (vm.deadlineAt !== undefined && view.now < vm.deadlineAt) return { do: 'look_again', at: vm.deadlineAt };
    return isHolding(view) ? { do: 'hold' } : { do: 'give_up' };
  },
  act: async (context, vm) => {
    const because = `no heartbeat since ${isoOf(vm.lastHeartbeatAt)}`;
    if (!(await condemn(context, vm))) return [];
    await terminateVm(context.ports, vm);
    return [
      { rule: 'vm_unresponsive', subject: vm.id, did: 'terminated it: silent past its second deadline', because },
    ];
  },
});

/**
 * The durable word that the VM is given up, before its end is asked for. A heartbeat that came meanwhile has made it
 * `ready` again: then it stays (I9).
 */
function condemn({ ports, now }: RuleContext, seen: VmRow): Promise<boolean> {
  return commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(seen.id)));
    if (vm === undefined || vm.status !== 'unresponsive') return { done: false };
    const change = {
      status: 'draining',
      evidence: evidence('watchdog', now, `silent since ${isoOf(vm.lastHeartbeatAt)}: it is terminated`),
      deadlineAt: now + ports.config.drainSeconds * 1000,
      set: { drainingSince: now },
    } as const;
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
  });
}
