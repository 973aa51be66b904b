/** A schedule whose creator may not run it goes on as it is; somebody hears of it once, when that begins. */
import { isoSecond } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { appendNote } from '../runs/events.ts';
import * as keys from '../table/itemKeys.ts';
import type { Write } from '../table/model.ts';
import type { ScheduleRow } from './model.ts';

/** @param reason why an occurrence did not run; undefined where it did */
export function unauthorizedPart(
  schedule: ScheduleRow,
  reason: string | undefined,
  now: number,
): { readonly unauthorizedSince?: number | undefined } {
  if (reason === 'unauthorized') return schedule.unauthorizedSince === undefined ? { unauthorizedSince: now } : {};
  return reason === undefined && schedule.unauthorizedSince !== undefined ? { unauthorizedSince: undefined } : {};
}

export function unauthorizedNote(
  ports: Ports,
  schedule: ScheduleRow,
  reason: string | undefined,
  at: number,
  now: number,
  writer: string,
): readonly Write[] {
  if (reason !== 'unauthorized' || schedule.unauthorizedSince !== undefined) return [];
  return [
    appendNote(ports.config, keys.scheduleNote(schedule.id, at), {
      tenantId: schedule.tenantId,
      subject: 'schedule',
      subjectId: schedule.id,
      sequence: schedule.version,
      type: 'schedule.unauthorized',
      at: now,
      detail: { occurrence: isoSecond(at), principal: schedule.createdBy },
      writer,
    }),
  ];
}
