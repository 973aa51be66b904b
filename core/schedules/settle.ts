/** One step of a fire: decides the first undecided occurrence, and says what is committed for it. */
import { isoSecond } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { runCreation } from '../runs/create.ts';
import { appendNote } from '../runs/events.ts';
import type { RunRow } from '../runs/model.ts';
import { placeRun } from '../runs/place.ts';
import { keys } from '../table/keys.ts';
import type { Key, Write } from '../table/model.ts';
import { catchupMs, decideOccurrence, type FireRows, flexibleMs } from './decide.ts';
import { displace } from './displace.ts';
import { nextExpected } from './expected.ts';
import { type Entry, latenessText, newEntry, occurrenceRow } from './ledger.ts';
import { liveChange } from './liveChange.ts';
import type { ScheduleRow } from './model.ts';
import { type Delivery, occurrenceRun } from './occurrenceRun.ts';

/** One decided step, with the run that it makes. */
export interface Settled extends Entry {
  readonly run?: RunRow;
}

/** One range entry stands for at most this many missed occurrences, so that one call's work is bounded. */
const RANGE_LIMIT = 10_000;

/** The first undecided occurrence, or all those together that are beyond the catch-up window. */
export function decideStep(ports: Ports, rows: FireRows, due: number, target: number, now: number): Settled {
  const { schedule, agent } = rows;
  const decision = decideOccurrence(ports.config, rows, due, now);
  if (decision.disposition === 'missed')
    return { at: due, through: missedThrough(ports, schedule, due, target, now), decision };
  if (decision.disposition !== 'dispatched' || agent === undefined) return { at: due, through: due, decision };
  const run = occurrenceRun(ports, schedule, agent, due, now, {
    evidence: latenessText(due, now),
    ...(decision.displaces !== undefined && { waitsFor: decision.displaces }),
  });
  return { at: due, through: due, decision, run, runId: run.id };
}

/** An occurrence that was taken out by hand keeps its own entry: a range of missed ones ends before it. */
function missedThrough(ports: Ports, schedule: ScheduleRow, due: number, target: number, now: number): number {
  const tooLate = now - catchupMs(schedule, ports.config);
  let through = due;
  for (let count = 1; count < RANGE_LIMIT; count++) {
    const next = nextExpected(schedule, through);
    if (next === undefined || next > target || next >= tooLate || schedule.skips.includes(next)) break;
    through = next;
  }
  return through;
}

/** What one step commits. `proof` is the ledger entry that it appends. */
export function settlement(
  ports: Ports,
  rows: FireRows,
  settled: Settled,
  delivery: Pick<Delivery, 'specVersion' | 'scheduledTime'>,
  now: number,
  writer: string,
): { readonly writes: readonly Write[]; readonly proof: Key } {
  const { schedule } = rows;
  const occurrence = occurrenceRow(schedule, settled, now, writer);
  const { run, decision } = settled;
  const displaces = decision.disposition === 'dispatched' && decision.displaces !== undefined;
  const change = {
    decidedThrough: settled.through,
    skips: schedule.skips.filter((at) => at > settled.through),
    ...(run !== undefined && {
      liveRuns: [...schedule.liveRuns, run.id],
      ...(displaces && { waitingRuns: [...schedule.waitingRuns, run.id] }),
      ...(schedule.remainingRuns !== undefined && { remainingRuns: schedule.remainingRuns - 1 }),
    }),
    ...(decision.disposition === 'buffered' && { buffer: [...schedule.buffer, settled.at] }),
    ...(clockLooksWrong(ports, schedule, settled, delivery, now) && {
      clock: { ...schedule.clock, status: 'pending' as const },
    }),
  };
  const writes: Write[] = [
    newEntry(occurrence),
    ...(run === undefined ? [] : runCreation(ports.config, run, writer)),
    ...liveChange(ports, schedule, change, { now, writer, guardName: 'fire' }),
  ];
  if (decision.disposition === 'skipped' && decision.reason === 'unauthorized')
    writes.push(unauthorizedNote(ports, schedule, settled.at, now, writer));
  return { writes, proof: { pk: occurrence.pk, sk: occurrence.sk } };
}

/** Somebody should hear that a schedule goes on without the right to run: the schedule itself stays as it is. */
const unauthorizedNote = (ports: Ports, schedule: ScheduleRow, at: number, now: number, writer: string): Write =>
  appendNote(ports.config, keys.scheduleNote(schedule.id, at), {
    tenantId: schedule.tenantId,
    subject: 'schedule',
    subjectId: schedule.id,
    sequence: schedule.version,
    type: 'schedule.unauthorized',
    at: now,
    detail: { occurrence: isoSecond(at), principal: schedule.createdBy },
    writer,
  });

/** An outdated hint, or an overdue fire: the watchdog looks at the clock (fire itself never calls it). */
function clockLooksWrong(
  ports: Ports,
  schedule: ScheduleRow,
  settled: Settled,
  delivery: Pick<Delivery, 'specVersion' | 'scheduledTime'>,
  now: number,
): boolean {
  if (schedule.status !== 'active') return false;
  const outdated = delivery.specVersion !== undefined && delivery.specVersion !== schedule.specVersion;
  const overdue = now - settled.at > ports.config.overdueGraceSeconds * 1000 + flexibleMs(schedule);
  return outdated || overdue;
}

/** A run that displaces others waits for their end; any other is placed now. */
export async function startSettled(ports: Ports, { run, decision }: Settled): Promise<void> {
  if (run === undefined) return;
  if (decision.disposition === 'dispatched' && decision.displaces !== undefined)
    await displace(ports, run, decision.displaces);
  else await placeRun(ports, run);
}
