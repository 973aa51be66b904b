/** "Why did it run, or not run, at …": one answer from the revision in force, the ledger and the runs. */

import type { Reach } from '../access/grants.ts';
import { nextOccurrence } from '../cadence/occurrences.ts';
import { formatDuration, isoSecond, isoTime } from '../contract/common.ts';
import type { ExplainBody } from '../contract/schedules.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { occurrenceBody, revisionBody } from './body.ts';
import { nextExpected } from './expected.ts';
import { allRevisions, backfillsOf, entryCovering } from './history.ts';
import type { OccurrenceRow, Revision, ScheduleRow } from './model.ts';
import { loadSchedule } from './service.ts';

export async function explainOccurrence(
  ports: Ports,
  caller: Reach,
  scheduleId: string,
  at: number,
): Promise<ExplainBody> {
  const schedule = await loadSchedule(ports, caller, scheduleId);
  const revisions = await allRevisions(ports, scheduleId);
  const revision = revisions.findLast((each) => each.from <= at);
  const planned = { revisions };
  const named = revision !== undefined && nextOccurrence(revision.cadence, at - 1) === at;
  const expected = nextExpected(planned, at - 1) === at;
  const entry = await entryCovering(ports, scheduleId, at);
  const backfills = await backfillsOf(ports, scheduleId, at);
  const [run, blocking] = await runsOf(ports, entry);
  const now = ports.time.now();
  const before = previousExpected(planned, at);
  const after = nextExpected(planned, at);
  return {
    scheduleId,
    at: isoSecond(at),
    answer:
      answerOf({ ports, schedule, revision, named, expected, entry, run, blocking, at, now }) + backfillText(backfills),
    expected,
    nearest: {
      ...(before !== undefined && { before: isoSecond(before) }),
      ...(after !== undefined && { after: isoSecond(after) }),
    },
    ...(revision !== undefined && { revision: revisionBody(revision) }),
    ...(entry !== undefined && { occurrence: occurrenceBody(entry) }),
    ...(run !== undefined && {
      run: {
        runId: run.id,
        status: run.status,
        ...(run.reason !== undefined && { reason: run.reason }),
        evidence: run.evidence,
      },
    }),
    ...(blocking !== undefined && {
      blockingRun: {
        runId: blocking.id,
        status: blocking.status,
        ...(blocking.startedAt !== undefined && { startedAt: isoTime(blocking.startedAt) }),
        ...(blocking.endedAt !== undefined && { endedAt: isoTime(blocking.endedAt) }),
      },
    }),
    ...(backfills.length > 0 && {
      backfills: backfills.map((each) => ({ backfillId: each.backfillId ?? '', runId: each.runId ?? '' })),
    }),
    policy: {
      overlapPolicy: entry?.decidedUnder?.overlapPolicy ?? schedule.overlapPolicy,
      catchupWindow: formatDuration(
        entry?.decidedUnder?.catchupWindowSeconds ?? schedule.catchupWindowSeconds ?? ports.config.catchupWindowSeconds,
      ),
      status: schedule.status,
      of: entry?.decidedUnder === undefined ? 'now' : 'decision',
    },
    asOf: isoTime(now),
  };
}

async function runsOf(
  ports: Ports,
  entry: OccurrenceRow | undefined,
): Promise<readonly [RunRow | undefined, RunRow | undefined]> {
  const read = async (runId: string | undefined) =>
    runId === undefined ? undefined : asRow<RunRow>(await ports.store.get(keys.run(runId)));
  return [await read(entry?.runId), await read(entry?.blockingRunId)];
}

const LOOK_BACK_MS = [3600_000, 86_400_000, 31 * 86_400_000, 366 * 86_400_000];
/** A minutely schedule whose window ended long ago is not walked to its end for a hint. */
const LOOK_BACK_STEPS = 5000;

/** The last expected occurrence before a time, looked for in growing steps back; none is named where it would cost too much. */
function previousExpected(planned: { readonly revisions: readonly Revision[] }, at: number): number | undefined {
  let steps = 0;
  for (const back of LOOK_BACK_MS) {
    let found: number | undefined;
    let next = nextExpected(planned, at - back - 1);
    for (; next !== undefined && next < at && steps < LOOK_BACK_STEPS; steps++) {
      found = next;
      next = nextExpected(planned, next);
    }
    if (steps === LOOK_BACK_STEPS) return undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Facts {
  readonly ports: Ports;
  readonly schedule: ScheduleRow;
  readonly revision: Revision | undefined;
  readonly named: boolean;
  readonly expected: boolean;
  readonly entry: OccurrenceRow | undefined;
  readonly run: RunRow | undefined;
  readonly blocking: RunRow | undefined;
  readonly at: number;
  readonly now: number;
}

const REASONS: Readonly<Record<string, string>> = {
  paused: 'the schedule was paused',
  completed: 'the schedule had completed',
  deleted: 'the schedule had been deleted',
  skipped_by_request: 'somebody had taken this occurrence out',
  unauthorized: 'its creator may not run it any more',
  agent_deleted: 'its agent had been deleted',
  overlap: 'a run of the schedule was still live, and its overlap policy is to skip then',
  buffer_full: 'a run of the schedule was still live, and no more occurrences may wait',
  no_remaining_runs: 'no runs remained',
  too_many_live_runs: 'too many runs of the schedule were live',
  outside_catchup_window: 'it was delivered later than the catch-up window allows',
};

const backfillText = (backfills: readonly OccurrenceRow[]): string =>
  backfills.length === 0 ? '' : ` A backfill ran it: ${backfills.map((each) => each.runId).join(', ')}.`;

function answerOf(facts: Facts): string {
  const { entry, expected, named, revision, schedule, at, now, run, blocking } = facts;
  const when = isoSecond(at);
  if (entry !== undefined) {
    const many = entry.count === undefined ? '' : ` (one of ${entry.count} recorded together)`;
    const because = REASONS[entry.reason ?? ''] ?? entry.reason ?? 'no reason was recorded';
    const by = blocking === undefined ? '' : `: ${blocking.id}`;
    switch (entry.disposition) {
      case 'dispatched':
        return `It ran: run ${entry.runId ?? '?'}, now ${run?.status ?? 'not readable'}.`;
      case 'buffered':
        return `It waits for a live run to end${by}.`;
      case 'skipped':
        return `It did not run${many}: ${because}${by}.`;
      case 'missed':
        return `It was missed${many}: ${because}.`;
    }
  }
  if (revision === undefined) return `There was no schedule yet at ${when}.`;
  if (!named) return `${when} is not an occurrence of the cadence that was in force.`;
  if (!expected)
    return revision.active ? `${when} lies outside the schedule's window.` : 'The schedule was not active then.';
  if (at > now)
    return schedule.skips.includes(at) ? 'It will be skipped: somebody has taken it out.' : 'It has not come yet.';
  if (at <= schedule.decidedThrough) return 'It was decided, but its entry is not in the ledger any more.';
  return 'It is due and has not been decided yet.';
}
