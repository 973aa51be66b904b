/** A VM that is `launching` or `booting`: let go where its run needs it no more, and recorded where its instance is gone. */
import { isTerminal } from '../../contract/runs.ts';
import type { InstanceObservation } from '../../ports.ts';
import type { RunRow } from '../../runs/model.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import type { VmRow } from '../../vms/model.ts';
import { observeVm, releaseVm } from '../../vms/release.ts';
import { backoff, byDeadline, isHolding, rule } from '../rule.ts';

interface Evidence {
  readonly run: RunRow | undefined;
  /** Absent before there is an instance to be looked at. */
  readonly instance?: InstanceObservation;
}
type Decision = { readonly do: 'release' } | { readonly do: 'record_end'; readonly because: string };

const LOOK_MAX_MS = 300_000;

export const unregisteredRule = rule<VmRow, Evidence, Decision>({
  evidence: async ({ ports }, vm) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(vm.purpose.runId)));
    // Before its launch was answered, nothing that carries its mark proves nothing.
    if (vm.instanceId === undefined || !isNeeded(vm, run)) return { run };
    return { run, instance: await ports.fleet.observe(vm.id, vm.instanceId, vm.intent.openedAt) };
  },
  decide: (vm, { run, instance }, view) => {
    if (!isNeeded(vm, run)) return { do: 'release' };
    if (instance?.status === 'terminated')
      return isHolding(view) ? { do: 'hold' } : { do: 'record_end', because: instance.detail };
    const leastMs = view.config.watchdogIntervalSeconds * 1000;
    const at = backoff(view.now, vm.createdAt, leastMs, LOOK_MAX_MS);
    return { do: 'look_again', at: byDeadline(vm, at, view.now) };
  },
  act: async ({ ports }, vm, decision) => {
    if (decision.do === 'release') {
      const because = `run ${vm.purpose.runId} needs it no more`;
      if ((await releaseVm(ports, vm.id, because)) !== 'released') return [];
      return [{ rule: 'vm_unneeded', subject: vm.id, did: 'released it', because }];
    }
    // It is looked at once more: only what is seen twice is gone.
    const again = await observeVm(ports, vm.id);
    if (again !== undefined && again.status !== 'terminated') return [];
    return [
      {
        rule: 'vm_died_booting',
        subject: vm.id,
        did: 'recorded its end, and woke who waits for it',
        because: decision.because,
      },
    ];
  },
});

/** A VM that was free may have taken the run meanwhile. */
export const isNeeded = (vm: VmRow, run: RunRow | undefined): run is RunRow =>
  run !== undefined &&
  !isTerminal(run.status) &&
  run.attempt === vm.purpose.attempt &&
  (run.vmId === undefined || run.vmId === vm.id);
