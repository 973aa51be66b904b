/**
 * The dispatch marker (design.md §5.4): one transaction says which VM may start which attempt, takes the VM's slot and
 * numbers the start command. A repeat by the same (attempt, VM) is success; anybody else has moved on.
 */
import { isTerminal } from '../contract/runs.ts';
import { freePlace } from '../limits/admit.ts';
import { countsVms } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import { commit } from '../table/commit.ts';
import { soonerLook } from '../table/deadline.ts';
import * as keys from '../table/itemKeys.ts';
import { guard, type Write } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, withCommand } from '../vms/change.ts';
import { freeVms, isFree, wantingEnds } from '../vms/free.ts';
import type { VmRow } from '../vms/model.ts';
import { changeRun, evidence, nextEventKey } from './change.ts';
import { runCreation } from './create.ts';
import { nextStatus } from './machine.ts';
import type { RunRow } from './model.ts';

export type Claim = 'claimed' | 'same' | 'moved_on' | 'vm_unfit';

export function claimDispatch(ports: Ports, runId: string, attempt: number, vmId: string): Promise<Claim> {
  return commit<Claim>(ports, async (writer) => {
    const [runItem, vmItem] = await ports.store.getMany([keys.run(runId), keys.vm(vmId)]);
    const run = asRow<RunRow>(runItem);
    const vm = asRow<VmRow>(vmItem);
    // fence: table.endedDispatch
    if (run === undefined || run.attempt !== attempt || isTerminal(run.status)) return { done: 'moved_on' };
    if (run.vmId !== undefined) return { done: run.vmId === vmId ? 'same' : 'moved_on' };
    if (nextStatus(run.status, 'dispatch').kind !== 'go') return { done: 'moved_on' };
    const now = ports.time.now();
    if (vm === undefined || !isFit(vm, run, now)) return { done: 'vm_unfit' };
    return {
      writes: claimWrites(ports, run, vm, now, writer),
      proof: nextEventKey(run),
      result: 'claimed',
    };
  });
}

function claimWrites(ports: Ports, run: RunRow, vm: VmRow, now: number, writer: string): readonly Write[] {
  const { id: runId, attempt } = run;
  // A place that was taken for a VM of its own goes back: this one stands there already.
  const places = (run.admitted ?? []).filter(countsVms);
  const change = {
    type: 'run.starting',
    status: 'starting',
    evidence: evidence('dispatch', now, `${vm.id} was told to start attempt ${attempt}`),
    // The start timeout runs until the process starts; a VM that came late gets one lease to start it.
    deadlineAt: Math.max(
      Math.max(run.attemptAt ?? 0, run.admittedAt ?? run.queuedAt) + run.startTimeoutSeconds * 1000,
      now + ports.config.leaseSeconds * 1000,
    ),
    set: {
      vmId: vm.id,
      dispatchedAt: now,
      waiting: undefined,
      ...(places.length > 0 && { admitted: (run.admitted ?? []).filter((id) => !countsVms(id)) }),
    },
    detail: { vmId: vm.id, attempt },
    guards: [guard('dispatch.noMarker', { op: 'hasNot', attribute: 'vmId' })],
  } as const;
  const leaseUntil = vm.leaseUntil ?? now;
  const slot = { runId, attempt, after: { generation: vm.generation, seq: vm.heartbeatSeq } };
  const taking = {
    ...(vm.idleSince !== undefined && { deadlineAt: leaseUntil }),
    set: {
      idleSince: undefined,
      ...(vm.idleSince !== undefined && { checkAt: soonerLook(vm.checkAt, leaseUntil) }),
      ...(vm.slots.length === 0 && { busySince: now }),
      slots: asValue([...vm.slots, slot]),
      ...withCommand(vm, { kind: 'start', runId, attempt }),
    },
  };
  return [
    ...changeRun(ports.config, run, change, now, writer),
    ...places.flatMap((limitId) => freePlace(limitId, runId)),
    ...wantingEnds(run),
    ...changeVm(ports.config, vm, taking, now, writer),
  ];
}

/** A free VM that a run of an occurrence may be given in the very transaction that creates it; one look, no second choice. */
export async function vmAtOnce(ports: Ports, run: RunRow, now: number): Promise<VmRow | undefined> {
  // Under a limit it needs its admission first.
  if (run.mayReuse !== true || run.limited === true || run.waiting !== undefined) return undefined;
  const [vmId] = await freeVms(ports, run, 1);
  const vm = vmId === undefined ? undefined : asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
  return vm !== undefined && isFit(vm, run, now) ? vm : undefined;
}

/**
 * Creation and dispatch as one: the row is put as the dispatch leaves it, beside the events of both. The guards on the
 * run's row as it was between them have nothing to guard: that nobody has created it says as much.
 */
export function dispatchedCreation(
  ports: Ports,
  run: RunRow,
  vm: VmRow,
  now: number,
  writer: string,
): readonly Write[] {
  const [put, ...queued] = runCreation(ports.config, run, writer);
  const [update, ...taken] = claimWrites(ports, run, vm, now, writer);
  if (put?.kind !== 'put' || update?.kind !== 'update') throw new Error('a creation is a put, a dispatch an update');
  return [{ ...put, item: { ...put.item, ...update.set } }, ...queued, ...taken];
}

/**
 * The VM that was launched for this attempt, with nothing on it yet; or one of the same tenant, agent and version that is
 * free and whose lease is fresh.
 */
function isFit(vm: VmRow, run: RunRow, now: number): boolean {
  if (vm.tenantId !== run.tenantId || vm.agentId !== run.agentId || vm.status !== 'ready') return false;
  const own = vm.purpose.runId === run.id && vm.purpose.attempt === run.attempt;
  if (own) return vm.drain === undefined && vm.slots.length < (vm.slotCount ?? 1);
  return isFree(vm) && vm.agentVersion === run.agentVersion && (vm.leaseUntil ?? 0) > now;
}
