/** What the core's tests share: a VM that is driven by hand, rows as they stand, and races that happen every time. */
import type { RegistryEntry } from '../../core/contract/runner.ts';
import type { ExecutionInput, Ports, Store } from '../../core/ports.ts';
import { finishRun } from '../../core/runs/finish.ts';
import type { EventRow, RunRow } from '../../core/runs/model.ts';
import { createRun } from '../../core/runs/service.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Item, Key, Write } from '../../core/table/model.ts';
import { heartbeat } from '../../core/vms/heartbeat.ts';
import type { VmRow } from '../../core/vms/model.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { registerRunner } from '../../core/vms/register.ts';
import type { World } from '../support/world.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const page = { limit: 100 };
export const any = { kind: 'any' } as const;
export const none = { kind: 'none' } as const;

const rowOf =
  <Row>(keyOf: (id: string) => Key) =>
  async (world: World, id: string): Promise<Row> => {
    const item = await world.ports.store.get(keyOf(id));
    if (item === undefined) throw new Error(`there is no item of ${id}`);
    return item as unknown as Row;
  };

export const runRow = rowOf<RunRow>(keys.run);
export const vmRow = rowOf<VmRow>(keys.vm);
export const scheduleRow = rowOf<ScheduleRow>(keys.schedule);

export async function eventsOf(world: World, pk: string): Promise<readonly EventRow[]> {
  const found = await world.ports.store.query({ pk, prefix: 'EVT#', limit: 500 });
  return found.items as unknown as readonly EventRow[];
}

export const upTo = (last: number): readonly number[] => Array.from({ length: last }, (_, index) => index + 1);

export async function apiRun(
  world: World,
  overrides: Parameters<World['agent']>[0] = {},
): Promise<{ readonly input: ExecutionInput; readonly id: string }> {
  const agent = await world.agent(overrides);
  const run = await createRun(world.ports, world.caller, agent.id, { some: 'input' });
  return { id: run.id, input: { tenantId: world.caller.tenantId, runId: run.id, attempt: 1 } };
}

let nonces = 0;
export const newNonce = (): string => `nonce-${String(++nonces).padStart(20, '0')}`;

/** One runner's end of the wire: it registers, reports, and acknowledges all commands that it has seen. */
export class FakeRunner {
  readonly world: World;
  readonly vmId: string;
  generation = 0;
  seq = 0;
  acks = 0;
  nonce = newNonce();

  constructor(world: World, vmId: string) {
    this.world = world;
    this.vmId = vmId;
  }

  async register(ports: Ports = this.world.ports): Promise<void> {
    const answer = await registerRunner(
      ports,
      { kind: 'registration', tenantId: this.world.caller.tenantId, vmId: this.vmId },
      { vmId: this.vmId, nonce: this.nonce, runnerVersion: 'test' },
    );
    if (answer.generation !== this.generation) this.seq = 0;
    this.generation = answer.generation;
  }

  async beat(registry: readonly RegistryEntry[] = [], ports: Ports = this.world.ports) {
    this.seq++;
    const answer = await this.send(registry, this.seq, this.acks, ports);
    this.acks = Math.max(this.acks, ...answer.commands.map((command) => command.number));
    return answer;
  }

  /** A heartbeat exactly as said: replays and late ones. */
  send(registry: readonly RegistryEntry[], seq: number, acks: number, ports: Ports = this.world.ports) {
    return heartbeat(
      ports,
      { kind: 'vm', tenantId: this.world.caller.tenantId, vmId: this.vmId, generation: this.generation },
      { vmId: this.vmId, generation: this.generation, seq, registry: [...registry], acks },
    );
  }
}

export const entry = (
  runId: string,
  state: RegistryEntry['state'],
  more: Partial<RegistryEntry> = {},
): RegistryEntry => ({
  runId,
  attempt: 1,
  state,
  ...more,
});
export const running = (runId: string, startedAgoMs = 100): RegistryEntry =>
  entry(runId, 'running', { pid: 4711, startedAgoMs });
export const ended = (runId: string, more: Partial<RegistryEntry> = { exitCode: 0 }): RegistryEntry =>
  entry(runId, 'ended', { pid: 4711, startedAgoMs: 2000, endedAgoMs: 10, ...more });

/** A run whose VM is launched and registered: it is `starting`, and the start command waits. */
export async function startingRun(world: World, overrides: Parameters<World['agent']>[0] = {}) {
  const run = await apiRun(world, overrides);
  return startingFrom(world, run.id);
}

export async function startingFrom(world: World, runId: string) {
  const input: ExecutionInput = { tenantId: world.caller.tenantId, runId, attempt: 1 };
  const { vmId } = await launchVm(world.ports, input);
  const runner = new FakeRunner(world, vmId);
  await runner.register();
  return { id: runId, input, vmId, runner };
}

export async function runningRun(world: World, overrides: Parameters<World['agent']>[0] = {}) {
  const started = await startingRun(world, overrides);
  await started.runner.beat();
  await started.runner.beat([running(started.id)]);
  return started;
}

/** Another VM at work: while it reports, the silence of one says something about that one. */
export async function heardBeside(world: World): Promise<(ports?: Ports) => Promise<unknown>> {
  const { id, runner } = await runningRun(world);
  return (ports) => runner.beat([running(id)], ports);
}

export const finishAs = (world: World, runId: string, status: 'succeeded' | 'failed' = 'succeeded') =>
  finishRun(
    world.ports,
    runId,
    { status, evidence: { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' } },
    { attempt: 1 },
  );

/** A store with its own reactions; what is not named goes to the real one. */
export const storeWith = (store: Store, parts: Partial<Store>): Store => ({
  get: parts.get ?? ((key) => store.get(key)),
  getMany: parts.getMany ?? ((wanted) => store.getMany(wanted)),
  query: parts.query ?? ((range) => store.query(range)),
  queryIndex: parts.queryIndex ?? ((range) => store.queryIndex(range)),
  transact: parts.transact ?? ((writes) => store.transact(writes)),
});

const touches = (writes: readonly Write[], key: Key): boolean =>
  writes.some((write) => {
    const at = write.kind === 'put' ? write.item : write.key;
    return at.pk === key.pk && at.sk === key.sk;
  });

/**
 * The victim's ports: just before its first transaction that touches `key` (or any), after all of its reads, the rival
 * runs to its end. So the worst interleaving happens every time.
 */
export function interleaved(
  world: World,
  rival: () => Promise<unknown>,
  key?: Key,
  applies: (writes: readonly Write[]) => boolean = () => true,
): Ports {
  let done = false;
  const store = storeWith(world.ports.store, {
    transact: async (writes) => {
      if (!done && applies(writes) && (key === undefined || touches(writes, key))) {
        done = true;
        await rival();
      }
      return world.ports.store.transact(writes);
    },
  });
  return { ...world.ports, store };
}

/** The victim's ports: right after its first query of that partition, from when on `isTime`, the rival runs to its end. */
export function afterQuery(
  world: World,
  pk: string,
  rival: () => Promise<unknown>,
  isTime = () => Promise.resolve(true),
): Ports {
  let done = false;
  const store = storeWith(world.ports.store, {
    query: async (range) => {
      const page = await world.ports.store.query(range);
      if (done || range.pk !== pk || !(await isTime())) return page;
      done = true;
      await rival();
      return page;
    },
  });
  return { ...world.ports, store };
}

/** The victim's ports: right after its first read of `key` the rival runs to its end. */
export function afterRead(world: World, key: Key, rival: () => Promise<unknown>): Ports {
  let done = false;
  const react = async (read: readonly Key[]) => {
    if (done || !read.some((each) => each.pk === key.pk && each.sk === key.sk)) return;
    done = true;
    await rival();
  };
  const store = storeWith(world.ports.store, {
    get: async (wanted) => {
      const item = await world.ports.store.get(wanted);
      await react([wanted]);
      return item;
    },
    getMany: async (wanted): Promise<readonly (Item | undefined)[]> => {
      const items = await world.ports.store.getMany(wanted);
      await react(wanted);
      return items;
    },
  });
  return { ...world.ports, store };
}
