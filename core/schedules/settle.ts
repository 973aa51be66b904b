/** One step of a fire: decides the first undecided occurrence, and says what is committed for it. */
import type { Ports } from '../ports.ts';
import { runCreation } from '../runs/create.ts';
import { dispatchedCreation } from '../runs/dispatch.ts';
import type { RunRow } from '../runs/model.ts';
import { placeRun } from '../runs/place.ts';
import type { Key, Write } from '../table/model.ts';
import type { VmRow } from '../vms/model.ts';
import { type Decision, decideOccurrence, type FireRows, flexibleMs, isTooLate, statusReason } from './decide.ts';
import { displace } from './displace.ts';
import { nextExpected, secondShowing } from './expected.ts';
import { type Entry, latenessText, newEntry, occurrenceRow } from './ledger.ts';
import { liveChange } from './liveChange.ts';
import type { ScheduleRow } from './model.ts';
import { type Delivery, occurrenceRun } from './occurrenceRun.ts';
import { unauthorizedNote, unauthorizedPart } from './unauthorized.ts';

/** One decided step, with the run that it makes. */
export interface Settled extends Entry {
  readonly run?: RunRow;
  /** A VM that is free: it takes the run with its creation. */
  readonly vm?: VmRow;
  /** How many occurrences it stands for. */
  readonly count: number;
  /** The occurrence may be delivered so much later than its time, and is not late. */
  readonly flexibleMs: number;
}

/** One range entry stands for at most this many occurrences, so that one call's work is bounded. */
const RANGE_LIMIT = 10_000;

/** The first undecided occurrence, or together with it all those after it that certainly end alike. */
export function decideStep(ports: Ports, rows: FireRows, due: number, now: number): Settled {
  const { schedule, agent } = rows;
  const decision = decideOccurrence(ports.config, rows, due, now);
  if (decision.disposition !== 'dispatched' || agent === undefined)
    return { at: due, ...rangeEnd(ports, schedule, due, decision, now), decision, flexibleMs: flexibleMs(schedule) };
  const run = occurrenceRun(ports, schedule, agent, due, now, {
    evidence: latenessText(due, now),
    ...(decision.displaces !== undefined && { waitsFor: decision.displaces }),
  });
  return { at: due, through: due, count: 1, decision, flexibleMs: flexibleMs(schedule), run, runId: run.id };
}

/**
 * A long silence becomes few entries, whoever decides it and whatever time was delivered: else it would take as many steps
 * as there were occurrences. What could still run, and what is still to come, is never covered.
 */
function rangeEnd(ports: Ports, schedule: ScheduleRow, due: number, decision: Decision, now: number) {
  const joins = joinsRange(ports, schedule, decision, now);
  let through = due;
  let count = 1;
  for (; joins !== undefined && count < RANGE_LIMIT; count++) {
    const next = nextExpected(schedule, through);
    if (next === undefined || !joins(next)) break;
    through = next;
  }
  return { through, count };
}

/** Which later occurrences end as this one does; undefined where each is decided by itself. */
function joinsRange(
  { config }: Ports,
  schedule: ScheduleRow,
  decision: Decision,
  now: number,
): ((at: number) => boolean) | undefined {
  // An occurrence that was taken out by hand keeps its own entry.
  if (decision.disposition === 'missed')
    return (at) => isTooLate(config, schedule, at, now) && !schedule.skips.includes(at);
  // A schedule that is not active starts nothing, and its clock is gone: all that was left when it stopped ends now.
  if (statusReason(schedule) !== undefined) return (at) => at <= now;
  return undefined;
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
  const why = 'reason' in decision ? decision.reason : undefined;
  const change = {
    decidedThrough: settled.through,
    ...unauthorizedPart(schedule, why, now),
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
    ...creation(ports, settled, now, writer),
    ...liveChange(ports, schedule, change, { now, writer, guardName: 'fire' }),
  ];
  writes.push(...unauthorizedNote(ports, schedule, why, settled.at, now, writer));
  return { writes, proof: { pk: occurrence.pk, sk: occurrence.sk } };
}

function creation(ports: Ports, { run, vm }: Settled, now: number, writer: string): readonly Write[] {
  if (run === undefined) return [];
  return vm === undefined ? runCreation(ports.config, run, writer) : dispatchedCreation(ports, run, vm, now, writer);
}

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
  const deliveredBy = secondShowing(schedule, settled.at) ?? settled.at;
  const overdue = now - deliveredBy >= ports.config.overdueGraceSeconds * 1000 + flexibleMs(schedule);
  return outdated || overdue;
}

/** What a committed step decided, in numbers. */
export function measure({ metrics, time }: Pick<Ports, 'metrics' | 'time'>, settled: Settled): void {
  const { at, decision, count, flexibleMs } = settled;
  const { disposition } = decision;
  const reason = 'reason' in decision ? decision.reason : 'none';
  metrics.put('OccurrencesDecided', count, { disposition, reason });
  if (disposition === 'missed') metrics.put('OccurrencesMissed', count);
  if (reason === 'none') metrics.put('FireLatenessSeconds', Math.max(0, time.now() - at - flexibleMs) / 1000);
}

/** A run that displaces others waits for their end; any other that has no VM yet is placed now. */
export async function startSettled(ports: Ports, { run, vm, decision }: Settled): Promise<void> {
  if (run === undefined || vm !== undefined) return;
  if (decision.disposition === 'dispatched' && decision.displaces !== undefined)
    await displace(ports, run, decision.displaces);
  else await placeRun(ports, run);
}
