/** The ledger's entries: what became of one occurrence, or of a range of them, with the reason and the evidence. */
import type { CoreConfig } from '../config.ts';
import { isoSecond } from '../contract/common.ts';
import * as keys from '../table/itemKeys.ts';
import { OCCURRENCE_PREFIX } from '../table/keys.ts';
import { absent, eq, guard, type Item, type Write } from '../table/model.ts';
import { asItem, asValue, SCHEMA_VERSION } from '../table/rows.ts';
import type { Decision, SkipReason } from './decide.ts';
import { nextExpected, revisionAt } from './expected.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';

/** What one committed step settled: one occurrence, or a range of missed ones. */
export interface Entry {
  readonly at: number;
  readonly through: number;
  readonly decision: Decision;
  readonly runId?: string;
}

export const latenessText = (due: number, now: number) =>
  `occurrence ${isoSecond(due)} was delivered ${((now - due) / 1000).toFixed(1)} s after its time`;

export function occurrenceRow(schedule: ScheduleRow, entry: Entry, now: number, writer: string): OccurrenceRow {
  const { decision } = entry;
  const blockingRunId = 'blockingRunId' in decision ? decision.blockingRunId : undefined;
  return {
    ...keys.occurrence(schedule.id, entry.at),
    schemaVersion: SCHEMA_VERSION,
    tenantId: schedule.tenantId,
    scheduleId: schedule.id,
    at: entry.at,
    ...(entry.through > entry.at && { through: entry.through, count: countExpected(schedule, entry) }),
    disposition: decision.disposition,
    ...('reason' in decision && { reason: decision.reason }),
    ...(entry.runId !== undefined && { runId: entry.runId }),
    ...(blockingRunId !== undefined && { blockingRunId }),
    ...(decision.disposition === 'buffered' && { bufferedAt: now }),
    decidedUnder: {
      overlapPolicy: schedule.overlapPolicy,
      ...(schedule.catchupWindowSeconds !== undefined && { catchupWindowSeconds: schedule.catchupWindowSeconds }),
      ...(schedule.flexibleWindowSeconds !== undefined && { flexibleWindowSeconds: schedule.flexibleWindowSeconds }),
    },
    specVersion: revisionAt(schedule, entry.at)?.specVersion ?? schedule.specVersion,
    decidedAt: now,
    evidence: { source: 'fire', observedAt: new Date(now).toISOString(), detail: latenessText(entry.at, now) },
    writer,
  };
}

function countExpected(schedule: ScheduleRow, entry: Entry): number {
  let count = 0;
  for (let at: number | undefined = entry.at; at !== undefined && at <= entry.through; at = nextExpected(schedule, at))
    count++;
  return count;
}

/**
 * When an entry was decided by what the clock delivered: before the watchdog would have made up for it. That is the proof
 * of life of a clock that is somebody else's service; undefined for whatever else an item is.
 */
export function firedInTime(config: Pick<CoreConfig, 'overdueGraceSeconds'>, item: Item): number | undefined {
  const { sk, at, decidedAt } = item;
  if (!sk.startsWith(OCCURRENCE_PREFIX) || typeof at !== 'number' || typeof decidedAt !== 'number') return undefined;
  const { flexibleWindowSeconds = 0 } = (item as unknown as OccurrenceRow).decidedUnder ?? {};
  const promisedWithinMs = (config.overdueGraceSeconds + flexibleWindowSeconds) * 1000;
  return decidedAt - at < promisedWithinMs ? decidedAt : undefined;
}

/** One entry per occurrence, whoever decides first (I1). */
export const newEntry = (row: OccurrenceRow): Write => ({
  kind: 'put',
  item: asItem(row),
  guards: [guard('fire.occurrenceOnce', absent)],
});

/** The end of waiting: a buffered occurrence gets its final disposition, once. */
export function settleBuffered(
  schedule: Pick<ScheduleRow, 'id'>,
  at: number,
  outcome: { readonly runId: string } | { readonly reason: SkipReason },
  now: number,
  detail: string,
): Write {
  const found = { source: 'schedule', observedAt: new Date(now).toISOString(), detail };
  return {
    kind: 'update',
    key: keys.occurrence(schedule.id, at),
    set: {
      ...('runId' in outcome
        ? { disposition: 'dispatched', runId: outcome.runId }
        : { disposition: 'skipped', reason: outcome.reason }),
      decidedAt: now,
      evidence: asValue(found),
    },
    guards: [guard('buffer.stillWaiting', eq('disposition', 'buffered'))],
  };
}

/** A pause, a delete or a completion settles all that is buffered in its own transaction (I5). */
export const settleWholeBuffer = (schedule: ScheduleRow, reason: SkipReason, now: number): readonly Write[] =>
  schedule.buffer.map((at) =>
    settleBuffered(schedule, at, { reason }, now, `it waited for a run to end when the schedule was ${reason}`),
  );
