/** Runs, their events and logs: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import { type Evidence, type Json, JsonValue } from './common.ts';

export const RUN_STATUSES = [
  'queued',
  'provisioning',
  'starting',
  'running',
  'cancelling',
  'succeeded',
  'failed',
  'cancelled',
  'timed_out',
  'lost',
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];
export type TerminalStatus = 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost';

export const TERMINAL_STATUSES: readonly RunStatus[] = ['succeeded', 'failed', 'cancelled', 'timed_out', 'lost'];
export const isTerminal = (status: RunStatus): status is TerminalStatus => TERMINAL_STATUSES.includes(status);

/** How the work's process came to its end, as the runner saw it (design.md §5.6). */
export const TERMINATED_BY = ['self', 'cancel', 'timeout', 'idle', 'oom', 'signal'] as const;
export type TerminatedBy = (typeof TERMINATED_BY)[number];

export const RunCreate = z.strictObject({ input: JsonValue.default(null) });
export type RunCreateInput = z.input<typeof RunCreate>;

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
  readonly cause: 'request' | 'timeout' | 'shutdown' | 'overlap';
  readonly acknowledgedAt?: string;
  readonly processGoneAt?: string;
  readonly vmTerminatedAt?: string;
  /** The signals that were sent, in order. */
  readonly signals?: readonly string[];
}

export interface RunBody {
  readonly id: string;
  readonly agentId: string;
  readonly agentVersion: number;
  readonly scheduleId?: string;
  readonly occurrence?: string;
  readonly backfillId?: string;
  readonly trigger: { readonly kind: 'schedule' | 'trigger' | 'api' | 'backfill'; readonly by: string };
  readonly displayName: string;
  readonly status: RunStatus;
  readonly attempt: number;
  readonly input: Json;
  readonly output?: Json;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly terminatedBy?: TerminatedBy;
  readonly reason?: string;
  readonly evidence: Evidence;
  readonly correction?: { readonly status: TerminalStatus; readonly exitCode?: number; readonly evidence: Evidence };
  readonly cancel?: CancelBody;
  readonly waiting?: {
    readonly reason: string;
    readonly tried?: readonly string[];
    readonly nextTryAt?: string;
    readonly blockedBy?: readonly string[];
    /** For `agent_limit` and `tenant_limit`: how many may be at work at once. */
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
  readonly generation: number;
  readonly leaseUntil?: string;
  readonly evidence: Evidence;
  readonly createdAt: string;
  readonly terminatedAt?: string;
  readonly version: number;
  readonly asOf: string;
}
