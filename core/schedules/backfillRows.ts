/** The items of a backfill: its own entry per occurrence, beside the ledger's, and its end. */
import type { Ports } from '../ports.ts';
import type { Plan } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { eq, guard, type Write } from '../table/model.ts';
import { SCHEMA_VERSION } from '../table/rows.ts';
import { liveChange } from './liveChange.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';

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
): Write => ({
  kind: 'update',
  key: keys.backfill(scheduleId, backfillId),
  set: { status, writer },
  guards: [guard('backfill.stillRunning', eq('status', 'running'))],
});

/** The item of a backfill whose schedule is deleted: what takes it off the schedule is the delete itself. */
export const cancelledBackfill = (scheduleId: string, backfillId: string, writer: string): Write =>
  endedBackfill(scheduleId, backfillId, 'cancelled', writer);

/** Takes the backfill off the schedule and says how it ended. */
export function endBackfill<Result>(
  ports: Ports,
  schedule: ScheduleRow,
  status: 'completed' | 'cancelled',
  now: number,
  writer: string,
  result: Result,
): Plan<Result> {
  const id = schedule.backfill?.id ?? '';
  return {
    writes: [
      ...liveChange(ports, schedule, { backfill: null }, { now, writer, guardName: 'advance' }),
      endedBackfill(schedule.id, id, status, writer),
    ],
    proof: keys.backfill(schedule.id, id),
    result,
  };
}
