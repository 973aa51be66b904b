/** The stored shapes of schedules and occurrences. Times are epoch milliseconds, to the second where they are occurrences. */
import type { Evidence } from '../contract/common.ts';
import type { RunOverrides, VerificationBody } from '../contract/runs.ts';
import type { Disposition, OverlapPolicy, ScheduleStatus } from '../contract/schedules.ts';
import type { RowBase } from '../table/rows.ts';

export type Cadence =
  | { readonly kind: 'cron'; readonly cron: string; readonly timezone: string }
  /** Every so many seconds from `startAt` on; a day has 24 hours. */
  | { readonly kind: 'every'; readonly everySeconds: number; readonly startAt: number }
  | { readonly kind: 'at'; readonly at: number; readonly timezone?: string };

export interface Window {
  readonly startAt?: number;
  readonly endAt?: number;
}

/** One edit: what is expected from `from` (inclusive) until the next revision begins. */
export interface Revision {
  readonly specVersion: number;
  readonly from: number;
  readonly active: boolean;
  readonly cadence: Cadence;
  readonly window?: Window;
  readonly by: string;
}

export interface Pause {
  readonly kind: 'user' | 'auto';
  readonly reason: string;
  readonly by: string;
  readonly at: number;
}

export interface ScheduleRow extends RowBase {
  readonly id: string;
  readonly agentId: string;
  readonly name: string;
  readonly status: ScheduleStatus;
  readonly pause?: Pause;
  readonly cadence: Cadence;
  readonly window?: Window;
  readonly overlapPolicy: OverlapPolicy;
  readonly catchupWindowSeconds?: number;
  /** The clock may fire this long after the nominal time; identity stays the nominal time. */
  readonly flexibleWindowSeconds?: number;
  readonly pauseOnFailure?: { readonly consecutive: number };
  readonly failureStreak: number;
  /** Since when its creator may not run it: somebody was told then, once. */
  readonly unauthorizedSince?: number | undefined;
  /** Scheduled runs that may still be dispatched; the schedule completes with the last of them. */
  readonly remainingRuns?: number;
  /** The version whose input item stands (inputs are stored apart: a fire copies the reference, not the bytes). */
  readonly inputVersion: number;
  readonly overrides?: RunOverrides;
  readonly metadata?: Readonly<Record<string, string>>;
  /** The ETag: bumped by every change of people, of automatic pause and of completion. */
  readonly version: number;
  /** Bumped when what the clock must do changes. */
  readonly specVersion: number;
  /** Bumped by every fire and every finish. */
  readonly liveSeq: number;
  /** The revisions that unsettled occurrences may still need, oldest first; the last one is in force. */
  readonly revisions: readonly Revision[];
  /** Every expected occurrence up to here has been decided: it has an item, or a range covers it. */
  readonly decidedThrough: number;
  /** Every expected occurrence up to here has a *final* disposition: as far as decided, but not past what is buffered. */
  readonly settledThrough: number;
  readonly liveRuns: readonly string[];
  /** Those of the live runs that wait for the others to end (cancel_other, terminate_other), oldest first. */
  readonly waitingRuns: readonly string[];
  /** Buffered occurrences, oldest first. */
  readonly buffer: readonly number[];
  /** Future occurrences that somebody has taken out. */
  readonly skips: readonly number[];
  readonly backfill?: BackfillState;
  /** What the clock is known to follow; where a spec was rejected, the row goes back to it. */
  readonly lastSyncedSpec?: SyncedSpec;
  readonly lastRun?: {
    readonly runId: string;
    readonly status: string;
    readonly verification?: VerificationBody['status'];
    readonly endedAt: number;
  };
  readonly clock: { readonly status: 'pending' | 'synced'; readonly specVersion: number; readonly syncedAt?: number };
  readonly createdBy: string;
  /** The key that opened less than the creator may, where it was one: what its runs start stays within that. */
  readonly cutBy?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly listIn: string;
  readonly listAt: string;
  /** By then the watchdog looks at what waits or is pending; set by its beginning, moved on only by a look. */
  readonly attentionAt?: number;
  readonly checkIn?: string;
  /** The first unsettled expected occurrence: due for the clock at that time, for the watchdog a grace later. */
  readonly checkAt?: number;
}

export interface SyncedSpec {
  readonly cadence: Cadence;
  readonly window?: Window;
  readonly flexibleWindowSeconds?: number;
}

/** The backfill that is under way: one at a time, a bounded list of nominal times that still want their run. */
export interface BackfillState {
  readonly id: string;
  readonly overlapPolicy: 'buffer_all' | 'allow_all';
  readonly pending: readonly number[];
  readonly by: string;
  readonly cutBy?: string;
}

export interface BackfillRow extends RowBase {
  readonly id: string;
  readonly scheduleId: string;
  readonly status: 'running' | 'completed' | 'cancelled';
  /** Why it was cancelled, where nobody asked for it. */
  readonly reason?: string;
  readonly overlapPolicy: 'buffer_all' | 'allow_all';
  readonly times: readonly number[];
  readonly leftAlone: number;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly writer: string;
}

export interface RevisionRow extends RowBase, Revision {
  /** The API's names of the fields that the edit changed; absent for the first revision, and where the schedule changed by itself. */
  readonly changed?: readonly string[];
}

export interface OccurrenceRow extends RowBase {
  readonly scheduleId: string;
  readonly at: number;
  /** Set where the item stands for a range: its last occurrence and how many there are. */
  readonly through?: number;
  readonly count?: number;
  readonly disposition: Disposition;
  readonly reason?: string;
  readonly runId?: string;
  readonly blockingRunId?: string;
  readonly backfillId?: string;
  readonly bufferedAt?: number;
  /** The policy that the decision used: a later edit does not change why it was decided so. */
  readonly decidedUnder?: {
    readonly overlapPolicy: OverlapPolicy;
    readonly catchupWindowSeconds?: number;
    readonly flexibleWindowSeconds?: number;
  };
  readonly specVersion: number;
  readonly decidedAt: number;
  readonly evidence: Evidence;
  readonly writer: string;
}
