/** A schedule as it is answered. Derived fields are computed at read time, in the present tense (design.md §5.10). */
import type { CoreConfig } from '../config.ts';
import { formatDuration, isoSecond, isoTime, type Json } from '../contract/common.ts';
import { overridesToBody } from '../contract/runs.ts';
import type { CadenceBody, OccurrenceBody, RevisionBody, ScheduleBody } from '../contract/schedules.ts';
import { flexibleMs } from './decide.ts';
import { firstUndecided, upcoming } from './expected.ts';
import type { Cadence, OccurrenceRow, Revision, RevisionRow, ScheduleRow } from './model.ts';

const NEXT_OCCURRENCES = 5;

export function scheduleBody(config: CoreConfig, schedule: ScheduleRow, input: Json, now: number): ScheduleBody {
  const overdueSince = overdueOccurrence(config, schedule, now);
  const active = schedule.status === 'active';
  return {
    id: schedule.id,
    agentId: schedule.agentId,
    name: schedule.name,
    status: schedule.status,
    ...(schedule.pause !== undefined && { pause: { ...schedule.pause, at: isoTime(schedule.pause.at) } }),
    cadence: cadenceBody(schedule.cadence),
    ...(schedule.window !== undefined && { window: windowBody(schedule.window) }),
    overlapPolicy: schedule.overlapPolicy,
    catchupWindow: formatDuration(schedule.catchupWindowSeconds ?? config.catchupWindowSeconds),
    ...(schedule.flexibleWindowSeconds !== undefined && {
      flexibleWindow: formatDuration(schedule.flexibleWindowSeconds),
    }),
    ...(schedule.pauseOnFailure !== undefined && { pauseOnFailure: schedule.pauseOnFailure }),
    failureStreak: schedule.failureStreak,
    ...(schedule.remainingRuns !== undefined && { remainingRuns: schedule.remainingRuns }),
    input,
    ...(schedule.overrides !== undefined && { overrides: overridesToBody(schedule.overrides) }),
    ...(schedule.metadata !== undefined && { metadata: schedule.metadata }),
    version: schedule.version,
    specVersion: schedule.specVersion,
    clock: {
      status: schedule.clock.status,
      specVersion: schedule.clock.specVersion,
      ...(schedule.clock.syncedAt !== undefined && { syncedAt: isoTime(schedule.clock.syncedAt) }),
    },
    overdue: overdueSince !== undefined,
    ...(overdueSince !== undefined && { overdueSince: isoSecond(overdueSince) }),
    nextOccurrences: active ? nextRunning(schedule, now, NEXT_OCCURRENCES).map(isoSecond) : [],
    ...(schedule.lastRun !== undefined && {
      lastRun: { ...schedule.lastRun, endedAt: isoTime(schedule.lastRun.endedAt) },
    }),
    liveRuns: schedule.liveRuns,
    buffered: schedule.buffer.map(isoSecond),
    skips: schedule.skips.map(isoSecond),
    ...(schedule.backfill !== undefined && {
      backfill: { id: schedule.backfill.id, remaining: schedule.backfill.pending.length },
    }),
    createdBy: schedule.createdBy,
    createdAt: isoTime(schedule.createdAt),
    updatedAt: isoTime(schedule.updatedAt),
    asOf: isoTime(now),
  };
}

/** The occurrence that is due and unhandled right now, if there is one. Only an active schedule can be overdue. */
export function overdueOccurrence(config: CoreConfig, schedule: ScheduleRow, now: number): number | undefined {
  if (schedule.status !== 'active') return undefined;
  const due = firstUndecided(schedule);
  const grace = config.overdueGraceSeconds * 1000 + flexibleMs(schedule);
  return due !== undefined && due < now - grace ? due : undefined;
}

export function cadenceBody(cadence: Cadence): CadenceBody {
  switch (cadence.kind) {
    case 'cron':
      return { cron: cadence.cron, timezone: cadence.timezone };
    case 'every':
      return { every: formatDuration(cadence.everySeconds), startAt: isoSecond(cadence.startAt) };
    case 'at':
      return { at: isoSecond(cadence.at), ...(cadence.timezone !== undefined && { timezone: cadence.timezone }) };
  }
}

const windowBody = (window: NonNullable<ScheduleRow['window']>) => ({
  ...(window.startAt !== undefined && { startAt: isoSecond(window.startAt) }),
  ...(window.endAt !== undefined && { endAt: isoSecond(window.endAt) }),
});

export const occurrenceBody = (row: OccurrenceRow): OccurrenceBody => ({
  scheduleId: row.scheduleId,
  occurrence: isoSecond(row.at),
  ...(row.through !== undefined && { through: isoSecond(row.through) }),
  ...(row.count !== undefined && { count: row.count }),
  disposition: row.disposition,
  ...(row.reason !== undefined && { reason: row.reason }),
  ...(row.runId !== undefined && { runId: row.runId }),
  ...(row.blockingRunId !== undefined && { blockingRunId: row.blockingRunId }),
  ...(row.backfillId !== undefined && { backfillId: row.backfillId }),
  specVersion: row.specVersion,
  ...(row.bufferedAt !== undefined && { bufferedAt: isoTime(row.bufferedAt) }),
  decidedAt: isoTime(row.decidedAt),
  latenessSeconds: Math.max(0, Math.round((row.decidedAt - row.at) / 100) / 10),
  evidence: row.evidence,
});

/** The next occurrences that will run: without those that were taken out, and no more than may still be dispatched. */
export function nextRunning(schedule: ScheduleRow, now: number, count: number): readonly number[] {
  const wanted = Math.min(count, schedule.remainingRuns ?? count);
  const from = Math.max(now, schedule.decidedThrough);
  return upcoming(schedule, from, wanted + schedule.skips.length)
    .filter((at) => !schedule.skips.includes(at))
    .slice(0, wanted);
}

export const revisionBody = (revision: Revision & Pick<RevisionRow, 'changed'>): RevisionBody => ({
  specVersion: revision.specVersion,
  from: isoTime(revision.from),
  active: revision.active,
  cadence: cadenceBody(revision.cadence),
  ...(revision.window !== undefined && { window: windowBody(revision.window) }),
  ...(revision.changed !== undefined && { changed: revision.changed }),
  by: revision.by,
});
