/** A schedule as it is answered. Derived fields are computed at read time, in the present tense (design.md §5.10). */
import type { CoreConfig } from '../config.ts';
import { formatDuration, isoSecond, isoTime, type Json } from '../contract/common.ts';
import type { CadenceBody, OccurrenceBody, ScheduleBody } from '../contract/schedules.ts';
import { firstUnsettled, upcoming } from './expected.ts';
import type { Cadence, OccurrenceRow, ScheduleRow } from './model.ts';

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
    input,
    ...(schedule.overrides !== undefined && { overrides: overridesBody(schedule.overrides) }),
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
    nextOccurrences: active
      ? upcoming(schedule, Math.max(now, schedule.settledThrough), NEXT_OCCURRENCES).map(isoSecond)
      : [],
    ...(schedule.lastRun !== undefined && {
      lastRun: { ...schedule.lastRun, endedAt: isoTime(schedule.lastRun.endedAt) },
    }),
    liveRuns: schedule.liveRuns,
    createdBy: schedule.createdBy,
    createdAt: isoTime(schedule.createdAt),
    updatedAt: isoTime(schedule.updatedAt),
    asOf: isoTime(now),
  };
}

/** The occurrence that is due and unhandled right now, if there is one. Only an active schedule can be overdue. */
export function overdueOccurrence(config: CoreConfig, schedule: ScheduleRow, now: number): number | undefined {
  if (schedule.status !== 'active') return undefined;
  const due = firstUnsettled(schedule);
  return due !== undefined && due < now - config.overdueGraceSeconds * 1000 ? due : undefined;
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

const overridesBody = (overrides: NonNullable<ScheduleRow['overrides']>) => ({
  ...(overrides.runTimeout !== undefined && { runTimeout: formatDuration(overrides.runTimeout) }),
  ...(overrides.startTimeout !== undefined && { startTimeout: formatDuration(overrides.startTimeout) }),
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
  specVersion: row.specVersion,
  decidedAt: isoTime(row.decidedAt),
  latenessSeconds: Math.max(0, Math.round((row.decidedAt - row.at) / 100) / 10),
  evidence: row.evidence,
});
