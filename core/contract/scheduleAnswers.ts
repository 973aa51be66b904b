/** Schedules, occurrences and what becomes of them, as they are answered (design.md §7). */
import * as z from 'zod';
import {
  AgentId,
  type Answered,
  asOf,
  BackfillId,
  Evidence,
  Iso8601Duration,
  JsonValue,
  MetadataBody,
  PrincipalId,
  RunId,
  ScheduleId,
  Time,
  Version,
} from './common.ts';
import { OverridesBody, VerificationBody } from './runs.ts';
import { DISPOSITIONS, OverlapPolicy, SCHEDULE_STATUSES, SCHEDULE_WORDS } from './scheduleParts.ts';

export const CadenceBody = z
  .union([
    z.strictObject({ cron: z.string(), timezone: z.string() }),
    z.strictObject({ every: Iso8601Duration, startAt: Time }),
    z.strictObject({ at: Time, timezone: z.string().exactOptional() }),
  ])
  .meta({ id: 'Cadence', description: 'When it fires: by a cron expression, at an interval, or once.' });
export type CadenceBody = Answered<typeof CadenceBody>;

const WindowBody = z
  .strictObject({ startAt: Time.exactOptional(), endAt: Time.exactOptional() })
  .describe('No occurrence is before its start or after its end.');

export const PauseBody = z.strictObject({
  kind: z.enum(['user', 'auto']).describe('auto: after too many failures in a row.'),
  reason: z.string(),
  by: z.string(),
  at: Time,
});
export type PauseBody = Answered<typeof PauseBody>;

export const ScheduleBody = z
  .strictObject({
    id: ScheduleId,
    agentId: AgentId,
    name: z.string(),
    status: z.enum(SCHEDULE_STATUSES),
    pause: PauseBody.exactOptional(),
    cadence: CadenceBody,
    window: WindowBody.exactOptional(),
    overlapPolicy: OverlapPolicy,
    catchupWindow: Iso8601Duration.describe(SCHEDULE_WORDS.catchupWindow),
    flexibleWindow: Iso8601Duration.exactOptional().describe(SCHEDULE_WORDS.flexibleWindow),
    pauseOnFailure: z.strictObject({ consecutive: z.int() }).exactOptional().describe(SCHEDULE_WORDS.pauseOnFailure),
    failureStreak: z.int().min(0).describe("Failures in a row that were the agent's own."),
    remainingRuns: z.int().min(0).exactOptional().describe(SCHEDULE_WORDS.remainingRuns),
    input: JsonValue.describe('Any JSON value.'),
    overrides: OverridesBody.exactOptional().describe(SCHEDULE_WORDS.overrides),
    metadata: MetadataBody.exactOptional(),
    version: Version,
    specVersion: z.int().min(1).describe('Counts the changes of what its clock must know.'),
    clock: z
      .strictObject({
        status: z.enum(['pending', 'synced']),
        specVersion: z.int().min(0),
        syncedAt: Time.exactOptional(),
      })
      .describe('Whether the clock has been told what the schedule says.'),
    overdue: z.boolean().describe('Present tense: a due occurrence is unhandled right now.'),
    overdueSince: Time.exactOptional(),
    nextOccurrences: z.array(Time),
    lastRun: z
      .strictObject({
        runId: RunId,
        status: z.string(),
        verification: VerificationBody.shape.status.exactOptional(),
        endedAt: Time,
      })
      .exactOptional(),
    liveRuns: z.array(RunId),
    buffered: z.array(Time).describe("Occurrences that wait for a live run's end, oldest first."),
    skips: z.array(Time).describe('Future occurrences that somebody has taken out.'),
    backfill: z.strictObject({ id: BackfillId, remaining: z.int().min(0) }).exactOptional(),
    createdBy: PrincipalId,
    createdAt: Time,
    updatedAt: Time,
    asOf,
  })
  .meta({ id: 'Schedule', description: 'A recurring or one-off promise to run an agent with an input.' });
export type ScheduleBody = Answered<typeof ScheduleBody>;

export const OccurrenceBody = z
  .strictObject({
    scheduleId: ScheduleId,
    occurrence: Time.describe('UTC, to the second; the first one where the item stands for a range.'),
    through: Time.exactOptional().describe('The last one of a range.'),
    count: z.int().exactOptional().describe('How many it stands for.'),
    disposition: z.enum(DISPOSITIONS),
    reason: z.string().exactOptional(),
    runId: RunId.exactOptional(),
    blockingRunId: RunId.exactOptional(),
    backfillId: BackfillId.exactOptional(),
    specVersion: z.int().min(0),
    bufferedAt: Time.exactOptional().describe('When it began to wait, if it was buffered.'),
    decidedAt: Time,
    latenessSeconds: z.number().min(0),
    evidence: Evidence,
  })
  .meta({ id: 'Occurrence', description: 'One nominal time at which a schedule should fire, and what became of it.' });
export type OccurrenceBody = Answered<typeof OccurrenceBody>;

export const UpcomingBody = z
  .strictObject({ occurrence: Time, skipped: z.boolean().exactOptional().describe('Somebody has taken it out.') })
  .meta({ id: 'UpcomingOccurrence', description: 'An occurrence that is expected.' });
export type UpcomingBody = Answered<typeof UpcomingBody>;

export const RevisionBody = z
  .strictObject({
    specVersion: z.int().min(0),
    from: Time,
    active: z.boolean(),
    cadence: CadenceBody,
    window: WindowBody.exactOptional(),
    changed: z
      .array(z.string())
      .exactOptional()
      .describe(
        'The fields that it changed; absent for the first one, and where the schedule changed by itself. Edits of other things share the specVersion.',
      ),
    by: z.string(),
  })
  .meta({ id: 'Revision', description: 'One edit, or a change that the schedule made by itself.' });
export type RevisionBody = Answered<typeof RevisionBody>;

export const PreviewBody = z
  .strictObject({
    occurrences: z.array(z.strictObject({ utc: Time, local: z.string() })),
    awsExpression: z
      .strictObject({ expression: z.string(), timezone: z.string() })
      .exactOptional()
      .describe('What the real clock is told; absent where AWS cannot say it.'),
    awsProblem: z
      .strictObject({ problem: z.string(), remedy: z.string() })
      .exactOptional()
      .describe('Why AWS cannot say it.'),
    warnings: z.array(z.string()),
    asOf,
  })
  .meta({ id: 'Preview', description: 'The occurrences that a cadence has.' });
export type PreviewBody = Answered<typeof PreviewBody>;

export const ExplainBody = z
  .strictObject({
    scheduleId: ScheduleId,
    at: Time,
    answer: z.string().describe('One sentence for a person.'),
    expected: z.boolean(),
    nearest: z.strictObject({ before: Time.exactOptional(), after: Time.exactOptional() }),
    revision: RevisionBody.exactOptional(),
    occurrence: OccurrenceBody.exactOptional(),
    run: z
      .strictObject({
        runId: RunId,
        status: z.string(),
        reason: z.string().exactOptional(),
        evidence: Evidence,
      })
      .exactOptional(),
    blockingRun: z
      .strictObject({
        runId: RunId,
        status: z.string(),
        startedAt: Time.exactOptional(),
        endedAt: Time.exactOptional(),
      })
      .exactOptional(),
    backfills: z
      .array(z.strictObject({ backfillId: BackfillId, runId: RunId }))
      .exactOptional()
      .describe('The runs that backfills have made of it.'),
    policy: z.strictObject({
      overlapPolicy: OverlapPolicy,
      catchupWindow: Iso8601Duration,
      status: z.enum(SCHEDULE_STATUSES).describe("The schedule's status as it is now."),
      of: z
        .enum(['decision', 'now'])
        .describe(
          "Whether the policy is the one that the decision used, or today's, because nothing was decided by it.",
        ),
    }),
    asOf,
  })
  .meta({ id: 'Explanation', description: 'Why a schedule did run, or did not run, at a time.' });
export type ExplainBody = Answered<typeof ExplainBody>;

export const DryRunBody = z
  .strictObject({
    scheduleId: ScheduleId,
    version: Version,
    paused: z
      .literal(true)
      .exactOptional()
      .describe('The schedule is paused: the occurrences are those that it would have if it were resumed now.'),
    range: z.strictObject({ from: Time, to: Time }),
    added: z.array(Time),
    removed: z.array(Time),
    unchanged: z.int().min(0),
    truncated: z.boolean().describe('There are more changes than are listed.'),
    warnings: z.array(z.string()),
    overlaps: z.strictObject({
      predicted: z.int().min(0),
      p95Seconds: z.number().exactOptional().describe('Of past runs; absent where there are none to tell from.'),
      sample: z.int().min(0),
      first: Time.exactOptional(),
    }),
    asOf,
  })
  .meta({ id: 'DryRun', description: 'What a change would do. Nothing has been changed.' });
export type DryRunBody = Answered<typeof DryRunBody>;

export const BackfillBody = z
  .strictObject({
    backfillId: BackfillId,
    scheduleId: ScheduleId,
    status: z.enum(['running', 'completed', 'cancelled']),
    reason: z.string().exactOptional().describe('Why it was cancelled, where nobody asked for it.'),
    overlapPolicy: z.enum(['buffer_all', 'allow_all']),
    items: z
      .array(z.strictObject({ occurrence: Time, runId: RunId }))
      .describe('The runs to come, with the ids that they will have.'),
    leftAlone: z
      .int()
      .min(0)
      .describe(
        'Occurrences in the range that are left alone: they have had a run, or are due and about to be decided.',
      ),
    remaining: z.int().min(0),
    createdBy: PrincipalId,
    createdAt: Time,
    asOf,
  })
  .meta({ id: 'Backfill', description: 'Runs for past occurrences of a schedule.' });
export type BackfillBody = Answered<typeof BackfillBody>;
