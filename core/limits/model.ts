/**
 * Limits: how many runs of an agent, and of a tenant, may be on their way or at work at once (design.md §5.2). A limit
 * has one counter and one item for each run that holds or waits for a place; where no limit is set there is neither.
 */
import type { AgentRow } from '../agents/model.ts';
import type { CoreConfig } from '../config.ts';
import type { RunRow } from '../runs/model.ts';
import { keys } from '../table/keys.ts';
import type { RowBase } from '../table/rows.ts';

export interface LimitRow extends RowBase {
  /** Runs that hold a place. Never more than the maximum that stood when the last of them was admitted. */
  readonly used: number;
}

/** One run's place: `HOLD#` while it is admitted, `WAIT#` in the queue. */
export interface PlaceRow extends RowBase {
  readonly runId: string;
  readonly since: number;
}

/** How long a queued run may stand without a placement before the watchdog places it. */
export const PLACEMENT_GRACE_SECONDS = 20;

export type LimitScope = 'agent' | 'tenant';

export interface Limit {
  /** Key of the limit's items: `agent#agt_…` or `tenant#…`. */
  readonly id: string;
  readonly scope: LimitScope;
  readonly maximum: number;
}

export const waitingReason = { agent: 'agent_limit', tenant: 'tenant_limit' } as const;

export const agentLimitId = (agentId: string): string => `agent#${agentId}`;

/** The limits that a new run of this agent falls under, the narrowest first. */
export function limitsOf(config: CoreConfig, agent: Pick<AgentRow, 'id' | 'tenantId' | 'limits'>): readonly Limit[] {
  const ofAgent = agent.limits?.maxConcurrentRuns;
  const ofTenant = config.maxConcurrentRunsPerTenant;
  return [
    ...(ofAgent === undefined ? [] : [{ id: agentLimitId(agent.id), scope: 'agent', maximum: ofAgent } as const]),
    ...(ofTenant === undefined
      ? []
      : [{ id: `tenant#${agent.tenantId}`, scope: 'tenant', maximum: ofTenant } as const]),
  ];
}

/** First come, first served: by the time at which it was queued, then by id. */
export const waiterKey = (limitId: string, run: Pick<RunRow, 'id' | 'queuedAt'>) =>
  keys.limitWaiter(limitId, run.queuedAt, run.id);
