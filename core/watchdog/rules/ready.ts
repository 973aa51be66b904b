/** A VM that is `ready`: its lease is judged by evidence, and it carries what runs say that it carries. */
import type { InstanceObservation, Ports } from '../../ports.ts';
import { evidence } from '../../runs/change.ts';
import type { RunRow } from '../../runs/model.ts';
import { commit } from '../../table/commit.ts';
import * as keys from '../../table/itemKeys.ts';
import { guard } from '../../table/model.ts';
import { asRow } from '../../table/rows.ts';
import { changeVm, leaseEnd, vmProof } from '../../vms/change.ts';
import { handOver } from '../../vms/handOver.ts';
import type { VmRow } from '../../vms/model.ts';
import { observeVm, releaseVm } from '../../vms/release.ts';
import { moveCheck } from '../checks.ts';
import { leakedSlots, repairVm } from '../repairVm.ts';
import { type Action, isHolding, type RuleContext, rule } from '../rule.ts';
import { isNeeded } from './unregistered.ts';

interface Evidence {
  /** Runs whose slots it holds for nothing. */
  readonly leaked: readonly string[];
  /** The run that it was launched for waits for it still: it has just registered, and is about to get it. */
  readonly awaited: boolean;
  /** Asked for where its lease has run out. */
  readonly instance?: InstanceObservation;
}
type Decision =
  | { readonly do: 'free_slots'; readonly runIds: readonly string[] }
  | { readonly do: 'hand_over'; readonly until: number }
  | { readonly do: 'release' }
  | { readonly do: 'record_end' | 'mark_silent'; readonly because: string };

export const readyRule = rule<VmRow, Evidence, Decision>({
  evidence: async (context, vm) => {
    const { ports, now } = context;
    const leaked = await leakedSlots(ports, vm);
    const found = { leaked, awaited: await isAwaited(ports, vm) };
    if (now <= leaseEnd(vm, context.config) || isHolding(context)) return found;
    return { ...found, instance: await ports.fleet.observe(vm.id, vm.instanceId, vm.intent.openedAt) };
  },
  decide: (vm, { leaked, awaited, instance }, view) => {
    if (leaked.length > 0) return { do: 'free_slots', runIds: leaked };
    const end = leaseEnd(vm, view.config);
    if (view.now > end) {
      if (instance === undefined) return { do: 'hold' };
      return { do: instance.status === 'terminated' ? 'record_end' : 'mark_silent', because: instance.detail };
    }
    // Where its registration was cut short before that, the runner registers again; and if it does not, its lease tells.
    if (vm.slots.length > 0 || awaited) return { do: 'look_again', at: end };
    const keptUntil = vm.idleSince === undefined ? undefined : vm.deadlineAt;
    return keptUntil !== undefined && view.now < keptUntil
      ? { do: 'hand_over', until: Math.min(keptUntil, end) }
      : { do: 'release' };
  },
  act: async (context, vm, decision) => {
    const { ports } = context;
    switch (decision.do) {
      case 'free_slots':
        return repairVm(context, vm, decision.runIds);
      case 'hand_over':
        await handOver(ports, vm);
        await moveCheck(ports, vm, decision.until);
        return [];
      case 'release': {
        const because = 'it carries no run';
        const released = await releaseVm(ports, vm.id, because);
        // A run took it meanwhile. Or it was kept warm and its time is over: it goes as it was meant to.
        if (released !== 'released' || vm.idleSince !== undefined) return [];
        return [{ rule: 'vm_idle', subject: vm.id, did: 'released it', because }];
      }
      case 'record_end':
        return recordEnd(context, vm, decision.because);
      case 'mark_silent':
        return markSilent(context, vm, decision.because);
    }
  },
});

/** Only one that has carried no run yet; the run is read after the VM, so a dispatch in between is seen. */
async function isAwaited(ports: Pick<Ports, 'store'>, vm: VmRow): Promise<boolean> {
  if (vm.slots.length > 0 || vm.idleSince !== undefined) return false;
  return isNeeded(vm, asRow<RunRow>(await ports.store.get(keys.run(vm.purpose.runId))));
}

/** It is looked at once more: only what is seen twice is gone. */
export async function recordEnd({ ports }: RuleContext, vm: VmRow, because: string): Promise<readonly Action[]> {
  const again = await observeVm(ports, vm.id);
  if (again !== undefined && again.status !== 'terminated') return [];
  return [{ rule: 'vm_dead', subject: vm.id, did: 'recorded its observed end and that of its runs', because }];
}

export async function markSilent(context: RuleContext, vm: VmRow, detail: string): Promise<readonly Action[]> {
  const silent = await markUnresponsive(context, vm, detail);
  const because = `no heartbeat since ${isoOf(vm.lastHeartbeatAt)}, yet: ${detail}`;
  return silent ? [{ rule: 'vm_silent', subject: vm.id, did: 'marked it unresponsive', because }] : [];
}

function markUnresponsive({ ports, now }: RuleContext, seen: VmRow, detail: string): Promise<boolean> {
  return commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(seen.id)));
    const atWork = vm?.status === 'draining' && vm.drain !== undefined && vm.slots.length > 0;
    // A heartbeat came while we looked: then it is not silent. Or its end was seen: that is final.
    if (
      vm === undefined ||
      (vm.status !== 'ready' && !atWork) ||
      vm.heartbeatSeq !== seen.heartbeatSeq ||
      vm.generation !== seen.generation
    )
      return { done: false };
    // Drained by order in its silence, it is as silent as before.
    const { unresponsiveSince = 0, leaseUntil = 0 } = vm;
    const since = unresponsiveSince > leaseUntil ? unresponsiveSince : now;
    const change = {
      status: 'unresponsive',
      evidence: evidence('watchdog', now, `no heartbeat since ${isoOf(vm.lastHeartbeatAt)}, yet: ${detail}`),
      deadlineAt: since + ports.config.unresponsiveSeconds * 1000,
      set: { unresponsiveSince: since },
      guards: [guard('silent.noHeartbeatSince', { op: 'eq', attribute: 'heartbeatSeq', value: vm.heartbeatSeq })],
    } as const;
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
  });
}

export const isoOf = (time: number | undefined): string => (time === undefined ? 'ever' : new Date(time).toISOString());
