/**
 * Backfill: runs for past occurrences, each at most once per backfill, and none for one that has had its run unless asked.
 * The list is made once, bounded, and stands on the schedule; `advance` works it off, one step per transaction.
 */
import type { Reach } from '../access/grants.ts';
import { loadAgent, type PrincipalCaller } from '../agents/service.ts';
import { isoSecond, isoTime } from '../contract/common.ts';
import { BACKFILL_LIMIT, type BackfillBody, type BackfillRequest } from '../contract/schedules.ts';
import { CandorError, InvalidRequest, NotFound } from '../errors.ts';
import { occurrenceRunId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { occurrenceSort } from '../table/keys.ts';
import { absent, guard } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { advanceSchedule } from './advance.ts';
import { endBackfill } from './backfillRows.ts';
import { specRow } from './change.ts';
import { isExpected, nextOfAny } from './expected.ts';
import { allRevisions } from './history.ts';
import { liveChange } from './liveChange.ts';
import type { BackfillRow, OccurrenceRow, Revision, ScheduleRow } from './model.ts';
import { loadLiveSchedule, loadSchedule } from './service.ts';

/** @throws InvalidRequest, CandorError `illegal_transition` while another backfill is under way */
export async function startBackfill(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  request: BackfillRequest,
  precondition: Precondition,
): Promise<BackfillBody> {
  const createdAt = ports.time.now();
  const id = ports.ids.next('bkf_', createdAt);
  const row = await commit<BackfillRow>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    await loadAgent(ports, caller, schedule.agentId);
    if (schedule.backfill !== undefined) throw underWay(schedule);
    const now = ports.time.now();
    const times = timesOf(schedule, await allRevisions(ports, scheduleId), request, now);
    const done = request.again ? new Set<number>() : await dispatchedIn(ports, scheduleId, request);
    // What is due and undecided belongs to the clock: with this it would run twice.
    const isPending = (at: number) => at > schedule.decidedThrough && isExpected(schedule, at);
    const wanted = times.filter((at) => !done.has(at) && !isPending(at));
    const created: BackfillRow = {
      ...keys.backfill(scheduleId, id),
      schemaVersion: SCHEMA_VERSION,
      tenantId: schedule.tenantId,
      id,
      scheduleId,
      status: wanted.length === 0 ? 'completed' : 'running',
      overlapPolicy: request.overlapPolicy,
      times: wanted,
      leftAlone: times.length - wanted.length,
      createdBy: caller.principalId,
      createdAt: now,
      writer,
    };
    const state = {
      id,
      overlapPolicy: request.overlapPolicy,
      pending: wanted,
      by: caller.principalId,
      ...(caller.cutBy !== undefined && { cutBy: caller.cutBy }),
    };
    return {
      writes: [
        { kind: 'put', item: asItem(created), guards: [guard('backfill.createdOnce', absent)] },
        ...(wanted.length === 0
          ? []
          : liveChange(ports, schedule, { backfill: state }, { now, writer, guardName: 'advance' })),
      ],
      proof: keys.backfill(scheduleId, id),
      result: created,
    };
  });
  // It is committed: what goes wrong here is no failure of the request, which would only be sent again.
  await advanceSchedule(ports, scheduleId).catch((error: unknown) =>
    ports.log.warn('backfill.left_to_watchdog', { scheduleId, backfillId: id, error: String(error) }),
  );
  return getBackfill(ports, caller, scheduleId, row.id);
}

/**
 * The occurrences in the range, each by the revision that was in force at its time, pauses included; those of before the
 * schedule existed by its present cadence and window. @throws InvalidRequest
 */
function timesOf(
  schedule: ScheduleRow,
  revisions: readonly Revision[],
  request: BackfillRequest,
  now: number,
): readonly number[] {
  const before: Revision = { specVersion: 0, from: 0, active: true, ...specRow(schedule), by: schedule.createdBy };
  const planned = { revisions: [before, ...revisions] };
  if (request.to > now)
    throw invalid('/to', `must not be in the future: the schedule itself takes care of what is to come`);
  const times: number[] = [];
  for (let at = nextOfAny(planned, request.from - 1); at !== undefined && at <= request.to; ) {
    times.push(at);
    if (times.length > BACKFILL_LIMIT)
      throw invalid(
        '/to',
        `leaves more than ${BACKFILL_LIMIT} occurrences, which is the limit of one backfill; split the range`,
      );
    at = nextOfAny(planned, at);
  }
  if (times.length === 0) throw invalid('/from', 'leaves no occurrence of the schedule in the range');
  return times;
}

const invalid = (pointer: string, message: string) =>
  new InvalidRequest('The range cannot be backfilled.', [{ pointer, message }]);

const underWay = (schedule: ScheduleRow) =>
  new CandorError('illegal_transition', `Backfill ${schedule.backfill?.id} of this schedule is under way.`, {
    remedy: 'Wait until it has ended, or cancel it.',
    facts: { backfillId: schedule.backfill?.id, remaining: schedule.backfill?.pending.length },
  });

/** The occurrences in the range that have had a run, whether by the clock or by an earlier backfill. */
async function dispatchedIn(
  ports: Ports,
  scheduleId: string,
  range: { readonly from: number; readonly to: number },
): Promise<Set<number>> {
  const found = new Set<number>();
  let after: string | undefined;
  do {
    const page = await ports.store.query({
      pk: keys.schedule(scheduleId).pk,
      from: occurrenceSort(range.from),
      to: `${occurrenceSort(range.to)}~`,
      limit: 500,
      ...(after !== undefined && { after }),
    });
    for (const item of page.items) {
      const row = asRow<OccurrenceRow>(item);
      if (row?.disposition === 'dispatched' || row?.disposition === 'buffered') found.add(row.at);
    }
    after = page.next;
  } while (after !== undefined);
  return found;
}

/** @throws NotFound */
export async function getBackfill(
  ports: Ports,
  caller: Reach,
  scheduleId: string,
  backfillId: string,
): Promise<BackfillBody> {
  const schedule = await loadSchedule(ports, caller, scheduleId);
  return bodyOf(ports, await loadBackfill(ports, schedule, backfillId), schedule);
}

async function loadBackfill(ports: Ports, schedule: ScheduleRow, backfillId: string): Promise<BackfillRow> {
  const row = asRow<BackfillRow>(await ports.store.get(keys.backfill(schedule.id, backfillId)));
  if (row === undefined)
    throw new NotFound(
      'backfill',
      backfillId,
      'Its id is in the answer that started it, and on the runs that it made.',
    );
  return row;
}

/** Starts no further run of it; those that it has started go on. Idempotent. */
export async function cancelBackfill(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  backfillId: string,
  precondition: Precondition,
): Promise<BackfillBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    await loadBackfill(ports, schedule, backfillId);
    if (schedule.backfill?.id !== backfillId) return { done: undefined };
    return endBackfill(ports, schedule, 'cancelled', ports.time.now(), writer, undefined);
  });
  return getBackfill(ports, caller, scheduleId, backfillId);
}

function bodyOf(ports: Ports, row: BackfillRow, schedule: ScheduleRow): BackfillBody {
  const running = schedule.backfill?.id === row.id;
  return {
    backfillId: row.id,
    scheduleId: row.scheduleId,
    // The schedule's own state decides; the item follows it in the same transaction.
    status: running ? 'running' : row.status === 'running' ? 'completed' : row.status,
    ...(row.reason !== undefined && { reason: row.reason }),
    overlapPolicy: row.overlapPolicy,
    items: row.times.map((at) => ({ occurrence: isoSecond(at), runId: occurrenceRunId(row.scheduleId, at, row.id) })),
    leftAlone: row.leftAlone,
    remaining: running ? (schedule.backfill?.pending.length ?? 0) : 0,
    createdBy: row.createdBy,
    createdAt: isoTime(row.createdAt),
    asOf: isoTime(ports.time.now()),
  };
}
