/** The audit's own rows: how far it has come, and what it found, for each tenant. Times are epoch milliseconds. */
import { AUDIT_KINDS, type AuditCounts, type AuditKind } from '../contract/system.ts';
import * as keys from '../table/itemKeys.ts';
import { type RowBase, SCHEMA_VERSION } from '../table/rows.ts';

export const STAGES = ['schedules', 'runs', 'vms', 'clocks', 'instances'] as const;
export type Stage = (typeof STAGES)[number];

export interface AuditFinding {
  readonly kind: AuditKind;
  readonly tenantId: string;
  readonly subject: string;
  readonly detail: string;
  readonly did?: string;
}

/** What looking at one thing came to. */
export interface Audited {
  readonly findings: readonly AuditFinding[];
  /** Occurrences that were compared. */
  readonly occurrences?: number;
}

export interface Checked {
  readonly schedules: number;
  readonly occurrences: number;
  readonly runs: number;
  readonly vms: number;
}

/** One at a time goes through everything; whoever calls goes on where the last call stopped. */
export interface AuditState extends RowBase {
  readonly cycle: number;
  readonly startedAt: number;
  readonly stage: Stage;
  readonly shard: number;
  readonly after?: string;
  /** Limits that this cycle has looked at. */
  readonly limits: readonly string[];
  readonly totals: AuditCounts;
  /** What this cycle could not look at. */
  readonly unread: number;
  /** The last cycle that was through. */
  readonly completed?: { readonly cycle: number; readonly startedAt: number; readonly endedAt: number };
  readonly version: number;
}

export interface TenantAudit {
  readonly cycle: number;
  readonly counts: AuditCounts;
  readonly checked: Checked;
  /** How often it came upon something that it could not look at; absent in rows from before it was kept. */
  readonly unread?: number;
  readonly findings: readonly (Omit<AuditFinding, 'tenantId'> & { readonly at: number })[];
}

/** What a cycle has found of a tenant so far, and what the one before it had found in the end. */
export interface TenantAuditRow extends RowBase, TenantAudit {
  readonly before?: TenantAudit;
}

/** More are counted, and not told one by one. */
export const FINDINGS_KEPT = 50;
/** For what belongs to no tenant: a clock without a row says no more than its name. */
export const NO_TENANT = 'system';

export const NO_COUNTS: AuditCounts = { missing: 0, double: 0, orphans: 0, leaks: 0, drifted: 0 };
export const NOTHING_CHECKED: Checked = { schedules: 0, occurrences: 0, runs: 0, vms: 0 };

export const countsOf = (findings: readonly Pick<AuditFinding, 'kind'>[], from: AuditCounts = NO_COUNTS): AuditCounts =>
  Object.fromEntries(
    AUDIT_KINDS.map((kind) => [kind, from[kind] + findings.filter((each) => each.kind === kind).length]),
  ) as unknown as AuditCounts;

/** Where a cycle begins. */
export const freshCycle = (now: number) =>
  ({ startedAt: now, stage: 'schedules', shard: 0, limits: [], totals: NO_COUNTS, unread: 0 }) as const;

export const firstState = (now: number): AuditState => ({
  ...keys.system('audit.state'),
  schemaVersion: SCHEMA_VERSION,
  tenantId: NO_TENANT,
  ...freshCycle(now),
  cycle: 1,
  version: 0,
});
