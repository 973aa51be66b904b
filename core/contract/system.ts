/** What the system says of itself: its parts, and the last audit. Status only: nothing here can be written. */

/**
 * `alive`: its last proof is as fresh as it promised. `silent`: it promised another one, and none came. `seen`: it gave
 * proof once and promises nothing (it works when there is work). `unknown`: it has never published anything.
 */
export type PartStatus = 'alive' | 'silent' | 'seen' | 'unknown';

/** One part, by what it published itself. */
export interface PartBody {
  readonly name: string;
  /** Who does this work: the process or function that published last. Absent where none ever did. */
  readonly owner?: string;
  readonly status: PartStatus;
  readonly lastProofAt?: string;
  /** The next proof is due this long after the last one. */
  readonly promisedWithinSeconds?: number;
  readonly detail: Readonly<Record<string, string | number>>;
  readonly asOf: string;
}

export interface MetricBody {
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

/** What this installation takes, so that clients need not guess. */
export interface LimitsBody {
  /** An Idempotency-Key counts so long after the request that had the effect. */
  readonly idempotencyKeyRetention: string;
  /** Of one caller; 0: as many as come. */
  readonly requestsPerMinute: number;
  readonly inputBytes: number;
  readonly metadataBytes: number;
  /** A cadence that fires more often in a day needs `confirmFrequency`. */
  readonly unconfirmedFiresPerDay: number;
}

/** `GET /v1/system`. */
export interface SystemBody {
  readonly version: { readonly schema: number };
  readonly parts: readonly PartBody[];
  readonly limits: LimitsBody;
  /** Where measurements are kept in the process that answers: since it started. */
  readonly metrics?: readonly MetricBody[];
  readonly asOf: string;
}

export const AUDIT_KINDS = ['missing', 'double', 'orphans', 'leaks', 'drifted'] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];
export type AuditCounts = Readonly<Record<AuditKind, number>>;

export interface AuditFindingBody {
  readonly kind: AuditKind;
  readonly subject: string;
  /** What was found, and by what. */
  readonly detail: string;
  /** What was done about it, where anything was. */
  readonly did?: string;
  readonly at: string;
}

/** `GET /v1/system/audit`: what the last whole audit found of the caller's tenant. */
export interface AuditBody {
  /** `never`: no audit has been through everything yet. */
  readonly status: 'clean' | 'not_clean' | 'never';
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly counts?: AuditCounts;
  /** What was compared. */
  readonly checked?: {
    readonly schedules: number;
    readonly occurrences: number;
    readonly runs: number;
    readonly vms: number;
  };
  /** The first ones; `counts` has them all. */
  readonly findings: readonly AuditFindingBody[];
  /** The audit that is under way. */
  readonly running?: { readonly startedAt: string; readonly stage: string };
  readonly asOf: string;
}
