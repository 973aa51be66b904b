/**
 * Random operations on one schedule, some of them at the same time, some dying in the middle or losing their answers; after
 * each step the ledger and the row must agree with everything that design.md §4 says of them. A failure prints its seed:
 * `CANDOR_SEED=<seed>` plays it again.
 */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OVERLAP_POLICIES, type OverlapPolicy, SchedulePatch } from '../../../core/contract/schedules.ts';
import { CandorError, Contended, StoreUnavailable } from '../../../core/errors.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import { ClockRejected, type Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { finishRun, type Verdict } from '../../../core/runs/finish.ts';
import type { EventRow, RunRow } from '../../../core/runs/model.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { advanceSchedule } from '../../../core/schedules/advance.ts';
import { cancelBackfill, startBackfill } from '../../../core/schedules/backfill.ts';
import { spreadMs } from '../../../core/schedules/check.ts';
import { firstUndecided, upcoming } from '../../../core/schedules/expected.ts';
import { fire } from '../../../core/schedules/fire.ts';
import type { Cadence, OccurrenceRow, RevisionRow, ScheduleRow } from '../../../core/schedules/model.ts';
import { patchSchedule } from '../../../core/schedules/service.ts';
import { skipOccurrence, unskipOccurrence } from '../../../core/schedules/skips.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Item } from '../../../core/table/model.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, MINUTE, none, SECOND, scheduleRow, startingFrom, storeWith } from '../support.ts';

const STEPS = 25;
const ROUNDS = 1;
const TERMINAL = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'lost']);

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

class Dice {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0;
  }
  /** mulberry32: 0 ≤ answer < 1. */
  private next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  pick<T>(from: readonly [T, ...T[]]): T;
  pick<T>(from: readonly T[]): T | undefined;
  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }
}

/** What dies is the caller, not the test: what it had committed stands. */
class Crash extends Error {}

/** Ports of one caller that dies at a certain call of the store, or loses the answer of a certain write. */
function unreliable(world: World, dice: Dice): Ports {
  const diesAt = dice.chance(0.12) ? 1 + dice.below(10) : Number.POSITIVE_INFINITY;
  const losesAt = dice.chance(0.12) ? 1 + dice.below(4) : Number.POSITIVE_INFINITY;
  const { store } = world.ports;
  let calls = 0;
  let writes = 0;
  const alive = () => {
    if (++calls >= diesAt) throw new Crash('the caller died');
  };
  return {
    ...world.ports,
    store: storeWith(store, {
      get: async (key) => {
        alive();
        return store.get(key);
      },
      getMany: async (wanted) => {
        alive();
        return store.getMany(wanted);
      },
      transact: async (each) => {
        alive();
        await store.transact(each);
        if (++writes === losesAt) throw new StoreUnavailable(new Error('the answer was lost'));
      },
    }),
  };
}

interface Operation {
  readonly name: string;
  readonly weight: number;
  readonly run: (ports: Ports, player: Player, row: ScheduleRow) => Promise<unknown>;
}

/** What is sent; windows are laid around the present. */
type Draft = object | ((now: number) => object);

const VERDICTS: readonly [Pick<Verdict, 'status' | 'reason'>, ...Pick<Verdict, 'status' | 'reason'>[]] = [
  { status: 'succeeded' },
  { status: 'succeeded' },
  { status: 'failed', reason: 'exit_code' },
  { status: 'failed', reason: 'capacity' },
  { status: 'timed_out', reason: 'run_timeout' },
  { status: 'lost' },
  { status: 'cancelled' },
];

const PATCHES: readonly [Draft, ...Draft[]] = [
  { cadence: { cron: '* * * * *', timezone: 'UTC' } },
  { cadence: { cron: '*/3 * * * *', timezone: 'UTC' } },
  { cadence: { every: 'PT2M' } },
  { cadence: { cron: '*/5 * * * *', timezone: 'Europe/Berlin' } },
  { flexibleWindow: 'PT2M' },
  { flexibleWindow: null },
  { catchupWindow: 'PT1M' },
  { catchupWindow: 'PT10M' },
  { pauseOnFailure: { consecutive: 1 } },
  { pauseOnFailure: null },
  { remainingRuns: 2 },
  { remainingRuns: null },
  { remainingRuns: null },
  { metadata: { any: 'thing' } },
  (now) => ({ window: { endAt: iso(now + 4 * MINUTE) } }),
  (now) => ({ window: { endAt: iso(now + 40 * MINUTE) } }),
  (now) => ({ window: { startAt: iso(now + 3 * MINUTE), endAt: iso(now + 90 * MINUTE) } }),
  (now) => ({ window: { startAt: iso(now - 60 * MINUTE) }, remainingRuns: 1 }),
  { window: null },
  { window: null, remainingRuns: null },
  ...OVERLAP_POLICIES.map((overlapPolicy) => ({ overlapPolicy })),
];

const OPERATIONS: readonly Operation[] = [
  { name: 'fire due', weight: 5, run: (ports, { id }, row) => fireAt(ports, id, firstUndecided(row)) },
  { name: 'fire, no time', weight: 2, run: (ports, { id }) => fireAt(ports, id, undefined) },
  {
    name: 'fire the latest',
    weight: 4,
    run: (ports, { id, world }, row) =>
      fireAt(
        ports,
        id,
        upcoming(row, row.decidedThrough, 300).findLast((at) => at <= world.now),
      ),
  },
  {
    name: 'fire again',
    weight: 2,
    run: (ports, { id, world, dice }) =>
      fireAt(ports, id, Math.floor(world.now / MINUTE) * MINUTE - dice.below(20) * MINUTE),
  },
  { name: 'pause', weight: 1, run: (ports, { id, world }) => pauseSchedule(ports, world.caller, id, 'why', none) },
  { name: 'resume', weight: 3, run: (ports, { id, world }) => resumeSchedule(ports, world.caller, id, none) },
  {
    name: 'patch',
    weight: 4,
    run: (ports, player) => patchSchedule(ports, player.world.caller, player.id, somePatch(player), any),
  },
  {
    name: 'rejected patch',
    weight: 1,
    run: (ports, player) => {
      const clock = { ...ports.clock, put: () => Promise.reject(new ClockRejected('no such zone here')) };
      return patchSchedule({ ...ports, clock }, player.world.caller, player.id, somePatch(player), any);
    },
  },
  { name: 'trigger', weight: 2, run: (ports, { id, world }) => triggerSchedule(ports, world.caller, id, {}, none) },
  {
    name: 'start a run',
    weight: 4,
    run: async (_ports, { world, dice }, row) => {
      const runId = dice.pick(row.liveRuns.filter((each) => !row.waitingRuns.includes(each)));
      // It may have passed its start deadline: then it stays queued, for the watchdog.
      if (runId !== undefined) await startingFrom(world, runId).catch(() => undefined);
    },
  },
  {
    name: 'finish',
    weight: 6,
    run: async (ports, { world, dice }, row) => {
      const runId = dice.pick(row.liveRuns);
      const evidence = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' };
      if (runId !== undefined) await finishRun(ports, runId, { ...dice.pick(VERDICTS), evidence }, { attempt: 1 });
    },
  },
  {
    name: 'cancel',
    weight: 1,
    run: async (ports, { world, dice }, row) => {
      const runId = dice.pick(row.liveRuns);
      const order = { by: 'me', reason: '', cause: 'request' } as const;
      if (runId !== undefined) await cancelRun(ports, world.caller, runId, order);
    },
  },
  {
    name: 'skip',
    weight: 2,
    run: async (ports, { id, world, dice }, row) => {
      const occurrence = dice.pick(upcoming(row, Math.max(world.now, row.decidedThrough), 5));
      if (occurrence !== undefined) await skipOccurrence(ports, world.caller, id, { occurrence, reason: '' }, none);
    },
  },
  {
    name: 'unskip',
    weight: 1,
    run: async (ports, { id, world, dice }, row) => {
      const occurrence = dice.pick(row.skips);
      if (occurrence !== undefined) await unskipOccurrence(ports, world.caller, id, { occurrence }, none);
    },
  },
  {
    name: 'backfill',
    weight: 2,
    run: (ports, { id, world, dice }) => {
      const overlapPolicy = dice.pick(['buffer_all', 'allow_all'] as const);
      const range = { from: world.now - (1 + dice.below(15)) * MINUTE, to: world.now };
      return startBackfill(ports, world.caller, id, { ...range, overlapPolicy, again: dice.chance(0.5) }, none);
    },
  },
  {
    name: 'cancel backfill',
    weight: 1,
    run: async (ports, { id, world }, row) => {
      if (row.backfill !== undefined) await cancelBackfill(ports, world.caller, id, row.backfill.id, { kind: 'none' });
    },
  },
  { name: 'advance', weight: 3, run: (ports, { id }) => advanceSchedule(ports, id) },
  { name: 'tick', weight: 2, run: (ports) => tick(ports, { owner: 'test', budgetMs: 60 * MINUTE }) },
  { name: 'events', weight: 4, run: (_ports, player) => player.deliverEvents() },
];
const WEIGHTED = OPERATIONS.flatMap((operation) => Array.from({ length: operation.weight }, () => operation));

function somePatch({ dice, trace, world }: Player): SchedulePatch {
  const draft = dice.pick(PATCHES);
  const patch = typeof draft === 'function' ? draft(Math.floor(world.now / SECOND) * SECOND) : draft;
  trace.push(`  with ${JSON.stringify(patch)}`);
  return SchedulePatch.parse(patch);
}

const fireAt = async (ports: Ports, scheduleId: string, scheduledTime: number | undefined) =>
  fire(ports, { scheduleId, ...(scheduledTime !== undefined && { scheduledTime }) });

/** A refusal is an answer; a caller may die or not know. Anything else is a fault of the product. */
function tolerate(error: unknown): void {
  const refused = error instanceof CandorError && !(error instanceof Contended) && error.code !== 'internal_error';
  if (!(refused || error instanceof Crash || error instanceof StoreUnavailable)) throw error;
}

/** All that the table says of the schedule, in one consistent query. */
interface Ledger {
  readonly row: ScheduleRow;
  readonly events: readonly EventRow[];
  readonly revisions: readonly RevisionRow[];
  readonly entries: readonly OccurrenceRow[];
  readonly backfilled: readonly OccurrenceRow[];
  readonly runs: readonly RunRow[];
}

class Player {
  readonly world: World;
  readonly id: string;
  readonly dice: Dice;
  readonly trace: string[] = [];
  private readonly handled = new Set<string>();
  private before: ScheduleRow | undefined;
  /** allow_all has left more than one run live, which no later policy takes back. */
  private crowded = false;

  constructor(world: World, id: string, dice: Dice) {
    this.world = world;
    this.id = id;
    this.dice = dice;
  }

  async play(): Promise<void> {
    for (let step = 0; step < STEPS; step++) await this.step();
    await this.settle();
    await this.remove();
  }

  private async step(): Promise<void> {
    const { dice, world } = this;
    world.now += dice.pick([0, 1, 7 * SECOND, 20 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 23 * MINUTE]);
    if (dice.chance(0.3)) world.now = Math.ceil(world.now / MINUTE) * MINUTE;
    if (dice.chance(0.03)) world.now += 3 * 60 * MINUTE;
    const row = await scheduleRow(world, this.id);
    const operations = Array.from({ length: dice.pick([1, 1, 2, 3]) }, () => dice.pick(WEIGHTED) as Operation);
    this.trace.push(`${new Date(world.now).toISOString()} ${operations.map((each) => each.name).join(' ‖ ')}`);
    const results = operations.map(async (operation) => operation.run(unreliable(world, dice), this, row));
    await Promise.all(results.map((result) => result.catch(tolerate)));
    await this.check();
    if (dice.chance(0.2)) await this.settle();
  }

  async deliverEvents(): Promise<void> {
    const { ports } = this.world;
    for (let more = true; more; ) {
      const page = await ports.store.queryIndex({ index: 'checks', partition: 'EVT#0', limit: 1000 });
      const fresh = page.items.filter((key) => !this.handled.has(`${key.pk} ${key.sk}`));
      for (const key of fresh) this.handled.add(`${key.pk} ${key.sk}`);
      for (const item of await ports.store.getMany(fresh))
        if (item !== undefined) await handleEvent(ports, item as unknown as EventRow);
      more = fresh.length > 0;
    }
  }

  /** No faults any more: the clock delivers what is due, events arrive, the watchdog looks. Then all is at rest (I14). */
  private async settle(): Promise<void> {
    const { world } = this;
    this.trace.push('  settles');
    await this.deliverEvents();
    for (let turn = 0; turn < 5; turn++) {
      await this.deliverDue();
      await tick(world.ports, { owner: 'test', budgetMs: 60 * MINUTE });
      await this.deliverEvents();
      if (turn < 4) world.now += 31 * SECOND;
    }
    await this.check();
    await this.checkAtRest();
  }

  private async deliverDue(): Promise<void> {
    for (let due = await this.due(); due !== undefined; due = await this.due())
      await fireAt(this.world.ports, this.id, due);
  }

  private async due(): Promise<number | undefined> {
    const due = firstUndecided(await scheduleRow(this.world, this.id));
    return due === undefined || due > this.world.now ? undefined : due;
  }

  private async remove(): Promise<void> {
    const { world } = this;
    this.trace.push('delete');
    const outcome = await deleteSchedule(unreliable(world, this.dice), world.caller, this.id, any, {
      cancelRuns: true,
    }).catch(tolerate);
    await this.check();
    if (outcome === undefined)
      await deleteSchedule(world.ports, world.caller, this.id, any, { cancelRuns: true }).catch(tolerate);
    await this.deliverEvents();
    for (const runId of (await scheduleRow(world, this.id)).liveRuns) {
      const evidence = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' };
      await finishRun(world.ports, runId, { status: 'cancelled', evidence }, { attempt: 1 });
    }
    world.now += 10 * MINUTE;
    await this.settle();
    const { row, runs } = await this.ledger();
    expect(row.status).toBe('deleted');
    expect(row.checkIn).toBeUndefined();
    expect(runs.every((run) => TERMINAL.has(run.status))).toBe(true);
    expect(world.clocks.has(this.id)).toBe(false);
  }

  private async ledger(): Promise<Ledger> {
    const { store } = this.world.ports;
    const items: Item[] = [];
    let after: string | undefined;
    do {
      const page = await store.query({
        pk: keys.schedule(this.id).pk,
        limit: 1000,
        ...(after !== undefined && { after }),
      });
      items.push(...page.items);
      after = page.next;
    } while (after !== undefined);
    const of = <Row>(prefix: string) => items.filter((item) => item.sk.startsWith(prefix)) as unknown as Row[];
    const [row] = of<ScheduleRow>('META');
    if (row === undefined) throw new Error('the schedule is gone');
    const occurrences = of<OccurrenceRow>('OCC#');
    const runIds = [...occurrences, ...of<{ readonly runId: string }>('RUN#')].map((each) => each.runId);
    const wanted = runIds.filter((runId) => runId !== undefined);
    expect(new Set(wanted).size, 'I1: no run stands in two entries').toBe(wanted.length);
    const runs = (await store.getMany(wanted.map((runId) => keys.run(runId)))) as unknown as RunRow[];
    return {
      row,
      events: of<EventRow>('EVT#'),
      // Edits that leave the times alone stand between.
      revisions: of<RevisionRow>('REV#').filter((each) => each.sk === keys.revision(this.id, each.specVersion).sk),
      entries: occurrences.filter((each) => each.backfillId === undefined),
      backfilled: occurrences.filter((each) => each.backfillId !== undefined),
      runs,
    };
  }

  /** What holds at every moment. */
  private async check(): Promise<void> {
    const ledger = await this.ledger();
    const { row, events, revisions, entries, runs } = ledger;
    const sequences = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    expect(
      events.map((each) => each.sequence),
      'I8, I13: one event per version',
    ).toEqual(sequences(row.version));
    expect(
      revisions.map((each) => each.specVersion),
      'one revision per spec',
    ).toEqual(sequences(row.specVersion));

    const live = runs.filter((run) => !TERMINAL.has(run.status));
    expect(new Set(row.liveRuns), 'liveRuns are the runs that live').toEqual(new Set(live.map((run) => run.id)));
    expect(new Set(row.liveRuns).size).toBe(row.liveRuns.length);
    const waiting = live.filter((run) => run.waiting?.reason === 'overlap').map((run) => run.id);
    expect(new Set(row.waitingRuns), 'waitingRuns are the live runs that wait').toEqual(new Set(waiting));
    const occurrences = runs.filter((run) => run.occurrence !== undefined);
    const names = occurrences.map((run) => `${run.occurrence} ${run.backfillId ?? ''}`);
    expect(new Set(names).size, 'I1: one run per occurrence and backfill').toBe(names.length);

    this.checkCursor(row);
    this.checkLedger(ledger);
    this.checkPolicy(ledger);
    this.checkPromises(ledger);
    expect(entries.filter((each) => each.disposition === 'buffered').map((each) => each.at)).toEqual(row.buffer);
    if (row.status !== 'active') expect(row.buffer, 'nothing waits in a schedule that is not active').toEqual([]);
    if (row.remainingRuns !== undefined) expect(row.remainingRuns).toBeGreaterThanOrEqual(0);
    this.before = row;
  }

  private checkCursor(row: ScheduleRow): void {
    expect(row.settledThrough).toBeLessThanOrEqual(row.decidedThrough);
    if (row.buffer[0] !== undefined) expect(row.settledThrough).toBeLessThan(row.buffer[0]);
    if (this.before === undefined) return;
    expect(row.decidedThrough, 'what is decided stays decided').toBeGreaterThanOrEqual(this.before.decidedThrough);
    expect(row.settledThrough, 'what is settled stays settled').toBeGreaterThanOrEqual(this.before.settledThrough);
    expect(row.liveSeq).toBeGreaterThanOrEqual(this.before.liveSeq);
  }

  /** I5: every expected occurrence up to the cursor is answered by one entry, and no entry answers what nobody expected. */
  private checkLedger({ row, revisions, entries }: Ledger): void {
    const answers = new Map<number, number>();
    const cover = (at: number) => answers.set(at, (answers.get(at) ?? 0) + 1);
    const nominal = timesOf(revisions, row.decidedThrough);
    for (const entry of entries) {
      const through = entry.through ?? entry.at;
      const inside = nominal.filter(({ at }) => at >= entry.at && at <= through);
      // A range of a pause also stands for what would have come in it.
      const counted =
        entry.reason === 'paused' && entry.through !== undefined ? inside : inside.filter((each) => each.expected);
      if (through > entry.at)
        expect(entry.count, `the range at ${iso(entry.at)} counts what it covers`).toBe(counted.length);
      expect(inside[0]?.at, `the entry at ${iso(entry.at)} is an occurrence`).toBe(entry.at);
      for (const { at } of inside) cover(at);
    }
    for (const { at, expected } of nominal)
      if (expected) expect(answers.get(at), `I5: the occurrence ${iso(at)} has one answer`).toBe(1);
      else expect(answers.get(at) ?? 0, `${iso(at)}, not expected, has at most one answer`).toBeLessThanOrEqual(1);
  }

  /** I10: no more runs side by side than the policy says. Backfills have their own limit, and what waits does not run. */
  private checkPolicy({ row, runs, events, entries }: Ledger): void {
    const ordinary = runs.filter(
      (run) => !TERMINAL.has(run.status) && run.backfillId === undefined && run.waiting?.reason !== 'overlap',
    );
    const allows = row.overlapPolicy === 'allow_all' || this.before?.overlapPolicy === 'allow_all';
    this.crowded = ordinary.length > 1 && (this.crowded || allows);
    if (!this.crowded)
      expect(ordinary.length, `I10: at most one live run under ${row.overlapPolicy}`).toBeLessThanOrEqual(1);
    // I4: nothing is dispatched strictly after a pause or a completion was acknowledged, and before what followed it.
    const statuses = events.filter((event) => event.status !== undefined);
    for (const [index, event] of statuses.entries()) {
      if (event.status === 'active') continue;
      const until = statuses[index + 1]?.at ?? Number.POSITIVE_INFINITY;
      const late = entries.filter(
        (each) => each.disposition === 'dispatched' && each.decidedAt > event.at && each.decidedAt < until,
      );
      expect(late, `I4: nothing is dispatched after ${event.type}`).toEqual([]);
    }
  }

  /** Whatever is not at rest is looked at in time: the clock's occurrence, and what the watchdog has to see to. */
  private checkPromises({ row }: Ledger): void {
    const due = firstUndecided(row);
    if (due !== undefined)
      expect(row.checkAt, 'the check is not later than what is due').toBeLessThanOrEqual(
        Math.max(due + spreadMs(row, due), this.world.now + MINUTE),
      );
    const attention = row.buffer.length > 0 || row.waitingRuns.length > 0 || row.backfill !== undefined;
    if (attention || row.clock.status === 'pending')
      expect(row.checkAt, 'it is looked at within a minute').toBeLessThanOrEqual(this.world.now + MINUTE);
    if (row.checkAt !== undefined) expect(row.checkIn).toBeDefined();
  }

  /** What holds once faults have stopped. */
  private async checkAtRest(): Promise<void> {
    const { world } = this;
    const { row, runs, entries, events } = await this.ledger();
    const due = firstUndecided(row);
    expect(due === undefined || due > world.now, 'nothing that is due is undecided').toBe(true);
    if (row.buffer.length > 0) expect(row.liveRuns, 'a buffer waits for a live run').not.toEqual([]);
    if (row.waitingRuns.length > 0)
      expect(row.liveRuns.length, 'what waits waits for a run').toBeGreaterThan(row.waitingRuns.length);
    if (row.backfill !== undefined) expect(row.liveRuns, 'a backfill goes on, or waits for a live run').not.toEqual([]);
    const placed = new Set(world.executions.map((each) => each.input.runId));
    for (const run of runs)
      if (run.status === 'queued' && run.waiting === undefined)
        expect(placed.has(run.id), `${run.id} is placed`).toBe(true);
    for (const entry of entries)
      if (entry.disposition !== 'dispatched') expect(entry.reason ?? entry.disposition).not.toBe('');
    if (row.status === 'active' && row.buffer.length === 0)
      expect(due, 'an active schedule has something to wait for').toBeDefined();
    expect(row.clock.status, 'the clock is in step').toBe('synced');
    expect(world.clocks.get(this.id)?.specVersion, 'the clock has the spec, as long as something is to come').toBe(
      row.status === 'active' && due !== undefined ? row.specVersion : undefined,
    );
    expect(events.at(-1)?.status, 'the last event says how it stands').toBe(row.status);
    const backfills = await world.ports.store.query({ pk: keys.schedule(this.id).pk, prefix: 'BKF#', limit: 100 });
    const running = backfills.items.filter((item) => item.status === 'running').map((item) => item.id);
    expect(running, 'a backfill that runs is the schedule’s').toEqual(
      row.backfill === undefined ? [] : [row.backfill.id],
    );
  }
}

const iso = (at: number) => new Date(at).toISOString();

/** The occurrences of every revision, each in force until the next: by arithmetic, all cadences here are so many minutes. */
function timesOf(
  revisions: readonly RevisionRow[],
  through: number,
): readonly { readonly at: number; readonly expected: boolean }[] {
  const found: { at: number; expected: boolean }[] = [];
  for (const [index, revision] of revisions.entries()) {
    const before = Math.min(revisions[index + 1]?.from ?? Number.POSITIVE_INFINITY, through + 1);
    const { phase, step } = gridOf(revision.cadence);
    const { startAt = 0, endAt = Number.POSITIVE_INFINITY } = revision.window ?? {};
    const first = phase + Math.max(0, Math.ceil((Math.max(revision.from, startAt) - phase) / step)) * step;
    for (let at = first; at < Math.min(before, endAt); at += step)
      // What is decided by a schedule's creation begins after it.
      if (index > 0 || at > revision.from) found.push({ at, expected: revision.active });
  }
  return found;
}

function gridOf(cadence: Cadence): { readonly phase: number; readonly step: number } {
  if (cadence.kind === 'every') return { phase: cadence.startAt, step: cadence.everySeconds * SECOND };
  if (cadence.kind === 'at') throw new Error('no such cadence here');
  return { phase: 0, step: Number(/^\*\/(\d+)/.exec(cadence.cron)?.[1] ?? 1) * MINUTE };
}

async function play(policy: OverlapPolicy, seed: number): Promise<void> {
  const dice = new Dice(seed);
  const world = await engine.world({ pollEvents: true, checkShards: 1 });
  const agent = await world.agent();
  const schedule = await world.schedule(agent.id, {
    overlapPolicy: policy,
    cadence: dice.pick([
      { cron: '* * * * *', timezone: 'UTC' },
      { cron: '*/5 * * * *', timezone: 'UTC' },
      { every: 'PT1M' },
    ]),
    catchupWindow: dice.pick(['PT5M', 'PT20M', 'PT1H']),
    ...(dice.chance(0.3) && { remainingRuns: 1 + dice.below(6) }),
    ...(dice.chance(0.3) && { pauseOnFailure: { consecutive: 2 } }),
    ...(dice.chance(0.2) && { flexibleWindow: 'PT3M' }),
  });
  const player = new Player(world, schedule.id, dice);
  try {
    await player.play();
  } catch (error) {
    throw new Error(`seed ${seed}, ${policy}:\n${player.trace.join('\n')}\n${String(error)}`, { cause: error });
  }
}

describe.each(OVERLAP_POLICIES)('%s', (policy) => {
  it('keeps every promise under random operations, some at once, some dying', { timeout: 120_000 }, async () => {
    const given = process.env.CANDOR_SEED;
    if (given !== undefined) return play(policy, Number(given));
    for (let round = 0; round < ROUNDS; round++) await play(policy, randomInt(2 ** 32));
  });
});
