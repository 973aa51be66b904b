/** What the tests of VMs share: runs on VMs that are kept, marks and places as the table says, and executions by hand. */
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { VmRow } from '../../../core/vms/model.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import type { World } from '../../support/world.ts';
import { ended, entry, type FakeRunner, running, SECOND, startingFrom, vmRow } from '../support.ts';

export const CANCEL = { by: 'test', reason: 'test', cause: 'request' } as const;
export const GONE = { status: 'terminated', detail: 'the fleet says that it is gone' } as const;
export const any = { kind: 'any' } as const;
export const none = { kind: 'none' } as const;

type AgentOverrides = Parameters<World['agent']>[0];

/** Each a little later than the one before: so their order is known. */
export async function newRun(world: World, agentId: string, ports = world.ports): Promise<string> {
  world.now += 10;
  return (await createRun(ports, world.caller, agentId, {})).id;
}

/** A run on a VM of its own, which has been seen at work. */
export async function atWork(world: World, agentId: string) {
  const started = await startingFrom(world, await newRun(world, agentId));
  await started.runner.beat();
  await started.runner.beat([running(started.id)]);
  return started;
}

/** A VM that has done its first run and is kept for the next one. */
export async function warmVm(world: World, overrides: AgentOverrides = {}) {
  const agent = await world.agent({ warmFor: 'PT10M', ...overrides });
  const first = await atWork(world, agent.id);
  await endOf(first.runner, first.id);
  return { agent, agentId: agent.id, vmId: first.vmId, runner: first.runner, firstRun: first.id };
}

export const endOf = (runner: FakeRunner, runId: string, attempt = 1) =>
  runner.beat([ended(runId, { attempt, exitCode: 0 })]);
export const refusalOf = (runner: FakeRunner, runId: string) =>
  runner.beat([entry(runId, 'not_started', { detail: 'no' })]);

export const watchdog = (world: World) => tick(world.ports, { owner: 'test', budgetMs: 60_000 });

/** Time goes by for a VM that reports as it should, and the watchdog looks as often as it does. */
export async function passes(
  world: World,
  seconds: number,
  runner?: FakeRunner,
  registry = () => [running('')].slice(1),
) {
  for (let passed = 0; passed < seconds; passed += 20) {
    world.now += Math.min(20, seconds - passed) * SECOND;
    await runner?.beat(registry());
    await watchdog(world);
  }
}

const idsUnder = async (world: World, pk: string, prefix: string, name: string): Promise<readonly string[]> =>
  (await world.ports.store.query({ pk, prefix, limit: 100 })).items.map((item) => String(item[name]));

/** The VMs that are marked as free. */
export const freeMarks = (world: World, agentId: string) => idsUnder(world, keys.agent(agentId).pk, 'FREE#', 'vmId');
/** The runs that want a VM as soon as one is free. */
export const wantMarks = (world: World, agentId: string) => idsUnder(world, keys.agent(agentId).pk, 'WANT#', 'runId');

/** Counter, holders and waiters of a limit. */
export async function places(world: World, limitId: string) {
  const { pk } = keys.limit(limitId);
  const holders = await world.ports.store.query({ pk, prefix: 'HOLD#', limit: 100 });
  return {
    used: Number((await world.ports.store.get(keys.limit(limitId)))?.used ?? 0),
    holders: holders.items.map(({ sk }) => sk.slice('HOLD#'.length)),
    waiters: await idsUnder(world, pk, 'WAIT#', 'runId'),
  };
}

export const placed = (world: World) => world.executions.map(({ input }) => `${input.runId}-${input.attempt}`);

export async function runsOn(world: World, vmId: string): Promise<readonly string[]> {
  return (await vmRow(world, vmId)).slots.map(({ runId }) => runId);
}

/** The VM is seen to be gone at the next look. */
export function dies(world: World, vm: Pick<VmRow, 'id'> | string): void {
  world.observations.set(typeof vm === 'string' ? vm : vm.id, GONE);
}
