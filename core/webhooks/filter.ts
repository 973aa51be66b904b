/** Which events a webhook is told of. Pure. */
import { isoTime } from '../contract/common.ts';
import { WEBHOOK_SUBJECTS } from '../contract/webhooks.ts';
import { eventId, isNote } from '../feed/model.ts';
import type { EventRow } from '../runs/model.ts';

export const wants = (filters: readonly string[], type: string): boolean =>
  filters.some(
    (filter) => filter === '*' || filter === type || (filter.endsWith('.*') && type.startsWith(filter.slice(0, -1))),
  );

/** Who may what is told to nobody outside: those events are for the log of administrators. */
export const isTold = ({ subject }: EventRow): boolean => (WEBHOOK_SUBJECTS as readonly string[]).includes(subject);

/** `type`, `timestamp` and `data`, as the specification recommends. Deliveries may overtake each other: `sequence` tells. */
export function payloadOf(event: EventRow): string {
  const { type, at, subject, subjectId, sequence, status, detail } = event;
  const data = {
    id: eventId(event),
    subject: { kind: subject, id: subjectId },
    ...(!isNote(event) && { sequence }),
    ...(status !== undefined && { status }),
    detail,
  };
  return JSON.stringify({ type, timestamp: isoTime(at), data });
}
