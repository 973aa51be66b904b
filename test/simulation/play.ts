/** One seed, from its beginning to its rest: the storm, the calm after it, and what must have become of everything. */

import { ensurePrincipal } from '../../core/access/principals.ts';
import { auditSlice } from '../../core/audit/slice.ts';
import { sweepGarbage } from '../../core/table/garbage.ts';
import { aimed } from './aims.ts';
import { BOSS, CALLER, ELSEWHERE } from './callers.ts';
import { Clients } from './clients.ts';
import { withExtras, withNeighbour, withSecrets } from './extras.ts';
import { type FaultPlan, type Injection, swarm } from './faults.ts';
import { unmended, withLife } from './living.ts';
import { Random } from './random.ts';
import { graceMs, ledgerBehind, leftOver } from './rest.ts';
import { Rivals } from './rivals.ts';
import type { TransactionFilter } from './table.ts';
import type { Traps } from './traps.ts';
import { watchdogTick } from './watchdog.ts';
import { MINUTE, type Workload, weatherOf, workloadOf } from './workload.ts';
import { Simulation, type Violation, type Weather } from './world.ts';

export interface Play {
  readonly seed: number;
  /** Instead of what the seed draws. */
  readonly workload?: Workload;
  readonly weather?: Weather;
  readonly faults?: FaultPlan;
  readonly filter?: TransactionFilter;
  readonly keepsTrace?: boolean;
  readonly freezes?: boolean;
  /** Whoever springs one breaks the world. */
  readonly traps?: Traps;
}

export interface Played {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly hash: string;
  readonly steps: number;
  /** Before the faults stopped. */
  readonly stormSteps: number;
  readonly commits: number;
  readonly turns: number;
  readonly processes: number;
  /** How the runs ended. */
  readonly ends: Readonly<Record<string, number>>;
  readonly faults: ReadonlyMap<string, number>;
  readonly injections: readonly Injection[];
  readonly sites: ReadonlyMap<string, { readonly calls: number; readonly kinds: readonly string[] }>;
  readonly trace: readonly string[];
  /** From when everything is taken out of service to rest, virtual milliseconds. */
  readonly restMs: number;
}

const SWEEP_MS = 5000;
/** What was about to be decided when the grace was over. */
const SETTLING_MS = 15_000;
/** Once nobody wants anything any more, all must have come to rest in so long (I14, I6). */
const REST_MS_MAX = 180 * MINUTE;

/**
 * What the seed itself draws; each part from a stream of its own, so that one can be changed without the others.
 * @param aim the guard or fence that this world leads to, instead of the one that the seed draws, if any
 */
export function drawn(seed: number, aim?: string) {
  const plain = {
    workload: workloadOf(new Random(seed ^ 0x5eed0001)),
    weather: weatherOf(new Random(seed ^ 0x5eed0002)),
    faults: swarm(new Random(seed ^ 0x5eed0003)),
  };
  const more = withSecrets(withExtras(plain, new Random(seed ^ 0x5eed0005)), new Random(seed ^ 0x5eed0006));
  const beside = withNeighbour(more, new Random(seed ^ 0x5eed0008));
  const world = aim === undefined ? withLife(beside, new Random(seed ^ 0x5eed0009)) : beside;
  const { fence, guard } = world.workload.theme;
  const name = aim ?? fence ?? guard;
  return name === undefined ? world : aimed(world, name, new Random(seed ^ 0x5eed0004));
}

/** What is named of a world, and the rest as the seed draws it, if anything is left to draw. */
export function worldOf({ seed, workload, weather, faults }: Play): ReturnType<typeof drawn> {
  if (workload !== undefined && weather !== undefined && faults !== undefined) return { workload, weather, faults };
  const own = drawn(seed);
  return { workload: workload ?? own.workload, weather: weather ?? own.weather, faults: faults ?? own.faults };
}

export async function play(options: Play): Promise<Played> {
  const { seed } = options;
  const { workload, weather, faults } = worldOf(options);
  const world = new Simulation({
    seed,
    weather,
    faults,
    config: workload.config,
    ...(workload.calendar !== undefined && { calendar: workload.calendar }),
    ...(options.filter !== undefined && { filter: options.filter }),
    ...(options.freezes !== undefined && { freezes: options.freezes }),
    ...(options.keepsTrace !== undefined && { keepsTrace: options.keepsTrace }),
  });
  options.traps?.tell((what) => world.broken('defect', what));
  const restMs = await new Course(world, workload, seed).run();
  const ends: Record<string, number> = {};
  for (const run of world.checker.runs.rows.values()) {
    const end = `${run.status}${run.reason === undefined ? '' : `/${run.reason}`}`;
    ends[end] = (ends[end] ?? 0) + 1;
  }
  return {
    seed,
    violation: world.violation,
    hash: world.trace.hash,
    steps: world.steps,
    stormSteps: world.stormSteps,
    commits: world.checker.commits,
    turns: world.time.turns,
    processes: world.truth.all().length,
    ends,
    faults: world.faults,
    injections: world.injections,
    sites: world.sites,
    trace: world.trace.lines,
    restMs,
  };
}

class Course {
  readonly #world: Simulation;
  readonly #workload: Workload;
  readonly #clients: Clients;

  constructor(world: Simulation, workload: Workload, seed: number) {
    this.#world = world;
    this.#workload = workload;
    this.#clients = new Clients(world, seed, workload.schedules);
  }

  async run(): Promise<number> {
    const world = this.#world;
    const { stormMs, operations, deploys = [], leaks = [] } = this.#workload;
    let isReady = false;
    void this.#prepare().then(() => {
      isReady = true;
    });
    await this.#until(world.startAt + MINUTE, () => isReady);
    const begin = world.time.now;
    world.rivals = new Rivals(world, this.#clients, this.#workload.theme);
    this.#watch();
    this.#audit();
    if (this.#workload.hasWebhooks === true) this.#sendWebhooks();
    if (world.config.sweepsGarbage) this.#sweep();
    for (const operation of operations)
      world.time.at(begin + operation.at, () => void this.#clients.carryOut(operation));
    for (const { at, kind } of deploys) world.time.at(begin + at, () => world.deploy(kind));
    for (const { at, what } of leaks) world.time.at(begin + at, () => world.leaks.plant(what));
    await this.#until(begin + stormMs);
    world.calmDown();
    const calmAt = world.time.now;
    // With active schedules, before everything is taken out of service.
    await this.#until(calmAt + graceMs(world) + SETTLING_MS);
    if (world.violation === undefined) {
      const behind = ledgerBehind(world);
      if (behind !== undefined) world.broken('I14', behind);
    }
    await this.#liveOn();
    const restsFrom = world.time.now;
    let deleting = false;
    for (let left: string | undefined = 'all'; left !== undefined && world.violation === undefined; ) {
      // Again and again: what stood still for minutes may make another schedule yet.
      if (!deleting) {
        deleting = true;
        const all = this.#clients.deleteAll().then(() => this.#clients.more.webhooks.redeliverAll());
        void all.then(() => {
          deleting = false;
        });
      }
      await this.#until(world.time.now + 20_000);
      left = leftOver(world);
      if (left !== undefined && world.time.now - restsFrom > REST_MS_MAX) world.broken('I14', `no rest: ${left}`);
    }
    return world.time.now - restsFrom;
  }

  /** With everything in service: what has gone wrong is put right by itself (I6, I14). */
  async #liveOn(): Promise<void> {
    const world = this.#world;
    const { livesOnMs, auditEveryMs } = this.#workload;
    if (livesOnMs === undefined) return;
    await this.#until(world.time.now + livesOnMs);
    const what = await unmended(world, auditEveryMs, (ms) => this.#until(world.time.now + ms));
    if (what !== undefined) world.broken('I14', what);
  }

  async #until(at: number, done: () => boolean = () => false): Promise<void> {
    const world = this.#world;
    if (world.violation !== undefined) return;
    await world.time.run(at, () => world.violation !== undefined || done());
  }

  async #prepare(): Promise<void> {
    const world = this.#world;
    for (const { tenantId, principalId } of [CALLER, BOSS, ELSEWHERE])
      for (let tries = 0; tries < 20; tries++) {
        const made = await world.invoke('api.principal', ({ store }) =>
          ensurePrincipal(store, tenantId, principalId, 'Admin'),
        );
        if (made.kind === 'answered') break;
      }
    await this.#clients.makeAgents(this.#workload.agents);
  }

  #watch(): void {
    const world = this.#world;
    const { watchdogGaps, watchdogTwice } = this.#workload;
    const call = () => void watchdogTick(world);
    const each = () => {
      const elapsed = world.time.now - world.startAt;
      world.time.after(MINUTE, each);
      if (!world.isCalm && watchdogGaps.some(({ from, until }) => elapsed >= from && elapsed < until)) return;
      call();
      if (!world.isCalm && world.random.chance(watchdogTwice)) world.time.after(world.random.below(5000), call);
    };
    world.time.after(world.random.below(MINUTE), each);
  }

  #sendWebhooks(): void {
    const { time, webhooks, random } = this.#world;
    const each = () => {
      time.after(MINUTE, each);
      webhooks.tick();
    };
    time.after(random.below(MINUTE), each);
  }

  /** As on one machine, whose engine deletes nothing by itself. */
  #sweep(): void {
    const world = this.#world;
    const each = () => {
      world.time.after(SWEEP_MS, each);
      void world.invoke('sweep', sweepGarbage);
    };
    each();
  }

  #audit(): void {
    const world = this.#world;
    const each = () => {
      world.time.after(this.#workload.auditEveryMs, each);
      void world.invoke('audit', (ports) =>
        auditSlice(ports, { owner: 'simulated', budgetMs: 280_000, intervalMs: this.#workload.auditEveryMs / 2 }),
      );
    };
    world.time.after(world.random.below(this.#workload.auditEveryMs), each);
  }
}
