/**
 * One schedule, audited: what its revisions expected against what its ledger says, the runs that it counts as live, and its
 * clock. What is found missing goes through fire's door, like any late delivery.
 */
import { isoSecond } from '../contract/common.ts';
import { occurrenceRunId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { clockSpec, syncClock } from '../schedules/clockSync.ts';
import { flexibleMs } from '../schedules/decide.ts';
import { nextExpected } from '../schedules/expected.ts';
import { fire } from '../schedules/fire.ts';
import { allRevisions, entryCovering } from '../schedules/history.ts';
import type { OccurrenceRow, Revision, ScheduleRow } from '../schedules/model.ts';
import * as keys from '../table/itemKeys.ts';
import { occurrenceSort } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { leakedRuns, repairSchedule } from '../watchdog/repairSchedule.ts';
import type { Audited, AuditFinding } from './model.ts';

/** So many occurrences of one schedule are compared in one look; of a busier one the youngest. */
const OCCURRENCES_MAX = 2000;
const PAGE = 500;

export async function auditSchedule(ports: Ports, schedule: ScheduleRow, lookbackMs: number): Promise<Audited> {
  const findings: AuditFinding[] = [];
  const found = (finding: Omit<AuditFinding, 'tenantId' | 'subject'>) =>
    findings.push({ ...finding, tenantId: schedule.tenantId, subject: schedule.id });
  const { expected, entries } = await compared(ports, schedule, lookbackMs);
  for (const at of unaccounted(expected, entries)) {
    // It may have been decided since the ledger was read.
    if ((await entryCovering(ports, schedule.id, at)) !== undefined) continue;
    const { outcome } = await fire(ports, { scheduleId: schedule.id, scheduledTime: at });
    const detail = `${isoSecond(at)} was expected, and the ledger has nothing of it`;
    found({ kind: 'missing', detail, did: `fired it: ${outcome}` });
  }
  for (const detail of twice(schedule.id, entries)) found({ kind: 'double', detail });
  const now = ports.time.now();
  if ((await leakedRuns(ports, schedule)).length > 0)
    for (const { because, did } of await repairSchedule({ ports, now }, schedule.id))
      found({ kind: 'leaks', detail: because, did });
  const drift = await driftOf(ports, schedule.id);
  if (drift !== undefined) found(drift);
  return { findings, occurrences: expected.length };
}

async function compared(ports: Ports, schedule: ScheduleRow, lookbackMs: number) {
  const revisions = await allRevisions(ports, schedule.id);
  const now = ports.time.now();
  const to = now - ports.config.overdueGraceSeconds * 1000 - flexibleMs(schedule);
  // As far as its flexible window too: what was in it at the last look had not been judged.
  const from = Math.max(now - lookbackMs - flexibleMs(schedule), revisions[0]?.from ?? now);
  // Nothing of it is old enough to be judged.
  if (from > to) return { expected: [], entries: [] };
  return {
    expected: expectedBetween({ revisions }, from, to),
    entries: await entriesBetween(ports, schedule.id, from, to),
  };
}

/** Pure. */
export function expectedBetween(
  planned: { readonly revisions: readonly Revision[] },
  from: number,
  to: number,
): readonly number[] {
  const found: number[] = [];
  for (let at = nextExpected(planned, from - 1); at !== undefined && at <= to; at = nextExpected(planned, at))
    found.push(at);
  return found.slice(-OCCURRENCES_MAX);
}

async function entriesBetween(
  ports: Pick<Ports, 'store'>,
  scheduleId: string,
  from: number,
  to: number,
): Promise<readonly OccurrenceRow[]> {
  const before = await entryCovering(ports, scheduleId, from);
  const rows = new Map<string, OccurrenceRow>(before === undefined ? [] : [[before.sk, before]]);
  let after: string | undefined;
  do {
    const { pk } = keys.schedule(scheduleId);
    const range = { pk, from: occurrenceSort(from), to: occurrenceSort(to) };
    const page = await ports.store.query({ ...range, limit: PAGE, ...(after !== undefined && { after }) });
    for (const item of page.items) {
      const row = asRow<OccurrenceRow>(item);
      if (row !== undefined && row.backfillId === undefined) rows.set(row.sk, row);
    }
    after = page.next;
  } while (after !== undefined);
  return [...rows.values()];
}

/** Pure: what is expected and has neither an entry of its own nor a range that covers it. */
export function unaccounted(
  expected: readonly number[],
  entries: readonly Pick<OccurrenceRow, 'at' | 'through'>[],
): readonly number[] {
  const own = new Set(entries.map(({ at }) => at));
  const ranges = entries.filter(({ through }) => through !== undefined);
  return expected.filter(
    (at) => !own.has(at) && !ranges.some((range) => range.at <= at && at <= (range.through ?? range.at)),
  );
}

/** Pure: entries that another one covers, and runs that are not the one that their occurrence can have (I1). */
export function twice(
  scheduleId: string,
  entries: readonly Pick<OccurrenceRow, 'at' | 'through' | 'runId'>[],
): readonly string[] {
  const ranges = entries.filter(({ through }) => through !== undefined);
  return entries.flatMap(({ at, runId }) => {
    const covering = ranges.find((range) => range.at < at && at <= (range.through ?? range.at));
    const foreign = runId !== undefined && runId !== occurrenceRunId(scheduleId, at);
    return [
      ...(covering === undefined
        ? []
        : [`${isoSecond(at)} has an entry, and the range of ${isoSecond(covering.at)} covers it`]),
      ...(foreign ? [`${isoSecond(at)} has run ${runId}, which is not the one that it can have`] : []),
    ];
  });
}

/** A clock that does not fire what its row says is put again; the row is read anew, so that no edit is mistaken for a drift. */
async function driftOf(
  ports: Ports,
  scheduleId: string,
): Promise<Pick<AuditFinding, 'kind' | 'detail' | 'did'> | undefined> {
  const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
  if (schedule === undefined || schedule.clock.status === 'pending') return undefined;
  const spec = clockSpec(schedule, ports.time.now());
  if (spec === undefined) return undefined;
  const seen = await ports.clock.look(spec);
  if (seen.kind === 'follows') return undefined;
  const again = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
  if (again?.version !== schedule.version || again.liveSeq !== schedule.liveSeq) return undefined;
  const { status } = await syncClock(ports, scheduleId, { evenIfSynced: true });
  return { kind: 'drifted', detail: seen.detail, did: `put its clock again: ${status}` };
}
