/**
 * Limits: how many runs of an agent, and of a tenant, may be on their way or at work at once (design.md §5.2). A limit
 * has one counter and one item for each run that holds or waits for a place; where no limit is set there is neither.
 */
import type { AgentRow } from '../agents/model.ts';
import type { CoreConfig } from '../config.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import type { RowBase } from '../table/rows.ts';

export interface LimitRow extends RowBase {
  /** Runs that hold a place. Never more than the maximum that stood when the last of them was admitted. */
  readonly used: number;
  /** Counts all that was ever taken and given back: while it stands still, nobody has come or gone. */
  readonly moves?: number;
}

/** One run's place: `HOLD#` while it is admitted, `WAIT#` in the queue. */
export interface PlaceRow extends RowBase {
  readonly runId: string;
  readonly since: number;
}

/** How long a queued run may stand without a placement before the watchdog places it. */
export const PLACEMENT_GRACE_SECONDS = 20;

export type LimitScope = 'agent' | 'tenant';
/** What is counted: runs from their admission to their end, VMs from their launch until they are seen to be gone. */
export type LimitKind = 'runs' | 'vms';

export interface Limit {
  /** Key of the limit's items: `agent#agt_…`, `tenant#…`, `vms#agent#agt_…` or `vms#tenant#…`. */
  readonly id: string;
  readonly kind: LimitKind;
  readonly scope: LimitScope;
  readonly maximum: number;
}

export const waitingReason = (limit: Limit): string =>
  limit.kind === 'runs' ? `${limit.scope}_limit` : `${limit.scope}_vm_limit`;

const VMS = 'vms#';
export const agentLimitId = (agentId: string): string => `agent#${agentId}`;
export const agentVmLimitId = (agentId: string): string => `${VMS}agent#${agentId}`;
export const countsVms = (limitId: string): boolean => limitId.startsWith(VMS);

/** The limits that a new run of this agent falls under: runs first, then the VM that it may need; the narrowest first. */
export function limitsOf(config: CoreConfig, agent: Pick<AgentRow, 'id' | 'tenantId' | 'limits'>): readonly Limit[] {
  const { maxConcurrentRuns, maxConcurrentVms } = agent.limits ?? {};
  const of = (kind: LimitKind, scope: LimitScope, owner: string, maximum: number | undefined): readonly Limit[] =>
    maximum === undefined ? [] : [{ id: `${kind === 'vms' ? VMS : ''}${scope}#${owner}`, kind, scope, maximum }];
  return [
    ...of('runs', 'agent', agent.id, maxConcurrentRuns),
    ...of('runs', 'tenant', agent.tenantId, config.maxConcurrentRunsPerTenant),
    ...of('vms', 'agent', agent.id, maxConcurrentVms),
    ...of('vms', 'tenant', agent.tenantId, config.maxConcurrentVmsPerTenant),
  ];
}

/** First come, first served: by the time at which it was queued, then by id. */
export const waiterKey = (limitId: string, run: Pick<RunRow, 'id' | 'queuedAt'>) =>
  keys.limitWaiter(limitId, run.queuedAt, run.id);

/** Its placement follows at once; where it does not, the watchdog makes up for it, by its deadline at the latest. */
export const placedBy = (now: number, deadlineAt = Number.POSITIVE_INFINITY): number =>
  Math.min(now + PLACEMENT_GRACE_SECONDS * 1000, deadlineAt);
