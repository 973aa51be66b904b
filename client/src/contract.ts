/** Made from the OpenAPI document by `npm run openapi`: do not edit. */

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** A registered worker: how to start it, what it needs, its limits. */
export interface Agent {
  /** The id of an agent. */
  readonly id: string;
  readonly name: string;
  /** oneshot: gets its input, works, exits. */
  readonly kind: 'oneshot';
  /** The program and its arguments. */
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  /** Variables of its environment: a value, or the name of the secret that holds it. */
  readonly env?: { readonly [name: string]: string | {
    readonly secret: string;
  } };
  readonly limits?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string;
    /** Runs on their way or at work at once; the others wait in order. Absent: no limit. */
    readonly maxConcurrentRuns?: number;
    /** VMs that exist at once, warm ones and those on their way included. */
    readonly maxConcurrentVms?: number;
    /** Of the output; what is longer is kept in part. The installation's limit stands above it. */
    readonly maxOutputBytes?: number;
    /** For the setup commands together, and for a checkout. */
    readonly setupTimeout?: string;
  };
  /** What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself. */
  readonly retry?: {
    /** All attempts, the first one included. */
    readonly maxAttempts?: number;
    /** Before the second attempt; it doubles with each further one, up to an hour. */
    readonly backoff?: string;
    /** Also after the agent's process has started: it may have had effects, and will have them again. */
    readonly afterStart?: boolean;
  };
  /** What proves that a run has done its work. A run that ends without it is shown as unverified. */
  readonly successCriteria?: {
    /** The exit code that stands for success, where it is not 0. */
    readonly exitCode?: number;
    /** At least one artifact with a path like this one must be there. */
    readonly artifact?: string;
    /** A JSON Schema for the output. */
    readonly outputSchema?: { readonly [name: string]: Json };
  };
  /** Files that are collected besides those in CANDOR_ARTIFACTS: globs, relative to the working folder. */
  readonly artifacts?: readonly string[];
  /** Commands that are run once per VM, before its first run. */
  readonly setup?: readonly (readonly string[])[];
  /** Checked out into the working folder before the process starts. */
  readonly repository?: {
    readonly url: string;
    /** A branch, a tag or a full commit id. */
    readonly ref: string;
    /** The id of the secret that opens it. */
    readonly secret?: string;
  };
  /** An AMI of one's own; absent: the installation's for the architecture. */
  readonly image?: string;
  /** How long a VM without a run is kept for the next one. */
  readonly warmFor?: string;
  /** Whether a VM may serve one run after another of the same agent. Default: same_agent. */
  readonly reuse?: 'same_agent' | 'never';
  /** Runs side by side on one VM. */
  readonly slots?: number;
  /** What a VM must have at least. */
  readonly requirements?: {
    readonly vcpu?: number;
    readonly memoryMiB?: number;
    readonly architecture?: 'x86_64' | 'arm64';
    /** Only these, as far as the installation has them. */
    readonly instanceTypes?: readonly string[];
    readonly diskGiB?: number;
    /** spot_first takes an on-demand one where there is no spot instance; absent: as the installation has it. */
    readonly market?: 'spot' | 'on_demand' | 'spot_first';
  };
  /** What callers keep beside it, as names and texts. */
  readonly metadata?: { readonly [name: string]: string };
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** A file that the run has left. */
export interface Artifact {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** An attempt that has been given up: the run went on with the next one. */
export interface Attempt {
  readonly attempt: number;
  /** The id of a VM. */
  readonly vmId?: string;
  readonly dispatchedAt?: string;
  readonly startedAt?: string;
  readonly endedAt: string;
  /** Why: vm_terminated, not_started, setup_failed and others. */
  readonly reason: string;
  readonly evidence: Evidence;
}

/** What the last whole audit found of the caller's tenant. */
export interface Audit {
  /** never: no audit has been through everything yet. */
  readonly status: 'clean' | 'not_clean' | 'never';
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly counts?: {
    readonly missing: number;
    readonly double: number;
    readonly orphans: number;
    readonly leaks: number;
    readonly drifted: number;
  };
  /** What was compared. */
  readonly checked?: {
    readonly schedules: number;
    readonly occurrences: number;
    readonly runs: number;
    readonly vms: number;
  };
  /** How often it came upon something that it could not read: of that nothing is known, so it is not clean. */
  readonly unread?: number;
  /** The first ones; counts has them all. */
  readonly findings: readonly AuditFinding[];
  /** The audit that is under way. */
  readonly running?: {
    readonly startedAt: string;
    readonly stage: string;
  };
  /** When the server looked. */
  readonly asOf: string;
}

/** One thing that an audit found. */
export interface AuditFinding {
  readonly kind: 'missing' | 'double' | 'orphans' | 'leaks' | 'drifted';
  readonly subject: string;
  /** What was found, and by what. */
  readonly detail: string;
  /** What was done about it, where anything was. */
  readonly did?: string;
  readonly at: string;
}

/** A request that changed something. */
export interface AuditLogEntry {
  /** As in the answer that the caller got. */
  readonly requestId: string;
  readonly at: string;
  readonly operation: string;
  readonly by: {
    readonly kind: 'principal' | 'run';
    readonly id: string;
    /** Which of its credentials was shown. */
    readonly credentialId?: string;
  };
  /** As the server saw it. The user agent is what the caller says of itself. */
  readonly from: {
    readonly ip?: string;
    readonly userAgent?: string;
  };
  /** What was written in the same transaction as this entry. */
  readonly changes: readonly ({
    readonly id: string;
    /** The event's type, where the change left one. */
    readonly type?: string;
    /** The version that was changed; absent where nothing stood before. */
    readonly before?: number;
    readonly after?: number;
    /** Of a principal: the key that was made, took another’s place, or was revoked. */
    readonly keyId?: string;
    /** Of a principal: the role that it was given; null: none. */
    readonly role?: 'viewer' | 'operator' | 'editor' | 'admin' | null;
    /** Of a principal: the roles over agents that it was given. */
    readonly agents?: { readonly [name: string]: 'viewer' | 'operator' | 'editor' | 'admin' };
    /** Of a principal: what it was set to. */
    readonly status?: 'active' | 'revoked';
  })[];
}

/** Runs for past occurrences of a schedule. */
export interface Backfill {
  /** The id of a backfill. */
  readonly backfillId: string;
  /** The id of a schedule. */
  readonly scheduleId: string;
  readonly status: 'running' | 'completed' | 'cancelled';
  /** Why it was cancelled, where nobody asked for it. */
  readonly reason?: string;
  readonly overlapPolicy: 'buffer_all' | 'allow_all';
  /** The runs to come, with the ids that they will have. */
  readonly items: readonly {
    readonly occurrence: string;
    /** The id of a run. */
    readonly runId: string;
  }[];
  /** Occurrences in the range that are left alone: they have had a run, or are due and about to be decided. */
  readonly leftAlone: number;
  readonly remaining: number;
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** When it fires: by a cron expression, at an interval, or once. */
export type Cadence = {
  readonly cron: string;
  readonly timezone: string;
} | {
  readonly every: string;
  readonly startAt: string;
} | {
  readonly at: string;
  readonly timezone?: string;
};

/** The stages of a cancel, each with its time; what has not been observed is absent. */
export interface Cancel {
  readonly requestedAt: string;
  readonly requestedBy: string;
  readonly reason: string;
  /** Ends for other reasons than a request go through the same door. */
  readonly cause: 'request' | 'timeout' | 'idle' | 'shutdown' | 'overlap';
  readonly acknowledgedAt?: string;
  readonly processGoneAt?: string;
  readonly vmTerminatedAt?: string;
  /** The signals that were sent, in order. */
  readonly signals?: readonly string[];
  /** In the detail of one run: what its VM cost after the request, in seconds; final once that does not grow any more. */
  readonly billed?: {
    readonly seconds: number;
    readonly final: boolean;
  };
}

export interface CancelBackfillRequest { readonly [name: string]: never }

export interface CancelRunRequest {
  readonly reason?: string | undefined;
}

/** The runs that a run has started. */
export interface Children {
  readonly items: readonly Run[];
  /** Where the next page begins; absent on the last one. */
  readonly nextCursor?: string;
  /** When the server looked. */
  readonly asOf: string;
  /** How many there are. */
  readonly created: number;
  /** How many of them have not ended. */
  readonly pending: number;
  /** No child can be added any more: by order, or because the parent has ended. */
  readonly sealed: boolean;
  /** When all of them had ended after the list was sealed. */
  readonly completedAt?: string;
}

/** What was found out about a lost run after its verdict, which stands. */
export interface Correction {
  readonly status: 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost';
  readonly exitCode?: number;
  readonly verification?: Verification;
  readonly evidence: Evidence;
}

export interface CreateAgentRequest {
  readonly name: string;
  readonly kind?: 'oneshot' | undefined;
  readonly command: readonly string[];
  readonly workingDirectory?: string | undefined;
  /** Variables of its environment: a value, or the name of the secret that holds it. */
  readonly env?: { readonly [name: string]: string | {
    readonly secret: string;
  } } | undefined;
  readonly limits?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string | undefined;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string | undefined;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string | undefined;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string | undefined;
    /** Runs on their way or at work at once; the others wait in order. Absent: no limit. */
    readonly maxConcurrentRuns?: number | undefined;
    /** VMs that exist at once, warm ones and those on their way included. */
    readonly maxConcurrentVms?: number | undefined;
    /** Of the output; what is longer is kept in part. The installation's limit stands above it. */
    readonly maxOutputBytes?: number | undefined;
    /** For the setup commands together, and for a checkout. */
    readonly setupTimeout?: string | undefined;
  } | undefined;
  /** What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself. */
  readonly retry?: {
    /** All attempts, the first one included. */
    readonly maxAttempts?: number | undefined;
    /** Before the second attempt; it doubles with each further one, up to an hour. */
    readonly backoff?: string | undefined;
    /** Also after the agent's process has started: it may have had effects, and will have them again. */
    readonly afterStart?: boolean | undefined;
  } | undefined;
  /** What proves that a run has done its work. A run that ends without it is shown as unverified. */
  readonly successCriteria?: {
    /** The exit code that stands for success, where it is not 0. */
    readonly exitCode?: number | undefined;
    /** At least one artifact with a path like this one must be there. */
    readonly artifact?: string | undefined;
    /** A JSON Schema for the output. */
    readonly outputSchema?: { readonly [name: string]: Json } | undefined;
  } | undefined;
  /** Files that are collected besides those in CANDOR_ARTIFACTS: globs, relative to the working folder. */
  readonly artifacts?: readonly string[] | undefined;
  /** Commands that are run once per VM, before its first run. */
  readonly setup?: readonly (readonly string[])[] | undefined;
  /** Checked out into the working folder before the process starts. */
  readonly repository?: {
    readonly url: string;
    /** A branch, a tag or a full commit id. */
    readonly ref: string;
    /** The id of the secret that opens it. */
    readonly secret?: string | undefined;
  } | undefined;
  /** An AMI of one's own; absent: the installation's for the architecture. */
  readonly image?: string | undefined;
  /** How long a VM without a run is kept for the next one. */
  readonly warmFor?: string | undefined;
  /** Whether a VM may serve one run after another of the same agent. Default: same_agent. */
  readonly reuse?: 'same_agent' | 'never' | undefined;
  /** Runs side by side on one VM. */
  readonly slots?: number | undefined;
  /** What a VM must have at least. */
  readonly requirements?: {
    readonly vcpu?: number | undefined;
    readonly memoryMiB?: number | undefined;
    readonly architecture?: 'x86_64' | 'arm64' | undefined;
    /** Only these, as far as the installation has them. */
    readonly instanceTypes?: readonly string[] | undefined;
    readonly diskGiB?: number | undefined;
    /** spot_first takes an on-demand one where there is no spot instance; absent: as the installation has it. */
    readonly market?: 'spot' | 'on_demand' | 'spot_first' | undefined;
  } | undefined;
  readonly metadata?: { readonly [name: string]: string } | undefined;
}

export interface CreateKeyRequest {
  readonly name: string;
  /** No more than this role, whatever the service account has. */
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin' | undefined;
  /** For these agents only. */
  readonly agents?: readonly string[] | undefined;
  readonly expiresIn?: string | undefined;
}

export interface CreatePrincipalRequest {
  readonly name: string;
  readonly arn?: string | undefined;
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin' | undefined;
  readonly agents?: { readonly [name: string]: 'viewer' | 'operator' | 'editor' | 'admin' } | undefined;
}

export interface CreateRunRequest {
  /** Any JSON value. */
  readonly input?: Json | undefined;
  readonly overrides?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string | undefined;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string | undefined;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string | undefined;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string | undefined;
    /** What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself. */
    readonly retry?: {
      /** All attempts, the first one included. */
      readonly maxAttempts?: number | undefined;
      /** Before the second attempt; it doubles with each further one, up to an hour. */
      readonly backoff?: string | undefined;
      /** Also after the agent's process has started: it may have had effects, and will have them again. */
      readonly afterStart?: boolean | undefined;
    } | undefined;
  } | undefined;
}

export interface CreateScheduleRequest {
  readonly name: string;
  readonly cadence: {
    readonly cron: string;
    readonly timezone: string;
  } | {
    readonly every: string;
    readonly startAt?: string | undefined;
  } | {
    readonly at: string;
    readonly timezone?: string | undefined;
  };
  readonly window?: {
    readonly startAt?: string | undefined;
    readonly endAt?: string | undefined;
  } | undefined;
  /** What happens to an occurrence while a run of its schedule is live: it is skipped; one of them, or up to 50, wait for the end; the live run is cancelled, or killed at once, and the new one starts after it; both run side by side. */
  readonly overlapPolicy?: 'skip' | 'buffer_one' | 'buffer_all' | 'cancel_other' | 'terminate_other' | 'allow_all' | undefined;
  /** An occurrence that is later than this is missed. Default: the installation's. */
  readonly catchupWindow?: string | undefined;
  /** The clock may fire this long after the nominal time, as it likes. */
  readonly flexibleWindow?: string | undefined;
  /** The schedule pauses itself after this many failures in a row that are the agent's own; infrastructure faults do not count. */
  readonly pauseOnFailure?: {
    readonly consecutive: number;
  } | undefined;
  /** It is completed after so many further runs. Absent: no limit. */
  readonly remainingRuns?: number | undefined;
  /** Any JSON value. */
  readonly input?: Json | undefined;
  /** What its runs have otherwise than their agent. */
  readonly overrides?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string | undefined;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string | undefined;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string | undefined;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string | undefined;
    /** What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself. */
    readonly retry?: {
      /** All attempts, the first one included. */
      readonly maxAttempts?: number | undefined;
      /** Before the second attempt; it doubles with each further one, up to an hour. */
      readonly backoff?: string | undefined;
      /** Also after the agent's process has started: it may have had effects, and will have them again. */
      readonly afterStart?: boolean | undefined;
    } | undefined;
  } | undefined;
  readonly metadata?: { readonly [name: string]: string } | undefined;
  readonly paused?: boolean | undefined;
  readonly confirmFrequency?: boolean | undefined;
}

export interface CreateWebhookRequest {
  readonly url: string;
  readonly description?: string | undefined;
  readonly events?: readonly string[] | undefined;
}

/** What is sent to a webhook about one event. */
export interface Delivery {
  /** The webhook-id of every try. */
  readonly id: string;
  readonly webhookId: string;
  readonly eventType: string;
  readonly eventId: string;
  readonly status: 'pending' | 'delivered' | 'failed' | 'cancelled';
  readonly reason?: string;
  readonly attemptCount: number;
  /** The last ones. */
  readonly attempts: readonly DeliveryAttempt[];
  readonly nextAttemptAt?: string;
  readonly createdAt: string;
  readonly settledAt?: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** One try. */
export interface DeliveryAttempt {
  readonly number: number;
  readonly at: string;
  /** refused: answered, with another status than 2xx. failed: no answer. not_allowed: the address is one that nothing is sent to. unknown: it was begun, and nobody came to say how it ended. */
  readonly outcome: 'delivered' | 'refused' | 'failed' | 'timed_out' | 'not_allowed' | 'unknown';
  /** HTTP status, where there was an answer. */
  readonly status?: number;
  readonly tookMs?: number;
  readonly detail: string;
}

/** A delivery with what is sent. */
export interface DeliveryWithPayload {
  /** The webhook-id of every try. */
  readonly id: string;
  readonly webhookId: string;
  readonly eventType: string;
  readonly eventId: string;
  readonly status: 'pending' | 'delivered' | 'failed' | 'cancelled';
  readonly reason?: string;
  readonly attemptCount: number;
  /** The last ones. */
  readonly attempts: readonly DeliveryAttempt[];
  readonly nextAttemptAt?: string;
  readonly createdAt: string;
  readonly settledAt?: string;
  /** When the server looked. */
  readonly asOf: string;
  /** What is sent, to the byte. */
  readonly payload: string;
}

/** What a change would do. Nothing has been changed. */
export interface DryRun {
  /** The id of a schedule. */
  readonly scheduleId: string;
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** The schedule is paused: the occurrences are those that it would have if it were resumed now. */
  readonly paused?: true;
  readonly range: {
    readonly from: string;
    readonly to: string;
  };
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: number;
  /** There are more changes than are listed. */
  readonly truncated: boolean;
  readonly warnings: readonly string[];
  readonly overlaps: {
    readonly predicted: number;
    /** Of past runs; absent where there are none to tell from. */
    readonly p95Seconds?: number;
    readonly sample: number;
    readonly first?: string;
  };
  /** When the server looked. */
  readonly asOf: string;
}

/** A change of state. */
export interface Event {
  /** Counts the changes of the resource, without gaps. */
  readonly sequence: number;
  readonly type: string;
  readonly at: string;
  readonly status?: string;
  readonly detail: { readonly [name: string]: Json };
}

/** Who saw a thing, when, and what was seen. */
export interface Evidence {
  /** Who saw it. */
  readonly source: string;
  readonly observedAt: string;
  /** What was seen. */
  readonly detail: string;
}

/** Why a schedule did run, or did not run, at a time. */
export interface Explanation {
  /** The id of a schedule. */
  readonly scheduleId: string;
  readonly at: string;
  /** One sentence for a person. */
  readonly answer: string;
  readonly expected: boolean;
  readonly nearest: {
    readonly before?: string;
    readonly after?: string;
  };
  readonly revision?: Revision;
  readonly occurrence?: Occurrence;
  readonly run?: {
    /** The id of a run. */
    readonly runId: string;
    readonly status: string;
    readonly reason?: string;
    readonly evidence: Evidence;
  };
  readonly blockingRun?: {
    /** The id of a run. */
    readonly runId: string;
    readonly status: string;
    readonly startedAt?: string;
    readonly endedAt?: string;
  };
  /** The runs that backfills have made of it. */
  readonly backfills?: readonly {
    /** The id of a backfill. */
    readonly backfillId: string;
    /** The id of a run. */
    readonly runId: string;
  }[];
  readonly policy: {
    /** What happens to an occurrence while a run of its schedule is live: it is skipped; one of them, or up to 50, wait for the end; the live run is cancelled, or killed at once, and the new one starts after it; both run side by side. */
    readonly overlapPolicy: 'skip' | 'buffer_one' | 'buffer_all' | 'cancel_other' | 'terminate_other' | 'allow_all';
    readonly catchupWindow: string;
    /** The schedule's status as it is now. */
    readonly status: 'active' | 'paused' | 'completed' | 'deleting' | 'deleted';
    /** Whether the policy is the one that the decision used, or today's, because nothing was decided by it. */
    readonly of: 'decision' | 'now';
  };
  /** When the server looked. */
  readonly asOf: string;
}

/** What changed after a cursor. */
export interface Feed {
  readonly items: readonly FeedEvent[];
  /** Goes on after the last item; also where there is none. */
  readonly nextCursor: string;
  /** Nothing more is there just now. */
  readonly caughtUp: boolean;
  /** When the server looked. */
  readonly asOf: string;
}

/** A change of state, or a note about a resource. */
export interface FeedEvent {
  /** The same each time that the event is delivered. */
  readonly id: string;
  readonly type: string;
  readonly at: string;
  readonly subject: {
    readonly kind: 'run' | 'schedule' | 'vm' | 'agent' | 'principal' | 'webhook';
    readonly id: string;
  };
  /** Rises with each change of the subject. Absent where nothing of it changed: a note about it. */
  readonly sequence?: number;
  readonly status?: string;
  readonly detail: { readonly [name: string]: Json };
}

/** One field that is wrong. */
export interface FieldError {
  /** An RFC 6901 JSON pointer into the body, or the name of a parameter or header. */
  readonly pointer: string;
  readonly message: string;
}

/** The server answers. */
export interface Health {
  readonly status: 'ok';
  /** When the server looked. */
  readonly asOf: string;
}

/** A key, without what is secret of it. */
export interface Key {
  readonly id: string;
  /** The id of a principal. */
  readonly principalId: string;
  readonly name: string;
  readonly status: 'active' | 'expired' | 'revoked';
  /** No more than this role, whatever the service account has. */
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin';
  /** For these agents only. */
  readonly agents?: readonly string[];
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  /** To the hour. Absent: never. */
  readonly lastUsedAt?: string;
  /** The key that took its place. */
  readonly replacedBy?: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** What this installation takes, so that clients need not guess. */
export interface Limits {
  /** An Idempotency-Key counts so long after the request that had the effect. */
  readonly idempotencyKeyRetention: string;
  /** Of one caller; 0: as many as come. */
  readonly requestsPerMinute: number;
  readonly inputBytes: number;
  readonly metadataBytes: number;
  /** A cadence that fires more often in a day needs confirmFrequency. */
  readonly unconfirmedFiresPerDay: number;
}

/** A part of one attempt's log. */
export interface LogPage {
  readonly items: readonly LogRecord[];
  /** Where to go on reading. The same cursor again means: nothing new yet. */
  readonly nextCursor: string;
  /** True when the run has ended and everything it wrote has been read. */
  readonly complete: boolean;
  /** When the server looked. */
  readonly asOf: string;
}

/** What a run has written at once. */
export interface LogRecord {
  /** Milliseconds since the start of the attempt. */
  readonly atMs: number;
  readonly stream: 'stdout' | 'stderr' | 'candor';
  readonly text?: string;
  /** Instead of text, where it is not UTF-8. */
  readonly base64?: string;
}

/** Who the caller is, and what its credential opens. */
export interface Me {
  readonly tenantId: string;
  /** The id of a principal. */
  readonly principalId: string;
  readonly name: string;
  readonly kind: 'user' | 'service_account' | 'aws';
  /** The id of the key that was shown, or admin_token. */
  readonly credentialId?: string;
  /** Over the whole tenant. */
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin';
  /** Roles over single agents, by their ids. */
  readonly agents?: { readonly [name: string]: 'viewer' | 'operator' | 'editor' | 'admin' };
  /** When the server looked. */
  readonly asOf: string;
}

/** A measurement since the start of the process that answers. */
export interface Metric {
  readonly name: string;
  readonly dimensions: { readonly [name: string]: string };
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

/** The only answer that ever shows a key. */
export interface NewKey {
  readonly id: string;
  /** The id of a principal. */
  readonly principalId: string;
  readonly name: string;
  readonly status: 'active' | 'expired' | 'revoked';
  /** No more than this role, whatever the service account has. */
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin';
  /** For these agents only. */
  readonly agents?: readonly string[];
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  /** To the hour. Absent: never. */
  readonly lastUsedAt?: string;
  /** The key that took its place. */
  readonly replacedBy?: string;
  /** When the server looked. */
  readonly asOf: string;
  /** The secret: it goes into the Authorization header. */
  readonly key: string;
}

/** One nominal time at which a schedule should fire, and what became of it. */
export interface Occurrence {
  /** The id of a schedule. */
  readonly scheduleId: string;
  /** UTC, to the second; the first one where the item stands for a range. */
  readonly occurrence: string;
  /** The last one of a range. */
  readonly through?: string;
  /** How many it stands for. */
  readonly count?: number;
  readonly disposition: 'dispatched' | 'buffered' | 'skipped' | 'missed';
  readonly reason?: string;
  /** The id of a run. */
  readonly runId?: string;
  /** The id of a run. */
  readonly blockingRunId?: string;
  /** The id of a backfill. */
  readonly backfillId?: string;
  readonly specVersion: number;
  /** When it began to wait, if it was buffered. */
  readonly bufferedAt?: string;
  readonly decidedAt: string;
  readonly latenessSeconds: number;
  readonly evidence: Evidence;
}

export interface PauseScheduleRequest {
  readonly reason?: string | undefined;
}

/** The occurrences that a cadence has. */
export interface Preview {
  readonly occurrences: readonly {
    readonly utc: string;
    readonly local: string;
  }[];
  /** What the real clock is told; absent where AWS cannot say it. */
  readonly awsExpression?: {
    readonly expression: string;
    readonly timezone: string;
  };
  /** Why AWS cannot say it. */
  readonly awsProblem?: {
    readonly problem: string;
    readonly remedy: string;
  };
  readonly warnings: readonly string[];
  /** When the server looked. */
  readonly asOf: string;
}

export interface PreviewCadenceRequest {
  readonly cadence: {
    readonly cron: string;
    readonly timezone: string;
  } | {
    readonly every: string;
    readonly startAt?: string | undefined;
  } | {
    readonly at: string;
    readonly timezone?: string | undefined;
  };
  readonly window?: {
    readonly startAt?: string | undefined;
    readonly endAt?: string | undefined;
  } | undefined;
  readonly from?: string | undefined;
  readonly count?: number | undefined;
}

/** Who calls: a person or a service account. */
export interface Principal {
  /** The id of a principal. */
  readonly id: string;
  readonly kind: 'user' | 'service_account' | 'aws';
  readonly name: string;
  readonly status: 'active' | 'revoked';
  /** Over the whole tenant. */
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin';
  /** Roles over single agents, by their ids. */
  readonly agents?: { readonly [name: string]: 'viewer' | 'operator' | 'editor' | 'admin' };
  /** Of a user: the identity provider. */
  readonly issuer?: string;
  /** Of a user: the identity provider's name for them. */
  readonly subject?: string;
  /** Of an AWS role or user. */
  readonly arn?: string;
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** The id of a principal. */
  readonly createdBy?: string;
  readonly createdAt?: string;
  readonly updatedAt?: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** An error (RFC 9457): its code says which, its remedy what to do. */
export interface Problem {
  /** urn:candor:problem:<code>: stable, and not meant to be fetched. */
  readonly type: string;
  readonly title: string;
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 410 | 412 | 413 | 415 | 422 | 428 | 429 | 500 | 503;
  readonly detail: string;
  readonly code: 'invalid_request' | 'malformed_json' | 'payload_too_large' | 'unsupported_media_type' | 'unauthenticated' | 'forbidden' | 'not_found' | 'method_not_allowed' | 'name_taken' | 'live_runs' | 'live_schedules' | 'overlap' | 'run_live' | 'children_limit' | 'run_ended' | 'chunk_conflict' | 'illegal_transition' | 'precondition_required' | 'cursor_expired' | 'version_conflict' | 'idempotency_key_reused' | 'idempotency_in_flight' | 'shown_once' | 'rate_limited' | 'contended' | 'store_unavailable' | 'try_again' | 'stale_generation' | 'stale_heartbeat' | 'internal_error';
  readonly errors?: readonly FieldError[];
  /** What the caller can do about it. */
  readonly remedy: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  readonly requestId: string;
  readonly instance: string;
  /** version_conflict: the version that stands. */
  readonly currentVersion?: number;
  /** The status that forbids it. */
  readonly currentStatus?: string;
  readonly runId?: string;
  /** run_ended: when. */
  readonly endedAt?: string;
  /** live_runs: the first of them. */
  readonly runs?: readonly {
    readonly runId: string;
    readonly status?: string;
  }[];
  /** live_runs: how many there are. */
  readonly runCount?: number;
  /** live_schedules: the first of them. */
  readonly schedules?: readonly (string | null)[];
  /** live_schedules: how many there are. */
  readonly scheduleCount?: number;
  /** overlap: the run that is in the way. */
  readonly blockingRunId?: string;
  /** overlap: all live runs of the schedule. */
  readonly liveRuns?: readonly string[];
  /** The backfill that is under way. */
  readonly backfillId?: string;
  /** How many runs it has still to make. */
  readonly remaining?: number;
  /** How many runs it has started. */
  readonly created?: number;
  /** payload_too_large: the limit. */
  readonly maxBytes?: number;
  /** cursor_expired: since when it has not been read. */
  readonly unreadSince?: string;
  /** cursor_expired: so long events are kept. */
  readonly retentionDays?: number;
  /** forbidden: what was asked for. */
  readonly operation?: string;
  /** forbidden: the least role that may. */
  readonly needs?: string;
  /** forbidden: the role of this credential. */
  readonly role?: string;
  /** As the header Retry-After says. */
  readonly retryAfterSeconds?: number;
  /** rate_limited: so many are taken. */
  readonly requestsPerMinute?: number;
  /** shown_once: what was made. */
  readonly id?: string;
  /** method_not_allowed: the methods that the resource takes. */
  readonly allow?: readonly string[];
}

export interface ResumeScheduleRequest { readonly [name: string]: never }

export interface RetryRunRequest {
  /** Any JSON value. */
  readonly input?: Json | undefined;
}

/** One edit, or a change that the schedule made by itself. */
export interface Revision {
  readonly specVersion: number;
  readonly from: string;
  readonly active: boolean;
  readonly cadence: Cadence;
  /** No occurrence is before its start or after its end. */
  readonly window?: {
    readonly startAt?: string;
    readonly endAt?: string;
  };
  /** The fields that it changed; absent for the first one, and where the schedule changed by itself. Edits of other things share the specVersion. */
  readonly changed?: readonly string[];
  readonly by: string;
}

export interface RotateKeyRequest {
  /** For so long the old key works beside the new one. */
  readonly overlap?: string | undefined;
  readonly expiresIn?: string | undefined;
}

export interface RotateWebhookSecretRequest {
  /** For so long deliveries carry the old secret's signature too. */
  readonly overlap?: string | undefined;
}

/** One piece of work: what is known of it, who saw it and when. */
export interface Run {
  /** The id of a run. */
  readonly id: string;
  /** The id of an agent. */
  readonly agentId: string;
  /** The version of the agent that it runs. */
  readonly agentVersion: number;
  /** The id of a schedule. */
  readonly scheduleId?: string;
  /** The nominal time that it stands for, to the second. */
  readonly occurrence?: string;
  /** The id of a backfill. */
  readonly backfillId?: string;
  /** What has started it, and who. */
  readonly trigger: {
    readonly kind: 'schedule' | 'trigger' | 'api' | 'backfill' | 'retry' | 'run';
    readonly by: string;
  };
  /** The run that this one does again. */
  readonly retryOf?: string;
  /** The run that has started this one. */
  readonly parentRunId?: string;
  readonly displayName: string;
  readonly status: 'queued' | 'provisioning' | 'starting' | 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost';
  readonly attempt: number;
  /** Attempts before the present one, oldest first. */
  readonly attempts?: readonly Attempt[];
  /** Any JSON value. */
  readonly input: Json;
  /** Any JSON value. */
  readonly output?: Json;
  readonly verification?: Verification;
  /** In the detail of one run. */
  readonly artifacts?: readonly Artifact[];
  readonly exitCode?: number;
  readonly signal?: string;
  /** How the work's process came to its end. */
  readonly terminatedBy?: 'self' | 'cancel' | 'timeout' | 'idle' | 'oom' | 'signal';
  readonly reason?: string;
  readonly evidence: Evidence;
  readonly correction?: Correction;
  readonly cancel?: Cancel;
  /** What a queued run waits for. */
  readonly waiting?: {
    readonly reason: string;
    /** Where a VM is waited for: what was asked for since it began to wait, and what the fleet said. */
    readonly tried?: readonly ({
      readonly type?: string;
      readonly availabilityZone?: string;
      readonly market?: 'spot' | 'on_demand';
      readonly code: string;
    })[];
    /** At the latest. */
    readonly nextTryAt?: string;
    /** Whose end makes room: runs, or VMs where it is a limit of VMs that is waited for. */
    readonly blockedBy?: readonly (string | string)[];
    /** Where a limit is waited for: how many may be at work (or VMs exist) at once. */
    readonly maximum?: number;
    /** In the detail of one run: where it stands in the queue, 1 is next. */
    readonly position?: number;
  };
  /** The id of a VM. */
  readonly vmId?: string;
  readonly createdAt: string;
  readonly queuedAt: string;
  readonly provisionedAt?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** By when it must have left its status. */
  readonly deadlineAt?: string;
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** When the server looked. */
  readonly asOf: string;
}

/** One answer to "why is it not running" and "why did it end so", each sentence with who saw it and when. */
export interface RunExplanation {
  /** The id of a run. */
  readonly runId: string;
  readonly status: 'queued' | 'provisioning' | 'starting' | 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost';
  /** For a person. */
  readonly summary: string;
  readonly facts: readonly {
    readonly about: string;
    readonly text: string;
    readonly evidence?: Evidence;
  }[];
  /** What can be done about it, where something can. */
  readonly remedy?: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** A recurring or one-off promise to run an agent with an input. */
export interface Schedule {
  /** The id of a schedule. */
  readonly id: string;
  /** The id of an agent. */
  readonly agentId: string;
  readonly name: string;
  readonly status: 'active' | 'paused' | 'completed' | 'deleting' | 'deleted';
  readonly pause?: {
    /** auto: after too many failures in a row. */
    readonly kind: 'user' | 'auto';
    readonly reason: string;
    readonly by: string;
    readonly at: string;
  };
  readonly cadence: Cadence;
  /** No occurrence is before its start or after its end. */
  readonly window?: {
    readonly startAt?: string;
    readonly endAt?: string;
  };
  /** What happens to an occurrence while a run of its schedule is live: it is skipped; one of them, or up to 50, wait for the end; the live run is cancelled, or killed at once, and the new one starts after it; both run side by side. */
  readonly overlapPolicy: 'skip' | 'buffer_one' | 'buffer_all' | 'cancel_other' | 'terminate_other' | 'allow_all';
  /** An occurrence that is later than this is missed. Default: the installation's. */
  readonly catchupWindow: string;
  /** The clock may fire this long after the nominal time, as it likes. */
  readonly flexibleWindow?: string;
  /** The schedule pauses itself after this many failures in a row that are the agent's own; infrastructure faults do not count. */
  readonly pauseOnFailure?: {
    readonly consecutive: number;
  };
  /** Failures in a row that were the agent's own. */
  readonly failureStreak: number;
  /** It is completed after so many further runs. Absent: no limit. */
  readonly remainingRuns?: number;
  /** Any JSON value. */
  readonly input: Json;
  /** What its runs have otherwise than their agent. */
  readonly overrides?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string;
    /** What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself. */
    readonly retry?: {
      /** All attempts, the first one included. */
      readonly maxAttempts?: number;
      /** Before the second attempt; it doubles with each further one, up to an hour. */
      readonly backoff?: string;
      /** Also after the agent's process has started: it may have had effects, and will have them again. */
      readonly afterStart?: boolean;
    };
  };
  /** What callers keep beside it, as names and texts. */
  readonly metadata?: { readonly [name: string]: string };
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** Counts the changes of what its clock must know. */
  readonly specVersion: number;
  /** Whether the clock has been told what the schedule says. */
  readonly clock: {
    readonly status: 'pending' | 'synced';
    readonly specVersion: number;
    readonly syncedAt?: string;
  };
  /** Present tense: a due occurrence is unhandled right now. */
  readonly overdue: boolean;
  readonly overdueSince?: string;
  readonly nextOccurrences: readonly string[];
  readonly lastRun?: {
    /** The id of a run. */
    readonly runId: string;
    readonly status: string;
    readonly verification?: 'verified' | 'unverified';
    readonly endedAt: string;
  };
  readonly liveRuns: readonly string[];
  /** Occurrences that wait for a live run's end, oldest first. */
  readonly buffered: readonly string[];
  /** Future occurrences that somebody has taken out. */
  readonly skips: readonly string[];
  readonly backfill?: {
    /** The id of a backfill. */
    readonly id: string;
    readonly remaining: number;
  };
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the server looked. */
  readonly asOf: string;
}

export interface SkipOccurrenceRequest {
  readonly occurrence: string;
  readonly reason?: string | undefined;
}

export interface StartBackfillRequest {
  readonly from: string;
  readonly to: string;
  readonly overlapPolicy?: 'buffer_all' | 'allow_all' | undefined;
  readonly again?: boolean | undefined;
}

/** The server's parts, each with its own last proof of life. */
export interface System {
  readonly version: {
    readonly schema: number;
  };
  readonly parts: readonly SystemPart[];
  readonly limits: Limits;
  /** Where measurements are kept in the process that answers: since it started. */
  readonly metrics?: readonly Metric[];
  /** When the server looked. */
  readonly asOf: string;
}

/** One part, by what it published itself. */
export interface SystemPart {
  readonly name: string;
  /** Who does this work: the process or function that published last. Absent where none ever did. */
  readonly owner?: string;
  /** alive: its last proof is as fresh as it promised. silent: it promised another one, and none came. seen: it gave proof once and promises nothing (it works when there is work). unknown: it has never published anything. */
  readonly status: 'alive' | 'silent' | 'seen' | 'unknown';
  readonly lastProofAt?: string;
  /** The next proof is due this long after the last one. */
  readonly promisedWithinSeconds?: number;
  readonly detail: { readonly [name: string]: string | number };
  /** When the server looked. */
  readonly asOf: string;
}

export interface TriggerScheduleRequest {
  /** Any JSON value. */
  readonly input?: Json | undefined;
}

export interface UnskipOccurrenceRequest {
  readonly occurrence: string;
}

/** An occurrence that is expected. */
export interface UpcomingOccurrence {
  readonly occurrence: string;
  /** Somebody has taken it out. */
  readonly skipped?: boolean;
}

export interface UpdateAgentRequest {
  readonly name?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly workingDirectory?: string | null | undefined;
  readonly env?: { readonly [name: string]: string | {
    readonly secret: string;
  } } | null | undefined;
  readonly limits?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string | undefined;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string | undefined;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string | undefined;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string | undefined;
    /** Runs on their way or at work at once; the others wait in order. Absent: no limit. */
    readonly maxConcurrentRuns?: number | undefined;
    /** VMs that exist at once, warm ones and those on their way included. */
    readonly maxConcurrentVms?: number | undefined;
    /** Of the output; what is longer is kept in part. The installation's limit stands above it. */
    readonly maxOutputBytes?: number | undefined;
    /** For the setup commands together, and for a checkout. */
    readonly setupTimeout?: string | undefined;
  } | null | undefined;
  readonly retry?: {
    /** All attempts, the first one included. */
    readonly maxAttempts?: number | undefined;
    /** Before the second attempt; it doubles with each further one, up to an hour. */
    readonly backoff?: string | undefined;
    /** Also after the agent's process has started: it may have had effects, and will have them again. */
    readonly afterStart?: boolean | undefined;
  } | null | undefined;
  readonly successCriteria?: {
    /** The exit code that stands for success, where it is not 0. */
    readonly exitCode?: number | undefined;
    /** At least one artifact with a path like this one must be there. */
    readonly artifact?: string | undefined;
    /** A JSON Schema for the output. */
    readonly outputSchema?: { readonly [name: string]: Json } | undefined;
  } | null | undefined;
  readonly artifacts?: readonly string[] | null | undefined;
  readonly setup?: readonly (readonly string[])[] | null | undefined;
  readonly repository?: {
    readonly url: string;
    /** A branch, a tag or a full commit id. */
    readonly ref: string;
    /** The id of the secret that opens it. */
    readonly secret?: string | undefined;
  } | null | undefined;
  readonly image?: string | null | undefined;
  readonly warmFor?: string | null | undefined;
  readonly reuse?: 'same_agent' | 'never' | null | undefined;
  readonly slots?: number | null | undefined;
  readonly requirements?: {
    readonly vcpu?: number | undefined;
    readonly memoryMiB?: number | undefined;
    readonly architecture?: 'x86_64' | 'arm64' | undefined;
    /** Only these, as far as the installation has them. */
    readonly instanceTypes?: readonly string[] | undefined;
    readonly diskGiB?: number | undefined;
    /** spot_first takes an on-demand one where there is no spot instance; absent: as the installation has it. */
    readonly market?: 'spot' | 'on_demand' | 'spot_first' | undefined;
  } | null | undefined;
  readonly metadata?: { readonly [name: string]: string } | null | undefined;
}

export interface UpdatePrincipalRequest {
  readonly name?: string | undefined;
  /** null: no role over the tenant. */
  readonly role?: 'viewer' | 'operator' | 'editor' | 'admin' | null | undefined;
  /** Replaces all of them. */
  readonly agents?: { readonly [name: string]: 'viewer' | 'operator' | 'editor' | 'admin' } | undefined;
  readonly status?: 'active' | 'revoked' | undefined;
}

export interface UpdateScheduleRequest {
  readonly name?: string | undefined;
  readonly cadence?: {
    readonly cron: string;
    readonly timezone: string;
  } | {
    readonly every: string;
    readonly startAt?: string | undefined;
  } | {
    readonly at: string;
    readonly timezone?: string | undefined;
  } | undefined;
  readonly window?: {
    readonly startAt?: string | undefined;
    readonly endAt?: string | undefined;
  } | null | undefined;
  /** What happens to an occurrence while a run of its schedule is live: it is skipped; one of them, or up to 50, wait for the end; the live run is cancelled, or killed at once, and the new one starts after it; both run side by side. */
  readonly overlapPolicy?: 'skip' | 'buffer_one' | 'buffer_all' | 'cancel_other' | 'terminate_other' | 'allow_all' | undefined;
  readonly catchupWindow?: string | null | undefined;
  readonly flexibleWindow?: string | null | undefined;
  readonly pauseOnFailure?: {
    readonly consecutive: number;
  } | null | undefined;
  readonly remainingRuns?: number | null | undefined;
  /** Any JSON value. */
  readonly input?: Json | undefined;
  readonly overrides?: {
    /** Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes. */
    readonly queueTimeout?: string | undefined;
    /** From admission until the process starts; absent: the installation's. */
    readonly startTimeout?: string | undefined;
    /** How long the process may work; absent: the installation's. */
    readonly runTimeout?: string | undefined;
    /** Neither output nor CPU time for so long ends the run. Absent: never. */
    readonly idleTimeout?: string | undefined;
    /** What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself. */
    readonly retry?: {
      /** All attempts, the first one included. */
      readonly maxAttempts?: number | undefined;
      /** Before the second attempt; it doubles with each further one, up to an hour. */
      readonly backoff?: string | undefined;
      /** Also after the agent's process has started: it may have had effects, and will have them again. */
      readonly afterStart?: boolean | undefined;
    } | undefined;
  } | null | undefined;
  readonly metadata?: { readonly [name: string]: string } | null | undefined;
  readonly confirmFrequency?: boolean | undefined;
}

export interface UpdateWebhookRequest {
  readonly url?: string | undefined;
  /** null takes it away. */
  readonly description?: string | null | undefined;
  /** Replaces all of them. */
  readonly events?: readonly string[] | undefined;
  /** Nothing is sent to a disabled one, and what happens meanwhile is not sent later. */
  readonly status?: 'active' | 'disabled' | undefined;
}

/** Whether the agent's success criteria are met: one entry for each of them. */
export interface Verification {
  readonly status: 'verified' | 'unverified';
  readonly checks: readonly ({
    readonly criterion: 'exitCode' | 'artifact' | 'outputSchema';
    readonly met: boolean;
    readonly detail: string;
  })[];
}

/** A machine that hosts runs. */
export interface Vm {
  /** The id of a VM. */
  readonly id: string;
  /** The id of an agent. */
  readonly agentId: string;
  readonly status: 'launching' | 'booting' | 'ready' | 'unresponsive' | 'draining' | 'terminated';
  readonly instanceId?: string;
  readonly runs: readonly {
    /** The id of a run. */
    readonly runId: string;
    readonly attempt: number;
  }[];
  /** Room for so many runs at once. */
  readonly slots: number;
  /** Of a VM without a run. */
  readonly idleSince?: string;
  /** Of a VM without a run: until when it is kept warm for the next one. */
  readonly warmUntil?: string;
  readonly drain?: {
    readonly requestedAt: string;
    readonly requestedBy: string;
  };
  /** Counts its runner's registrations. */
  readonly generation: number;
  /** Until when it is believed because of its last heartbeat. */
  readonly leaseUntil?: string;
  readonly evidence: Evidence;
  readonly createdAt: string;
  readonly terminatedAt?: string;
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** When the server looked. */
  readonly asOf: string;
}

/** An endpoint that is told of events. */
export interface Webhook {
  readonly id: string;
  readonly url: string;
  readonly description?: string;
  readonly events: readonly string[];
  readonly status: 'active' | 'disabled';
  /** auto: it took nothing for days, or said that it is gone. */
  readonly disabled?: {
    readonly kind: 'user' | 'auto';
    readonly reason: string;
    readonly at: string;
    readonly by: string;
  };
  /** When each secret that signs was made, the newest first, and until when an older one goes on to sign. */
  readonly secrets: readonly {
    readonly createdAt: string;
    readonly endsAt?: string;
  }[];
  /** No delivery has been taken since then. */
  readonly failingSince?: string;
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the server looked. */
  readonly asOf: string;
}

/** The only answer that ever shows a secret. */
export interface WebhookWithSecret {
  readonly id: string;
  readonly url: string;
  readonly description?: string;
  readonly events: readonly string[];
  readonly status: 'active' | 'disabled';
  /** auto: it took nothing for days, or said that it is gone. */
  readonly disabled?: {
    readonly kind: 'user' | 'auto';
    readonly reason: string;
    readonly at: string;
    readonly by: string;
  };
  /** When each secret that signs was made, the newest first, and until when an older one goes on to sign. */
  readonly secrets: readonly {
    readonly createdAt: string;
    readonly endsAt?: string;
  }[];
  /** No delivery has been taken since then. */
  readonly failingSince?: string;
  /** Counts the changes of the resource; its ETag is this number in quotes. */
  readonly version: number;
  /** The id of a principal. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the server looked. */
  readonly asOf: string;
  /** What deliveries are signed with. */
  readonly secret: string;
}

/** What each operation takes and answers. */
export interface Operations {
  /** The agents, newest first. */
  listAgents: {
    readonly path: undefined;
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Agent[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Register an agent. */
  createAgent: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body: CreateAgentRequest;
    readonly ifMatch: never;
    readonly answer: Agent;
  };
  /** One agent. */
  getAgent: {
    readonly path: {
      readonly agentId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Agent;
  };
  /** Change an agent. What is left out stays; null takes an optional field back to its default. Runs keep the version that they were created with. */
  updateAgent: {
    readonly path: {
      readonly agentId: string;
    };
    readonly query: undefined;
    readonly body: UpdateAgentRequest;
    readonly ifMatch: 'required';
    readonly answer: Agent;
  };
  /** Delete an agent. Refused while it has schedules, or live runs that are not to be cancelled with it. */
  deleteAgent: {
    readonly path: {
      readonly agentId: string;
    };
    readonly query: {
      readonly cancelRuns?: 'true' | 'false' | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: 'required';
    readonly answer: undefined;
  };
  /** The occurrences that a cadence has, without a schedule. */
  previewCadence: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body: PreviewCadenceRequest;
    readonly ifMatch: never;
    readonly answer: Preview;
  };
  /** The schedules of an agent, newest first. */
  listAgentSchedules: {
    readonly path: {
      readonly agentId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Schedule[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Promise to run an agent at certain times. */
  createSchedule: {
    readonly path: {
      readonly agentId: string;
    };
    readonly query: undefined;
    readonly body: CreateScheduleRequest;
    readonly ifMatch: never;
    readonly answer: Schedule;
  };
  /** All schedules, newest first. */
  listSchedules: {
    readonly path: undefined;
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Schedule[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** One schedule. */
  getSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Schedule;
  };
  /** Change a schedule, or with dryRun=true hear what a change would do. What is left out stays; null takes an optional field back to its default. A change takes effect from its own time: it never fires into the past. */
  updateSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      readonly dryRun?: 'true' | 'false' | undefined;
    };
    readonly body: UpdateScheduleRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Schedule | DryRun;
  };
  /** Delete a schedule. Refused while it has live runs that are not to be cancelled with it. */
  deleteSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      readonly cancelRuns?: 'true' | 'false' | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: 'required';
    readonly answer: Schedule | undefined;
  };
  /** Let no further occurrence run. Live and queued runs go on. Pausing what is paused changes nothing. */
  pauseSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body?: PauseScheduleRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Schedule;
  };
  /** Let occurrences run again, from now on. */
  resumeSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body?: ResumeScheduleRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Schedule;
  };
  /** Run a schedule now, outside its occurrences. A paused schedule runs too: it is asked for. The overlap policy holds. */
  triggerSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body?: TriggerScheduleRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Run;
  };
  /** What became of each occurrence, newest first. */
  listOccurrences: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
      readonly disposition?: 'dispatched' | 'buffered' | 'skipped' | 'missed' | undefined;
      readonly from?: string | undefined;
      readonly to?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Occurrence[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** The occurrences that are expected. */
  listUpcoming: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      readonly count?: number | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly UpcomingOccurrence[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** The runs of a schedule, newest first. */
  listScheduleRuns: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Run[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Why a schedule did run, or did not run, at a time. */
  explainSchedule: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      readonly at: string;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Explanation;
  };
  /** Every edit of what the clock follows, oldest first. */
  listRevisions: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Revision[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Take one future occurrence out. */
  skipOccurrence: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body: SkipOccurrenceRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Schedule;
  };
  /** Put an occurrence back that was taken out. */
  unskipOccurrence: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body: UnskipOccurrenceRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Schedule;
  };
  /** Make runs for past occurrences. */
  startBackfill: {
    readonly path: {
      readonly scheduleId: string;
    };
    readonly query: undefined;
    readonly body: StartBackfillRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Backfill;
  };
  /** One backfill. */
  getBackfill: {
    readonly path: {
      readonly scheduleId: string;
      readonly backfillId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Backfill;
  };
  /** Make no further runs of a backfill. */
  cancelBackfill: {
    readonly path: {
      readonly scheduleId: string;
      readonly backfillId: string;
    };
    readonly query: undefined;
    readonly body?: CancelBackfillRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Backfill;
  };
  /** Run an agent once, now. With the token of a run the new run is its child. */
  createRun: {
    readonly path: {
      readonly agentId: string;
    };
    readonly query: undefined;
    readonly body?: CreateRunRequest;
    readonly ifMatch: never;
    readonly answer: Run;
  };
  /** Runs, newest first. */
  listRuns: {
    readonly path: undefined;
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
      readonly status?: 'queued' | 'provisioning' | 'starting' | 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost' | 'live' | undefined;
      readonly agentId?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Run[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** One run: what is known of it, who saw it and when. */
  getRun: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Run;
  };
  /** Ask a run to end. */
  cancelRun: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: undefined;
    readonly body?: CancelRunRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Run;
  };
  /** Do an ended run again, as a new run. With the same input, unless another one is sent. */
  retryRun: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: undefined;
    readonly body?: RetryRunRequest;
    readonly ifMatch: 'honoured';
    readonly answer: Run;
  };
  /** Why a run is not running, or why it ended as it did. */
  explainRun: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: RunExplanation;
  };
  /** The runs that a run has started, oldest first. */
  listChildren: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Children;
  };
  /** Say that a run starts no further runs. When the last child has ended after that, the family is complete. */
  sealChildren: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Children;
  };
  /** The bytes of a file that a run has left. Where they are kept elsewhere the answer leads there: follow it without the credential. */
  getArtifact: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: {
      readonly path: string;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Response;
  };
  /** Every change of a run's state, in order. */
  listRunEvents: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Event[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** What a run has written. With wait the answer is held back until there is something new, or the time is over. */
  getRunLogs: {
    readonly path: {
      readonly runId: string;
    };
    readonly query: {
      readonly cursor?: string | undefined;
      readonly attempt?: number | undefined;
      readonly wait?: number | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: LogPage;
  };
  /** The machines, newest first. */
  listVms: {
    readonly path: undefined;
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Vm[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** One machine. */
  getVm: {
    readonly path: {
      readonly vmId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Vm;
  };
  /** Give a machine no further run; when those on it have ended, it goes. */
  drainVm: {
    readonly path: {
      readonly vmId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: 'honoured';
    readonly answer: Vm;
  };
  /** The webhooks. */
  listWebhooks: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Webhook[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Have an endpoint told of events. Its secret is shown this once. */
  createWebhook: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body: CreateWebhookRequest;
    readonly ifMatch: never;
    readonly answer: WebhookWithSecret;
  };
  /** One webhook. */
  getWebhook: {
    readonly path: {
      readonly webhookId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Webhook;
  };
  /** Change a webhook, or switch it off or on. What happens while it is off is not sent later. */
  updateWebhook: {
    readonly path: {
      readonly webhookId: string;
    };
    readonly query: undefined;
    readonly body: UpdateWebhookRequest;
    readonly ifMatch: 'required';
    readonly answer: Webhook;
  };
  /** Delete a webhook; what waits to be sent is not sent. */
  deleteWebhook: {
    readonly path: {
      readonly webhookId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: 'required';
    readonly answer: undefined;
  };
  /** Make a new secret, which is shown this once. Both sign for the overlap. */
  rotateWebhookSecret: {
    readonly path: {
      readonly webhookId: string;
    };
    readonly query: undefined;
    readonly body?: RotateWebhookSecretRequest;
    readonly ifMatch: 'honoured';
    readonly answer: WebhookWithSecret;
  };
  /** Send an event of the type webhook.test. */
  testWebhook: {
    readonly path: {
      readonly webhookId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Delivery;
  };
  /** What was sent to a webhook, newest first. */
  listDeliveries: {
    readonly path: {
      readonly webhookId: string;
    };
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
      readonly status?: 'pending' | 'delivered' | 'failed' | 'cancelled' | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Delivery[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** One delivery, with each try and what is sent. */
  getDelivery: {
    readonly path: {
      readonly webhookId: string;
      readonly deliveryId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: DeliveryWithPayload;
  };
  /** Send a delivery again, under the same id. */
  redeliver: {
    readonly path: {
      readonly webhookId: string;
      readonly deliveryId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Delivery;
  };
  /** Everything that changes, in order for each resource. At least once: the id of an event tells a repeat. With wait the answer is held back until there is something, or the time is over. */
  listEvents: {
    readonly path: undefined;
    readonly query: {
      /** The nextCursor of an answer before, earliest (which it is without one) or latest. */
      readonly after?: string | undefined;
      /** Seconds that the answer may be held back. */
      readonly wait?: number | undefined;
      readonly limit?: number | undefined;
      readonly type?: string | undefined;
      readonly agentId?: string | undefined;
      readonly scheduleId?: string | undefined;
      readonly runId?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Feed;
  };
  /** Who changed what, newest first. */
  listAuditLog: {
    readonly path: undefined;
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
      /** The id of who asked for it. */
      readonly by?: string | undefined;
      /** The name of the operation, such as pauseSchedule. */
      readonly operation?: string | undefined;
      /** The id of something that was changed, a key included. */
      readonly resource?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly AuditLogEntry[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Who you are, and what your credential opens. */
  getMe: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Me;
  };
  /** The people and service accounts of your tenant. */
  listPrincipals: {
    readonly path: undefined;
    readonly query: {
      /** How many items a page has at most. */
      readonly limit?: number | undefined;
      /** The nextCursor of the page before; absent: the first page. */
      readonly cursor?: string | undefined;
    };
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Principal[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Make a service account, or enter an AWS role or user. People come by themselves, through the identity provider. */
  createPrincipal: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body: CreatePrincipalRequest;
    readonly ifMatch: never;
    readonly answer: Principal;
  };
  /** One principal. */
  getPrincipal: {
    readonly path: {
      readonly principalId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Principal;
  };
  /** Change what a principal may do, or revoke it. A revoked principal is refused from then on, and none of its schedules fires. */
  updatePrincipal: {
    readonly path: {
      readonly principalId: string;
    };
    readonly query: undefined;
    readonly body: UpdatePrincipalRequest;
    readonly ifMatch: 'required';
    readonly answer: Principal;
  };
  /** The keys of a service account, without what is secret of them. */
  listKeys: {
    readonly path: {
      readonly principalId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly items: readonly Key[];
      /** Where the next page begins; absent on the last one. */
      readonly nextCursor?: string;
      /** When the server looked. */
      readonly asOf: string;
    };
  };
  /** Make a key of a service account. It is shown this once. If-Match is about the principal, whose version this raises. */
  createKey: {
    readonly path: {
      readonly principalId: string;
    };
    readonly query: undefined;
    readonly body: CreateKeyRequest;
    readonly ifMatch: 'honoured';
    readonly answer: NewKey;
  };
  /** Make a key that takes the place of another one. Both work for the overlap. If-Match is about the principal, whose version this raises. */
  rotateKey: {
    readonly path: {
      readonly principalId: string;
      readonly keyId: string;
    };
    readonly query: undefined;
    readonly body?: RotateKeyRequest;
    readonly ifMatch: 'honoured';
    readonly answer: NewKey;
  };
  /** Refuse a key from now on. Repeating it is harmless. If-Match is about the principal, whose version this raises. */
  revokeKey: {
    readonly path: {
      readonly principalId: string;
      readonly keyId: string;
    };
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: 'honoured';
    readonly answer: undefined;
  };
  /** This document, as the server has it. */
  getOpenApi: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: {
      readonly openapi: string;
    };
  };
  /** The document as a page for people. */
  getReference: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Response;
  };
  /** Whether this process answers at all. */
  getHealth: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Health;
  };
  /** The parts of the system, each with its own last proof of life. Status only: nothing here can be written. */
  getSystem: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: System;
  };
  /** What the last whole audit found of your tenant. */
  getAudit: {
    readonly path: undefined;
    readonly query: undefined;
    readonly body?: undefined;
    readonly ifMatch: never;
    readonly answer: Audit;
  };
}

/** Where each operation is. */
export const OPERATIONS = {
  listAgents: { method: 'GET', path: '/v1/agents' },
  createAgent: { method: 'POST', path: '/v1/agents' },
  getAgent: { method: 'GET', path: '/v1/agents/{agentId}' },
  updateAgent: { method: 'PATCH', path: '/v1/agents/{agentId}' },
  deleteAgent: { method: 'DELETE', path: '/v1/agents/{agentId}' },
  previewCadence: { method: 'POST', path: '/v1/schedules/preview' },
  listAgentSchedules: { method: 'GET', path: '/v1/agents/{agentId}/schedules' },
  createSchedule: { method: 'POST', path: '/v1/agents/{agentId}/schedules' },
  listSchedules: { method: 'GET', path: '/v1/schedules' },
  getSchedule: { method: 'GET', path: '/v1/schedules/{scheduleId}' },
  updateSchedule: { method: 'PATCH', path: '/v1/schedules/{scheduleId}' },
  deleteSchedule: { method: 'DELETE', path: '/v1/schedules/{scheduleId}' },
  pauseSchedule: { method: 'POST', path: '/v1/schedules/{scheduleId}/pause' },
  resumeSchedule: { method: 'POST', path: '/v1/schedules/{scheduleId}/resume' },
  triggerSchedule: { method: 'POST', path: '/v1/schedules/{scheduleId}/trigger' },
  listOccurrences: { method: 'GET', path: '/v1/schedules/{scheduleId}/occurrences' },
  listUpcoming: { method: 'GET', path: '/v1/schedules/{scheduleId}/upcoming' },
  listScheduleRuns: { method: 'GET', path: '/v1/schedules/{scheduleId}/runs' },
  explainSchedule: { method: 'GET', path: '/v1/schedules/{scheduleId}/explain' },
  listRevisions: { method: 'GET', path: '/v1/schedules/{scheduleId}/revisions' },
  skipOccurrence: { method: 'POST', path: '/v1/schedules/{scheduleId}/skip' },
  unskipOccurrence: { method: 'POST', path: '/v1/schedules/{scheduleId}/unskip' },
  startBackfill: { method: 'POST', path: '/v1/schedules/{scheduleId}/backfill' },
  getBackfill: { method: 'GET', path: '/v1/schedules/{scheduleId}/backfills/{backfillId}' },
  cancelBackfill: { method: 'POST', path: '/v1/schedules/{scheduleId}/backfills/{backfillId}/cancel' },
  createRun: { method: 'POST', path: '/v1/agents/{agentId}/runs' },
  listRuns: { method: 'GET', path: '/v1/runs' },
  getRun: { method: 'GET', path: '/v1/runs/{runId}' },
  cancelRun: { method: 'POST', path: '/v1/runs/{runId}/cancel' },
  retryRun: { method: 'POST', path: '/v1/runs/{runId}/retry' },
  explainRun: { method: 'GET', path: '/v1/runs/{runId}/explain' },
  listChildren: { method: 'GET', path: '/v1/runs/{runId}/children' },
  sealChildren: { method: 'POST', path: '/v1/runs/{runId}/children/seal' },
  getArtifact: { method: 'GET', path: '/v1/runs/{runId}/artifacts/content' },
  listRunEvents: { method: 'GET', path: '/v1/runs/{runId}/events' },
  getRunLogs: { method: 'GET', path: '/v1/runs/{runId}/logs' },
  listVms: { method: 'GET', path: '/v1/vms' },
  getVm: { method: 'GET', path: '/v1/vms/{vmId}' },
  drainVm: { method: 'POST', path: '/v1/vms/{vmId}/drain' },
  listWebhooks: { method: 'GET', path: '/v1/webhooks' },
  createWebhook: { method: 'POST', path: '/v1/webhooks' },
  getWebhook: { method: 'GET', path: '/v1/webhooks/{webhookId}' },
  updateWebhook: { method: 'PATCH', path: '/v1/webhooks/{webhookId}' },
  deleteWebhook: { method: 'DELETE', path: '/v1/webhooks/{webhookId}' },
  rotateWebhookSecret: { method: 'POST', path: '/v1/webhooks/{webhookId}/rotate-secret' },
  testWebhook: { method: 'POST', path: '/v1/webhooks/{webhookId}/test' },
  listDeliveries: { method: 'GET', path: '/v1/webhooks/{webhookId}/deliveries' },
  getDelivery: { method: 'GET', path: '/v1/webhooks/{webhookId}/deliveries/{deliveryId}' },
  redeliver: { method: 'POST', path: '/v1/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver' },
  listEvents: { method: 'GET', path: '/v1/events' },
  listAuditLog: { method: 'GET', path: '/v1/audit-log' },
  getMe: { method: 'GET', path: '/v1/me' },
  listPrincipals: { method: 'GET', path: '/v1/principals' },
  createPrincipal: { method: 'POST', path: '/v1/principals' },
  getPrincipal: { method: 'GET', path: '/v1/principals/{principalId}' },
  updatePrincipal: { method: 'PATCH', path: '/v1/principals/{principalId}' },
  listKeys: { method: 'GET', path: '/v1/principals/{principalId}/keys' },
  createKey: { method: 'POST', path: '/v1/principals/{principalId}/keys' },
  rotateKey: { method: 'POST', path: '/v1/principals/{principalId}/keys/{keyId}/rotate' },
  revokeKey: { method: 'DELETE', path: '/v1/principals/{principalId}/keys/{keyId}' },
  getOpenApi: { method: 'GET', path: '/v1/openapi.json' },
  getReference: { method: 'GET', path: '/v1/reference' },
  getHealth: { method: 'GET', path: '/v1/health' },
  getSystem: { method: 'GET', path: '/v1/system' },
  getAudit: { method: 'GET', path: '/v1/system/audit' },
} as const;
