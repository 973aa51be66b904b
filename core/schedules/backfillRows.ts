/** The items of a backfill: its own entry per occurrence, beside the ledger's, and its end. */
import type { Ports } from '../ports.ts';
import { appendNote } from '../runs/events.ts';
import type { Plan } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard, type Write } from '../table/model.ts';
import { SCHEMA_VERSION } from '../table/rows.ts';
import type { SkipReason } from './decide.ts';
import { liveChange } from './liveChange.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';

function backfillNote(
  ports: Ports,
  schedule: ScheduleRow,
  backfillId: string,
  reason: SkipReason,
  now: number,
  writer: string,
): Write {
  const { pending = [], by = schedule.createdBy } = schedule.backfill ?? {};
  return appendNote(ports.config, keys.scheduleNote(schedule.id, now), {
    tenantId: schedule.tenantId,
    subject: 'schedule',
    subjectId: schedule.id,
    sequence: schedule.version,
    type: 'schedule.backfill_cancelled',
    at: now,
    detail: { backfillId, reason, remaining: pending.length, principal: by },
    writer,
  });
}

export const backfillEntry = (
  schedule: ScheduleRow,
  backfillId: string,
  at: number,
  runId: string,
  now: number,
  writer: string,
): OccurrenceRow => ({
  ...keys.backfillOccurrence(schedule.id, at, backfillId),
  schemaVersion: SCHEMA_VERSION,
  tenantId: schedule.tenantId,
  scheduleId: schedule.id,
  at,
  disposition: 'dispatched',
  runId,
  backfillId,
  specVersion: schedule.specVersion,
  decidedAt: now,
  evidence: { source: 'backfill', observedAt: new Date(now).toISOString(), detail: `backfill ${backfillId}` },
  writer,
});

const endedBackfill = (
  scheduleId: string,
  backfillId: string,
  status: 'completed' | 'cancelled',
  writer: string,
  reason?: string,
): Write => ({
  kind: 'update',
  key: keys.backfill(scheduleId, backfillId),
  set: { status, writer, ...(reason !== undefined && { reason }) },
  guards: [guard('backfill.stillRunning', eq('status', 'running'))],
});

/** The item of a backfill whose schedule is deleted: what takes it off the schedule is the delete itself. */
export const cancelledBackfill = (scheduleId: string, backfillId: string, writer: string): Write =>
  endedBackfill(scheduleId, backfillId, 'cancelled', writer, 'deleted');

/** Takes the backfill off the schedule and says how it ended. */
export function endBackfill<Result>(
  ports: Ports,
  schedule: ScheduleRow,
  status: 'completed' | 'cancelled',
  now: number,
  writer: string,
  result: Result,
  /** Where nobody asked for it: somebody should hear of it. */
  reason?: SkipReason,
): Plan<Result> {
  const id = schedule.backfill?.id ?? '';
  return {
    writes: [
      ...liveChange(ports, schedule, { backfill: null }, { now, writer, guardName: 'advance' }),
      endedBackfill(schedule.id, id, status, writer, reason),
      ...(reason === undefined ? [] : [backfillNote(ports, schedule, id, reason, now, writer)]),
    ],
    proof: keys.backfill(schedule.id, id),
    result,
  };
}
