/** The stored shapes of runs and of their events. Times are epoch milliseconds. */
import type { Evidence, Json } from '../contract/common.ts';
import type {
  CancelCause,
  CorrectionBody,
  RunStatus,
  TerminatedBy,
  TriedBody,
  TriggerKind,
  VerificationBody,
} from '../contract/runs.ts';
import type { Key } from '../table/model.ts';
import type { RowBase } from '../table/rows.ts';

export interface CancelRecord {
  readonly requestedAt: number;
  readonly requestedBy: string;
  readonly reason: string;
  /** `timeout`, `idle` and `shutdown` end work through the same door, with their own verdict. */
  readonly cause: CancelCause;
  /** With the cause `timeout`: which one was over. */
  readonly timeout?: 'start_timeout' | 'run_timeout';
  /** Killed at once, without a chance to end in order. */
  readonly force?: boolean;
  readonly sentAt: number;
  readonly acknowledgedAt?: number;
  readonly processGoneAt?: number;
  readonly vmTerminatedAt?: number;
  readonly signals?: readonly string[];
}

/** What is tried again after a fault of the infrastructure. */
export interface RetryRule {
  /** The first attempt included. */
  readonly maxAttempts: number;
  readonly backoffSeconds: number;
  /** Also after the agent's process has started. */
  readonly afterStart: boolean;
}

/** An attempt that was given up for the next one. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly vmId?: string;
  readonly dispatchedAt?: number;
  readonly startedAt?: number;
  readonly endedAt: number;
  readonly reason: string;
  readonly evidence: Evidence;
}

export interface RunRow extends RowBase {
  readonly id: string;
  readonly agentId: string;
  readonly agentVersion: number;
  readonly scheduleId?: string;
  readonly occurrence?: number;
  readonly backfillId?: string;
  readonly trigger: { readonly kind: TriggerKind; readonly by: string };
  /** Of a run that a run started: the principal to whom it goes back. That of any other is `trigger.by`. */
  readonly principalId?: string;
  /** The key that opened less than that principal may, where it was one. */
  readonly cutBy?: string;
  readonly retryOf?: string;
  readonly parentRunId?: string;
  /** How many runs stand above it; absent: none. */
  readonly depth?: number;
  /** It has started runs: their count is in an item of its own. */
  readonly hasChildren?: boolean;
  readonly displayName: string;
  readonly status: RunStatus;
  readonly attempt: number;
  /** Attempts before this one, oldest first. */
  readonly attempts?: readonly AttemptRecord[];
  /** When the present attempt may begin, where it is not the first one. */
  readonly attemptAt?: number;
  readonly retry?: RetryRule;
  /** The item that holds the input: the run's own, or the schedule's of the version in force. */
  readonly inputKey: Key;
  /** How long it may wait for a place or for other runs; absent: without end. */
  readonly queueTimeoutSeconds?: number;
  readonly startTimeoutSeconds: number;
  readonly runTimeoutSeconds: number;
  /** Absent: idleness never ends it. */
  readonly idleTimeoutSeconds?: number;
  readonly evidence: Evidence;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly terminatedBy?: TerminatedBy;
  readonly reason?: string;
  readonly correction?: CorrectionBody;
  readonly cancel?: CancelRecord;
  readonly waiting?: {
    readonly reason: string;
    /** Texts in rows from before pools were told apart. */
    readonly tried?: readonly (TriedBody | string)[];
    readonly nextTryAt?: number;
    /** How often a launch has failed with each error, by its name: the pause before the next try grows with it. */
    readonly tries?: Readonly<Record<string, number>>;
    readonly blockedBy?: readonly string[];
    /** Those are killed at once. */
    readonly force?: boolean;
    /** In whose queue it stands, and what was the maximum then. */
    readonly limit?: string;
    readonly maximum?: number;
  };
  /** A limit stood when it was created: it is placed after its admission only. */
  readonly limited?: boolean;
  /** One of them counts VMs: each attempt that gets a VM of its own needs a place. */
  readonly vmLimited?: boolean;
  /** Its agent's VMs may be taken over from run to run: those that are free are looked at first. */
  readonly mayReuse?: boolean;
  /** Its version of the agent has success criteria. Absent in rows from before this was noted: then they are looked up. */
  readonly hasCriteria?: boolean;
  /** The limits under which it holds a place; given back by the transaction that ends it. */
  readonly admitted?: readonly string[];
  readonly admittedAt?: number;
  /** Places that it keeps while it waits for further ones: a next attempt that needs a VM again. */
  readonly kept?: readonly string[];
  /** The dispatch marker: the VM that may start this attempt. Never cleared on silence. */
  readonly vmId?: string;
  readonly dispatchedAt?: number;
  readonly hasOutput?: boolean;
  readonly artifactCount?: number;
  readonly verification?: VerificationBody;
  readonly logChunks?: number;
  /** Consecutive heartbeats that did not name the run although its VM was well. */
  readonly missingReports?: number;
  readonly createdAt: number;
  readonly queuedAt: number;
  readonly provisionedAt?: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** The promise: by when this status must have been left. Set by changes of status only. */
  readonly deadlineAt?: number;
  readonly version: number;
  readonly listIn: string;
  readonly listAt: string;
  readonly checkIn?: string;
  /** When the watchdog looks. */
  readonly checkAt?: number;
}

export interface PayloadRow extends RowBase {
  /** JSON text, see `payload.ts`. */
  readonly payload: string;
}

/** What a change of state leaves behind. Its number is the version that the change made: so events have no gaps. */
export interface EventRow extends RowBase {
  readonly subject: 'run' | 'schedule' | 'vm' | 'agent' | 'principal' | 'webhook';
  readonly subjectId: string;
  readonly sequence: number;
  readonly type: string;
  readonly at: number;
  readonly status?: string;
  readonly detail: Readonly<Record<string, Json | undefined>>;
  readonly writer: string;
  /** On one machine, until fan-out has handled it. */
  readonly checkIn?: string;
  readonly checkAt?: number;
  /** On one machine: it is in the feed already, though it has not been handled yet. */
  readonly inFeed?: boolean;
}

/** Whether its attempt has a time at which it may begin that has not come. */
export const isTooSoon = ({ attemptAt = 0 }: Pick<RunRow, 'attemptAt'>, now: number): boolean => attemptAt > now;
