/** Problems as a schema: RFC 9457's members, Candor's, and every fact that may stand beside them. */
import * as z from 'zod';
import { type Answered, Time } from '../../core/contract/common.ts';
import { ERROR_CODES, type ErrorCode } from '../../core/errors.ts';

const codes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];
const statuses = [...new Set(Object.values(ERROR_CODES).map(({ status }) => status))].sort();

export const FieldError = z
  .strictObject({
    pointer: z.string().describe('An RFC 6901 JSON pointer into the body, or the name of a parameter or header.'),
    message: z.string(),
  })
  .meta({ id: 'FieldError', description: 'One field that is wrong.' });

/** What a program may act on, by the errors that tell it. */
const facts = {
  currentVersion: z.int().describe('version_conflict: the version that stands.'),
  currentStatus: z.string().describe('The status that forbids it.'),
  runId: z.string(),
  endedAt: Time.describe('run_ended: when.'),
  runs: z
    .array(z.strictObject({ runId: z.string(), status: z.string().exactOptional() }))
    .describe('live_runs: the first of them.'),
  runCount: z.int().describe('live_runs: how many there are.'),
  schedules: z.array(z.string().nullable()).describe('live_schedules: the first of them.'),
  scheduleCount: z.int().describe('live_schedules: how many there are.'),
  blockingRunId: z.string().describe('overlap: the run that is in the way.'),
  liveRuns: z.array(z.string()).describe('overlap: all live runs of the schedule.'),
  backfillId: z.string().describe('The backfill that is under way.'),
  remaining: z.int().describe('How many runs it has still to make.'),
  created: z.int().describe('How many runs it has started.'),
  maxBytes: z.int().describe('payload_too_large: the limit.'),
  unreadSince: Time.describe('cursor_expired: since when it has not been read.'),
  retentionDays: z.number().describe('cursor_expired: so long events are kept.'),
  operation: z.string().describe('forbidden: what was asked for.'),
  needs: z.string().describe('forbidden: the least role that may.'),
  role: z.string().describe('forbidden: the role of this credential.'),
  retryAfterSeconds: z.number().describe('As the header Retry-After says.'),
  requestsPerMinute: z.int().describe('rate_limited: so many are taken.'),
  id: z.string().describe('shown_once: what was made.'),
  allow: z.array(z.string()).describe('method_not_allowed: the methods that the resource takes.'),
};

const optional = <Shape extends Record<string, z.ZodType>>(shape: Shape) =>
  Object.fromEntries(Object.entries(shape).map(([name, schema]) => [name, schema.exactOptional()])) as {
    [Name in keyof Shape]: z.ZodExactOptional<Shape[Name]>;
  };

export const ProblemBody = z
  .strictObject({
    type: z.string().describe('urn:candor:problem:<code>: stable, and not meant to be fetched.'),
    title: z.string(),
    status: z.int().meta({ enum: statuses }),
    detail: z.string(),
    code: z.enum(codes),
    errors: z.array(FieldError).exactOptional(),
    remedy: z.string().describe('What the caller can do about it.'),
    retryable: z.boolean().describe('Whether the same request may succeed later.'),
    requestId: z.string(),
    instance: z.string(),
    ...optional(facts),
  })
  .meta({ id: 'Problem', description: 'An error (RFC 9457): its code says which, its remedy what to do.' });
/** What a problem tells. Facts of the error stand beside its own members, under their own names. */
export type ProblemBody = Answered<typeof ProblemBody>;
