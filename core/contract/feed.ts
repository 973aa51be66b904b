/** The event feed: every change of a tenant's resources, in order for each of them, resumable. */
import * as z from 'zod';
import { type Answered, asOf, Time } from './common.ts';

/** The server holds a request back so long at most: within the 29 s that API Gateway allows. */
export const FEED_WAIT_SECONDS_MAX = 20;
/** Cursors that are words: the oldest event that is kept, and whatever comes from now on. */
export const FEED_STARTS = ['earliest', 'latest'] as const;

const id = z.string().max(64).optional();

export const FeedQuery = z.strictObject({
  after: z
    .string()
    .min(1, 'must not be empty')
    .max(1024, 'must have at most 1024 characters')
    .optional()
    .describe('The nextCursor of an answer before, earliest (which it is without one) or latest.'),
  wait: z.coerce
    .number()
    .min(0, 'must be at least 0')
    .max(FEED_WAIT_SECONDS_MAX, `must be at most ${FEED_WAIT_SECONDS_MAX} (seconds)`)
    .default(0)
    .describe('Seconds that the answer may be held back.'),
  limit: z.coerce
    .number()
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(100, 'must be at most 100')
    .default(100),
  /** The beginning of the type: `run.`, `schedule.paused`. */
  type: z
    .string()
    .regex(/^[a-z][a-z_.]*$/, 'must be the beginning of a type, such as run. or schedule.paused')
    .max(64, 'must have at most 64 characters')
    .optional(),
  /** Of the agent itself, its schedules, its runs and their VMs. */
  agentId: id,
  /** Of the schedule itself and its runs. */
  scheduleId: id,
  runId: id,
});
export type FeedQuery = z.output<typeof FeedQuery>;

export const FeedEventBody = z
  .strictObject({
    id: z.string().describe('The same each time that the event is delivered.'),
    type: z.string(),
    at: Time,
    subject: z.strictObject({
      kind: z.enum(['run', 'schedule', 'vm', 'agent', 'principal', 'webhook']),
      id: z.string(),
    }),
    sequence: z
      .int()
      .exactOptional()
      .describe('Rises with each change of the subject. Absent where nothing of it changed: a note about it.'),
    status: z.string().exactOptional(),
    detail: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'FeedEvent', description: 'A change of state, or a note about a resource.' });
export type FeedEventBody = Answered<typeof FeedEventBody>;

export const FeedBody = z
  .strictObject({
    items: z.array(FeedEventBody),
    nextCursor: z.string().describe('Goes on after the last item; also where there is none.'),
    caughtUp: z.boolean().describe('Nothing more is there just now.'),
    asOf,
  })
  .meta({ id: 'Feed', description: 'What changed after a cursor.' });
export type FeedBody = Answered<typeof FeedBody>;
