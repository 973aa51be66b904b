/** What requests and answers about schedules share. */
import * as z from 'zod';

export const OVERLAP_POLICIES = [
  'skip',
  'buffer_one',
  'buffer_all',
  'cancel_other',
  'terminate_other',
  'allow_all',
] as const;
export const OverlapPolicy = z
  .enum(OVERLAP_POLICIES, `must be one of ${OVERLAP_POLICIES.join(', ')}`)
  .describe(
    'What happens to an occurrence while a run of its schedule is live: it is skipped; one of them, or up to 50, wait for the end; the live run is cancelled, or killed at once, and the new one starts after it; both run side by side.',
  );
export type OverlapPolicy = z.infer<typeof OverlapPolicy>;

/** What fields of a schedule mean. */
export const SCHEDULE_WORDS = {
  catchupWindow: "An occurrence that is later than this is missed. Default: the installation's.",
  flexibleWindow: 'The clock may fire this long after the nominal time, as it likes.',
  pauseOnFailure:
    "The schedule pauses itself after this many failures in a row that are the agent's own; infrastructure faults do not count.",
  remainingRuns: 'It is completed after so many further runs. Absent: no limit.',
  overrides: 'What its runs have otherwise than their agent.',
} as const;

export const SCHEDULE_STATUSES = ['active', 'paused', 'completed', 'deleting', 'deleted'] as const;
export type ScheduleStatus = (typeof SCHEDULE_STATUSES)[number];

export const DISPOSITIONS = ['dispatched', 'buffered', 'skipped', 'missed'] as const;
export type Disposition = (typeof DISPOSITIONS)[number];
