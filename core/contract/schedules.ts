/** Schedules, occurrences and what becomes of them: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import { Duration, type Evidence, Instant, type Json, JsonValue, Metadata, Name } from './common.ts';
import { type OverridesBody, RunOverrides, type VerificationBody } from './runs.ts';

export const Timezone = z.string().max(64).refine(isTimezone, 'must be an IANA time zone such as Europe/Berlin or UTC');

export function isTimezone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const CronCadence = z.strictObject({ cron: z.string().trim().min(1).max(200), timezone: Timezone });
const EveryCadence = z.strictObject({
  every: Duration({ minSeconds: 60, maxSeconds: 366 * 86_400 }),
  startAt: Instant.optional(),
});
const AtCadence = z.strictObject({ at: Instant, timezone: Timezone.optional() });

/** Exactly one of `cron` + `timezone`, `every` (+ `startAt`), `at`. */
export const Cadence = z
  .looseObject({}, 'must be an object with exactly one of cron, every or at')
  .transform(
    (value, context): z.output<typeof CronCadence> | z.output<typeof EveryCadence> | z.output<typeof AtCadence> => {
      const kinds = (['cron', 'every', 'at'] as const).filter((kind) => kind in value);
      const kind = kinds[0];
      if (kinds.length !== 1 || kind === undefined) {
        const found = kinds.length === 0 ? 'it has none of them' : `it has ${kinds.join(' and ')}`;
        context.addIssue({ code: 'custom', message: `must have exactly one of cron, every or at: ${found}` });
        return z.NEVER;
      }
      const schema = { cron: CronCadence, every: EveryCadence, at: AtCadence }[kind];
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      for (const issue of parsed.error.issues) context.addIssue({ ...issue, path: issue.path } as never);
      return z.NEVER;
    },
  );
export type CadenceRequest = z.output<typeof Cadence>;

export const OVERLAP_POLICIES = [
  'skip',
  'buffer_one',
  'buffer_all',
  'cancel_other',
  'terminate_other',
  'allow_all',
] as const;
/**
 * What happens to an occurrence while a run of its schedule is live: it is skipped; one of them, or up to 50, wait for the
 * end; the live run is cancelled, or killed at once, and the new one starts after it; both run side by side.
 */
export const OverlapPolicy = z.enum(OVERLAP_POLICIES, `must be one of ${OVERLAP_POLICIES.join(', ')}`);
export type OverlapPolicy = z.infer<typeof OverlapPolicy>;

const Window = z
  .strictObject({ startAt: Instant.optional(), endAt: Instant.optional() })
  .refine((window) => window.startAt === undefined || window.endAt === undefined || window.startAt < window.endAt, {
    path: ['endAt'],
    message: 'must be after startAt',
  });

const FlexibleWindow = Duration({ minSeconds: 60, maxSeconds: 86_400 });
/** A schedule pauses itself after this many failures in a row that are the agent's own; infrastructure faults do not count. */
const PauseOnFailure = z.strictObject({
  consecutive: z.int('must be a whole number').min(1, 'must be at least 1').max(1000),
});
const RemainingRuns = z.int('must be a whole number').min(1, 'must be at least 1').max(1_000_000_000);

/** That a cadence is meant which fires more often in a day than `limits.unconfirmedFiresPerDay` of the system. Not kept. */
const ConfirmFrequency = z.boolean();

export const ScheduleCreate = z.strictObject({
  name: Name,
  cadence: Cadence,
  window: Window.optional(),
  overlapPolicy: OverlapPolicy.default('skip'),
  catchupWindow: Duration({ minSeconds: 60, maxSeconds: 30 * 86_400 }).optional(),
  flexibleWindow: FlexibleWindow.optional(),
  pauseOnFailure: PauseOnFailure.optional(),
  remainingRuns: RemainingRuns.optional(),
  input: JsonValue.default(null),
  overrides: RunOverrides.optional(),
  metadata: Metadata.optional(),
  paused: z.boolean().default(false),
  confirmFrequency: ConfirmFrequency.default(false),
});
export type ScheduleCreate = z.output<typeof ScheduleCreate>;
export type ScheduleCreateInput = z.input<typeof ScheduleCreate>;

/** A field that is left out stays; `null` takes an optional field back to its default. */
export const SchedulePatch = z
  .strictObject({
    name: Name,
    cadence: Cadence,
    window: Window.nullable(),
    overlapPolicy: OverlapPolicy,
    catchupWindow: ScheduleCreate.shape.catchupWindow.unwrap().nullable(),
    flexibleWindow: FlexibleWindow.nullable(),
    pauseOnFailure: PauseOnFailure.nullable(),
    remainingRuns: RemainingRuns.nullable(),
    input: JsonValue,
    overrides: RunOverrides.nullable(),
    metadata: Metadata.nullable(),
    confirmFrequency: ConfirmFrequency,
  })
  .partial();
export type SchedulePatch = z.output<typeof SchedulePatch>;

export const PauseRequest = z.strictObject({ reason: z.string().trim().max(500).default('') });
/** One future occurrence, by its nominal time. */
export const SkipRequest = z.strictObject({ occurrence: Instant, reason: z.string().trim().max(500).default('') });
export const UnskipRequest = z.strictObject({ occurrence: Instant });

export const BACKFILL_LIMIT = 1000;
/** Runs for past occurrences, each at most once: one after the other (`buffer_all`) or side by side (`allow_all`). */
export const BackfillRequest = z
  .strictObject({
    from: Instant,
    to: Instant,
    overlapPolicy: z
      .enum(['buffer_all', 'allow_all'], 'must be buffer_all (one after the other) or allow_all (side by side)')
      .default('buffer_all'),
    /** Also those whose occurrence has had a run already. */
    again: z.boolean().default(false),
  })
  .refine((request) => request.from <= request.to, { path: ['to'], message: 'must not be before from' });
export type BackfillRequest = z.output<typeof BackfillRequest>;

export const PreviewRequest = z.strictObject({
  cadence: Cadence,
  window: Window.optional(),
  from: Instant.optional(),
  count: z.int('must be a whole number').min(1, 'must be at least 1').max(1000, 'must be at most 1000').default(10),
});

export const OccurrenceListQuery = z.strictObject({
  disposition: z
    .enum(['dispatched', 'buffered', 'skipped', 'missed'], 'must be dispatched, buffered, skipped or missed')
    .optional(),
  from: Instant.optional(),
  to: Instant.optional(),
});

export const ExplainQuery = z.strictObject({ at: Instant });

export const TriggerRequest = z.strictObject({ input: JsonValue.optional() });

export const SCHEDULE_STATUSES = ['active', 'paused', 'completed', 'deleting', 'deleted'] as const;
export type ScheduleStatus = (typeof SCHEDULE_STATUSES)[number];

export const DISPOSITIONS = ['dispatched', 'buffered', 'skipped', 'missed'] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

export type CadenceBody =
  | { readonly cron: string; readonly timezone: string }
  | { readonly every: string; readonly startAt: string }
  | { readonly at: string; readonly timezone?: string };

export interface PauseBody {
  readonly kind: 'user' | 'auto';
  readonly reason: string;
  readonly by: string;
  readonly at: string;
}

export interface ScheduleBody {
  readonly id: string;
  readonly agentId: string;
  readonly name: string;
  readonly status: ScheduleStatus;
  readonly pause?: PauseBody;
  readonly cadence: CadenceBody;
  readonly window?: { readonly startAt?: string; readonly endAt?: string };
  readonly overlapPolicy: OverlapPolicy;
  readonly catchupWindow: string;
  readonly flexibleWindow?: string;
  readonly pauseOnFailure?: { readonly consecutive: number };
  /** Failures in a row that were the agent's own. */
  readonly failureStreak: number;
  readonly remainingRuns?: number;
  readonly input: Json;
  readonly overrides?: OverridesBody;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly version: number;
  readonly specVersion: number;
  readonly clock: { readonly status: 'pending' | 'synced'; readonly specVersion: number; readonly syncedAt?: string };
  /** Present tense: a due occurrence is unhandled right now. */
  readonly overdue: boolean;
  readonly overdueSince?: string;
  readonly nextOccurrences: readonly string[];
  readonly lastRun?: {
    readonly runId: string;
    readonly status: string;
    readonly verification?: VerificationBody['status'];
    readonly endedAt: string;
  };
  readonly liveRuns: readonly string[];
  /** Occurrences that wait for a live run's end, oldest first. */
  readonly buffered: readonly string[];
  /** Future occurrences that somebody has taken out. */
  readonly skips: readonly string[];
  readonly backfill?: { readonly id: string; readonly remaining: number };
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly asOf: string;
}

export interface OccurrenceBody {
  readonly scheduleId: string;
  /** UTC, to the second; the first one where the item stands for a range. */
  readonly occurrence: string;
  /** The last one of a range, and how many it stands for. */
  readonly through?: string;
  readonly count?: number;
  readonly disposition: Disposition;
  readonly reason?: string;
  readonly runId?: string;
  readonly blockingRunId?: string;
  readonly backfillId?: string;
  readonly specVersion: number;
  /** When it began to wait, if it was buffered. */
  readonly bufferedAt?: string;
  readonly decidedAt: string;
  readonly latenessSeconds: number;
  readonly evidence: Evidence;
}

/** One edit, or a change that the schedule made by itself. */
export interface RevisionBody {
  readonly specVersion: number;
  readonly from: string;
  readonly active: boolean;
  readonly cadence: CadenceBody;
  readonly window?: { readonly startAt?: string; readonly endAt?: string };
  /** The fields that it changed; absent for the first one, and where the schedule changed by itself. Edits of other things share the specVersion. */
  readonly changed?: readonly string[];
  readonly by: string;
}

export interface PreviewBody {
  readonly occurrences: readonly { readonly utc: string; readonly local: string }[];
  /** What the real clock is told; absent with the reason where AWS cannot say it. */
  readonly awsExpression?: { readonly expression: string; readonly timezone: string };
  readonly awsProblem?: { readonly problem: string; readonly remedy: string };
  readonly warnings: readonly string[];
  readonly asOf: string;
}

/** Why did it run, or not run, at a time. */
export interface ExplainBody {
  readonly scheduleId: string;
  readonly at: string;
  /** One sentence for a person. */
  readonly answer: string;
  readonly expected: boolean;
  readonly nearest: { readonly before?: string; readonly after?: string };
  readonly revision?: RevisionBody;
  readonly occurrence?: OccurrenceBody;
  readonly run?: {
    readonly runId: string;
    readonly status: string;
    readonly reason?: string;
    readonly evidence: Evidence;
  };
  readonly blockingRun?: {
    readonly runId: string;
    readonly status: string;
    readonly startedAt?: string;
    readonly endedAt?: string;
  };
  /** The runs that backfills have made of it. */
  readonly backfills?: readonly { readonly backfillId: string; readonly runId: string }[];
  readonly policy: {
    readonly overlapPolicy: OverlapPolicy;
    readonly catchupWindow: string;
    /** The schedule's status as it is now. */
    readonly status: ScheduleStatus;
    /** Whether the policy is the one that the decision used, or today's, because nothing was decided by it. */
    readonly of: 'decision' | 'now';
  };
  readonly asOf: string;
}

/** What `PATCH ?dryRun=true` answers; nothing has been changed. */
export interface DryRunBody {
  readonly scheduleId: string;
  readonly version: number;
  /** The schedule is paused: the occurrences are those that it would have if it were resumed now. */
  readonly paused?: true;
  readonly range: { readonly from: string; readonly to: string };
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: number;
  /** More changes than are listed. */
  readonly truncated: boolean;
  readonly warnings: readonly string[];
  readonly overlaps: {
    readonly predicted: number;
    /** Of past runs; absent where there are none to tell from. */
    readonly p95Seconds?: number;
    readonly sample: number;
    readonly first?: string;
  };
  readonly asOf: string;
}

export interface BackfillBody {
  readonly backfillId: string;
  readonly scheduleId: string;
  readonly status: 'running' | 'completed' | 'cancelled';
  /** Why it was cancelled, where nobody asked for it. */
  readonly reason?: string;
  readonly overlapPolicy: 'buffer_all' | 'allow_all';
  /** The runs to come, with the ids that they will have. */
  readonly items: readonly { readonly occurrence: string; readonly runId: string }[];
  /** Occurrences in the range that are left alone: they have had a run, or are due and about to be decided. */
  readonly leftAlone: number;
  readonly remaining: number;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly asOf: string;
}
