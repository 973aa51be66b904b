/** What the watchdog does about VMs (design.md §5.9): a lease is judged by evidence, and only an observation ends a VM. */
import { isTerminal } from '../contract/runs.ts';
import { evidence } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { changeVm, vmProof } from '../vms/change.ts';
import { handOver } from '../vms/handOver.ts';
import type { VmRow } from '../vms/model.ts';
import { observeVm, releaseVm, terminateVm } from '../vms/release.ts';
import { dropCheck, moveCheck } from './checks.ts';
import type { Action, Rule, RuleContext } from './rule.ts';

export const vmRule: Rule<VmRow> = async (context, vm) => {
  switch (vm.status) {
    case 'terminated':
      await dropCheck(context.ports, vm);
      return undefined;
    case 'launching':
    case 'booting':
      return unregistered(context, vm);
    case 'ready':
      return ready(context, vm);
    case 'unresponsive':
      return unresponsive(context, vm);
    case 'draining':
      return draining(context, vm);
  }
};

/** A VM that never registered, and whose run needs it no more, is let go. */
async function unregistered({ ports, now }: RuleContext, vm: VmRow): Promise<Action | undefined> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(vm.purpose.runId)));
  const needed =
    run !== undefined &&
    !isTerminal(run.status) &&
    run.attempt === vm.purpose.attempt &&
    // A VM that was free may have taken the run meanwhile.
    (run.vmId === undefined || run.vmId === vm.id);
  if (needed) {
    await moveCheck(ports, vm, Math.max(run.deadlineAt ?? now, now) + ports.config.leaseSeconds * 1000);
    return undefined;
  }
  await releaseVm(ports, vm.id, `run ${vm.purpose.runId} needs it no more`);
  return { rule: 'vm_unneeded', subject: vm.id, did: 'released it' };
}

async function ready({ ports, now, holding }: RuleContext, vm: VmRow): Promise<Action | undefined> {
  const { config } = ports;
  const leaseEnd = (vm.leaseUntil ?? 0) + config.maxClockSkewSeconds * 1000;
  if (now <= leaseEnd) {
    const keptUntil = vm.idleSince === undefined ? undefined : vm.deadlineAt;
    if (vm.slots.length === 0 && keptUntil !== undefined && now < keptUntil) {
      await handOver(ports, vm);
      await moveCheck(ports, vm, Math.min(keptUntil, leaseEnd));
      return undefined;
    }
    if (vm.slots.length === 0) {
      await releaseVm(ports, vm.id, 'it carries no run');
      return { rule: 'vm_idle', subject: vm.id, did: 'released it' };
    }
    await moveCheck(ports, vm, leaseEnd);
    return undefined;
  }
  if (holding) return undefined;
  const observation = await observeVm(ports, vm.id);
  if (observation === undefined || observation.status === 'terminated')
    return { rule: 'vm_dead', subject: vm.id, did: 'recorded its observed end and that of its runs' };
  const silent = await markUnresponsive(ports, vm, observation.detail, now);
  return silent ? { rule: 'vm_silent', subject: vm.id, did: 'marked it unresponsive' } : undefined;
}

function markUnresponsive(ports: RuleContext['ports'], seen: VmRow, detail: string, now: number): Promise<boolean> {
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
    const change = {
      status: 'unresponsive',
      evidence: evidence('watchdog', now, `no heartbeat since ${isoOf(vm.lastHeartbeatAt)}, yet: ${detail}`),
      deadlineAt: now + ports.config.unresponsiveSeconds * 1000,
      set: { unresponsiveSince: now },
      guards: [guard('silent.noHeartbeatSince', eq('heartbeatSeq', vm.heartbeatSeq))],
    } as const;
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
  });
}

const isoOf = (time: number | undefined) => (time === undefined ? 'ever' : new Date(time).toISOString());

async function unresponsive({ ports, now, holding }: RuleContext, vm: VmRow): Promise<Action | undefined> {
  if (holding) return undefined;
  if (vm.deadlineAt !== undefined && now < vm.deadlineAt) {
    await moveCheck(ports, vm, vm.deadlineAt);
    return undefined;
  }
  if (!(await condemn(ports, vm, now))) return undefined;
  await terminateVm(ports, vm);
  return { rule: 'vm_unresponsive', subject: vm.id, did: 'terminated it: silent past its second deadline' };
}

/**
 * The durable word that the VM is given up, before its end is asked for. A heartbeat that came meanwhile has made it
 * `ready` again: then it stays (I9).
 */
function condemn(ports: RuleContext['ports'], seen: VmRow, now: number): Promise<boolean> {
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

async function draining({ ports, now, holding }: RuleContext, vm: VmRow): Promise<Action | undefined> {
  const leaseEnd = (vm.leaseUntil ?? 0) + ports.config.maxClockSkewSeconds * 1000;
  if (vm.slots.length > 0 && vm.drain !== undefined && now <= leaseEnd) {
    // A drain by order waits for the work that is on the VM, and that is well (I9).
    await moveCheck(ports, vm, leaseEnd);
    return undefined;
  }
  const observation = await observeVm(ports, vm.id);
  if (observation === undefined || observation.status === 'terminated') return undefined;
  if (vm.slots.length > 0 && vm.drain !== undefined) {
    if (holding) return undefined;
    const silent = await markUnresponsive(ports, vm, observation.detail, now);
    return silent ? { rule: 'vm_silent', subject: vm.id, did: 'marked it unresponsive' } : undefined;
  }
  if (vm.deadlineAt !== undefined && now < vm.deadlineAt) {
    await moveCheck(ports, vm, vm.deadlineAt);
    return undefined;
  }
  await terminateVm(ports, vm);
  await moveCheck(ports, vm, now + ports.config.drainSeconds * 1000);
  return { rule: 'vm_lingering', subject: vm.id, did: 'terminated it: it had not stopped by itself' };
}
