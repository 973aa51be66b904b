/** Reading VMs. */
import { isSeen, type Reach, reached } from '../access/grants.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import type { VmBody } from '../contract/runs.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { LIST_SHARDS, lists } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import type { VmRow } from './model.ts';

export async function getVm(ports: Ports, caller: Reach, vmId: string): Promise<VmBody> {
  const vm = reached(caller, asRow<VmRow>(await ports.store.get(keys.vm(vmId))), 'VM', vmId);
  return vmBody(vm, ports.time.now());
}

/** Newest first. */
export async function listVms(
  ports: Ports,
  caller: Reach,
  page: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<ListBody<VmBody>> {
  const partitions = Array.from({ length: LIST_SHARDS }, (_, shard) => lists.vms(caller.tenantId, shard));
  const found = await mergedPage<VmRow>(ports, partitions, page, (vm) => isSeen(caller, vm));
  const now = ports.time.now();
  return {
    items: found.rows.map((vm) => vmBody(vm, now)),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(now),
  };
}

export const vmBody = (vm: VmRow, now: number): VmBody => ({
  id: vm.id,
  agentId: vm.agentId,
  status: vm.status,
  ...(vm.instanceId !== undefined && { instanceId: vm.instanceId }),
  runs: vm.slots.map(({ runId, attempt }) => ({ runId, attempt })),
  slots: vm.slotCount ?? 1,
  ...(vm.idleSince !== undefined && { idleSince: isoTime(vm.idleSince) }),
  ...(vm.idleSince !== undefined &&
    vm.status === 'ready' &&
    vm.deadlineAt !== undefined && { warmUntil: isoTime(vm.deadlineAt) }),
  ...(vm.drain !== undefined && {
    drain: { requestedAt: isoTime(vm.drain.requestedAt), requestedBy: vm.drain.requestedBy },
  }),
  generation: vm.generation,
  ...(vm.leaseUntil !== undefined && { leaseUntil: isoTime(vm.leaseUntil) }),
  evidence: vm.evidence,
  createdAt: isoTime(vm.createdAt),
  ...(vm.terminatedAt !== undefined && { terminatedAt: isoTime(vm.terminatedAt) }),
  version: vm.version,
  asOf: isoTime(now),
});
