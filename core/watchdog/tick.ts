/**
 * One tick of the watchdog: reads what is due for a check and hands each row to its rule. Each kind has lanes of its own,
 * so a flood of one, or a service that one of them waits for, starves no other; within a kind the longest overdue comes
 * first. One row's failure is reported and costs the others nothing. After a gap of its own (a deploy, a closed laptop, a
 * table that did not answer) it gives no verdict for one lease, because then everything looks silent.
 */
import { StoreUnavailable } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { appendNote } from '../runs/events.ts';
import type { RunRow } from '../runs/model.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { type PartRow, publishProof } from '../system.ts';
import * as keys from '../table/itemKeys.ts';
import type { CheckKind } from '../table/keys.ts';
import type { Item, Key } from '../table/model.ts';
import { asRow, type RowBase } from '../table/rows.ts';
import type { Heard } from '../vms/heard.ts';
import type { VmRow } from '../vms/model.ts';
import { forgetFailures, postpone } from './checks.ts';
import { type ClockMisses, clockMisses } from './clockMisses.ts';
import { DueQueue, type ResumePoint } from './due.ts';
import { overdueMs, overdueOccurrence } from './overdue.ts';
import type { Action, RuleContext } from './rule.ts';
import { runRule } from './rules/run.ts';
import { scheduleRule } from './rules/schedule.ts';
import { lookAtInstances } from './rules/strays.ts';
import { vmRule } from './rules/vm.ts';

export interface TickReport {
  readonly looked: number;
  readonly actions: readonly Action[];
  readonly failures: number;
  /** What could not be looked at, by key; the first few. */
  readonly poison: readonly string[];
  readonly holding: boolean;
  /** Not all that was due was looked at: the next tick goes on from there. */
  readonly leftOver: boolean;
}

export interface TickOptions {
  /** Who ticks, for the status page: `candor dev pid 123`, or the function's name. */
  readonly owner: string;
  /** Stops taking up new rows after this long; the rest stays due. At most seven seconds later it publishes what it did. */
  readonly budgetMs: number;
}

/** What one tick leaves to the next. */
interface Memory {
  readonly holdUntil: number;
  readonly resume: ResumePoint;
  /** When all instances were last compared with their rows. */
  readonly fleetLookedAt: number;
  readonly strays: number;
  readonly clock: ClockMisses;
}

/** What others say of themselves. */
interface Observed {
  readonly provenAt: number | undefined;
  readonly heard: Heard | undefined;
}

const KINDS: readonly CheckKind[] = ['RUN', 'VM', 'SCH'];
type FleetLook = Pick<Memory, 'fleetLookedAt' | 'strays'>;

const POISON_SHOWN = 10;
/** For what is under way when the time is up; then for postponing it. Whoever calls has more than both, or is killed. */
const OVERTIME_MS = 5000;
const POSTPONING_MS = 2000;
const SLICE_MS = 100;
/** All instances and their rows are compared every so many ticks; what does not match is ended at the second such look. */
const FLEET_INTERVALS = 5;

export async function tick(ports: Ports, options: TickOptions): Promise<TickReport> {
  const startedAt = ports.time.now();
  const { provenAt, heard, ...memory } = await remember(ports, startedAt);
  const work = new Tick(ports, startedAt, startedAt + options.budgetMs, memory, heard);
  const queues = KINDS.map((kind) => new DueQueue(ports, kind, startedAt, memory.resume));
  await work.lookAtRows(queues);
  const fleet = await work.lookAtFleet(memory);
  const report = work.report();
  const { leaseSeconds } = ports.config;
  const next: Memory = {
    ...fleet,
    // Where the table did not answer, heartbeats were lost too: whoever seems silent has a lease to say something.
    holdUntil: work.blind ? Math.max(memory.holdUntil, ports.time.now() + leaseSeconds * 1000) : memory.holdUntil,
    resume: Object.assign({}, ...queues.map((queue) => queue.resumePoint())) as ResumePoint,
    clock: clockMisses(memory.clock, provenAt, work.overdueOccurrences),
  };
  await publishTick(ports, options, report, next, work.overdueMs);
  return report;
}

class Tick {
  readonly #ports: Ports;
  readonly #until: number;
  readonly #holdUntil: number;
  readonly #holding: boolean;
  readonly #heard: Heard | undefined;
  readonly #seen = new Set<string>();
  /** What is being looked at, with the row once it is read. */
  readonly #underWay = new Map<Key, Item | undefined>();
  readonly #actions: Action[] = [];
  readonly #poison: string[] = [];
  #looked = 0;
  #failures = 0;
  #leftOver = false;
  blind = false;
  overdueMs = 0;
  readonly overdueOccurrences: number[] = [];

  constructor(ports: Ports, startedAt: number, until: number, { holdUntil }: Memory, heard: Heard | undefined) {
    this.#heard = heard;
    this.#ports = ports;
    this.#until = until;
    this.#holdUntil = holdUntil;
    this.#holding = startedAt < holdUntil;
  }

  /** All lanes of all kinds. What does not come to its end in time is left behind, so that the tick can say what it was. */
  async lookAtRows(queues: readonly DueQueue[]): Promise<void> {
    const lanes = queues.flatMap((queue) =>
      Array.from({ length: this.#ports.config.watchdogLanes }, () => this.#lane(queue)),
    );
    if (await this.#doneBy(Promise.all(lanes), this.#until + OVERTIME_MS)) return;
    this.#leftOver = true;
    const postponed = [...this.#underWay].map(([key, item]) => {
      this.#failedOn(key, `it was not through ${OVERTIME_MS} ms after the end of the tick`);
      return this.#postpone(item);
    });
    await this.#doneBy(Promise.all(postponed), this.#ports.time.now() + POSTPONING_MS);
  }

  /** A call that hangs has a patience of its own, which may be longer than what a tick has left. */
  async #doneBy(work: Promise<unknown>, until: number): Promise<boolean> {
    const { time } = this.#ports;
    let done = false;
    const settled = work.then(() => {
      done = true;
    });
    while (!done && time.now() <= until) await Promise.race([settled, time.sleep(SLICE_MS)]);
    return done;
  }

  /** One row after the other, until there is none or the time is up. */
  async #lane(queue: DueQueue): Promise<void> {
    for (;;) {
      if (this.#ports.time.now() > this.#until) {
        this.#leftOver = true;
        return;
      }
      const key = await this.#next(queue);
      if (key === undefined) return;
      await this.#one(key);
    }
  }

  /** The index of one kind that cannot be read costs the other kinds nothing. */
  async #next(queue: DueQueue): Promise<Key | undefined> {
    try {
      return await queue.take();
    } catch (error) {
      this.#failed(error);
      this.#ports.log.error('watchdog.index_failed', { error: textOf(error) });
      return undefined;
    }
  }

  #failed(error: unknown): void {
    this.#failures++;
    if (error instanceof StoreUnavailable) this.blind = true;
  }

  async #one(key: Key): Promise<void> {
    const { store } = this.#ports;
    let item: Item | undefined;
    this.#looked++;
    this.#underWay.set(key, undefined);
    try {
      item = await store.get({ pk: key.pk, sk: key.sk });
      if (item === undefined) return;
      this.#underWay.set(key, item);
      const context = this.#context();
      this.overdueMs = Math.max(this.overdueMs, overdueMs(this.#ports.config, item, context.now));
      this.overdueOccurrences.push(...overdueOccurrence(this.#ports.config, item, context.now));
      for (const action of await look(context, item)) await this.#record(item, action);
      await forgetFailures(this.#ports, item);
    } catch (error) {
      this.#failedOn(key, error);
      await this.#postpone(item);
    } finally {
      this.#underWay.delete(key);
    }
  }

  #failedOn(key: Key, error: unknown): void {
    this.#failed(error);
    if (this.#poison.length < POISON_SHOWN) this.#poison.push(key.pk);
    this.#ports.log.error('watchdog.item_failed', { key: key.pk, error: textOf(error) });
  }

  async #postpone(item: Item | undefined): Promise<void> {
    if (item === undefined) return;
    const { time, log } = this.#ports;
    await postpone(this.#ports, item, time.now()).catch((failure: unknown) =>
      log.error('watchdog.postpone_failed', { key: item.pk, error: String(failure) }),
    );
  }

  /** Instances and rows are compared every few minutes, with what is left of the time; a failure is the next look's affair. */
  async lookAtFleet({ fleetLookedAt, strays }: Memory): Promise<FleetLook> {
    const { time, config, log } = this.#ports;
    const now = time.now();
    const before = { fleetLookedAt, strays };
    if (now - fleetLookedAt < config.watchdogIntervalSeconds * FLEET_INTERVALS * 1000 || now > this.#until)
      return before;
    let after: FleetLook | undefined;
    const look = this.#compareFleet(before, now).then((found) => {
      after = found;
    });
    await this.#doneBy(look, this.#until + OVERTIME_MS);
    if (after !== undefined) return after;
    this.#failures++;
    log.error('watchdog.fleet_failed', { error: 'it was not through at the end of the tick' });
    return before;
  }

  async #compareFleet(before: FleetLook, now: number): Promise<FleetLook> {
    const { log, metrics } = this.#ports;
    try {
      const found = await lookAtInstances(this.#context(), this.#until);
      for (const action of found.actions)
        await this.#record({ ...keys.system('strays'), tenantId: 'system', version: 0 }, action);
      this.#failures += found.unread;
      metrics.put('OrphanInstances', found.strays);
      return { fleetLookedAt: now, strays: found.strays };
    } catch (error) {
      this.#failures++;
      log.error('watchdog.fleet_failed', { error: String(error) });
      return before;
    }
  }

  report(): TickReport {
    return {
      looked: this.#looked,
      actions: this.#actions,
      failures: this.#failures,
      poison: this.#poison,
      holding: this.#holding,
      leftOver: this.#leftOver,
    };
  }

  #context(): RuleContext {
    const { config, time } = this.#ports;
    const [holdUntil, heard] = [this.#holdUntil, this.#heard];
    return { ports: this.#ports, config, now: time.now(), holdUntil, heard, seen: this.#seen };
  }

  /** Each recovery leaves an event beside those of its subject, which fan-out handles like one, a line and a measurement. */
  async #record(item: Item, action: Action): Promise<void> {
    const { store, ids, time, log, metrics, config } = this.#ports;
    this.#actions.push(action);
    log.info('watchdog.recovered', { ...action });
    metrics.put('Recoveries', 1, { rule: action.rule });
    const now = time.now();
    const note = appendNote(config, keys.recovery(item.pk, now, action.rule), {
      tenantId: String(item.tenantId),
      subject: SUBJECTS[item.pk.slice(0, 4)] ?? 'vm',
      subjectId: String(item.id ?? action.subject),
      sequence: Number(item.version ?? 0),
      type: `watchdog.${action.rule}`,
      at: now,
      detail: { subject: action.subject, did: action.did, because: action.because },
      writer: ids.writer(),
    });
    // It has been done, whether or not that can be told.
    await store
      .transact([note])
      .catch((error: unknown) => log.error('watchdog.note_failed', { key: item.pk, error: String(error) }));
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const SUBJECTS: Readonly<Record<string, 'run' | 'vm' | 'schedule'>> = {
  'RUN#': 'run',
  'VM#v': 'vm',
  'SCH#': 'schedule',
};

function look(context: RuleContext, item: Item): Promise<readonly Action[]> {
  if (item.pk.startsWith('RUN#')) return runRule(context, asRow<RunRow>(item) as RunRow);
  if (item.pk.startsWith('VM#')) return vmRule(context, asRow<VmRow>(item) as VmRow);
  if (item.pk.startsWith('SCH#')) return scheduleRule(context, asRow<ScheduleRow>(item) as ScheduleRow);
  return Promise.reject(new Error(`no rule for ${item.pk}`));
}

/** With it: when the clock was last seen to fire in time, and when any VM was last heard. */
async function remember(ports: Ports, now: number): Promise<Memory & Observed> {
  const [own, clock, heartbeats] = await ports.store.getMany([
    keys.system('watchdog'),
    keys.system('clock'),
    keys.system('heartbeats'),
  ]);
  const row = asRow<PartRow & { readonly memory?: Partial<Memory> }>(own);
  const { watchdogIntervalSeconds, leaseSeconds } = ports.config;
  // A first tick ever has missed nothing.
  const gap = row !== undefined && now - row.at > (2 * watchdogIntervalSeconds + 1) * 1000;
  return {
    holdUntil: gap ? now + leaseSeconds * 1000 : (row?.memory?.holdUntil ?? 0),
    resume: row?.memory?.resume ?? {},
    fleetLookedAt: row?.memory?.fleetLookedAt ?? 0,
    strays: row?.memory?.strays ?? 0,
    clock: row?.memory?.clock ?? { count: 0, through: 0 },
    provenAt: asRow<PartRow>(clock)?.at,
    heard: asRow<RowBase & Heard>(heartbeats),
  };
}

async function publishTick(
  ports: Ports,
  { owner, budgetMs }: TickOptions,
  report: TickReport,
  memory: Memory,
  overdue: number,
): Promise<void> {
  const { metrics } = ports;
  const { looked, failures, poison, leftOver, holding } = report;
  metrics.put('OldestOverdueSeconds', overdue / 1000);
  metrics.put('ClockMisses', memory.clock.count);
  metrics.put('WatchdogItemFailures', failures);
  metrics.put('WatchdogLeftOver', leftOver ? 1 : 0);
  metrics.put('WatchdogHolding', holding ? 1 : 0);
  const detail = {
    looked,
    recovered: report.actions.length,
    failures,
    oldestOverdueSeconds: Math.round(overdue / 1000),
    strayInstances: memory.strays,
    ...(memory.clock.count > 0 && { clockMisses: memory.clock.count }),
    // Every tenant reads this, and a key may be another's: which ones they are is for the log (I12).
    ...(poison.length > 0 && { poison: poison.length < POISON_SHOWN ? poison.length : `${POISON_SHOWN} or more` }),
    ...(leftOver && { leftOver: 'yes' }),
    ...(holding && { holdUntil: new Date(memory.holdUntil).toISOString() }),
  };
  const more = { memory: { ...memory, resume: { ...memory.resume }, clock: { ...memory.clock } } };
  // A tick may take all the time that it has, and publishes at its end.
  const promisedWithinSeconds = 3 * ports.config.watchdogIntervalSeconds + budgetMs / 1000;
  await publishProof(ports, 'watchdog', { owner, detail, promisedWithinSeconds, more });
  // Last: a tick that could not say that it was is none.
  metrics.put('WatchdogTicks', 1);
}
