/** What a clock sends to `fire`. */
import * as z from 'zod/mini';

/**
 * `scheduledTime` is EventBridge Scheduler's `<aws.scheduler.scheduled-time>`; where it was not filled in, the first
 * unsettled occurrence is meant. The other ids are hints that save a read; they are checked against the schedule.
 */
export const FireEvent = z.looseObject({
  scheduleId: z.string().check(z.regex(/^sch_[0-9a-z]{26}$/)),
  specVersion: z.optional(z.int().check(z.gte(1))),
  scheduledTime: z.optional(z.string()),
  agentId: z.optional(z.string()),
  principalId: z.optional(z.string()),
});
export type FireEvent = z.infer<typeof FireEvent>;

/** Epoch milliseconds of a nominal time, to the second; undefined where the clock sent none. */
export function nominalTime(text: string | undefined): number | undefined {
  if (text === undefined || text.startsWith('<')) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.floor(at / 1000) * 1000;
}
