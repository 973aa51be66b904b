/**
 * Many runs of several agents and tenants through few places: what the world does meanwhile is drawn from a seed. The
 * executions, the VMs and their runners are carried out here, several at the same time, so that decisions race.
 */
import { ensurePrincipal } from '../../../core/access/principals.ts';
import { createAgent, patchAgent } from '../../../core/agents/service.ts';
import { AgentCreate, type AgentCreateInput } from '../../../core/contract/agents.ts';
import { isTerminal } from '../../../core/contract/runs.ts';
import { CandorError } from '../../../core/errors.ts';
import type { ExecutionInput, Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { createRun } from '../../../core/runs/service.ts';
import { CapacityUnavailable } from '../../../core/vms/launchErrors.ts';
import { awaitReady, dispatchRun, failRun, launchVm, releaseAttempt } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { RunMovedOn } from '../../../core/vms/stateErrors.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import type { World } from '../../support/world.ts';
import { SECOND } from '../support.ts';
import { Mirror } from './mirror.ts';
import { StormVm } from './stormVm.ts';

export interface StormOptions {
  readonly runs: number;
  readonly seed: number;
}

const OTHER_TENANT = 'ten_elsewhere';
const TICK_MS = 10 * SECOND;
const STEPS_MAX = 20_000;

type Caller = World['caller'];

/** Warm, shared, strictly isolated and plain VMs; limits on runs, on VMs, on both; and one of another tenant. */
const AGENTS: readonly (Partial<AgentCreateInput> & { readonly elsewhere?: boolean })[] = [
  { limits: { maxConcurrentRuns: 5 } },
  { warmFor: 'PT30S', retry: { maxAttempts: 2, backoff: 'PT1S' } },
  { warmFor: 'PT20S', slots: 3, retry: { backoff: 'PT5S' } },
  { warmFor: 'PT15S', limits: { maxConcurrentVms: 3 }, retry: { afterStart: true, backoff: 'PT2S' } },
  { reuse: 'never', limits: { maxConcurrentRuns: 6 } },
  { slots: 2, limits: { maxConcurrentRuns: 4, maxConcurrentVms: 2 }, retry: { maxAttempts: 1 } },
  { limits: { maxConcurrentVms: 2 } },
  { warmFor: 'PT10S', slots: 2, limits: { maxConcurrentRuns: 7 }, elsewhere: true },
];

interface Execution {
  readonly input: ExecutionInput;
  readonly token: string;
  state: 'launching' | 'waiting' | 'over';
  vmId?: string;
}

/** Mulberry32: small, seeded, good enough to draw what happens next. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const AWAY = 'the workflow service is away';

export class Storm {
  readonly mirror: Mirror;
  readonly ports: Ports;
  readonly random: () => number;
  readonly counts = new Map<string, number>();
  readonly errors: string[] = [];
  /** Items that a tick could not handle, and why. */
  readonly watchdogFailures: string[] = [];
  readonly #world: World;
  readonly #options: StormOptions;
  readonly #executions = new Map<string, Execution>();
  readonly #vms = new Map<string, StormVm>();
  readonly #agents: { readonly id: string; readonly caller: Caller }[] = [];
  #created = 0;
  #lastTick = 0;

  constructor(world: World, options: StormOptions) {
    this.#world = world;
    this.#options = options;
    this.random = randomFrom(options.seed);
    this.mirror = new Mirror(world.ports.config, () => world.now);
    this.ports = {
      ...world.ports,
      store: this.mirror.watch(world.ports.store),
      workflow: {
        start: async (name, input) => {
          if (this.chance(0.04)) throw new Error(AWAY);
          if (this.#executions.has(name)) return 'exists';
          this.#executions.set(name, { input, token: `token of ${name}`, state: 'launching' });
          return 'started';
        },
        stop: async (name) => {
          const execution = this.#executions.get(name);
          if (execution !== undefined) execution.state = 'over';
        },
        describe: async (name) => {
          const execution = this.#executions.get(name);
          if (execution === undefined) return { status: 'unknown', detail: 'nobody has started it' };
          const status = execution.state === 'over' ? ('aborted' as const) : ('running' as const);
          return { status, detail: `it is ${execution.state}` };
        },
        signal: async (token) => {
          world.signals.push(token);
          return 'signalled';
        },
      },
      fleet: {
        plan: async () => ({ pools: [] }),
        launch: async ({ tenantId, vmId, clientToken }) => {
          if (this.chance(0.1)) throw new CapacityUnavailable('no room', [{ code: 'InsufficientInstanceCapacity' }]);
          this.#vms.set(vmId, new StormVm(this, tenantId, vmId));
          return { instanceId: `i-${clientToken.slice(0, 12)}` };
        },
        observe: async (vmId) =>
          this.#vms.get(vmId)?.alive === true
            ? { status: 'running', detail: 'it runs' }
            : { status: 'terminated', detail: 'nothing of it is there' },
        terminate: async (vmId) => this.#vms.get(vmId)?.die(),
        list: async () => ({ items: [] }),
        terminateInstance: async ({ vmId }) => this.#vms.get(vmId)?.die(),
      },
    };
  }

  chance = (share: number): boolean => this.random() < share;
  pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(this.random() * from.length)];

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  async play(): Promise<void> {
    await this.#prepare();
    for (let step = 0; step < STEPS_MAX; step++) {
      if (this.mirror.violations.length > 0 || this.errors.length > 0) return;
      if (this.#created >= this.#options.runs && this.mirror.liveRuns().length === 0) break;
      await this.#step();
    }
    // Until every VM that was kept warm has gone too.
    for (let step = 0; step < 100 && this.mirror.existingVms().length > 0; step++) await this.#step();
  }

  async #prepare(): Promise<void> {
    const elsewhere = { tenantId: OTHER_TENANT, principalId: 'prn_elsewhere' };
    await ensurePrincipal(this.ports.store, elsewhere.tenantId, elsewhere.principalId, 'Elsewhere');
    for (const [index, { elsewhere: away, ...agent }] of AGENTS.entries()) {
      const caller = away === true ? elsewhere : this.#world.caller;
      const request = AgentCreate.parse({ name: `agent ${index}`, command: ['true'], ...agent });
      this.#agents.push({ id: (await createAgent(this.ports, caller, request)).id, caller });
    }
  }

  /** All of this at the same time; then the clock moves. */
  async #step(): Promise<void> {
    const work: Promise<unknown>[] = [];
    const backlog = this.mirror.liveRuns().length;
    const arriving = backlog > 80 ? 0 : Math.floor(this.random() * 16);
    for (let each = 0; each < arriving && this.#created < this.#options.runs; each++) work.push(this.#arrive());
    if (this.chance(0.5)) work.push(this.#cancelOne());
    if (this.chance(0.02)) work.push(this.#editOne());
    if (this.chance(0.1)) work.push(this.#killOne());
    for (const [name, execution] of this.#executions)
      if (execution.state === 'over') continue;
      else work.push(this.#carryOn(name, execution));
    for (const vm of this.#vms.values())
      if (vm.alive && this.chance(vm.idle ? 0.3 : 0.9)) work.push(this.tried(vm.beat()));
    if (this.#world.now - this.#lastTick >= TICK_MS) {
      this.#lastTick = this.#world.now;
      work.push(this.#tick());
    }
    await Promise.all(work);
    this.#world.now += Math.floor(this.random() * 4 * SECOND);
  }

  /** What a caller may be answered in a storm; anything else is an error of ours. */
  async tried<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof CandorError || (error instanceof Error && error.message.includes('away'))) {
        this.count(error instanceof CandorError ? `answered ${error.code}` : 'workflow away');
        return undefined;
      }
      this.errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
      return undefined;
    }
  }

  #arrive(): Promise<unknown> {
    this.#created++;
    const agent = this.pick(this.#agents);
    if (agent === undefined) return Promise.resolve();
    return this.tried(createRun(this.ports, agent.caller, agent.id, { some: 'input' }));
  }

  /** A run in whichever state; some for the second time, some at once. */
  async #cancelOne(): Promise<void> {
    const live = this.mirror.liveRuns();
    const status = this.pick([...new Set(live.map((run) => run.status))]);
    const run = this.pick(live.filter((each) => each.status === status));
    if (run === undefined) return;
    this.count(`cancelled while ${run.status}`);
    const order = { by: 'storm', reason: 'a whim', cause: 'request', force: this.chance(0.2) } as const;
    await this.tried(cancelRun(this.ports, run, run.id, order));
  }

  /** A VM dies: some are seen to be gone at once (one machine hears of the exit), the others only fall silent. */
  async #killOne(): Promise<void> {
    const vm = this.pick([...this.#vms.values()].filter(({ alive }) => alive));
    if (vm === undefined) return;
    vm.die();
    if (this.chance(0.5)) await this.tried(observeVm(this.ports, vm.vmId));
  }

  /** Its next runs pin another version: VMs of the old one are not theirs. */
  async #editOne(): Promise<void> {
    const agent = this.pick(this.#agents);
    if (agent === undefined) return;
    const env = { EDITED: String(this.#world.now) };
    await this.tried(patchAgent(this.ports, agent.caller, agent.id, { env }, { kind: 'any' }));
  }

  async #tick(): Promise<void> {
    const log = {
      ...this.ports.log,
      error: (event: string, facts?: object) => {
        // What the storm has taken away on purpose is tried again with the next tick.
        const injected = JSON.stringify(facts).includes(AWAY);
        if (event === 'watchdog.item_failed' && !injected) this.watchdogFailures.push(JSON.stringify(facts));
      },
    };
    const { actions } = await tick({ ...this.ports, log }, { owner: 'storm', budgetMs: 60_000 });
    for (const { rule } of actions) this.count(`watchdog ${rule}`);
  }

  /** One state of the state machine, as its file says. */
  async #carryOn(name: string, execution: Execution): Promise<void> {
    const { input, token } = execution;
    try {
      if (execution.state === 'launching') {
        execution.vmId = (await launchVm(this.ports, input)).vmId;
        await awaitReady(this.ports, { ...input, vmId: execution.vmId, taskToken: token });
        execution.state = 'waiting';
      } else if (this.#world.signals.includes(token)) {
        await dispatchRun(this.ports, { ...input, vmId: execution.vmId ?? '' });
        execution.state = 'over';
      }
    } catch (error) {
      await this.#caught(name, execution, error);
    }
  }

  async #caught(name: string, execution: Execution, error: unknown): Promise<void> {
    if (execution.state === 'over') return;
    if (error instanceof CapacityUnavailable) return this.count('no capacity');
    if (error instanceof RunMovedOn) {
      execution.state = 'over';
      return;
    }
    if (!(error instanceof Error)) throw error;
    this.count(`execution ${error.name}`);
    if (!['VmUnfit', 'StartDeadlineExceeded', 'Contended'].includes(error.name))
      this.errors.push(`${name}: ${error.stack}`);
    if (error.name === 'Contended') return;
    execution.state = 'over';
    await this.tried(releaseAttempt(this.ports, execution.input));
    const failure = { Error: error.name, Cause: error.message };
    await this.tried(failRun(this.ports, { ...execution.input, failure }));
  }

  /** How the runs ended, for the log of the test. */
  summary(): string {
    const ends = new Map<string, number>();
    for (const run of this.mirror.runs.values()) {
      const end = `${run.status}${isTerminal(run.status) ? `/${run.reason ?? '-'}` : ''}`;
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
    const lines = (counts: ReadonlyMap<string, number>) =>
      [...counts].sort().map(([what, times]) => `  ${what}: ${times}`);
    const attempts = [...this.mirror.runs.values()].filter((run) => run.attempt > 1).length;
    return [
      `${this.mirror.runs.size} runs, ${attempts} of them with further attempts, ${this.mirror.vms.size} VMs, ${this.mirror.commits} commits`,
      ...lines(ends),
      ...lines(this.mirror.most),
      ...lines(this.counts),
    ].join('\n');
  }
}
