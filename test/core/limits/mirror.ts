/**
 * The table as a second program keeps it: every committed transaction is applied to rows in memory, and after each one
 * the rules that may never be broken are checked on all of them. Transactions are sent one after the other, so that the
 * order here is the order in the table; reads are not, so decisions race as they do in production.
 */
import type { AgentRow } from '../../../core/agents/model.ts';
import type { CoreConfig } from '../../../core/config.ts';
import { isTerminal } from '../../../core/contract/runs.ts';
import { type Limit, limitsOf } from '../../../core/limits/model.ts';
import type { Store } from '../../../core/ports.ts';
import type { RunRow } from '../../../core/runs/model.ts';
import type { Item, Key, Write } from '../../../core/table/model.ts';
import { isFree } from '../../../core/vms/free.ts';
import type { VmRow } from '../../../core/vms/model.ts';
import { storeWith } from '../support.ts';

/** How much older a waiting run may be than one that is let in before it. */
const OVERTAKEN_MS_MAX = 5000;

export interface Waiter {
  readonly runId: string;
  readonly since: number;
  /** When it joined the queue, which for a next attempt is later than `since`. */
  readonly joinedAt: number;
}

export interface Places {
  used: number;
  readonly holders: Set<string>;
  readonly waiters: Map<string, Waiter>;
}

export class Mirror {
  readonly agents = new Map<string, AgentRow>();
  /** By VM and by run, as the rows of the agents' partitions say. */
  readonly free = new Set<string>();
  readonly wanting = new Set<string>();
  readonly runs = new Map<string, RunRow>();
  readonly vms = new Map<string, VmRow>();
  readonly places = new Map<string, Places>();
  readonly violations: string[] = [];
  commits = 0;
  readonly most = new Map<string, number>();
  readonly #items = new Map<string, Item>();
  readonly #liveRuns = new Set<string>();
  readonly #existingVms = new Set<string>();
  readonly #config: CoreConfig;
  readonly #now: () => number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: CoreConfig, now: () => number) {
    this.#config = config;
    this.#now = now;
  }

  /** The same store, with every transaction watched. */
  watch(store: Store): Store {
    const send = async (writes: readonly Write[]) => {
      await store.transact(writes);
      this.#apply(writes);
    };
    return storeWith(store, {
      transact: (writes) => {
        const sent = this.#last.then(() => send(writes));
        this.#last = sent.catch(() => undefined);
        return sent;
      },
    });
  }

  /** Expects what was written without being watched: rows from before. */
  async load(store: Store, keysOfRows: readonly Key[]): Promise<void> {
    for (const item of await store.getMany(keysOfRows)) if (item !== undefined) this.#put(item);
  }

  liveRuns = (): readonly RunRow[] => [...this.#liveRuns].map((id) => this.runs.get(id) as RunRow);
  existingVms = (): readonly VmRow[] => [...this.#existingVms].map((id) => this.vms.get(id) as VmRow);

  #fail(what: string): void {
    if (this.violations.length < 20) this.violations.push(`commit ${this.commits}: ${what}`);
  }

  #apply(writes: readonly Write[]): void {
    this.commits++;
    const admitted: RunRow[] = [];
    for (const write of writes) {
      if (write.kind === 'check') continue;
      const { pk, sk } = write.kind === 'put' ? write.item : write.key;
      const before = this.#items.get(`${pk} ${sk}`);
      if (write.kind === 'delete') this.#delete({ pk, sk });
      else this.#put(write.kind === 'put' ? write.item : updated(before ?? { pk, sk }, write));
      if (!pk.startsWith('RUN#') || sk !== 'META') continue;
      const [was, is] = [before as RunRow | undefined, this.runs.get(pk.slice(4)) as RunRow];
      this.#checkStep(was, is);
      if (was?.admitted === undefined && is.admitted !== undefined && was?.kept === undefined) admitted.push(is);
    }
    for (const run of admitted) this.#checkOrder(run);
    this.#checkLimits();
    this.#checkVms();
    this.#checkMarks();
  }

  #put(item: Item): void {
    const { pk, sk } = item;
    this.#items.set(`${pk} ${sk}`, item);
    if (sk === 'META') this.#putRow(pk, item);
    else if (pk.startsWith('AGT#') && sk.startsWith('FREE#')) this.free.add(String(item.vmId));
    else if (pk.startsWith('AGT#') && sk.startsWith('WANT#')) this.wanting.add(String(item.runId));
    else if (pk.startsWith('LIM#') && sk.startsWith('HOLD#')) this.#placesOf(pk).holders.add(sk.slice(5));
    else if (pk.startsWith('LIM#') && sk.startsWith('WAIT#')) {
      const waiter = { runId: String(item.runId), since: Number(item.since), joinedAt: this.#now() };
      this.#placesOf(pk).waiters.set(sk, waiter);
    }
  }

  #putRow(pk: string, item: Item): void {
    const id = pk.slice(pk.indexOf('#') + 1);
    if (pk.startsWith('AGT#')) this.agents.set(id, item as unknown as AgentRow);
    if (pk.startsWith('LIM#')) this.#placesOf(pk).used = Number(item.used ?? 0);
    if (pk.startsWith('RUN#')) {
      const run = item as unknown as RunRow;
      this.runs.set(id, run);
      if (isTerminal(run.status)) this.#liveRuns.delete(id);
      else this.#liveRuns.add(id);
    }
    if (pk.startsWith('VM#')) {
      const vm = item as unknown as VmRow;
      this.vms.set(id, vm);
      if (vm.status === 'terminated') this.#existingVms.delete(id);
      else this.#existingVms.add(id);
    }
  }

  #delete({ pk, sk }: Key): void {
    const item = this.#items.get(`${pk} ${sk}`);
    this.#items.delete(`${pk} ${sk}`);
    if (item === undefined) return;
    if (pk.startsWith('AGT#') && sk.startsWith('FREE#')) this.free.delete(String(item.vmId));
    if (pk.startsWith('AGT#') && sk.startsWith('WANT#')) this.wanting.delete(String(item.runId));
    if (pk.startsWith('LIM#') && sk.startsWith('HOLD#')) this.#placesOf(pk).holders.delete(sk.slice(5));
    if (pk.startsWith('LIM#') && sk.startsWith('WAIT#')) this.#placesOf(pk).waiters.delete(sk);
  }

  #placesOf(pk: string): Places {
    const limitId = pk.slice('LIM#'.length);
    const found = this.places.get(limitId) ?? { used: 0, holders: new Set<string>(), waiters: new Map() };
    this.places.set(limitId, found);
    return found;
  }

  /** A terminal state never changes (I3); versions rise by exactly one (I8). */
  #checkStep(was: RunRow | undefined, is: RunRow): void {
    if (was === undefined) return;
    if (isTerminal(was.status) && is.status !== was.status)
      this.#fail(`run ${is.id} went from ${was.status} to ${is.status}`);
    if (is.version !== was.version && is.version !== was.version + 1)
      this.#fail(`run ${is.id} went from version ${was.version} to ${is.version}`);
    if (was.vmId === undefined && is.vmId !== undefined && this.vms.get(is.vmId)?.status === 'terminated')
      this.#fail(`run ${is.id} was given to ${is.vmId}, which had been seen to be gone`);
  }

  /** Nobody who has stood in the queue for a while is overtaken by one that came much later. */
  #checkOrder(run: RunRow): void {
    for (const limitId of run.admitted ?? [])
      for (const waiter of this.places.get(limitId)?.waiters.values() ?? [])
        if (waiter.since < run.queuedAt - OVERTAKEN_MS_MAX && waiter.joinedAt < this.#now() - OVERTAKEN_MS_MAX)
          this.#fail(`run ${run.id} overtook ${waiter.runId} in ${limitId} by ${run.queuedAt - waiter.since} ms`);
  }

  /** Counter, places and what they stand for agree, and none is more than the maximum (I10). */
  #checkLimits(): void {
    const [liveRuns, vms] = [this.liveRuns(), this.existingVms()];
    for (const limit of this.limits()) {
      const { used, holders, waiters } = this.places.get(limit.id) ?? {
        used: 0,
        holders: new Set(),
        waiters: new Map(),
      };
      const admitted = liveRuns
        .filter((run) => (run.admitted ?? run.kept ?? []).includes(limit.id))
        .map(({ id }) => id);
      const standing = vms.filter((vm) => vm.places?.includes(limit.id) === true).map(({ id }) => id);
      const expected = new Set([...admitted, ...standing]);
      const scope = limit.kind === 'vms' ? vms.filter((vm) => underLimit(limit, vm)) : [];
      this.most.set(limit.id, Math.max(this.most.get(limit.id) ?? 0, used));
      if (used > limit.maximum) this.#fail(`${limit.id} counts ${used}, its maximum is ${limit.maximum}`);
      if (expected.size > limit.maximum) this.#fail(`${expected.size} hold a place under ${limit.id}`);
      if (scope.length > limit.maximum) this.#fail(`${scope.length} VMs exist under ${limit.id}`);
      if (used !== holders.size) this.#fail(`${limit.id} counts ${used}, but ${holders.size} hold a place`);
      if (!sameSet(holders, expected))
        this.#fail(`${limit.id} is held by ${list(holders)} instead of ${list(expected)}`);
      const waiting = liveRuns.filter((run) => run.waiting?.limit === limit.id).map(({ id }) => id);
      if (!sameSet(new Set([...waiters.values()].map(({ runId }) => runId)), new Set(waiting)))
        this.#fail(`the queue of ${limit.id} is not that of the runs that wait for it`);
    }
  }

  limits(): readonly Limit[] {
    const all = [...this.agents.values()].flatMap((agent) => limitsOf(this.#config, agent));
    return [...new Map(all.map((limit) => [limit.id, limit])).values()];
  }

  /** A VM has runs of one agent and tenant only, no more than its slots, and each run is on one VM (I2, I12). */
  #checkVms(): void {
    const carried = new Set<string>();
    for (const vm of this.existingVms()) {
      if (vm.slots.length > (vm.slotCount ?? 1)) this.#fail(`${vm.id} carries ${vm.slots.length} runs`);
      for (const slot of vm.slots) {
        const run = this.runs.get(slot.runId);
        if (carried.has(slot.runId)) this.#fail(`run ${slot.runId} is on two VMs`);
        carried.add(slot.runId);
        if (run?.agentId !== vm.agentId || run.tenantId !== vm.tenantId || run.agentVersion !== vm.agentVersion)
          this.#fail(`${vm.id} of ${vm.agentId} carries run ${slot.runId} of ${run?.agentId}`);
        else if (isTerminal(run.status) || run.vmId !== vm.id || run.attempt !== slot.attempt)
          this.#fail(`${vm.id} carries run ${run.id}, which is ${run.status} on ${run.vmId}`);
      }
      if (vm.reuse === 'never' && vm.slots.some((slot) => slot.runId !== vm.purpose.runId))
        this.#fail(`${vm.id} is not to be reused, and carries another run`);
    }
    for (const run of this.liveRuns())
      if (run.vmId !== undefined && !carried.has(run.id))
        this.#fail(`run ${run.id} is on ${run.vmId}, which has no slot for it`);
  }

  /** The marks say exactly who may be taken, and who wants one. */
  #checkMarks(): void {
    const free = new Set(
      this.existingVms()
        .filter(isFree)
        .map(({ id }) => id),
    );
    if (!sameSet(this.free, free)) this.#fail(`marked as free are ${list(this.free)} instead of ${list(free)}`);
    const reasons = ['capacity', 'quota'];
    const wanting = this.liveRuns().filter((run) => reasons.includes(run.waiting?.reason ?? ''));
    if (!sameSet(this.wanting, new Set(wanting.map(({ id }) => id))))
      this.#fail('the wanting marks are not those of the runs');
    for (const run of wanting) if (run.vmId !== undefined) this.#fail(`run ${run.id} has a VM and waits for one`);
  }
}

const underLimit = (limit: Limit, vm: VmRow): boolean =>
  limit.scope === 'agent' ? limit.id.endsWith(vm.agentId) : limit.id.endsWith(vm.tenantId);

const sameSet = (left: ReadonlySet<unknown>, right: ReadonlySet<unknown>): boolean =>
  left.size === right.size && [...left].every((each) => right.has(each));

const list = (set: ReadonlySet<unknown>): string => `[${[...set].join(', ')}]`;

function updated(before: Item, write: Extract<Write, { kind: 'update' }>): Item {
  const after: Record<string, Item[string]> = { ...before };
  for (const [name, value] of Object.entries(write.set ?? {})) {
    if (value === undefined) delete after[name];
    else after[name] = value;
  }
  for (const [name, value] of Object.entries(write.add ?? {})) after[name] = Number(after[name] ?? 0) + value;
  return after as Item;
}
