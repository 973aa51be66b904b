/**
 * A machine: it boots, loses its network, hangs, loses its power; and the processes on it, which are the truth that Candor's
 * words are measured by. The runner on it ({@link Runner}) may end and start again beside them.
 */
import type { Artifact } from '../../core/contract/runner.ts';
import { takeLeftOutcomes } from '../../core/vms/leftOutcomes.ts';
import type { ExitReport, Probe } from '../../runner/decide.ts';
import { registryOf } from '../../runner/registry.ts';
import { type Address, apply, EMPTY, type Fact, keyOf, type State } from '../../runner/state.ts';
import { deposit } from './deposits.ts';
import { Runner } from './runner.ts';
import type { Simulation } from './world.ts';

/** What machines do in one world. */
export interface MachineWeather {
  readonly hangs: number;
  readonly partitions: number;
  readonly runnerDies: number;
  readonly shimDies: number;
  readonly ignoresSignals: number;
  readonly neverEnds: number;
  /** Waits for a disk that does not answer: no signal ends it, only the machine's own end does. */
  readonly unkillable?: number;
  readonly fails: number;
  readonly workMsMax: number;
  /** That a start is refused, for want of memory or a disk. */
  readonly startFails: number;
  /** That what its disk says of ended work is read, twice, once it is gone. */
  readonly disksRead?: number;
  /** That one report, of all of a machine's, leaves out what runs. */
  readonly omits?: number;
  /** When a partition begins after the boot, and how long it lasts: least and most, milliseconds. */
  readonly cutOffAfterMs?: readonly [number, number];
  readonly cutOffForMs?: readonly [number, number];
}

const CUT_OFF_AFTER_MS = [1000, 600_000] as const;
const CUT_OFF_FOR_MS = [5000, 1_500_000] as const;

export const CALM_MACHINES: MachineWeather = {
  hangs: 0,
  partitions: 0,
  runnerDies: 0,
  shimDies: 0,
  ignoresSignals: 0,
  neverEnds: 0,
  fails: 0.1,
  workMsMax: 60_000,
  startFails: 0,
};

interface Work {
  readonly address: Address;
  shim: Probe['shim'];
  startedAt?: number;
  alive: boolean;
  exit?: ExitReport;
  readonly stubborn: boolean;
  readonly unkillable?: boolean;
}

const SELF_DESTRUCT_GRACE_MS = 60_000;

export class Machine {
  readonly vmId: string;
  readonly instanceId: string;
  readonly world: Simulation;
  readonly #works = new Map<string, Work>();
  /** What the journal on its disk says. */
  #durable: State = EMPTY;
  #runner: Runner | undefined;
  #bootedAt = 0;
  #isOn = false;
  #isGone = false;
  #hangs = false;
  cutOffUntil = 0;
  /** What was stored of each attempt's files: its outcome names them. */
  readonly #files = new Map<string, readonly Artifact[]>();
  #hasOmitted = false;
  #aliveAt = 0;

  constructor(world: Simulation, vmId: string, instanceId: string) {
    this.world = world;
    this.vmId = vmId;
    this.instanceId = instanceId;
  }

  get monotonicMs(): number {
    return this.world.time.now - this.#bootedAt;
  }

  /** Nothing on it does anything any more, or nothing of it is heard. */
  get isOn(): boolean {
    return this.#isOn && !this.#hangs;
  }

  /** @returns whether this report is the one that leaves out what runs */
  omits(): boolean {
    if (this.#hasOmitted || !this.world.random.chance(this.world.machines.omits ?? 0)) return false;
    this.#hasOmitted = true;
    return true;
  }

  get isCutOff(): boolean {
    return this.cutOffUntil > this.world.time.now;
  }

  boot(): void {
    if (this.#isGone) return;
    const { time, random } = this.world;
    this.#isOn = true;
    this.#bootedAt = time.now;
    this.#aliveAt = time.now;
    this.#startRunner();
    const { hangs, partitions, runnerDies, cutOffAfterMs = CUT_OFF_AFTER_MS } = this.world.machines;
    const { cutOffForMs = CUT_OFF_FOR_MS } = this.world.machines;
    if (random.chance(hangs)) time.after(random.spread(1000, 900_000), () => this.#hang());
    if (random.chance(partitions))
      time.after(random.spread(...cutOffAfterMs), () => {
        if (!this.world.isCalm) this.cutOffUntil = time.now + random.spread(...cutOffForMs);
      });
    if (random.chance(runnerDies)) time.after(random.spread(500, 600_000), () => this.restartRunner());
    this.#deadMan();
  }

  /** The one layer that needs nobody else: without an answer for so long it powers itself off (design.md §5.3). */
  #deadMan(): void {
    const limitMs = this.world.config.selfDestructSeconds * 1000 + SELF_DESTRUCT_GRACE_MS;
    this.world.time.at(this.#aliveAt + limitMs, () => {
      if (!this.isOn) return;
      if (this.world.time.now - this.#aliveAt >= limitMs) this.powerOff('dead-man');
      else this.#deadMan();
    });
  }

  answered(): void {
    this.#aliveAt = this.world.time.now;
  }

  #startRunner(): void {
    // What it has only seen, and not written down, it has to look at again.
    const runs = new Map([...this.#durable.runs].map(([key, run]) => [key, { ...run, live: {} }]));
    this.#runner = new Runner(this, { ...this.#durable, runs });
    this.#runner.start();
  }

  restartRunner(): void {
    if (!this.isOn || this.#runner === undefined || this.world.isCalm) return;
    this.world.note(`${this.instanceId} runner dies`);
    this.#runner.end();
    this.world.time.after(this.world.random.spread(500, 20_000), () => {
      if (this.isOn && this.#isOn) this.#startRunner();
    });
  }

  cutOff(forMs: number): void {
    this.cutOffUntil = Math.max(this.cutOffUntil, this.world.time.now + forMs);
  }

  /** Its runner reports now. */
  poke(): void {
    this.#runner?.poke();
  }

  /** Something on it comes to its end now. */
  endSomething(): void {
    for (const work of this.#works.values())
      if (work.alive && this.isOn) {
        this.#endWork(work, { exitCode: 0 });
        return;
      }
    this.poke();
  }

  /** The runner has ended in good order: that is the end of the machine. */
  powerOff(why: string): void {
    if (!this.isOn) return;
    this.world.note(`${this.instanceId} powers itself off: ${why}`);
    this.#runner?.end();
    this.world.ec2.poweredOff(this.instanceId);
  }

  powerLost(): void {
    this.#isGone = true;
    this.#isOn = false;
    this.#runner?.end();
    this.#endAll('its machine is gone');
    this.#readDisk();
  }

  /** As on one machine, where the disk outlives the VM: the ends that nobody has reported are told, before its own is known or after. */
  #readDisk(): void {
    const { world, vmId } = this;
    const { disksRead } = world.weather.machines;
    if (disksRead === undefined || !world.random.chance(disksRead)) return;
    const now = { monotonicMs: this.monotonicMs, bootId: this.instanceId };
    const left = registryOf(this.#durable, now, () => ({})).filter(({ state }) => state === 'ended');
    if (left.length === 0) return;
    const tell = () => void world.invoke('left', (ports) => takeLeftOutcomes(ports, vmId, left));
    const afterMs = world.random.below(180_000);
    world.time.after(afterMs, tell);
    world.time.after(afterMs + world.random.spread(1, 50), tell);
  }

  #hang(): void {
    if (!this.#isOn || this.world.isCalm) return;
    this.world.note(`${this.instanceId} hangs`);
    this.#hangs = true;
    this.#runner?.end();
    this.#endAll('its machine hangs');
  }

  /** @returns whether this very work was there to be ended */
  endWorkOf(address: Address): boolean {
    const work = this.#works.get(keyOf(address));
    if (work?.alive !== true || !this.isOn) return false;
    this.#endWork(work, { exitCode: 0 });
    return true;
  }

  /** Its network is back. */
  reconnect(): void {
    this.cutOffUntil = 0;
    this.poke();
  }

  #endAll(why: string): void {
    for (const work of this.#works.values()) {
      if (!work.alive) continue;
      work.alive = false;
      this.world.truth.ended(work.address, { by: 'machine', detail: why });
    }
  }

  keep(facts: readonly Fact[]): void {
    for (const fact of facts) if (fact.kind !== 'observed') this.#durable = apply(this.#durable, fact);
  }

  /** The shim is on its way up, and starts the command unless its claim was taken before. */
  startWork(address: Address): void {
    const { random, time, machines } = this.world;
    const key = keyOf(address);
    if (this.#works.has(key)) this.world.broken('I2', `${this.instanceId} starts ${key} a second time`);
    const work: Work = {
      address,
      shim: 'booting',
      alive: false,
      stubborn: random.chance(machines.ignoresSignals),
      ...(machines.unkillable !== undefined && { unkillable: random.chance(machines.unkillable) }),
    };
    this.#works.set(key, work);
    time.after(random.spread(20, 3000), () => {
      if (!this.isOn || work.shim !== 'booting') return;
      work.shim = 'alive';
      if (random.chance(machines.startFails)) {
        work.exit = { notStarted: { because: 'setup', detail: 'setup failed' }, ...this.#exitTime() };
      } else {
        work.startedAt = time.now;
        work.alive = true;
        this.world.truth.started(address, this);
        deposit(this, address);
        this.#live(work);
      }
      this.#runner?.lookAt(address);
    });
  }

  #live(work: Work): void {
    const { random, time, machines, isCalm } = this.world;
    const weather = isCalm ? CALM_MACHINES : machines;
    if (random.chance(weather.shimDies))
      time.after(random.spread(100, 60_000), () => {
        if (!this.isOn || work.exit !== undefined) return;
        work.shim = 'dead';
        this.#runner?.lookAt(work.address);
      });
    if (work.unkillable === true || random.chance(weather.neverEnds)) return;
    time.after(random.spread(200, weather.workMsMax), () => {
      if (work.alive) this.#endWork(work, { exitCode: random.chance(weather.fails) ? 1 : 0 });
    });
  }

  #exitTime = () => ({ endedMonotonicMs: this.monotonicMs, bootId: this.instanceId });

  #endWork(work: Work, how: { readonly exitCode?: number; readonly signal?: string }): void {
    work.alive = false;
    this.world.truth.ended(work.address, { by: how.signal === undefined ? 'self' : 'signal', ...how });
    // A shim that has died leaves no word of how it ended.
    if (work.shim === 'alive') work.exit = { ...how, ...this.#exitTime() };
    this.#runner?.lookAt(work.address);
  }

  probe(address: Address): Probe {
    const work = this.#works.get(keyOf(address));
    if (work === undefined) return { shim: 'absent', workAlive: false };
    const { shim, alive, exit, startedAt } = work;
    return {
      shim,
      workAlive: alive,
      ...(exit !== undefined && { exit }),
      ...(startedAt !== undefined && {
        started: {
          pid: 100 + this.#works.size,
          startTicks: startedAt,
          startedMonotonicMs: startedAt - this.#bootedAt,
          bootId: this.instanceId,
        },
      }),
    };
  }

  /** @returns whether it was taken before any shim had it */
  refuse(address: Address): void {
    const key = keyOf(address);
    const work = this.#works.get(key);
    if (work === undefined) this.#works.set(key, { address, shim: 'refused', alive: false, stubborn: false });
    else if (work.shim === 'booting') work.shim = 'refused';
  }

  /** @returns whether anybody got it */
  signal(address: Address, signal: NodeJS.Signals): boolean {
    const work = this.#works.get(keyOf(address));
    if (work?.alive !== true) return false;
    const { random, time, truth } = this.world;
    const process = truth.of(address);
    if (process !== undefined) process.signalled = true;
    if (work.unkillable === true) return true;
    const obeys = signal === 'SIGKILL' || (!work.stubborn && random.chance(0.8));
    if (obeys)
      time.after(signal === 'SIGKILL' ? 1 : random.spread(5, 5000), () => {
        if (work.alive && this.isOn) this.#endWork(work, { signal });
      });
    return true;
  }

  killAll(address: Address): void {
    const work = this.#works.get(keyOf(address));
    if (work === undefined) return;
    work.shim = 'dead';
    const process = this.world.truth.of(address);
    if (process !== undefined) process.signalled = true;
    if (work.alive && work.unkillable !== true) this.#endWork(work, { signal: 'SIGKILL' });
  }

  stored(address: Address, file: Artifact): void {
    this.#files.set(keyOf(address), [...this.filesOf(address), file]);
  }

  filesOf = (address: Address): readonly Artifact[] => this.#files.get(keyOf(address)) ?? [];

  forget(address: Address): void {
    this.#works.delete(keyOf(address));
  }
}
