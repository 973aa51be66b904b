/** Schedules, occurrences and what becomes of them: what is sent, and with it all that is answered (design.md §7). */
import * as z from 'zod';
import { Duration, Instant, JsonValue, Metadata, Name } from './common.ts';
import { RunOverrides } from './runs.ts';
import { OverlapPolicy, SCHEDULE_WORDS } from './scheduleParts.ts';

export * from './scheduleAnswers.ts';
export * from './scheduleParts.ts';

export const Timezone = z
  .string()
  .max(64)
  .refine(isTimezone, 'must be an IANA time zone such as Europe/Berlin or UTC')
  .meta({ pattern: '^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$', examples: ['Europe/Berlin', 'UTC'] });

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

/** What a cadence can be, for whoever tells of it. */
export const CADENCE_FORMS = [CronCadence, EveryCadence, AtCadence] as const;

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

const Window = z
  .strictObject({ startAt: Instant.optional(), endAt: Instant.optional() })
  .refine((window) => window.startAt === undefined || window.endAt === undefined || window.startAt < window.endAt, {
    path: ['endAt'],
    message: 'must be after startAt',
  });

const FlexibleWindow = Duration({ minSeconds: 60, maxSeconds: 86_400 });
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
  catchupWindow: Duration({ minSeconds: 60, maxSeconds: 30 * 86_400 })
    .optional()
    .describe(SCHEDULE_WORDS.catchupWindow),
  flexibleWindow: FlexibleWindow.optional().describe(SCHEDULE_WORDS.flexibleWindow),
  pauseOnFailure: PauseOnFailure.optional().describe(SCHEDULE_WORDS.pauseOnFailure),
  remainingRuns: RemainingRuns.optional().describe(SCHEDULE_WORDS.remainingRuns),
  input: JsonValue.default(null).describe('Any JSON value.'),
  overrides: RunOverrides.optional().describe(SCHEDULE_WORDS.overrides),
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
