/**
 * Fire: from a clock's delivery to a committed disposition, and for `dispatched` to a placed run (design.md §5.1).
 *
 * One consistent read, one transaction, one placement. The transaction puts the occurrence (only if there is none), the
 * run with its first event, and the schedule's new live set, on the condition that `version` (every edit, pause and
 * delete bumps it) and `liveSeq` (every fire and finish bumps it) are what the decision read. Where a VM of the agent is
 * free, it is looked for before, and the same transaction gives it the run.
 */
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { vmAtOnce } from '../runs/dispatch.ts';
import type { RunRow } from '../runs/model.ts';
import { placeRun } from '../runs/place.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, shardOf } from '../table/keys.ts';
import { eq, guard, type Write } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { firstUndecided, isExpected, occurrenceMeant } from './expected.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';
import { type Delivery, readFireRows } from './occurrenceRun.ts';
import { decideStep, measure, type Settled, settlement, startSettled } from './settle.ts';

export type { Delivery } from './occurrenceRun.ts';

export type FireResult =
  | { readonly outcome: 'dispatched'; readonly runId: string; readonly duplicate: boolean }
  | { readonly outcome: 'buffered'; readonly duplicate: boolean }
  | { readonly outcome: 'skipped' | 'missed'; readonly reason: string; readonly duplicate: boolean }
  | {
      readonly outcome: 'ignored';
      readonly reason:
        | 'unknown_schedule'
        | 'unexpected'
        | 'early'
        | 'nothing_due'
        | 'covered_by_range'
        | 'more_to_settle';
    };

/** A burst of deliveries after an outage settles at most this many occurrences in one call; the watchdog goes on. */
const STEPS_PER_CALL = 200;

export async function fire(ports: Ports, delivery: Delivery): Promise<FireResult> {
  for (let step = 0; step < STEPS_PER_CALL; step++) {
    const result = await settleNext(ports, delivery);
    if ('outcome' in result) return result;
    const { settled, target } = result;
    measure(ports, settled);
    await startSettled(ports, settled);
    if (settled.through >= target) return answerOf(settled);
  }
  return { outcome: 'ignored', reason: 'more_to_settle' };
}

type Step = { readonly settled: Settled; readonly target: number } | FireResult;

function settleNext(ports: Ports, delivery: Delivery): Promise<Step> {
  // Tried once: that others want the same VM must not keep an occurrence from its disposition.
  let triesVm = true;
  return commit<Step>(ports, async (writer) => {
    const rows = await readFireRows(ports, delivery);
    if (rows === undefined) {
      ports.log.warn('fire.unknown_schedule', { scheduleId: delivery.scheduleId });
      return { done: { outcome: 'ignored', reason: 'unknown_schedule' } };
    }
    const { schedule } = rows;
    const now = ports.time.now();
    // fence: skew.fire
    const horizon = now + ports.config.maxClockSkewSeconds * 1000;
    const due = firstUndecided(schedule);
    const target = delivery.scheduledTime === undefined ? due : occurrenceMeant(schedule, delivery.scheduledTime);
    // fence: fence.notEarly
    if (target === undefined || (delivery.scheduledTime === undefined && target > horizon))
      return { done: { outcome: 'ignored', reason: 'nothing_due' } };
    // fence: fence.notEarly
    if (target > horizon) return { done: { outcome: 'ignored', reason: 'early' } };
    // fence: fence.decidedThrough
    if (target <= schedule.decidedThrough) return { done: await decidedAlready(ports, delivery.scheduleId, target) };
    if (due === undefined || !isExpected(schedule, target)) {
      await noteDrift(ports, schedule, now);
      return { done: { outcome: 'ignored', reason: 'unexpected' } };
    }
    // Earlier occurrences first: the cursor never jumps over one.
    const decided = decideStep(ports, rows, due, now);
    const vm = triesVm && decided.run !== undefined ? await vmAtOnce(ports, decided.run, now) : undefined;
    triesVm = false;
    const settled = { ...decided, ...(vm !== undefined && { vm }) };
    const { writes, proof } = settlement(ports, rows, settled, delivery, now, writer);
    return { writes, proof, result: { settled, target } };
  });
}

/** The answer to a second delivery. A run that was committed but never placed (a crash in between) is placed now. */
async function decidedAlready(ports: Ports, scheduleId: string, at: number): Promise<FireResult> {
  const row = asRow<OccurrenceRow>(await ports.store.get(keys.occurrence(scheduleId, at)));
  if (row === undefined) return { outcome: 'ignored', reason: 'covered_by_range' };
  if (row.disposition === 'buffered') return { outcome: 'buffered', duplicate: true };
  if (row.disposition !== 'dispatched' || row.runId === undefined)
    return {
      outcome: row.disposition === 'missed' ? 'missed' : 'skipped',
      reason: row.reason ?? '',
      duplicate: true,
    };
  const run = asRow<RunRow>(await ports.store.get(keys.run(row.runId)));
  if (run?.status === 'queued' && run.waiting?.reason !== 'overlap') await placeRun(ports, run);
  return { outcome: 'dispatched', runId: row.runId, duplicate: true };
}

function answerOf(settled: Settled): FireResult {
  const { decision } = settled;
  switch (decision.disposition) {
    case 'dispatched':
      return { outcome: 'dispatched', runId: settled.run?.id ?? '', duplicate: false };
    case 'buffered':
      return { outcome: 'buffered', duplicate: false };
    default:
      return { outcome: decision.disposition, reason: decision.reason, duplicate: false };
  }
}

/** A clock that delivers what nobody expects follows an old spec: the watchdog puts it right (fire never calls it). */
async function noteDrift(ports: Ports, schedule: ScheduleRow, now: number): Promise<void> {
  ports.log.warn('fire.unexpected', { scheduleId: schedule.id, status: schedule.status });
  if (schedule.clock.status === 'pending') return;
  const write: Write = {
    kind: 'update',
    key: keys.schedule(schedule.id),
    set: {
      clock: { ...schedule.clock, status: 'pending' },
      // Whoever computes the next check from the row as it was before must not write it over this one.
      liveSeq: schedule.liveSeq + 1,
      checkIn: checkPartition('SCH', shardOf(schedule.id, ports.config.checkShards)),
      checkAt: Math.min(schedule.checkAt ?? now, now),
    },
    guards: [
      guard('fire.driftOfThisSpec', eq('version', schedule.version)),
      guard('fire.driftSeenAtRest', eq('liveSeq', schedule.liveSeq)),
    ],
  };
  await ports.store.transact([write]).catch((error: unknown) => {
    if (!(error instanceof GuardFailed)) throw error;
  });
}
