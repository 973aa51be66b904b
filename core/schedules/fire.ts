/**
 * Fire: from a clock's delivery to a committed disposition, and for `dispatched` to a placed run (design.md §5.1).
 *
 * One consistent read, one transaction, one placement. The transaction puts the occurrence (only if there is none), the
 * run with its first event, and the schedule's new live set, on the condition that `version` (every edit, pause and
 * delete bumps it) and `liveSeq` (every fire and finish bumps it) are what the decision read.
 */
import type { PrincipalRow } from '../access/principals.ts';
import type { AgentRow } from '../agents/model.ts';
import { isoSecond } from '../contract/common.ts';
import { GuardFailed } from '../errors.ts';
import { occurrenceRunId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { newRun, runCreation } from '../runs/create.ts';
import { appendEvent } from '../runs/events.ts';
import type { RunRow } from '../runs/model.ts';
import { placeRun } from '../runs/place.ts';
import { commit, type Plan } from '../table/commit.ts';
import { checkPartition, keys, shardOf } from '../table/keys.ts';
import { absent, eq, guard, type Key, type Write } from '../table/model.ts';
import { asItem, asRow, asValue, SCHEMA_VERSION } from '../table/rows.ts';
import { scheduleCheck } from './change.ts';
import { catchupMs, type Decision, decideOccurrence, type FireRows } from './decide.ts';
import { firstUnsettled, isExpected, nextExpected, prunedRevisions, revisionAt } from './expected.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';

export interface Delivery {
  readonly scheduleId: string;
  /** The nominal time (`<aws.scheduler.scheduled-time>`), epoch milliseconds; absent when the clock could not say. */
  readonly scheduledTime?: number;
  /** A hint of drift, never authority. */
  readonly specVersion?: number;
  /** Where the other rows of the decision probably are, so that one read gets them all; checked against the schedule. */
  readonly agentId?: string;
  readonly principalId?: string;
}

export type FireResult =
  | { readonly outcome: 'dispatched'; readonly runId: string; readonly duplicate: boolean }
  | { readonly outcome: 'skipped' | 'missed'; readonly reason: string; readonly duplicate: boolean }
  | {
      readonly outcome: 'ignored';
      readonly reason: 'unknown_schedule' | 'unexpected' | 'early' | 'nothing_due' | 'covered_by_range';
    };

/** What one committed step settled: one occurrence, or a range of missed ones. */
interface Settled {
  readonly at: number;
  readonly through: number;
  readonly decision: Decision;
  readonly run?: RunRow;
}

/** A burst of deliveries after an outage settles at most this many occurrences in one call; the watchdog goes on. */
const STEPS_PER_CALL = 200;
/** One range entry stands for at most this many missed occurrences, so that one call's work is bounded. */
const RANGE_LIMIT = 10_000;

export async function fire(ports: Ports, delivery: Delivery): Promise<FireResult> {
  for (let step = 0; step < STEPS_PER_CALL; step++) {
    const result = await settleNext(ports, delivery);
    if ('outcome' in result) return result;
    const { settled, target } = result;
    if (settled.run !== undefined) await placeRun(ports, settled.run);
    if (settled.through >= target) return answerOf(settled, target);
  }
  return { outcome: 'ignored', reason: 'covered_by_range' };
}

type Step = { readonly settled: Settled; readonly target: number } | FireResult;

function settleNext(ports: Ports, delivery: Delivery): Promise<Step> {
  return commit<Step>(ports, async (writer) => {
    const rows = await readRows(ports, delivery);
    if (rows === undefined) {
      ports.log.warn('fire.unknown_schedule', { scheduleId: delivery.scheduleId });
      return { done: { outcome: 'ignored', reason: 'unknown_schedule' } };
    }
    const { schedule } = rows;
    const now = ports.time.now();
    const horizon = now + ports.config.maxClockSkewSeconds * 1000;
    const due = firstUnsettled(schedule);
    const target = delivery.scheduledTime ?? due;
    if (target === undefined || (delivery.scheduledTime === undefined && target > horizon))
      return { done: { outcome: 'ignored', reason: 'nothing_due' } };
    if (target > horizon) return { done: { outcome: 'ignored', reason: 'early' } };
    if (target <= schedule.settledThrough) return { done: await settledAlready(ports, delivery.scheduleId, target) };
    if (due === undefined || !isExpected(schedule, target)) {
      await noteDrift(ports, schedule, now);
      return { done: { outcome: 'ignored', reason: 'unexpected' } };
    }
    // Earlier occurrences first: `settledThrough` never jumps over one.
    const settled = decideStep(ports, rows, due, target, now);
    return settlement(ports, rows, settled, target, now, writer);
  });
}

async function readRows(ports: Ports, delivery: Delivery): Promise<FireRows | undefined> {
  const scheduleKey = keys.schedule(delivery.scheduleId);
  const hinted = delivery.agentId !== undefined && delivery.principalId !== undefined;
  const wanted: Key[] = [scheduleKey];
  if (hinted) wanted.push(keys.principal(delivery.principalId), keys.agent(delivery.agentId));
  const [scheduleItem, principalItem, agentItem] = await ports.store.getMany(wanted);
  const schedule = asRow<ScheduleRow>(scheduleItem);
  if (schedule === undefined) return undefined;
  if (hinted && schedule.agentId === delivery.agentId && schedule.createdBy === delivery.principalId)
    return { schedule, principal: asRow<PrincipalRow>(principalItem), agent: asRow<AgentRow>(agentItem) };
  const [principal, agent] = await ports.store.getMany([
    keys.principal(schedule.createdBy),
    keys.agent(schedule.agentId),
  ]);
  return { schedule, principal: asRow<PrincipalRow>(principal), agent: asRow<AgentRow>(agent) };
}

/** The first unsettled occurrence, or all those together that are beyond the catch-up window. */
function decideStep(ports: Ports, rows: FireRows, due: number, target: number, now: number): Settled {
  const decision = decideOccurrence(ports.config, rows, due, now);
  let through = due;
  if (decision.disposition === 'missed') {
    const tooLate = now - catchupMs(rows.schedule, ports.config);
    for (let count = 1; count < RANGE_LIMIT; count++) {
      const next = nextExpected(rows.schedule, through);
      if (next === undefined || next > target || next >= tooLate) break;
      through = next;
    }
  }
  if (decision.disposition !== 'dispatched' || rows.agent === undefined) return { at: due, through, decision };
  const { schedule, agent } = rows;
  const run = newRun(
    ports.config,
    {
      id: occurrenceRunId(schedule.id, due),
      agent,
      trigger: { kind: 'schedule', by: schedule.createdBy },
      displayName: `${schedule.name} · ${isoSecond(due)}`,
      inputKey: keys.scheduleInput(schedule.id, schedule.inputVersion),
      overrides: schedule.overrides,
      scheduleId: schedule.id,
      occurrence: due,
      evidence: { source: 'fire', observedAt: new Date(now).toISOString(), detail: lateness(due, now) },
    },
    now,
  );
  return { at: due, through, decision, run };
}

const lateness = (due: number, now: number) =>
  `occurrence ${isoSecond(due)} was delivered ${((now - due) / 1000).toFixed(1)} s after its time`;

function settlement(
  ports: Ports,
  rows: FireRows,
  settled: Settled,
  target: number,
  now: number,
  writer: string,
): Plan<Step> {
  const { schedule } = rows;
  const occurrence = occurrenceItem(schedule, settled, now, writer);
  const writes: Write[] = [
    { kind: 'put', item: asItem(occurrence), guards: [guard('fire.occurrenceOnce', absent)] },
    ...(settled.run === undefined ? [] : runCreation(ports.config, settled.run, writer)),
    ...scheduleAfter(ports, schedule, settled, now, writer),
  ];
  return { writes, proof: { pk: occurrence.pk, sk: occurrence.sk }, result: { settled, target } };
}

function occurrenceItem(schedule: ScheduleRow, settled: Settled, now: number, writer: string): OccurrenceRow {
  const { decision } = settled;
  const isRange = settled.through > settled.at;
  return {
    ...keys.occurrence(schedule.id, settled.at),
    schemaVersion: SCHEMA_VERSION,
    tenantId: schedule.tenantId,
    scheduleId: schedule.id,
    at: settled.at,
    ...(isRange && { through: settled.through, count: countExpected(schedule, settled) }),
    disposition: decision.disposition,
    ...(decision.disposition !== 'dispatched' && { reason: decision.reason }),
    ...(settled.run !== undefined && { runId: settled.run.id }),
    ...(decision.disposition === 'skipped' &&
      decision.blockingRunId !== undefined && { blockingRunId: decision.blockingRunId }),
    specVersion: revisionAt(schedule, settled.at)?.specVersion ?? schedule.specVersion,
    decidedAt: now,
    evidence: { source: 'fire', observedAt: new Date(now).toISOString(), detail: lateness(settled.at, now) },
    writer,
  };
}

function countExpected(schedule: ScheduleRow, settled: Settled): number {
  let count = 0;
  for (
    let at: number | undefined = settled.at;
    at !== undefined && at <= settled.through;
    at = nextExpected(schedule, at)
  )
    count++;
  return count;
}

function scheduleAfter(
  ports: Ports,
  schedule: ScheduleRow,
  settled: Settled,
  now: number,
  writer: string,
): readonly Write[] {
  const next = nextExpected(schedule, settled.through);
  const completes = next === undefined && schedule.status === 'active';
  const revisions = prunedRevisions(schedule.revisions, settled.through);
  const update: Write = {
    kind: 'update',
    key: keys.schedule(schedule.id),
    set: {
      liveSeq: schedule.liveSeq + 1,
      settledThrough: settled.through,
      ...(revisions.length !== schedule.revisions.length && { revisions: asValue(revisions) }),
      ...(settled.run !== undefined && { liveRuns: [...schedule.liveRuns, settled.run.id] }),
      ...(completes && { status: 'completed', version: schedule.version + 1, updatedAt: now }),
      ...scheduleCheck(ports.config, schedule, next, now),
    },
    guards: [
      guard('fire.scheduleUnchanged', eq('version', schedule.version)),
      guard('fire.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
    ],
  };
  if (!completes) return [update];
  const event = appendEvent(ports.config, {
    tenantId: schedule.tenantId,
    subject: 'schedule',
    subjectId: schedule.id,
    sequence: schedule.version + 1,
    type: 'schedule.completed',
    at: now,
    status: 'completed',
    detail: { lastOccurrence: isoSecond(settled.through) },
    writer,
  });
  return [update, event];
}

/** The answer to a second delivery. A run that was committed but never placed (a crash in between) is placed now. */
async function settledAlready(ports: Ports, scheduleId: string, at: number): Promise<FireResult> {
  const row = asRow<OccurrenceRow>(await ports.store.get(keys.occurrence(scheduleId, at)));
  if (row === undefined) return { outcome: 'ignored', reason: 'covered_by_range' };
  if (row.disposition !== 'dispatched' || row.runId === undefined)
    return { outcome: row.disposition === 'missed' ? 'missed' : 'skipped', reason: row.reason ?? '', duplicate: true };
  const run = asRow<RunRow>(await ports.store.get(keys.run(row.runId)));
  if (run?.status === 'queued') await placeRun(ports, run);
  return { outcome: 'dispatched', runId: row.runId, duplicate: true };
}

function answerOf(settled: Settled, target: number): FireResult {
  const { decision } = settled;
  if (settled.run !== undefined && settled.at === target)
    return { outcome: 'dispatched', runId: settled.run.id, duplicate: false };
  if (decision.disposition === 'dispatched') return { outcome: 'ignored', reason: 'covered_by_range' };
  return { outcome: decision.disposition, reason: decision.reason, duplicate: false };
}

/** A clock that delivers what nobody expects follows an old spec: the watchdog puts it right (fire never calls it). */
async function noteDrift(ports: Ports, schedule: ScheduleRow, now: number): Promise<void> {
  ports.log.warn('fire.unexpected', { scheduleId: schedule.id, status: schedule.status });
  if (schedule.status !== 'active' || schedule.clock.status === 'pending') return;
  const write: Write = {
    kind: 'update',
    key: keys.schedule(schedule.id),
    set: {
      clock: { ...schedule.clock, status: 'pending' },
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
