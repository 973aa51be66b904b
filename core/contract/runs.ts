/** Runs, their events and logs: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import {
  type Market,
  Retry,
  type RetryBody,
  retryToBody,
  type TimeoutsBody,
  timeoutFields,
  timeoutsToBody,
} from './agentParts.ts';
import { type Evidence, type Json, JsonValue, type ListBody } from './common.ts';
import { RUN_STATUSES, type RunStatus, type TerminalStatus } from './runStatus.ts';

export * from './runStatus.ts';

/** How the work's process came to its end, as the runner saw it (design.md §5.6). */
export const TRIGGER_KINDS = ['schedule', 'trigger', 'api', 'backfill', 'retry', 'run'] as const;
export type TriggerKind = (typeof TRIGGER_KINDS)[number];

export const CANCEL_CAUSES = ['request', 'timeout', 'idle', 'shutdown', 'overlap'] as const;
export type CancelCause = (typeof CANCEL_CAUSES)[number];

export const TERMINATED_BY = ['self', 'cancel', 'timeout', 'idle', 'oom', 'signal'] as const;
export type TerminatedBy = (typeof TERMINATED_BY)[number];

/** What one run, or a schedule's runs, have otherwise than their agent. */
export const RunOverrides = z.strictObject({ ...timeoutFields, retry: Retry.optional() });
export type RunOverrides = z.output<typeof RunOverrides>;

export interface OverridesBody extends TimeoutsBody {
  readonly retry?: RetryBody;
}

export const overridesToBody = ({ retry, ...timeouts }: RunOverrides): OverridesBody => ({
  ...timeoutsToBody(timeouts),
  ...(retry !== undefined && { retry: retryToBody(retry) }),
});

export const RunCreate = z.strictObject({ input: JsonValue.default(null), overrides: RunOverrides.optional() });
export type RunCreate = z.output<typeof RunCreate>;

/** A retry by hand: a new run with the same input, unless another one is sent. */
export const RetryRequest = z.strictObject({ input: JsonValue.optional() });

export const CancelRequest = z.strictObject({ reason: z.string().trim().max(500).default('') });

export const RunListQuery = z.strictObject({
  status: z.enum([...RUN_STATUSES, 'live'], `must be live or one of ${RUN_STATUSES.join(', ')}`).optional(),
  agentId: z.string().max(64).optional(),
});

/** The stages of a cancel, each with its time; what has not been observed is absent (design.md §5.7). */
export interface CancelBody {
  readonly requestedAt: string;
  readonly requestedBy: string;
  readonly reason: string;
  readonly cause: CancelCause;
  readonly acknowledgedAt?: string;
  readonly processGoneAt?: string;
  readonly vmTerminatedAt?: string;
  /** The signals that were sent, in order. */
  readonly signals?: readonly string[];
  /** In the detail of one run: what its VM cost after the request, in seconds; `final` once that does not grow any more. */
  readonly billed?: { readonly seconds: number; readonly final: boolean };
}

/** An attempt that has been given up: the run went on with the next one. */
export interface AttemptBody {
  readonly attempt: number;
  readonly vmId?: string;
  readonly dispatchedAt?: string;
  readonly startedAt?: string;
  readonly endedAt: string;
  /** Why: `vm_terminated`, `not_started`, `setup_failed` … */
  readonly reason: string;
  readonly evidence: Evidence;
}

/** Whether the agent's success criteria are met: one entry for each of them. */
/** What was found out about a `lost` run after its verdict, which stands. */
export interface CorrectionBody {
  readonly status: TerminalStatus;
  readonly exitCode?: number;
  readonly verification?: VerificationBody;
  readonly evidence: Evidence;
}

export interface VerificationBody {
  readonly status: 'verified' | 'unverified';
  readonly checks: readonly {
    readonly criterion: 'exitCode' | 'artifact' | 'outputSchema';
    readonly met: boolean;
    readonly detail: string;
  }[];
}

/** A file that the run has left. */
export interface ArtifactBody {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface RunBody {
  readonly id: string;
  readonly agentId: string;
  readonly agentVersion: number;
  readonly scheduleId?: string;
  readonly occurrence?: string;
  readonly backfillId?: string;
  readonly trigger: { readonly kind: TriggerKind; readonly by: string };
  /** The run that this one does again. */
  readonly retryOf?: string;
  /** The run that has started this one. */
  readonly parentRunId?: string;
  readonly displayName: string;
  readonly status: RunStatus;
  readonly attempt: number;
  /** Attempts before the present one, oldest first. */
  readonly attempts?: readonly AttemptBody[];
  readonly input: Json;
  readonly output?: Json;
  /** Of a run that succeeded, where its agent declares what proves success. */
  readonly verification?: VerificationBody;
  /** In the detail of one run. */
  readonly artifacts?: readonly ArtifactBody[];
  readonly exitCode?: number;
  readonly signal?: string;
  readonly terminatedBy?: TerminatedBy;
  readonly reason?: string;
  readonly evidence: Evidence;
  readonly correction?: CorrectionBody;
  readonly cancel?: CancelBody;
  readonly waiting?: {
    readonly reason: string;
    /** Where a VM is waited for: what was asked for since it began to wait, and what the fleet said. */
    readonly tried?: readonly TriedBody[];
    /** At the latest. */
    readonly nextTryAt?: string;
    readonly blockedBy?: readonly string[];
    /** Where a limit is waited for: how many may be at work (or VMs exist) at once. */
    readonly maximum?: number;
    /** In the detail of one run: where it stands in the queue, 1 is next. */
    readonly position?: number;
  };
  readonly vmId?: string;
  readonly createdAt: string;
  readonly queuedAt: string;
  readonly provisionedAt?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly deadlineAt?: string;
  readonly version: number;
  readonly asOf: string;
}

/** A pool of machines that was asked for one, and the answer in the fleet's own word, such as an error code of EC2. */
export interface TriedBody {
  readonly type?: string;
  readonly availabilityZone?: string;
  readonly market?: Market;
  readonly code: string;
}

export interface ChildrenBody extends ListBody<RunBody> {
  /** How many there are, and how many of them have not ended. */
  readonly created: number;
  readonly pending: number;
  /** No child can be added any more: by order, or because the parent has ended. */
  readonly sealed: boolean;
  /** When all of them had ended after the list was sealed. */
  readonly completedAt?: string;
}

/** One answer to "why is it not running" and "why did it end so", each sentence with who saw it and when. */
export interface RunExplainBody {
  readonly runId: string;
  readonly status: RunStatus;
  readonly summary: string;
  readonly facts: readonly { readonly about: string; readonly text: string; readonly evidence?: Evidence }[];
  /** What can be done about it, where something can. */
  readonly remedy?: string;
  readonly asOf: string;
}

export interface EventBody {
  readonly sequence: number;
  readonly type: string;
  readonly at: string;
  readonly status?: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface LogRecordBody {
  readonly atMs: number;
  readonly stream: 'stdout' | 'stderr' | 'candor';
  readonly text?: string;
  readonly base64?: string;
}

export interface LogPageBody {
  readonly items: readonly LogRecordBody[];
  /** Where to go on reading. The same cursor again means: nothing new yet. */
  readonly nextCursor: string;
  /** True when the run has ended and everything it wrote has been read. */
  readonly complete: boolean;
  readonly asOf: string;
}

export interface VmBody {
  readonly id: string;
  readonly agentId: string;
  readonly status: 'launching' | 'booting' | 'ready' | 'unresponsive' | 'draining' | 'terminated';
  readonly instanceId?: string;
  readonly runs: readonly { readonly runId: string; readonly attempt: number }[];
  /** Room for so many runs at once. */
  readonly slots: number;
  /** Of a VM without a run: since when, and until when it is kept warm for the next one. */
  readonly idleSince?: string;
  readonly warmUntil?: string;
  readonly drain?: { readonly requestedAt: string; readonly requestedBy: string };
  readonly generation: number;
  readonly leaseUntil?: string;
  readonly evidence: Evidence;
  readonly createdAt: string;
  readonly terminatedAt?: string;
  readonly version: number;
  readonly asOf: string;
}
