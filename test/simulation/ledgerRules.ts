/** What holds for schedules and their ledgers: I4, I5, I8, I13. Each decision is judged by the row that it was committed on. */
import { nextExpected } from '../../core/schedules/expected.ts';
import type { OccurrenceRow, ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { OCCURRENCE_PREFIX, occurrenceSort } from '../../core/table/keys.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** One status of a schedule, from a time on. */
interface Stood {
  readonly status: string;
  readonly version: number;
  readonly from: number;
}

export class LedgerRules {
  readonly #world: Simulation;
  readonly rows = new Map<string, ScheduleRow>();
  /** What each schedule has been, oldest first. */
  readonly history = new Map<string, Stood[]>();
  /** Schedules of which an occurrence waits while nothing of theirs is live, and since when. */
  readonly uncalled = new Map<string, number>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  schedule({ inc, find, changes }: Commit, change: Change): void {
    const before = change.before as ScheduleRow | undefined;
    const after = change.after as ScheduleRow | undefined;
    const fail = (invariant: string, what: string) =>
      this.#world.broken(invariant, `${inc.kind}: schedule ${after?.id ?? before?.id} ${what}`);
    if (after === undefined) {
      fail('§1.7', 'is taken away');
      return;
    }
    this.rows.set(after.id, after);
    this.#remember(after, before);
    if (after.buffer.length === 0 || after.liveRuns.length > 0) this.uncalled.delete(after.id);
    else if (!this.uncalled.has(after.id)) this.uncalled.set(after.id, this.#world.time.now);
    if (before === undefined) return;
    if (after.version !== before.version) {
      if (after.version !== before.version + 1) fail('I8', `goes from version ${before.version} to ${after.version}`);
      const event = keys.scheduleEvent(after.id, after.version);
      if (find(event.pk, event.sk) === undefined) fail('I13', `is at version ${after.version} without an event`);
    } else if (after.status !== before.status || after.specVersion !== before.specVersion) {
      fail('I8', `changes at version ${after.version}`);
    }
    if (after.liveSeq < before.liveSeq || after.liveSeq > before.liveSeq + 1)
      fail('I8', `goes from liveSeq ${before.liveSeq} to ${after.liveSeq}`);
    if (before.status === 'deleted' && after.status !== 'deleted') fail('I3', `was deleted, and is ${after.status}`);
    if (after.decidedThrough < before.decidedThrough) fail('I5', 'has its cursor moved back');
    if ((after.remainingRuns ?? 0) < 0) fail('I10', `has ${after.remainingRuns} runs remaining`);
    this.#liveRuns(before, after, fail);
    this.#covered(before, after, fail);
    for (const at of before.buffer) if (!after.buffer.includes(at)) this.#leftBuffer(after, at, fail);
    if (changes.length === 1 && after.liveRuns !== before.liveRuns && after.liveRuns.length > before.liveRuns.length)
      fail('I10', 'counts a run that was not made with it');
  }

  #remember(after: ScheduleRow, before: ScheduleRow | undefined): void {
    if (before !== undefined && before.version === after.version) return;
    const stood = this.history.get(after.id) ?? [];
    stood.push({ status: after.status, version: after.version, from: this.#world.time.now });
    this.history.set(after.id, stood);
  }

  #liveRuns(before: ScheduleRow, after: ScheduleRow, fail: (invariant: string, what: string) => void): void {
    for (const id of before.liveRuns) {
      const isLive = this.#world.checker.runs.live.has(id);
      if (!after.liveRuns.includes(id) && isLive) {
        // The end of the run and this may stand in one transaction, in any order.
        const run = this.#world.table.get(keys.run(id));
        if (run !== undefined && !ENDED.has(String(run.status)))
          fail('I10', `counts ${id} no more, which is ${run.status}`);
      }
    }
  }

  /** The cursor passes over an occurrence only when the ledger has it (I5). */
  #covered(before: ScheduleRow, after: ScheduleRow, fail: (invariant: string, what: string) => void): void {
    if (after.decidedThrough === before.decidedThrough) return;
    const revisions = {
      revisions: after.revisions.length > before.revisions.length ? after.revisions : before.revisions,
    };
    let at = nextExpected(revisions, before.decidedThrough);
    for (let count = 0; at !== undefined && at <= after.decidedThrough && count < 200; count++) {
      if (!this.hasEntry(after.id, at)) fail('I5', `passes over ${iso(at)}, of which the ledger has nothing`);
      at = nextExpected(revisions, at);
    }
  }

  /** Its own entry, or the range that covers it. */
  hasEntry(scheduleId: string, at: number): boolean {
    const { table } = this.#world;
    const { pk } = keys.schedule(scheduleId);
    if (table.get({ pk, sk: occurrenceSort(at) }) !== undefined) return true;
    const range = { pk, from: OCCURRENCE_PREFIX, to: occurrenceSort(at), descending: true, limit: 20 };
    return table.query(range).items.some((item) => Number(item.through ?? item.at) >= at);
  }

  #leftBuffer(after: ScheduleRow, at: number, fail: (invariant: string, what: string) => void): void {
    const row = this.#world.table.get(keys.occurrence(after.id, at));
    if (row?.disposition === 'buffered') fail('I5', `lets ${iso(at)} out of its buffer without an end`);
  }

  occurrence({ inc, find }: Commit, change: Change): void {
    const before = change.before as OccurrenceRow | undefined;
    const after = change.after as OccurrenceRow | undefined;
    const scheduleId = after?.scheduleId ?? before?.scheduleId ?? '';
    const fail = (invariant: string, what: string) =>
      this.#world.broken(
        invariant,
        `${inc.kind}: occurrence ${iso(after?.at ?? before?.at ?? 0)} of ${scheduleId} ${what}`,
      );
    if (after === undefined) {
      fail('§1.7', 'is taken away');
      return;
    }
    if (before !== undefined && before.disposition !== 'buffered') {
      fail('I5', `was ${before.disposition}, and is ${after.disposition}`);
      return;
    }
    const decides = after.disposition !== 'skipped';
    if (decides && after.at > this.#world.time.now + 2 * this.#world.config.maxClockSkewSeconds * 1000)
      fail('I5', `is ${after.disposition} before its time`);
    if (after.disposition !== 'dispatched' && after.disposition !== 'buffered' && after.reason === undefined)
      fail('§1.9', `is ${after.disposition} without a reason`);
    const changed = find(keys.schedule(scheduleId).pk, 'META');
    if (changed === undefined) {
      fail('I4', `is ${after.disposition}, and its schedule stands still`);
      return;
    }
    const was = changed.before as ScheduleRow | undefined;
    if (was === undefined) return;
    if (after.backfillId === undefined)
      this.#decision(was, changed.after as ScheduleRow | undefined, before, after, fail);
    else if (after.disposition === 'dispatched' && was.backfill?.id !== after.backfillId)
      fail('I4', `is backfilled by ${after.backfillId}, which is not under way`);
  }

  /** The decision, by the row as it stood just before: nothing older may have decided it (I4). */
  #decision(
    was: ScheduleRow,
    is: ScheduleRow | undefined,
    before: OccurrenceRow | undefined,
    after: OccurrenceRow,
    fail: (invariant: string, what: string) => void,
  ): void {
    const { disposition, reason } = after;
    const policy = was.overlapPolicy;
    const live = was.liveRuns.length;
    if (before === undefined && after.decidedUnder !== undefined && after.decidedUnder.overlapPolicy !== policy)
      fail('I4', `is decided under ${after.decidedUnder.overlapPolicy}, and ${policy} was in force`);
    if (disposition === 'dispatched') {
      if (was.status !== 'active') fail('I4', `is dispatched while its schedule is ${was.status}`);
      if (was.skips.includes(after.at)) fail('I4', 'is dispatched, and had been taken out');
      if (was.remainingRuns !== undefined && is?.remainingRuns !== was.remainingRuns - 1)
        fail('I8', `is dispatched, and ${was.remainingRuns} remaining runs become ${is?.remainingRuns}`);
      if (was.remainingRuns === 0) fail('I4', 'is dispatched, and no runs remained');
      const alone = policy === 'skip' || policy === 'buffer_one' || policy === 'buffer_all';
      if (alone && live > 0) fail('I4', `is dispatched under ${policy} beside ${was.liveRuns.join(', ')}`);
    }
    if (disposition === 'buffered' && live === 0 && was.buffer.length === 0)
      fail('I4', 'is buffered, and nothing was live');
    // One that waits, buffered before the policy was changed, comes first.
    if (disposition === 'skipped' && reason === 'overlap' && live === 0 && was.buffer.length === 0)
      fail('I4', 'is skipped for an overlap, and nothing was live');
    const stopped = { paused: 'paused', completed: 'completed', deleted: 'deleted' }[reason ?? ''];
    if (before === undefined && disposition === 'skipped' && stopped !== undefined && was.status === 'active')
      fail('I4', `is skipped as ${reason}, and its schedule is active`);
  }
}

const ENDED = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'lost']);
const iso = (at: number): string => new Date(at).toISOString();
