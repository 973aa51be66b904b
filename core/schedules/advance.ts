/**
 * What follows when a schedule's run has ended: the run that waited for it is let go, a buffered occurrence gets its turn,
 * a backfill goes on. Called by fan-out after a finish and by the watchdog; any number of calls have one effect.
 */
import type { PrincipalRow } from '../access/principals.ts';
import { isoSecond } from '../contract/common.ts';
import { CandorError } from '../errors.ts';
import { placedBy } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import { cancelRun } from '../runs/cancel.ts';
import { changeRun, evidence } from '../runs/change.ts';
import { runCreation } from '../runs/create.ts';
import type { RunRow } from '../runs/model.ts';
import { placeRun } from '../runs/place.ts';
import { commit, type Plan } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, asRow } from '../table/rows.ts';
import { backfillEntry, endBackfill } from './backfillRows.ts';
import { accessReason, type FireRows, statusReason } from './decide.ts';
import { settleBuffered } from './ledger.ts';
import { liveChange } from './liveChange.ts';
import type { ScheduleRow } from './model.ts';
import { occurrenceRun, readFireRows } from './occurrenceRun.ts';
import { unauthorizedNote, unauthorizedPart } from './unauthorized.ts';

/** Side by side, a backfill has at most this many runs live at once. */
const BACKFILL_PARALLEL = 10;
const STEPS_PER_CALL = 100;

type Step = { readonly place?: RunRow; readonly more: boolean };
const rest: { readonly done: Step } = { done: { more: false } };

export async function advanceSchedule(ports: Ports, scheduleId: string): Promise<void> {
  for (let step = 0; step < STEPS_PER_CALL; step++) {
    const { place, more } = await commit<Step>(ports, (writer) => nextStep(ports, scheduleId, writer));
    if (place !== undefined) await placeRun(ports, place);
    if (!more) return;
  }
}

async function nextStep(
  ports: Ports,
  scheduleId: string,
  writer: string,
): Promise<Plan<Step> | { readonly done: Step }> {
  const seen = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
  if (seen === undefined || !anythingWaits(seen)) return rest;
  const rows = await readFireRows(ports, { scheduleId, agentId: seen.agentId, principalId: seen.createdBy });
  if (rows === undefined) return rest;
  const { schedule } = rows;
  const now = ports.time.now();
  const newest = schedule.waitingRuns.at(-1);
  if (newest !== undefined) return letGo(ports, rows, newest, now, writer);
  const [buffered] = schedule.buffer;
  const full = schedule.liveRuns.length >= ports.config.maxLiveRunsPerSchedule;
  const free = schedule.liveRuns.length === 0 || (schedule.overlapPolicy === 'allow_all' && !full);
  if (buffered !== undefined && statusReason(schedule) === undefined)
    return free ? drain(ports, rows, buffered, now, writer) : rest;
  return backfillStep(ports, rows, now, writer);
}

/** After most finishes nothing does: that takes one read to see. */
const anythingWaits = ({ waitingRuns, buffer, backfill }: ScheduleRow): boolean =>
  waitingRuns.length > 0 || buffer.length > 0 || backfill !== undefined;

/** The newest waiting run starts; an older one that still waits was displaced by it and ends. */
async function letGo(
  ports: Ports,
  rows: FireRows,
  runId: string,
  now: number,
  writer: string,
): Promise<Plan<Step> | { readonly done: Step }> {
  const { schedule } = rows;
  const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
  // Only those that it displaces: what later fires have started beside it (after a change of policy) is not waited for.
  const displaced = run?.waiting?.blockedBy ?? [];
  if (displaced.some((each) => schedule.liveRuns.includes(each) && !schedule.waitingRuns.includes(each))) return rest;
  const [older] = schedule.waitingRuns;
  if (older !== undefined && older !== runId) {
    const order = { by: runId, reason: 'displaced by a later occurrence', cause: 'overlap' } as const;
    await cancelRun(ports, schedule, older, order).catch((error: unknown) => {
      if (!(error instanceof CandorError && error.code === 'run_ended')) throw error;
    });
    return { done: { more: true } };
  }
  if (run === undefined) return rest;
  const waitingRuns = schedule.waitingRuns.filter((each) => each !== runId);
  const writes: Write[] = [...liveChange(ports, schedule, { waitingRuns }, { now, writer, guardName: 'advance' })];
  const waits = run.status === 'queued' && run.waiting?.reason === 'overlap';
  if (waits) {
    const deadlineAt = run.limited === true ? run.deadlineAt : now + run.startTimeoutSeconds * 1000;
    const change = {
      type: 'run.admitted',
      evidence: evidence('schedule', now, 'the runs that it waited for have ended'),
      // The start timeout counts from here: until now nothing could be started. Under a limit it still waits for a place.
      ...(deadlineAt !== undefined && { deadlineAt }),
      set: { waiting: undefined, checkAt: placedBy(now, deadlineAt), ...(run.limited !== true && { admittedAt: now }) },
    };
    writes.push(...changeRun(ports.config, run, change, now, writer));
  }
  return {
    writes,
    proof: waits ? keys.runEvent(run.id, run.version + 1) : keys.schedule(schedule.id),
    result: { ...(waits && { place: run }), more: true },
  };
}

/** The oldest buffered occurrence gets its turn, if its creator may still have it. */
function drain(ports: Ports, rows: FireRows, at: number, now: number, writer: string): Plan<Step> {
  const { schedule, agent } = rows;
  const buffer = schedule.buffer.slice(1);
  const refused = accessReason(rows);
  if (refused !== undefined || agent === undefined) {
    const reason = refused ?? 'agent_deleted';
    return {
      writes: [
        settleBuffered(schedule, at, { reason }, now, 'refused when its turn came'),
        ...liveChange(
          ports,
          schedule,
          { buffer, ...unauthorizedPart(schedule, reason, now) },
          { now, writer, guardName: 'advance' },
        ),
        ...unauthorizedNote(ports, schedule, reason, at, now, writer),
      ],
      proof: keys.schedule(schedule.id),
      result: { more: true },
    };
  }
  const waited = `occurrence ${isoSecond(at)} waited until the run before it had ended`;
  const run = occurrenceRun(ports, schedule, agent, at, now, { evidence: waited });
  const part = {
    buffer,
    liveRuns: [...schedule.liveRuns, run.id],
    ...(schedule.remainingRuns !== undefined && { remainingRuns: schedule.remainingRuns - 1 }),
  };
  return {
    writes: [
      settleBuffered(schedule, at, { runId: run.id }, now, waited),
      ...runCreation(ports.config, run, writer),
      ...liveChange(ports, schedule, part, { now, writer, guardName: 'advance' }),
    ],
    proof: keys.runEvent(run.id, 1),
    result: { place: run, more: true },
  };
}

/** The next occurrence of the backfill that is under way. It may go on while the schedule is paused: it was asked for by hand. */
async function backfillStep(
  ports: Ports,
  rows: FireRows,
  now: number,
  writer: string,
): Promise<Plan<Step> | { readonly done: Step }> {
  const { schedule, agent } = rows;
  const { backfill } = schedule;
  if (backfill === undefined) return rest;
  if (schedule.status === 'deleting' || schedule.status === 'deleted')
    return endBackfill(ports, schedule, 'cancelled', now, writer, { more: false }, 'deleted');
  // Who asked for it must still be allowed to; whoever made the schedule has no part in it.
  const principal = asRow<PrincipalRow>(await ports.store.get(keys.principal(backfill.by)));
  const refused = accessReason({ ...rows, principal });
  if (refused !== undefined || agent === undefined)
    return endBackfill(ports, schedule, 'cancelled', now, writer, { more: false }, refused ?? 'agent_deleted');
  const [at, ...pending] = backfill.pending;
  if (at === undefined) return endBackfill(ports, schedule, 'completed', now, writer, { more: false });
  const limit =
    backfill.overlapPolicy === 'allow_all' ? Math.min(BACKFILL_PARALLEL, ports.config.maxLiveRunsPerSchedule) : 1;
  if (schedule.liveRuns.length >= limit) return rest;
  const facts = { evidence: `backfill ${backfill.id} of occurrence ${isoSecond(at)}`, backfillId: backfill.id };
  const run = occurrenceRun(ports, schedule, agent, at, now, facts);
  const entry = backfillEntry(schedule, backfill.id, at, run.id, now, writer);
  const part = { liveRuns: [...schedule.liveRuns, run.id], backfill: { ...backfill, pending } };
  return {
    writes: [
      { kind: 'put', item: asItem(entry), guards: [guard('backfill.occurrenceOnce', absent)] },
      ...runCreation(ports.config, run, writer),
      ...liveChange(ports, schedule, part, { now, writer, guardName: 'advance' }),
    ],
    proof: keys.runEvent(run.id, 1),
    result: { place: run, more: true },
  };
}
