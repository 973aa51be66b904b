/** Schedules and their ledger for people. Nothing is called overdue that the API does not call overdue right now. */
import type { CadenceBody, OccurrenceBody, RevisionBody, ScheduleBody } from '../../core/contract/schedules.ts';
import type { Page } from '../client.ts';
import { absolute, fields, inline, jsonText, type Paint, relative, status, statusCell, table, when } from '../text.ts';
import { pairs, retryLines, timeoutLines } from './agents.ts';

export const scheduleTable = (paint: Paint, page: Page<ScheduleBody>): string =>
  table(
    paint,
    ['ID', 'NAME', 'STATUS', 'CADENCE', 'NEXT', 'LAST RUN', 'LIVE'],
    page.items.map((schedule) => [
      schedule.id,
      schedule.name,
      schedule.overdue
        ? { text: `OVERDUE since ${overdueTime(schedule, page.asOf)}`, colour: 'red' }
        : statusCell(schedule.status),
      cadenceText(schedule.cadence),
      nextText(schedule, page.asOf),
      schedule.lastRun && `${schedule.lastRun.status} ${relative(schedule.lastRun.endedAt, page.asOf)}`,
      String(schedule.liveRuns.length),
    ]),
  );

const nextText = (schedule: ScheduleBody, asOf: string | undefined): string | undefined => {
  const next = schedule.nextOccurrences[0];
  return next === undefined ? undefined : when(next, asOf);
};

const overdueTime = (schedule: ScheduleBody, asOf: string | undefined): string =>
  schedule.overdueSince === undefined ? 'a time that is not known' : when(schedule.overdueSince, asOf);

export function cadenceText(cadence: CadenceBody): string {
  if ('cron' in cadence) return `${cadence.cron} (${cadence.timezone})`;
  if ('every' in cadence) return `every ${cadence.every} from ${absolute(cadence.startAt)}`;
  return `once at ${absolute(cadence.at)}${cadence.timezone === undefined ? '' : ` (${cadence.timezone})`}`;
}

export function scheduleDetail(paint: Paint, schedule: ScheduleBody): string {
  const { asOf, pause, window, lastRun, clock } = schedule;
  return fields(paint, [
    ['id', schedule.id],
    ['name', inline(schedule.name)],
    ['agent', schedule.agentId],
    ['status', status(paint, schedule.status)],
    ['overdue', schedule.overdue ? paint('red', `OVERDUE since ${overdueTime(schedule, asOf)}`) : undefined],
    ['paused', pause && inline(`${when(pause.at, asOf)} by ${pause.by} (${pause.kind})${dashed(pause.reason)}`)],
    ['cadence', inline(cadenceText(schedule.cadence))],
    ['window', window && `${bound(window.startAt, asOf)} … ${bound(window.endAt, asOf)}`],
    ['overlap', schedule.overlapPolicy],
    ['catch-up', schedule.catchupWindow],
    ['flexible window', schedule.flexibleWindow],
    ['pause on failure', pauseOnFailureText(schedule)],
    ['remaining runs', schedule.remainingRuns?.toString()],
    ...timeoutLines(schedule.overrides),
    ...retryLines(schedule.overrides?.retry),
    ['next', schedule.nextOccurrences.map((at) => when(at, asOf)).join('\n') || 'none'],
    ['taken out', listed(schedule.skips, asOf)],
    ['waiting', listed(schedule.buffered, asOf)],
    ['backfill', schedule.backfill && `${schedule.backfill.id}, ${schedule.backfill.remaining} remaining`],
    ['live runs', schedule.liveRuns.join('\n') || 'none'],
    ['last run', lastRun && `${lastRun.runId} ${status(paint, lastRun.status)} ${when(lastRun.endedAt, asOf)}`],
    ['clock', clockText(paint, clock, schedule)],
    ['input', jsonText(schedule.input)],
    ['metadata', pairs(schedule.metadata)],
    ['version', String(schedule.version)],
    ['created', `${when(schedule.createdAt, asOf)} by ${inline(schedule.createdBy)}`],
    ['updated', when(schedule.updatedAt, asOf)],
  ]);
}

function pauseOnFailureText({ pauseOnFailure, failureStreak }: ScheduleBody): string | undefined {
  if (pauseOnFailure === undefined) return undefined;
  return `after ${pauseOnFailure.consecutive} in a row, ${failureStreak} now`;
}

const listed = (times: readonly string[], asOf: string): string | undefined =>
  times.length === 0 ? undefined : times.map((at) => when(at, asOf)).join('\n');

const dashed = (text: string): string => (text === '' ? '' : `: ${text}`);
const bound = (at: string | undefined, asOf: string): string => (at === undefined ? 'open' : when(at, asOf));

function clockText(paint: Paint, clock: ScheduleBody['clock'], schedule: ScheduleBody): string {
  const synced = clock.syncedAt === undefined ? '' : `, last synced ${when(clock.syncedAt, schedule.asOf)}`;
  return `${status(paint, clock.status)} (spec ${clock.specVersion} of ${schedule.specVersion}${synced})`;
}

export const occurrenceTable = (paint: Paint, page: Page<OccurrenceBody>): string =>
  table(
    paint,
    ['OCCURRENCE', 'DISPOSITION', 'REASON', 'RUN', 'LATE', 'DECIDED'],
    page.items.map((item) => [
      item.through === undefined
        ? absolute(item.occurrence)
        : `${absolute(item.occurrence)} … ${absolute(item.through)} (${item.count ?? 'several'})`,
      statusCell(item.disposition),
      [item.reason, item.blockingRunId && `(blocked by ${item.blockingRunId})`].filter(Boolean).join(' '),
      item.runId,
      `${item.latenessSeconds}s`,
      when(item.decidedAt, page.asOf),
    ]),
  );

export const upcomingTable = (
  paint: Paint,
  page: Page<{ readonly occurrence: string; readonly skipped?: boolean }>,
): string =>
  table(
    paint,
    ['OCCURRENCE', 'WHEN'],
    page.items.map((item) => [
      absolute(item.occurrence),
      `${relative(item.occurrence, page.asOf)}${item.skipped === true ? ', taken out' : ''}`,
    ]),
  );

export const revisionTable = (paint: Paint, page: Page<RevisionBody>): string =>
  table(
    paint,
    ['REVISION', 'FROM', 'ACTIVE', 'CADENCE', 'WINDOW', 'CHANGED', 'BY'],
    page.items.map(({ specVersion, from, active, cadence, window, changed, by }) => [
      String(specVersion),
      absolute(from),
      active ? 'yes' : 'no',
      cadenceText(cadence),
      window && [window.startAt, window.endAt].map((at) => (at === undefined ? 'open' : absolute(at))).join(' … '),
      changed?.join(', '),
      by,
    ]),
  );
