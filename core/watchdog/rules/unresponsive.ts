/**
 * A VM that is `unresponsive`: silent, while the fleet says that it runs. At its second deadline it is given up; but where no
 * VM at all is heard, its silence proves nothing, and only its end is looked for.
 */
import type { InstanceObservation } from '../../ports.ts';
import { evidence } from '../../runs/change.ts';
import { commit } from '../../table/commit.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import { changeVm, vmProof } from '../../vms/change.ts';
import { isSpared } from '../../vms/heard.ts';
import type { VmRow } from '../../vms/model.ts';
import { terminateVm } from '../../vms/release.ts';
import { isFirstOrder, moveCheck } from '../checks.ts';
import { isHolding, type RuleContext, rule, type View } from '../rule.ts';
import { isoOf, recordEnd } from './ready.ts';

type Decision =
  | { readonly do: 'give_up' | 'spare' }
  /** It is seen to be gone. */
  | { readonly do: 'record_end'; readonly because: string };

const isDue = (vm: VmRow, { now }: View): boolean => vm.deadlineAt === undefined || now >= vm.deadlineAt;

export const unresponsiveRule = rule<VmRow, InstanceObservation | undefined, Decision>({
  evidence: async (context, vm) =>
    isDue(vm, context) && !isHolding(context) && isSpared(vm, context)
      ? context.ports.fleet.observe(vm.id, vm.instanceId, vm.intent.openedAt)
      : undefined,
  decide: (vm, instance, view) => {
    if (!isDue(vm, view)) return { do: 'look_again', at: vm.deadlineAt ?? view.now };
    if (isHolding(view)) return { do: 'hold' };
    if (!isSpared(vm, view)) return { do: 'give_up' };
    return instance?.status === 'terminated' ? { do: 'record_end', because: instance.detail } : { do: 'spare' };
  },
  act: async (context, vm, decision) => {
    if (decision.do === 'record_end') return recordEnd(context, vm, decision.because);
    if (decision.do === 'spare') {
      const { ports, now, config, heard } = context;
      ports.log.warn('watchdog.silent_fleet', { vmId: vm.id, heardAt: isoOf(heard?.at) });
      await moveCheck(ports, vm, now + config.leaseSeconds * 1000);
      return [];
    }
    const because = `no heartbeat since ${isoOf(vm.lastHeartbeatAt)}`;
    if (!(await condemn(context, vm))) return [];
    await terminateVm(context.ports, vm);
    // Told here: until EC2 has carried it out it does not linger.
    await isFirstOrder(context.ports, vm, context.now);
    return [
      { rule: 'vm_unresponsive', subject: vm.id, did: 'terminated it: silent past its second deadline', because },
    ];
  },
});

/**
 * The durable word that the VM is given up, before its end is asked for. Where a heartbeat has come meanwhile it stays (I9),
 * even if it has fallen silent once more: that silence has a deadline of its own.
 */
function condemn({ ports, now }: RuleContext, seen: VmRow): Promise<boolean> {
  return commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(seen.id)));
    if (vm?.status !== 'unresponsive' || vm.deadlineAt !== seen.deadlineAt) return { done: false };
    const change = {
      status: 'draining',
      evidence: evidence('watchdog', now, `silent since ${isoOf(vm.lastHeartbeatAt)}: it is given up`),
      deadlineAt: now + ports.config.drainSeconds * 1000,
      // An order to drain waits for the work: it is over.
      set: { drainingSince: vm.drainingSince ?? now, drain: undefined },
    } as const;
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
  });
}
