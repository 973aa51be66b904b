/** Schedules, occurrences and what becomes of them: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import { Duration, type Evidence, Instant, type Json, JsonValue, Metadata, Name } from './common.ts';

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

export const OverlapPolicy = z.enum(
  ['skip', 'allow_all'],
  'must be skip or allow_all (the other policies are not built yet)',
);
export type OverlapPolicy = z.infer<typeof OverlapPolicy>;

const Window = z
  .strictObject({ startAt: Instant.optional(), endAt: Instant.optional() })
  .refine((window) => window.startAt === undefined || window.endAt === undefined || window.startAt < window.endAt, {
    path: ['endAt'],
    message: 'must be after startAt',
  });

const Overrides = z.strictObject({
  runTimeout: Duration({ minSeconds: 1, maxSeconds: 30 * 86_400 }).optional(),
  startTimeout: Duration({ minSeconds: 10, maxSeconds: 86_400 }).optional(),
});

export const ScheduleCreate = z.strictObject({
  name: Name,
  cadence: Cadence,
  window: Window.optional(),
  overlapPolicy: OverlapPolicy.default('skip'),
  catchupWindow: Duration({ minSeconds: 60, maxSeconds: 30 * 86_400 }).optional(),
  input: JsonValue.default(null),
  overrides: Overrides.optional(),
  metadata: Metadata.optional(),
  paused: z.boolean().default(false),
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
    input: JsonValue,
    overrides: Overrides.nullable(),
    metadata: Metadata.nullable(),
  })
  .partial();
export type SchedulePatch = z.output<typeof SchedulePatch>;

export const PauseRequest = z.strictObject({ reason: z.string().trim().max(500).default('') });
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
  readonly input: Json;
  readonly overrides?: { readonly runTimeout?: string; readonly startTimeout?: string };
  readonly metadata?: Readonly<Record<string, string>>;
  readonly version: number;
  readonly specVersion: number;
  readonly clock: { readonly status: 'pending' | 'synced'; readonly specVersion: number; readonly syncedAt?: string };
  /** Present tense: a due occurrence is unhandled right now. */
  readonly overdue: boolean;
  readonly overdueSince?: string;
  readonly nextOccurrences: readonly string[];
  readonly lastRun?: { readonly runId: string; readonly status: string; readonly endedAt: string };
  readonly liveRuns: readonly string[];
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
  readonly specVersion: number;
  readonly decidedAt: string;
  readonly latenessSeconds: number;
  readonly evidence: Evidence;
}
