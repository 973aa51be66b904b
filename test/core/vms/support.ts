/** What the tests of VMs share: runs on VMs that are kept, marks and places as the table says, and executions by hand. */
import { expect } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { VmRow } from '../../../core/vms/model.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import type { World } from '../../support/world.ts';
import { ended, entry, type FakeRunner, running, SECOND, startingFrom, vmRow } from '../support.ts';

export const CANCEL = { by: 'test', reason: 'test', cause: 'request' } as const;
export const GONE = { status: 'terminated', detail: 'the fleet says that it is gone' } as const;

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

/** A run on a VM with two slots, which was told to end and does not. */
export async function stuckRun(world: World, overrides: AgentOverrides = {}) {
  const agent = await world.agent({ slots: 2, ...overrides });
  const { id, vmId, runner } = await atWork(world, agent.id);
  await cancelRun(world.ports, world.caller, id, CANCEL);
  await runner.beat([running(id)]);
  return { agentId: agent.id, id, vmId, runner };
}

/** Another run of the same agent is given to a VM; its start waits to be sent. */
export async function givenTo(world: World, { agentId, vmId }: { readonly agentId: string; readonly vmId: string }) {
  const other = await newRun(world, agentId);
  expect(await claimDispatch(world.ports, other, 1, vmId)).not.toBe('vm_unfit');
  return other;
}

/** A run that was told to end and does not, and another one at work beside it. */
export async function stuckBesideOther(world: World) {
  const at = await stuckRun(world);
  const other = await givenTo(world, at);
  const beat = () => at.runner.beat([running(at.id), running(other)]);
  await at.runner.beat([running(at.id)]);
  await beat();
  return { ...at, other, beat };
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
