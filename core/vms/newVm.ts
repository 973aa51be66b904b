/** A VM's first row: what its run's agent asks for, with the places under limits that it holds from then on. */
import type { AgentRow, AgentVersionRow } from '../agents/model.ts';
import { countsVms, type Limit, type LimitRow, limitsOf } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import { checkPartition, keys, LIST_SHARDS, lists, shardOf } from '../table/keys.ts';
import { asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { CapacityUnavailable } from './launchErrors.ts';
import type { LaunchIntent, VmRow } from './model.ts';

export type VmPlace = Limit & { readonly held: boolean };

/**
 * The limits on VMs that a new one falls under: those under which its run holds a place pass it on. Where the run was let
 * in because a VM was free, and another run has taken that one, a place is taken now.
 * @throws CapacityUnavailable where none is free: the state machine tries again
 */
export async function placesFor(ports: Ports, run: RunRow): Promise<readonly VmPlace[]> {
  if (run.vmLimited !== true) return [];
  const agent = asRow<AgentRow>(await ports.store.get(keys.agent(run.agentId)));
  const standing = agent === undefined ? [] : limitsOf(ports.config, agent).filter((limit) => limit.kind === 'vms');
  const held = (run.admitted ?? []).filter(countsVms);
  // A limit that was lifted meanwhile has its place passed on too: whoever holds one gives it back.
  const lifted = held.filter((id) => !standing.some((limit) => limit.id === id));
  const places: VmPlace[] = lifted.map((id) => ({ id, kind: 'vms', scope: 'agent', maximum: 0, held: true }));
  for (const limit of standing) {
    const holds = held.includes(limit.id);
    const row = holds ? undefined : asRow<LimitRow>(await ports.store.get(keys.limit(limit.id)));
    if ((row?.used ?? 0) >= limit.maximum) throw noPlace(limit);
    places.push({ ...limit, held: holds });
  }
  return places;
}

function noPlace(limit: Limit): CapacityUnavailable {
  const detail = `${limit.maximum} VMs of this ${limit.scope} exist, which is the limit`;
  return new CapacityUnavailable(detail, [detail]);
}

export function newVm(
  ports: Ports,
  run: RunRow,
  agent: AgentVersionRow | undefined,
  places: readonly VmPlace[],
  vmId: string,
  intent: LaunchIntent,
): VmRow {
  const now = intent.openedAt;
  return {
    ...keys.vm(vmId),
    schemaVersion: SCHEMA_VERSION,
    tenantId: run.tenantId,
    id: vmId,
    agentId: run.agentId,
    agentVersion: run.agentVersion,
    slotCount: agent?.slots ?? 1,
    reuse: agent?.reuse ?? 'same_agent',
    warmForSeconds: agent?.warmFor ?? 0,
    ...(agent?.requirements !== undefined && { requirements: agent.requirements }),
    ...(agent?.image !== undefined && { image: agent.image }),
    ...(places.length > 0 && { places: places.map((place) => place.id) }),
    status: 'launching',
    intent,
    purpose: { runId: run.id, attempt: run.attempt },
    slots: [],
    generation: 0,
    heartbeatSeq: 0,
    commandCount: 0,
    commands: [],
    evidence: evidence('provision', now, `a launch was asked for, for run ${run.id} attempt ${run.attempt}`),
    createdAt: now,
    version: 1,
    deadlineAt: run.deadlineAt ?? now + run.startTimeoutSeconds * 1000,
    listIn: lists.vms(run.tenantId, shardOf(vmId, LIST_SHARDS)),
    listAt: `${String(now).padStart(14, '0')}#${vmId}`,
    checkIn: checkPartition('VM', shardOf(vmId, ports.config.checkShards)),
    checkAt: run.deadlineAt ?? now + run.startTimeoutSeconds * 1000,
  };
}
