/**
 * One simulated world: the table, the services, the machines, and the functions of Candor that run between them. Everything
 * that happens follows from the seed and the options.
 */
import { CoreConfig } from '../../core/config.ts';
import { CandorError, GuardFailed } from '../../core/errors.ts';
import { ClockRejected, ClockUnavailable, type Ports } from '../../core/ports.ts';
import type { Item, Write } from '../../core/table/model.ts';
import { LaunchFailed } from '../../core/vms/launchErrors.ts';
import type { Calendar } from './calendar.ts';
import { ClockService, type ClockWeather } from './clockService.ts';
import { type DepositWeather, ObjectStore } from './deposits.ts';
import { Ec2, type Ec2Weather } from './ec2.ts';
import { type FaultKind, type FaultPlan, type Injection, noFaults, type Site } from './faults.ts';
import { Timeline } from './heap.ts';
import { HostClock } from './hostClock.ts';
import { type IdWeather, RandomIds } from './ids.ts';
import { type ActsFor, type ChildOf, Incarnation, type Outcome, TIMEOUT_SECONDS } from './incarnations.ts';
import { Checker } from './invariants.ts';
import { Leaks } from './leaks.ts';
import { CALM_MACHINES, type MachineWeather } from './machine.ts';
import { type Process, portsOf, ServiceError } from './ports.ts';
import { Random } from './random.ts';
import type { Rivals } from './rivals.ts';
import { SecretStore, type SecretWeather } from './secretStore.ts';
import { StreamService, type StreamWeather } from './stream.ts';
import { Table, type TransactionFilter } from './table.ts';
import { TokenService } from './tokens.ts';
import { Trace } from './trace.ts';
import { Truth } from './truth.ts';
import { type EndpointWeather, Webhooks } from './webhooks.ts';
import { WorkflowService, type WorkflowWeather } from './workflowService.ts';

export interface Network {
  readonly lost: number;
  readonly double: number;
  readonly late: number;
}

/** All that a world's surroundings do by themselves. */
export interface Weather {
  readonly ec2: Ec2Weather;
  readonly clock: ClockWeather;
  readonly workflow: WorkflowWeather;
  readonly stream: StreamWeather;
  readonly machines: MachineWeather;
  readonly network: Network;
  readonly endpoints: EndpointWeather;
  readonly deposits: DepositWeather;
  readonly ids: IdWeather;
  readonly secrets: SecretWeather;
  readonly indexLagMsMax: number;
  readonly latencyMsMax: number;
  /** How far a host's clock is off, at least and at most; of any two no farther than `maxClockSkewSeconds` allows. */
  readonly skewMs: readonly [least: number, most: number];
  /** Of the calls: in so many the clock is set meanwhile. */
  readonly clockJumps: number;
  /** From the end of an item's time to live to its deletion; 0: nothing is deleted. */
  readonly ttlLagMsMax: number;
}

export interface SimulationOptions {
  readonly seed: number;
  readonly weather: Weather;
  readonly faults: FaultPlan;
  readonly config: Readonly<Record<string, unknown>>;
  /** Where it does not begin on any ordinary day. */
  readonly calendar?: Calendar;
  readonly filter?: TransactionFilter;
  /** Keeps every step as a line, for people. */
  readonly keepsTrace?: boolean;
  readonly freezes?: boolean;
}

export interface Violation {
  readonly invariant: string;
  readonly what: string;
  readonly at: number;
  readonly step: number;
}

/** 2027-03-01T12:00:00Z, a Monday. */
const START = Date.UTC(2027, 2, 1, 12, 0, 0);
/** What lives longer outlives the world. */
const EXPIRES_SOON_MS = 3_600_000;
const CALM_NETWORK: Network = { lost: 0, double: 0, late: 0 };

/** Calls that meet a new process, although another one waits. */
const COLD_STARTS = 0.15;

/** The errors by which functions say what they mean: the state machine names them, or the caller is answered with them. */
const MEANT = new Set(['RunMovedOn', 'VmUnfit', 'StartDeadlineExceeded']);

export class Simulation {
  readonly time: Timeline;
  readonly startAt: number;
  readonly calendar: Calendar | undefined;
  readonly random: Random;
  readonly config: CoreConfig;
  readonly weather: Weather;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly table: Table;
  readonly ec2: Ec2;
  readonly clock: ClockService;
  readonly workflow: WorkflowService;
  readonly stream: StreamService;
  readonly webhooks: Webhooks;
  readonly secrets: SecretStore;
  readonly checker: Checker;
  readonly tokens = new TokenService();
  readonly objects = new ObjectStore();
  readonly ids = new RandomIds(this);
  readonly leaks = new Leaks(this);
  readonly sites = new Map<string, Site>();
  /** Every fault that happened, in order. */
  readonly injections: Injection[] = [];
  /** Site and kind of each fault that happened, with how often. */
  readonly faults = new Map<string, number>();
  /** Those who are quicker. */
  rivals: Rivals | undefined;
  violation: Violation | undefined;
  steps = 0;
  incarnations = 0;
  /** By the kind of function, and by what is called. */
  readonly #sitesOf = new Map<string, Map<string, Site>>();
  #plan: FaultPlan;
  /** When the faults stopped. */
  calmAt: number | undefined;
  #stormSteps: number | undefined;
  readonly #alive = new Set<Incarnation>();
  /** By function: processes that have answered, and take the next call. */
  readonly #idle = new Map<string, (Process & { readonly ports: Ports })[]>();

  constructor(options: SimulationOptions) {
    const { seed, weather, faults, config, calendar, filter, keepsTrace = false, freezes = false } = options;
    this.calendar = calendar;
    this.startAt = calendar?.startAt ?? START;
    this.time = new Timeline(this.startAt);
    this.random = new Random(seed);
    this.config = CoreConfig.parse({ checkShards: 1, runTimeoutSeconds: 900, ...config });
    this.weather = weather;
    this.#plan = faults;
    this.trace = new Trace(keepsTrace, () => this.time.now - this.startAt);
    this.truth = new Truth(this);
    this.table = new Table({
      now: () => this.time.now,
      lagMs: () => (this.random.chance(0.5) ? 0 : this.random.spread(1, this.isCalm ? 100 : weather.indexLagMsMax)),
      freezes,
      ...(filter !== undefined && { filter }),
    });
    this.ec2 = new Ec2(this, weather.ec2);
    this.clock = new ClockService(this, weather.clock);
    this.workflow = new WorkflowService(this, weather.workflow);
    this.stream = new StreamService(this, weather.stream);
    this.webhooks = new Webhooks(this, weather.endpoints);
    this.secrets = new SecretStore(this, seed ^ 0x5eed0007);
    this.checker = new Checker(this);
  }

  get isCalm(): boolean {
    return this.calmAt !== undefined;
  }

  /** Those in which something could go wrong. */
  get stormSteps(): number {
    return this.#stormSteps ?? this.steps;
  }

  /** How far two clocks can be apart, milliseconds. */
  get apartMs(): number {
    return this.config.maxClockSkewSeconds * 1000;
  }

  get network(): Network {
    return this.isCalm ? CALM_NETWORK : this.weather.network;
  }

  get machines(): MachineWeather {
    return this.isCalm ? CALM_MACHINES : this.weather.machines;
  }

  /** From now on nothing goes wrong any more; what has gone wrong stays so. */
  calmDown(): void {
    this.calmAt = this.time.now;
    this.#stormSteps = this.steps;
    this.#plan = noFaults;
    this.note('the faults stop');
  }

  latencyMs(): number {
    return this.random.spread(2, this.isCalm ? 20 : this.weather.latencyMsMax);
  }

  skewMs(): number {
    const [least, most] = this.weather.skewMs;
    return least === most ? least : this.random.between(least, most);
  }

  note(what: string, facts?: object): void {
    this.trace.add(what, facts);
  }

  broken(invariant: string, what: string): void {
    if (this.violation !== undefined) return;
    this.violation = { invariant, what, at: this.time.now, step: this.steps };
    this.note(`VIOLATION of ${invariant}: ${what}`);
  }

  site(inc: Incarnation, name: string, kinds: readonly FaultKind[]): Site {
    let own = this.#sitesOf.get(inc.kind);
    if (own === undefined) {
      own = new Map();
      this.#sitesOf.set(inc.kind, own);
    }
    let found = own.get(name);
    if (found === undefined) {
      found = { name: `${inc.kind}: ${name}`, number: this.sites.size, kinds, calls: 0 };
      own.set(name, found);
      this.sites.set(found.name, found);
    }
    return found;
  }

  faultAt(site: Site): FaultKind | undefined {
    this.steps++;
    if (this.isCalm) return undefined;
    const call = site.calls++;
    const kind = this.#plan.at(site, call);
    if (kind === undefined || !site.kinds.includes(kind)) return undefined;
    this.injections.push({ site: site.name, call, kind });
    const name = `${site.name} × ${kind}`;
    this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
    return kind;
  }

  applied<T>(inc: Incarnation, site: Site, apply: () => T): T {
    this.trace.step(inc.number, site.number);
    this.checker.requested(inc, site);
    if (this.trace.keeps) this.trace.line(`${inc.kind}-${inc.number} ${site.name}`);
    return apply();
  }

  /** Nobody waits for the answer. */
  appliedUnheard(inc: Incarnation, site: Site, apply: () => unknown): void {
    try {
      this.applied(inc, site, apply);
    } catch (error) {
      this.#judge(inc.kind, error, true);
    }
  }

  commit(inc: Incarnation, writes: readonly Write[]): void {
    const changes = this.table.transact(writes);
    this.trace.changed(changes);
    if (this.trace.keeps)
      for (const { key, before, after } of changes) this.trace.line(`  ${key.pk} ${key.sk}`, changeOf(before, after));
    this.checker.committed(inc, changes);
    this.rivals?.committed(changes);
    for (const { before, after } of changes) {
      if (after?.ttl !== undefined) this.#expires(after);
      if (before === undefined && after !== undefined) {
        this.stream.appended(after);
        this.webhooks.appended(after);
      }
    }
  }

  /** Another version of a function: its processes end, whatever they are at. */
  deploy(kind: string): void {
    this.note(`${kind} is deployed`);
    for (const inc of [...this.#alive]) if (inc.kind.startsWith(kind)) inc.end();
    for (const name of this.#idle.keys()) if (name.startsWith(kind)) this.#idle.set(name, []);
  }

  /** Time to live: what has expired is deleted some time later, by nobody whose clock or guards matter. */
  #expires({ pk, sk, ttl }: Item): void {
    const lagMs = this.weather.ttlLagMsMax;
    if (lagMs === 0 || typeof ttl !== 'number' || ttl * 1000 > this.time.now + EXPIRES_SOON_MS) return;
    this.time.at(ttl * 1000 + this.random.spread(1, lagMs), () => {
      if (this.table.get({ pk, sk })?.ttl !== ttl) return;
      this.note(`${pk} ${sk} has expired`);
      this.table.transact([{ kind: 'delete', key: { pk, sk }, guards: [] }]);
    });
  }

  died(inc: Incarnation): void {
    this.#alive.delete(inc);
  }

  /** Calls a function of Candor in a process of its own. */
  invoke<T>(kind: string, body: (ports: Ports) => Promise<T>, actsFor?: ActsFor | ChildOf): Promise<Outcome<T>> {
    const isRunner = actsFor !== undefined && 'vmId' in actsFor;
    const inc = new Incarnation(this, kind, ++this.incarnations, isRunner ? actsFor : undefined);
    if (actsFor !== undefined && !isRunner) inc.childOf = actsFor;
    const own = this.#processFor(kind, inc);
    inc.again = () => void this.invoke(kind, body, actsFor);
    this.#alive.add(inc);
    const timeoutMs = (TIMEOUT_SECONDS[kind] ?? 30) * 1000;
    return new Promise((resolve) => {
      let timer = this.time.after(timeoutMs, () => this.#timedOut(inc, () => resolve({ kind: 'lost' })));
      const end = (outcome: Outcome<T>) => {
        this.#alive.delete(inc);
        timer.cancel();
        own.idle.push(own.process);
        resolve(outcome);
      };
      timer = this.#onDeath(inc, timer, () => resolve({ kind: 'lost' }));
      body(own.process.ports).then(
        (value) => {
          this.trace.answered(inc.number, value);
          end({ kind: 'answered', value });
        },
        (error: unknown) => {
          this.#judge(kind, error, false);
          this.note(`${kind}-${inc.number} threw ${error instanceof Error ? error.message : String(error)}`);
          end({ kind: 'threw', error });
        },
      );
    });
  }

  /** One that waits for the next call, or a new one. */
  #processFor(kind: string, inc: Incarnation) {
    const point = kind.indexOf('.');
    const name = point < 0 ? kind : kind.slice(0, point);
    const idle = this.#idle.get(name) ?? [];
    this.#idle.set(name, idle);
    const kept = this.random.chance(COLD_STARTS) ? undefined : idle.pop();
    if (kept !== undefined) {
      inc.carriesOn = kept.current.carriesOn || kept.current.underWay > 0;
      kept.current = inc;
      kept.clock.called();
      return { idle, process: kept };
    }
    const made = { world: this, clock: new HostClock(this), current: inc };
    made.clock.called();
    return { idle, process: Object.assign(made, { ports: portsOf(made) }) };
  }

  /** What has died is noticed at once by some, and only at the end of its time by others. */
  #onDeath(inc: Incarnation, timer: { cancel(): void }, lost: () => void): { cancel(): void } {
    inc.onDeath = () => {
      if (!this.random.chance(0.7)) return;
      timer.cancel();
      this.time.after(this.latencyMs(), lost);
    };
    return timer;
  }

  /** It is ended; unless it stands still: then nobody can end it, and it may yet go on. */
  #timedOut(inc: Incarnation, lost: () => void): void {
    if (inc.frozenUntil <= this.time.now) {
      inc.dead = true;
      this.#alive.delete(inc);
    }
    lost();
  }

  /** An error that is none of those that are meant is a defect. */
  #judge(kind: string, error: unknown, unheard: boolean): void {
    if (error instanceof GuardFailed) {
      if (!unheard) this.broken('defect', `${kind} let ${error.message} through`);
      return;
    }
    const isMeant =
      error instanceof CandorError ||
      error instanceof LaunchFailed ||
      error instanceof ClockUnavailable ||
      error instanceof ClockRejected ||
      error instanceof ServiceError ||
      (error instanceof Error && MEANT.has(error.name));
    if (!isMeant) this.broken('defect', `${kind} threw ${error instanceof Error ? error.stack : String(error)}`);
  }

  /** Work that puts out nothing: its runner says how long it has been idle. */
  isIdleWork(key: string): boolean {
    return key.length % 2 === 1 && this.truth.isIdle(key);
  }
}

/** What is new, for people. */
function changeOf(before: Item | undefined, after: Item | undefined): object {
  if (after === undefined) return { gone: true };
  const names = Object.keys({ ...before, ...after }).filter((name) => before?.[name] !== after[name]);
  return Object.fromEntries(names.filter((name) => !DULL.has(name)).map((name) => [name, after[name] ?? null]));
}

const DULL = new Set(['pk', 'sk', 'schemaVersion', 'tenantId', 'listIn', 'listAt', 'checkIn']);
