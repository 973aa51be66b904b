/** Which events a webhook is told of. Pure. */
import { isoTime } from '../contract/common.ts';
import { WEBHOOK_SUBJECTS } from '../contract/webhooks.ts';
import type { EventRow } from '../runs/model.ts';
import { EVENT_PREFIX, NOTE_PREFIX } from '../table/keys.ts';

export const wants = (filters: readonly string[], type: string): boolean =>
  filters.some(
    (filter) => filter === '*' || filter === type || (filter.endsWith('.*') && type.startsWith(filter.slice(0, -1))),
  );

/** Who may what is told to nobody outside: those events are for the log of administrators. */
export const isTold = ({ subject }: EventRow): boolean => (WEBHOOK_SUBJECTS as readonly string[]).includes(subject);

const isNote = ({ sk }: EventRow): boolean => sk.startsWith(NOTE_PREFIX);

/** The same each time that the event is handled. */
export const eventIdOf = (event: EventRow): string =>
  isNote(event)
    ? `${event.subjectId}.${event.sk.slice(NOTE_PREFIX.length)}`
    : `${event.subjectId}.${Number(event.sk.slice(EVENT_PREFIX.length))}`;

/** `type`, `timestamp` and `data`, as the specification recommends. Deliveries may overtake each other: `sequence` tells. */
export function payloadOf(event: EventRow): string {
  const { type, at, subject, subjectId, sequence, status, detail } = event;
  const data = {
    id: eventIdOf(event),
    subject: { kind: subject, id: subjectId },
    ...(!isNote(event) && { sequence }),
    ...(status !== undefined && { status }),
    detail,
  };
  return JSON.stringify({ type, timestamp: isoTime(at), data });
}
