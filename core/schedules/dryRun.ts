/** What an edit would change, without changing anything: occurrences, DST effects, overlaps to be expected. */
import type { PrincipalCaller } from '../agents/service.ts';
import { describeWarnings } from '../cadence/warnings.ts';
import { isoSecond, isoTime } from '../contract/common.ts';
import type { DryRunBody, SchedulePatch } from '../contract/schedules.ts';
import type { Ports } from '../ports.ts';
import { checkInput, checkMetadata, honourVersion, type Precondition } from '../rules.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { OCCURRENCE_PREFIX } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { frequencyWarning, sameFields } from './cadenceRequest.ts';
import { specRow } from './change.ts';
import { nextExpected } from './expected.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';
import { patchedSchedule } from './patch.ts';
import { loadLiveSchedule, refuseTakenName } from './service.ts';

const RANGE_DAYS = 30;
/** A minutely cadence has 43,200 occurrences in the range; more than this are not compared, and it is said. */
const COMPARE_LIMIT = 50_000;
const LIST_LIMIT = 200;
const SAMPLE = 50;

export async function dryRunPatch(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  patch: SchedulePatch,
  precondition: Precondition,
): Promise<DryRunBody> {
  if (patch.input !== undefined) checkInput(ports.config, patch.input);
  checkMetadata(ports.config, patch.metadata ?? undefined);
  const schedule = await loadLiveSchedule(ports, caller, scheduleId);
  honourVersion('schedule', scheduleId, schedule.version, precondition);
  const now = ports.time.now();
  const to = now + RANGE_DAYS * 86_400_000;
  const after = patchedSchedule(schedule, patch, caller.principalId, now);
  await refuseTakenName(ports, schedule, after);
  const present = within(schedule, now, to);
  const future = within(after, now, to);
  const presentSet = new Set(present);
  const futureSet = new Set(future);
  const added = future.filter((at) => !presentSet.has(at));
  const removed = present.filter((at) => !futureSet.has(at));
  return {
    scheduleId,
    version: schedule.version,
    ...(after.status === 'paused' && { paused: true }),
    range: { from: isoSecond(Math.floor(now / 1000) * 1000), to: isoSecond(Math.floor(to / 1000) * 1000) },
    added: added.slice(0, LIST_LIMIT).map(isoSecond),
    removed: removed.slice(0, LIST_LIMIT).map(isoSecond),
    unchanged: future.length - added.length,
    truncated: added.length > LIST_LIMIT || removed.length > LIST_LIMIT || future.length === COMPARE_LIMIT,
    warnings: [
      ...describeWarnings(after.cadence, now, to).map((warning) => warning.message),
      ...(sameFields(after.cadence, schedule.cadence)
        ? []
        : frequencyWarning(after.cadence, ports.config.confirmFiresPerDay)),
    ],
    overlaps: predictOverlaps(future, await pastDurations(ports, scheduleId)),
    asOf: isoTime(now),
  };
}

/** A paused schedule is compared as if it were resumed now: what an edit would change is of interest then too. */
function within(schedule: ScheduleRow, from: number, to: number): readonly number[] {
  if (schedule.status !== 'active' && schedule.status !== 'paused') return [];
  const [inForce] = schedule.revisions.slice(-1);
  const planned =
    schedule.status === 'paused' && inForce !== undefined
      ? { revisions: [{ ...inForce, ...specRow(schedule), active: true }] }
      : schedule;
  const times: number[] = [];
  for (
    let at = nextExpected(planned, from);
    at !== undefined && at <= to && times.length < COMPARE_LIMIT;
    at = nextExpected(planned, at)
  )
    if (!schedule.skips.includes(at)) times.push(at);
  return schedule.remainingRuns === undefined ? times : times.slice(0, schedule.remainingRuns);
}

/** Durations in seconds of the latest runs of the schedule that have ended. */
async function pastDurations(ports: Ports, scheduleId: string): Promise<readonly number[]> {
  const page = await ports.store.query({
    pk: keys.schedule(scheduleId).pk,
    prefix: OCCURRENCE_PREFIX,
    descending: true,
    limit: 4 * SAMPLE,
  });
  const ids = page.items.map((item) => asRow<OccurrenceRow>(item)?.runId).filter((id) => id !== undefined);
  const rows = await ports.store.getMany(ids.slice(0, SAMPLE).map((id) => keys.run(id)));
  return rows
    .map((item) => asRow<RunRow>(item))
    .filter((run) => run?.startedAt !== undefined && run.endedAt !== undefined)
    .map((run) => ((run?.endedAt ?? 0) - (run?.startedAt ?? 0)) / 1000);
}

/** An occurrence overlaps if the one before it would, at the 95th percentile, still be running. */
function predictOverlaps(times: readonly number[], durations: readonly number[]): DryRunBody['overlaps'] {
  const sorted = [...durations].sort((left, right) => left - right);
  const p95Seconds = sorted[Math.max(0, Math.ceil(0.95 * sorted.length) - 1)];
  if (p95Seconds === undefined) return { predicted: 0, sample: 0 };
  const overlapping = times.filter((at, index) => index > 0 && at - (times[index - 1] ?? at) < p95Seconds * 1000);
  const [first] = overlapping;
  return {
    predicted: overlapping.length,
    p95Seconds,
    sample: sorted.length,
    ...(first !== undefined && { first: isoSecond(first) }),
  };
}
