/** What the opening of a launch's first intent writes: the VM's item, its places under limits, and the run's new status. */
import type { AgentRow, AgentVersionRow } from '../agents/model.ts';
import { countsVms, type Limit, type LimitRow, limitsOf } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import { changeRun, evidence } from '../runs/change.ts';
import { nextStatus } from '../runs/machine.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, LIST_SHARDS, lists, shardOf } from '../table/keys.ts';
import type { Write } from '../table/model.ts';
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
  return new CapacityUnavailable(detail, [{ code: detail }]);
}

export function newVm(
  ports: Ports,
  run: RunRow,
  agent: AgentVersionRow | undefined,
  places: readonly VmPlace[],
  intent: LaunchIntent,
  vmId: string,
  now: number,
): VmRow {
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
    checkAt: now + ports.config.watchdogIntervalSeconds * 1000,
  };
}

export function provisioningWrites(
  ports: Ports,
  run: RunRow,
  vmId: string,
  now: number,
  writer: string,
): readonly Write[] {
  const alreadyThere = nextStatus(run.status, 'provision').kind !== 'go';
  return changeRun(
    ports.config,
    run,
    {
      type: 'run.provisioning',
      ...(!alreadyThere && { status: 'provisioning' as const }),
      evidence: evidence('provision', now, `${vmId} is being launched`),
      // The promise is still the start deadline; entering the state must not make it look fresh.
      ...(run.deadlineAt !== undefined && { deadlineAt: run.deadlineAt }),
      set: {
        provisionedAt: now,
        // Whether its execution is still under way is looked at long before the deadline.
        checkAt: Math.min(
          now + ports.config.watchdogIntervalSeconds * 1000,
          run.deadlineAt ?? Number.POSITIVE_INFINITY,
        ),
        ...(run.waiting?.reason === 'retry_backoff' && { waiting: undefined }),
        // The VM holds them from here on.
        ...(run.vmLimited === true && { admitted: (run.admitted ?? []).filter((id) => !countsVms(id)) }),
      },
      detail: { vmId, attempt: run.attempt },
    },
    now,
    writer,
  );
}
