/** Runs, their events and logs: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import {
  MARKETS,
  Retry,
  RetryBody,
  retryToBody,
  timeoutBodyFields,
  timeoutFields,
  timeoutsToBody,
} from './agentParts.ts';
import {
  AgentId,
  type Answered,
  asOf,
  BackfillId,
  Evidence,
  JsonValue,
  listFields,
  RunId,
  ScheduleId,
  Time,
  Version,
  VmId,
} from './common.ts';
import { RUN_STATUSES } from './runStatus.ts';

export * from './runStatus.ts';

export const TRIGGER_KINDS = ['schedule', 'trigger', 'api', 'backfill', 'retry', 'run'] as const;
export type TriggerKind = (typeof TRIGGER_KINDS)[number];

export const CANCEL_CAUSES = ['request', 'timeout', 'idle', 'shutdown', 'overlap'] as const;
export type CancelCause = (typeof CANCEL_CAUSES)[number];

/** How the work's process came to its end, as the runner saw it (design.md §5.6). */
export const TERMINATED_BY = ['self', 'cancel', 'timeout', 'idle', 'oom', 'signal'] as const;
export type TerminatedBy = (typeof TERMINATED_BY)[number];

/** What one run, or a schedule's runs, have otherwise than their agent. */
export const RunOverrides = z.strictObject({ ...timeoutFields, retry: Retry.optional() });
export type RunOverrides = z.output<typeof RunOverrides>;

export const OverridesBody = z.strictObject({ ...timeoutBodyFields, retry: RetryBody.exactOptional() });
export type OverridesBody = Answered<typeof OverridesBody>;

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
export const CancelBody = z
  .strictObject({
    requestedAt: Time,
    requestedBy: z.string(),
    reason: z.string(),
    cause: z.enum(CANCEL_CAUSES).describe('Ends for other reasons than a request go through the same door.'),
    acknowledgedAt: Time.exactOptional(),
    processGoneAt: Time.exactOptional(),
    vmTerminatedAt: Time.exactOptional(),
    signals: z.array(z.string()).exactOptional().describe('The signals that were sent, in order.'),
    billed: z
      .strictObject({ seconds: z.number(), final: z.boolean() })
      .exactOptional()
      .describe(
        'In the detail of one run: what its VM cost after the request, in seconds; final once that does not grow any more.',
      ),
  })
  .meta({
    id: 'Cancel',
    description: 'The stages of a cancel, each with its time; what has not been observed is absent.',
  });
export type CancelBody = Answered<typeof CancelBody>;

export const AttemptBody = z
  .strictObject({
    attempt: z.int().min(1),
    vmId: VmId.exactOptional(),
    dispatchedAt: Time.exactOptional(),
    startedAt: Time.exactOptional(),
    endedAt: Time,
    reason: z.string().describe('Why: vm_terminated, not_started, setup_failed and others.'),
    evidence: Evidence,
  })
  .meta({ id: 'Attempt', description: 'An attempt that has been given up: the run went on with the next one.' });
export type AttemptBody = Answered<typeof AttemptBody>;

export const VerificationBody = z
  .strictObject({
    status: z.enum(['verified', 'unverified']),
    checks: z.array(
      z.strictObject({
        criterion: z.enum(['exitCode', 'artifact', 'outputSchema']),
        met: z.boolean(),
        detail: z.string(),
      }),
    ),
  })
  .meta({
    id: 'Verification',
    description: "Whether the agent's success criteria are met: one entry for each of them.",
  });
export type VerificationBody = Answered<typeof VerificationBody>;

export const CorrectionBody = z
  .strictObject({
    status: z.enum(['succeeded', 'failed', 'cancelled', 'timed_out', 'lost']),
    exitCode: z.int().exactOptional(),
    verification: VerificationBody.exactOptional(),
    evidence: Evidence,
  })
  .meta({
    id: 'Correction',
    description: 'What was found out about a lost run after its verdict, which stands.',
  });
export type CorrectionBody = Answered<typeof CorrectionBody>;

export const ArtifactBody = z
  .strictObject({ path: z.string(), bytes: z.int().min(0), sha256: z.string() })
  .meta({ id: 'Artifact', description: 'A file that the run has left.' });
export type ArtifactBody = Answered<typeof ArtifactBody>;

export const TriedBody = z
  .strictObject({
    type: z.string().exactOptional(),
    availabilityZone: z.string().exactOptional(),
    market: z.enum(MARKETS).exactOptional(),
    code: z.string(),
  })
  .describe(
    "A pool of machines that was asked for one, and the answer in the fleet's own word, such as an error code of EC2.",
  );
export type TriedBody = Answered<typeof TriedBody>;

const WaitingBody = z
  .strictObject({
    reason: z.string(),
    tried: z
      .array(TriedBody)
      .exactOptional()
      .describe('Where a VM is waited for: what was asked for since it began to wait, and what the fleet said.'),
    nextTryAt: Time.exactOptional().describe('At the latest.'),
    blockedBy: z
      .array(z.union([RunId, VmId]))
      .exactOptional()
      .describe('Whose end makes room: runs, or VMs where it is a limit of VMs that is waited for.'),
    maximum: z
      .int()
      .exactOptional()
      .describe('Where a limit is waited for: how many may be at work (or VMs exist) at once.'),
    position: z.int().exactOptional().describe('In the detail of one run: where it stands in the queue, 1 is next.'),
  })
  .describe('What a queued run waits for.');

export const RunBody = z
  .strictObject({
    id: RunId,
    agentId: AgentId,
    agentVersion: z.int().min(1).describe('The version of the agent that it runs.'),
    scheduleId: ScheduleId.exactOptional(),
    occurrence: Time.exactOptional().describe('The nominal time that it stands for, to the second.'),
    backfillId: BackfillId.exactOptional(),
    trigger: z.strictObject({ kind: z.enum(TRIGGER_KINDS), by: z.string() }).describe('What has started it, and who.'),
    retryOf: RunId.exactOptional().describe('The run that this one does again.'),
    parentRunId: RunId.exactOptional().describe('The run that has started this one.'),
    displayName: z.string(),
    status: z.enum(RUN_STATUSES),
    attempt: z.int().min(1),
    attempts: z.array(AttemptBody).exactOptional().describe('Attempts before the present one, oldest first.'),
    input: JsonValue.describe('Any JSON value.'),
    output: JsonValue.describe('Any JSON value.').exactOptional(),
    verification: VerificationBody.exactOptional(),
    artifacts: z.array(ArtifactBody).exactOptional().describe('In the detail of one run.'),
    exitCode: z.int().exactOptional(),
    signal: z.string().exactOptional(),
    terminatedBy: z.enum(TERMINATED_BY).exactOptional().describe("How the work's process came to its end."),
    reason: z.string().exactOptional(),
    evidence: Evidence,
    correction: CorrectionBody.exactOptional(),
    cancel: CancelBody.exactOptional(),
    waiting: WaitingBody.exactOptional(),
    vmId: VmId.exactOptional(),
    createdAt: Time,
    queuedAt: Time,
    provisionedAt: Time.exactOptional(),
    startedAt: Time.exactOptional(),
    endedAt: Time.exactOptional(),
    deadlineAt: Time.exactOptional().describe('By when it must have left its status.'),
    version: Version,
    asOf,
  })
  .meta({ id: 'Run', description: 'One piece of work: what is known of it, who saw it and when.' });
export type RunBody = Answered<typeof RunBody>;

export const ChildrenBody = z
  .strictObject({
    ...listFields(RunBody),
    created: z.int().describe('How many there are.'),
    pending: z.int().describe('How many of them have not ended.'),
    sealed: z.boolean().describe('No child can be added any more: by order, or because the parent has ended.'),
    completedAt: Time.exactOptional().describe('When all of them had ended after the list was sealed.'),
  })
  .meta({ id: 'Children', description: 'The runs that a run has started.' });
export type ChildrenBody = Answered<typeof ChildrenBody>;

export const RunExplainBody = z
  .strictObject({
    runId: RunId,
    status: z.enum(RUN_STATUSES),
    summary: z.string().describe('For a person.'),
    facts: z.array(z.strictObject({ about: z.string(), text: z.string(), evidence: Evidence.exactOptional() })),
    remedy: z.string().exactOptional().describe('What can be done about it, where something can.'),
    asOf,
  })
  .meta({
    id: 'RunExplanation',
    description:
      'One answer to "why is it not running" and "why did it end so", each sentence with who saw it and when.',
  });
export type RunExplainBody = Answered<typeof RunExplainBody>;

export const EventBody = z
  .strictObject({
    sequence: z.int().min(1).describe('Counts the changes of the resource, without gaps.'),
    type: z.string(),
    at: Time,
    status: z.string().exactOptional(),
    detail: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Event', description: 'A change of state.' });
export type EventBody = Answered<typeof EventBody>;

export const LogRecordBody = z
  .strictObject({
    atMs: z.number().describe('Milliseconds since the start of the attempt.'),
    stream: z.enum(['stdout', 'stderr', 'candor']),
    text: z.string().exactOptional(),
    base64: z.string().exactOptional().describe('Instead of text, where it is not UTF-8.'),
  })
  .meta({ id: 'LogRecord', description: 'What a run has written at once.' });
export type LogRecordBody = Answered<typeof LogRecordBody>;

export const LogPageBody = z
  .strictObject({
    items: z.array(LogRecordBody),
    nextCursor: z.string().describe('Where to go on reading. The same cursor again means: nothing new yet.'),
    complete: z.boolean().describe('True when the run has ended and everything it wrote has been read.'),
    asOf,
  })
  .meta({ id: 'LogPage', description: "A part of one attempt's log." });
export type LogPageBody = Answered<typeof LogPageBody>;

export const VmBody = z
  .strictObject({
    id: VmId,
    agentId: AgentId,
    status: z.enum(['launching', 'booting', 'ready', 'unresponsive', 'draining', 'terminated']),
    instanceId: z.string().exactOptional(),
    runs: z.array(z.strictObject({ runId: RunId, attempt: z.int().min(1) })),
    slots: z.int().describe('Room for so many runs at once.'),
    idleSince: Time.exactOptional().describe('Of a VM without a run.'),
    warmUntil: Time.exactOptional().describe('Of a VM without a run: until when it is kept warm for the next one.'),
    drain: z.strictObject({ requestedAt: Time, requestedBy: z.string() }).exactOptional(),
    generation: z.int().min(0).describe("Counts its runner's registrations."),
    leaseUntil: Time.exactOptional().describe('Until when it is believed because of its last heartbeat.'),
    evidence: Evidence,
    createdAt: Time,
    terminatedAt: Time.exactOptional(),
    version: Version,
    asOf,
  })
  .meta({ id: 'Vm', description: 'A machine that hosts runs.' });
export type VmBody = Answered<typeof VmBody>;
