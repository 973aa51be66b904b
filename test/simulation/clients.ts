/** Those who call the API: they see what was acknowledged, and hold Candor to it. */

import { identityOfUser } from '../../core/access/credentials.ts';
import { patchPrincipal } from '../../core/access/service.ts';
import { createAgent, deleteAgent, patchAgent } from '../../core/agents/service.ts';
import { AgentCreate } from '../../core/contract/agents.ts';
import type { RunBody } from '../../core/contract/runs.ts';
import { ScheduleCreate, type ScheduleCreateInput } from '../../core/contract/schedules.ts';
import type { Ports } from '../../core/ports.ts';
import type { Precondition } from '../../core/rules.ts';
import { cancelRun } from '../../core/runs/cancel.ts';
import { sealChildren } from '../../core/runs/children.ts';
import type { RunRow } from '../../core/runs/model.ts';
import { retryRun } from '../../core/runs/retry.ts';
import { createRun, getRun } from '../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule } from '../../core/schedules/actions.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import { createSchedule, getSchedule } from '../../core/schedules/service.ts';
import { triggerSchedule } from '../../core/schedules/trigger.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { requestDrain } from '../../core/vms/drain.ts';
import type { Address } from '../../runner/state.ts';
import { scheduleThere } from './calendar.ts';
import { ANY, BOSS, CALLER, ELSEWHERE, preconditionOf } from './callers.ts';
import type { ChildOf } from './incarnations.ts';
import { createRunOnce, twice } from './keyed.ts';
import { MoreClients } from './moreClients.ts';
import { Random } from './random.ts';
import { ScheduleClients } from './scheduleClients.ts';
import { agentOf, MINUTE, type Operation, type OperationKind } from './workload.ts';
import type { Simulation } from './world.ts';

const ROLES = ['viewer', 'editor', 'none'] as const;

type Call<T> = (ports: Ports) => Promise<T>;

export class Clients {
  readonly #world: Simulation;
  readonly #seed: number;
  /** What all schedules have in common. */
  readonly #common: Partial<ScheduleCreateInput>;
  readonly agentIds: string[] = [];
  readonly more: MoreClients;
  readonly #schedules: ScheduleClients;
  #made = 0;
  #keys = 0;

  constructor(world: Simulation, seed: number, schedules: Partial<ScheduleCreateInput> = {}) {
    this.#world = world;
    this.#seed = seed;
    this.more = new MoreClients(world, (name, call) => this.#ask(name, call));
    this.#schedules = new ScheduleClients(world, seed, (name, call) => this.#ask(name, call));
    this.#common = schedules;
  }

  /** Until it is there: a client that wants something asks again. */
  async makeAgents(requests: readonly Parameters<typeof AgentCreate.parse>[0][]): Promise<void> {
    for (const request of requests) {
      const parsed = AgentCreate.parse(request);
      for (let tries = 0; tries < 20; tries++) {
        const body = await this.#ask('create_agent', (ports) => createAgent(ports, CALLER, parsed));
        if (body !== undefined) {
          this.agentIds.push(body.id);
          break;
        }
        const known = [...this.#world.table.scan('AGT#')].find(({ sk, name }) => sk === 'META' && name === parsed.name);
        if (known !== undefined) {
          this.agentIds.push(String(known.id));
          break;
        }
        await this.#world.time.sleep(1000);
      }
    }
  }

  async carryOut(operation: Operation): Promise<void> {
    if (operation.twice)
      this.#world.time.after(
        this.#world.random.spread(1, 30_000),
        () => void this.#once({ ...operation, twice: false }),
      );
    await this.#once(operation);
  }

  /** @returns the answer; undefined where it was refused, or nobody knows */
  async #ask<T>(name: string, call: Call<T>, by?: ChildOf): Promise<T | undefined> {
    const { lost } = this.#world.network;
    if (this.#world.random.chance(lost)) return undefined;
    const outcome = await this.#world.invoke(`api.${name}`, call, by);
    return outcome.kind === 'answered' && !this.#world.random.chance(lost) ? outcome.value : undefined;
  }

  #pick<T>(from: readonly T[], at: number): T | undefined {
    return from.length === 0 ? undefined : from[at % from.length];
  }

  #schedulesThere = (): readonly ScheduleRow[] => [...this.#world.checker.ledger.rows.values()];

  /** Live ones more often than others, but not only them. */
  #run(operation: Operation): RunRow | undefined {
    const { rows, live } = this.#world.checker.runs;
    const found = operation.how % 5 === 0 ? [...rows.keys()] : [...live];
    const id = this.#pick(found, operation.pick);
    return id === undefined ? undefined : rows.get(id);
  }

  async #once(operation: Operation): Promise<void> {
    const { kind, pick, how } = operation;
    switch (kind) {
      case 'create_schedule':
        return this.#createSchedule(operation);
      case 'create_run':
        return this.#createRun(operation);
      case 'create_run_once':
        return this.#createRunOnce(operation);
      case 'create_child':
        return this.#createChild(operation);
      case 'create_agent':
        return this.#createAgent(operation);
      case 'revoke':
        return this.#revoke(operation);
      case 'cancel_run':
      case 'retry_run':
        return this.#onRun(operation);
      case 'drain_vm': {
        const vm = this.#pick([...this.#world.checker.vms.rows.values()], pick);
        if (vm === undefined) return;
        const precondition = preconditionOf(operation, vm.version, false);
        await this.#ask(kind, (ports) => requestDrain(ports, CALLER, vm.id, precondition));
        return;
      }
      case 'patch_agent':
      case 'delete_agent': {
        const agentId = this.#pick(this.agentIds, pick);
        if (agentId === undefined) return;
        if (kind === 'delete_agent')
          await this.#ask(kind, (ports) => deleteAgent(ports, CALLER, agentId, ANY, { cancelRuns: how % 2 === 0 }));
        else {
          const patches = [
            { env: { EDITED: String(how) } },
            { limits: { maxConcurrentRuns: 1 + (how % 3), runTimeout: 180 } },
            { name: `agent ${how % 2}` },
          ];
          const patch = patches[how % patches.length] ?? {};
          await this.#ask(kind, (ports) => patchAgent(ports, CALLER, agentId, patch, ANY));
        }
        return;
      }
      case 'other_tenant':
        return this.#otherTenant(operation);
      default:
        return this.more.once(operation) ?? this.#schedules.once(operation);
    }
  }

  async #createSchedule({ pick, how }: Operation): Promise<void> {
    const agentId = this.#pick(this.agentIds, pick);
    if (agentId === undefined) return;
    const request = ScheduleCreate.parse({
      ...scheduleThere(this.#world, new Random(this.#seed * 1000 + how), how, ++this.#made),
      ...this.#common,
    });
    await this.#ask('create_schedule', (ports) => createSchedule(ports, CALLER, agentId, request));
  }

  async #createRun({ pick, how }: Operation): Promise<void> {
    const agentId = this.#pick(this.agentIds, pick);
    if (agentId === undefined) return;
    const body = await this.#ask('create_run', (ports) => createRun(ports, CALLER, agentId, { how }));
    if (body !== undefined && this.#world.checker.runs.rows.get(body.id) === undefined)
      this.#world.broken('I3', `run ${body.id} was acknowledged, and is not there`);
  }

  /** The same request under the same key, twice at once: one run. */
  async #createRunOnce({ pick, how }: Operation): Promise<void> {
    const agentId = this.#pick(this.agentIds, pick);
    if (agentId === undefined) return;
    const key = `key-${pick}-${how}-${++this.#keys}`;
    const send = () => this.#ask('create_run_once', (ports) => createRunOnce(ports, CALLER, agentId, key, how));
    await twice(this.#world, send);
  }

  async #createAgent({ how }: Operation): Promise<void> {
    const request = AgentCreate.parse({
      ...agentOf(new Random(this.#seed * 3000 + how), how % 3 === 0 ? how : how % 2),
    });
    const body = await this.#ask('create_agent', (ports) => createAgent(ports, CALLER, request));
    if (body !== undefined) this.agentIds.push(body.id);
  }

  /** Whoever made the schedules may run nothing for a while. */
  async #revoke(operation: Operation): Promise<void> {
    const { how } = operation;
    if (how % 4 === 3) return this.#signIn(operation);
    const set = (patch: { readonly status: 'active' | 'revoked' } | { readonly name: string }) =>
      this.#ask('revoke', (ports) => patchPrincipal(ports, BOSS, CALLER.principalId, patch, ANY));
    await set(how % 2 === 0 ? { status: 'revoked' } : { name: `name ${how}` });
    if (how % 2 !== 0) return;
    await this.#world.time.sleep(this.#world.random.spread(1000, 10 * MINUTE));
    for (let tries = 0; tries < 20 && (await set({ status: 'active' })) === undefined; tries++)
      await this.#world.time.sleep(1000);
  }

  /** A user of the identity provider, which says now and then that they may more, or less: two first calls at once. */
  async #signIn({ pick, how }: Operation): Promise<void> {
    const { time, random } = this.#world;
    const role = ROLES[how % ROLES.length] ?? 'none';
    const name = `user ${pick % 5}`;
    const user = { tenantId: CALLER.tenantId, issuer: 'https://idp', subject: name, name, role, issuedAt: time.now };
    const call = () => this.#ask('sign_in', (ports) => identityOfUser(ports, user, undefined));
    await Promise.all([call(), time.sleep(random.spread(1, 1000)).then(call)]);
  }

  /** Work that starts further work: one after the other, or all at once; rather from a run that has done so, and may go on. */
  async #createChild({ pick, how }: Operation): Promise<void> {
    const { time, truth, checker, table } = this.#world;
    const atWork = () => truth.all().filter(({ end }) => end === undefined);
    for (let tries = 0; tries < 12 && atWork().length === 0 && !this.#world.isCalm; tries++) await time.sleep(10_000);
    const isParent = ({ address }: { readonly address: Address }) => {
      const count = table.get(keys.runChildren(address.runId));
      return count !== undefined && count.sealedAt === undefined;
    };
    const parents = atWork().filter(isParent);
    const parent = this.#pick(parents.length > 0 && how % 3 !== 0 ? parents : atWork(), pick);
    const run = parent === undefined ? undefined : checker.runs.rows.get(parent.address.runId);
    if (parent === undefined || run === undefined) return;
    const make = () => this.#makeChild(run, parent.address.attempt, how);
    if (how % 5 === 0) time.after(this.#world.random.spread(1, 20_000), () => void this.seal(run.id));
    const first = make();
    if (how % 2 === 0) await first;
    await Promise.all(Array.from({ length: how % 4 }, make));
  }

  #makeChild({ id: runId, tenantId, agentId }: RunRow, attempt: number, how: number): Promise<RunBody | undefined> {
    const caller = { kind: 'run', tenantId, runId, attempt } as const;
    return this.#ask('create_child', (ports) => createRun(ports, caller, agentId, { how }), { runId, attempt });
  }

  /** The work of this run starts one more, if it is at work. @returns its id */
  async startChild(runId: string): Promise<string | undefined> {
    const run = this.#world.checker.runs.rows.get(runId);
    const [process] = this.#world.truth.live(runId);
    if (run === undefined || process === undefined) return undefined;
    return (await this.#makeChild(run, process.address.attempt, 0))?.id;
  }

  async seal(runId: string): Promise<void> {
    const run = this.#world.checker.runs.rows.get(runId);
    if (run !== undefined) await this.#ask('seal_children', (ports) => sealChildren(ports, run, CALLER.principalId));
  }

  async #onRun(operation: Operation): Promise<void> {
    const { kind, how } = operation;
    const run = this.#run(operation);
    if (run === undefined) return;
    const precondition = preconditionOf(operation, run.version, false);
    if (kind === 'retry_run') {
      await this.#ask(kind, (ports) => retryRun(ports, CALLER, run.id, undefined, precondition));
      return;
    }
    await this.#cancel(run.id, how, precondition);
  }

  async #cancel(id: string, how: number, precondition: Precondition = { kind: 'none' }): Promise<void> {
    const order = { by: CALLER.principalId, reason: 'a whim', cause: 'request', precondition } as const;
    await this.#ask('cancel_run', (ports) =>
      cancelRun(ports, CALLER, id, { ...order, ...(how % 6 === 0 && { force: true }) }),
    );
  }

  /** Another tenant finds nothing of ours, and changes nothing (I12). */
  async #otherTenant({ how, pick }: Operation): Promise<void> {
    const isOurs = ({ tenantId }: { readonly tenantId: string }) => tenantId === CALLER.tenantId;
    const schedule = this.#pick(this.#schedulesThere().filter(isOurs), pick);
    const runId = this.#pick([...this.#world.checker.runs.rows.values()].filter(isOurs), pick)?.id;
    const agentId = this.#pick(this.agentIds, pick);
    const calls: readonly (Call<unknown> | undefined)[] = [
      schedule && ((ports) => getSchedule(ports, ELSEWHERE, schedule.id)),
      schedule && ((ports) => pauseSchedule(ports, ELSEWHERE, schedule.id, '', ANY)),
      schedule && ((ports) => triggerSchedule(ports, ELSEWHERE, schedule.id, {}, ANY)),
      runId === undefined ? undefined : (ports) => getRun(ports, ELSEWHERE, runId),
      runId === undefined
        ? undefined
        : (ports) => cancelRun(ports, ELSEWHERE, runId, { by: 'else', reason: '', cause: 'request' }),
      agentId === undefined ? undefined : (ports) => createRun(ports, ELSEWHERE, agentId, {}),
    ];
    const call = calls[how % calls.length];
    if (call === undefined) return;
    if ((await this.#ask('other_tenant', call)) !== undefined) this.#world.broken('I12', 'another tenant was answered');
  }

  /** Just now somebody is about to change this schedule, run, VM or agent: somebody else changes it first. */
  rival(kind: OperationKind, id: string): void {
    const { random } = this.#world;
    const { ledger, runs, vms } = this.#world.checker;
    const base = { at: 0, kind, how: random.below(1000), ifMatch: random.chance(0.3), twice: false };
    if (kind === 'cancel_run') {
      if (runs.live.has(id)) void this.#cancel(id, base.how);
      return;
    }
    if (this.more.once({ ...base, pick: random.below(1000) }, id) !== undefined) return;
    // Whom it concerns, where that is told by this id; anybody else where not.
    const lists = [[...ledger.rows.keys()], [...vms.rows.keys()], this.agentIds];
    const pick = lists.map((list) => list.indexOf(id)).find((at) => at >= 0) ?? random.below(1000);
    void this.#once({ ...base, pick });
  }

  /** At the end of all: everything is taken out of service. */
  async deleteAll(): Promise<void> {
    for (let round = 0; round < 30; round++) {
      const left = this.#schedulesThere().filter(({ status }) => status !== 'deleted' && status !== 'deleting');
      if (left.length === 0) return;
      for (const { id, tenantId } of left) {
        const owner = tenantId === ELSEWHERE.tenantId ? ELSEWHERE : CALLER;
        await this.#ask('delete_schedule', (ports) => deleteSchedule(ports, owner, id, ANY, { cancelRuns: true }));
      }
    }
  }
}
