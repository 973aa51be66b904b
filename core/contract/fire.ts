/** What a clock sends to `fire`. Read by hand, not by a schema: it is all that `fire` ever parses, and `fire` may load little. */

/**
 * `scheduledTime` is EventBridge Scheduler's `<aws.scheduler.scheduled-time>`; where it was not filled in, the first
 * unsettled occurrence is meant. The other ids are hints that save a read; they are checked against the schedule.
 */
export interface FireEvent {
  readonly scheduleId: string;
  readonly specVersion?: number;
  readonly scheduledTime?: string;
  readonly agentId?: string;
  readonly principalId?: string;
}

export class InvalidFireEvent extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'InvalidFireEvent';
  }
}

type Parsed =
  | { readonly success: true; readonly data: FireEvent }
  | { readonly success: false; readonly error: InvalidFireEvent };

const HINTS = ['scheduledTime', 'agentId', 'principalId'] as const;

function safeParse(value: unknown): Parsed {
  const refused = (detail: string) => ({ success: false, error: new InvalidFireEvent(detail) }) as const;
  if (typeof value !== 'object' || value === null) return refused('the event is no object');
  const event = value as Readonly<Record<string, unknown>>;
  const { scheduleId, specVersion } = event;
  if (typeof scheduleId !== 'string' || !/^sch_[0-9a-z]{26}$/.test(scheduleId))
    return refused('scheduleId is not the id of a schedule');
  if (specVersion !== undefined && !(Number.isInteger(specVersion) && Number(specVersion) >= 1))
    return refused('specVersion is not the number of a version');
  const wrong = HINTS.find((name) => event[name] !== undefined && typeof event[name] !== 'string');
  return wrong === undefined ? { success: true, data: value as FireEvent } : refused(`${wrong} is no text`);
}

export const FireEvent = { safeParse } as const;

/** Epoch milliseconds of a nominal time, to the second; undefined where the clock sent none. */
export function nominalTime(text: string | undefined): number | undefined {
  if (text === undefined || text.startsWith('<')) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.floor(at / 1000) * 1000;
}
