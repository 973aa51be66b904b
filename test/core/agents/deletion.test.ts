import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deleteAgent, getAgent } from '../../../core/agents/service.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import type { Ports } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { IndexRange } from '../../../core/table/model.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, eventsOf, finishAs, runRow, storeWith } from '../support.ts';
import { atWork, newRun } from '../vms/support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const remove = (agentId: string, cancelRuns: boolean, ports: Ports = world.ports) =>
  deleteAgent(ports, world.caller, agentId, any, { cancelRuns });
const fanOut = async (agentId: string) => {
  for (const event of await eventsOf(world, keys.agent(agentId).pk)) await handleEvent(world.ports, event);
};
const statuses = async (ids: readonly string[]) => [
  ...new Set(await Promise.all(ids.map(async (id) => (await runRow(world, id)).status))),
];

/** An index that answers few entries at a time, as a large one does. */
function inSmallPages(ports: Ports): Ports {
  const queryIndex = (range: IndexRange) => ports.store.queryIndex({ ...range, limit: 2 });
  return { ...ports, store: storeWith(ports.store, { queryIndex }) };
}

describe('the delete of an agent', () => {
  it('is refused while a run is live, however many later ones have ended, with the first few and their number', async () => {
    const { id: agentId } = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const { id: oldest } = await atWork(world, agentId);
    const waiting: string[] = [];
    for (let count = 0; count < 25; count++) waiting.push(await newRun(world, agentId));
    const refusal = await remove(agentId, false, inSmallPages(world.ports)).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'live_runs', message: `Agent ${agentId} has 26 live runs.` });
    const { runs, runCount } = (refusal as { facts: { runs: unknown[]; runCount: number } }).facts;
    expect([runs.length, runCount]).toEqual([20, 26]);

    for (const id of waiting) await finishAs(world, id);

    await expect(remove(agentId, false, inSmallPages(world.ports))).rejects.toMatchObject({
      facts: { runs: [{ runId: oldest, status: 'running' }], runCount: 1 },
    });
  });

  it('is not held up by runs of other agents', async () => {
    await atWork(world, (await world.agent()).id);
    const { id } = await world.agent();
    await remove(id, false);
    await expect(getAgent(world.ports, world.caller, id)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('cancels all of its runs, those that are too many for one request by its event', async () => {
    const { id: agentId } = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const ids: string[] = [];
    for (let count = 0; count < 105; count++) ids.push(await newRun(world, agentId));
    await remove(agentId, true, inSmallPages(world.ports));
    expect(await statuses(ids)).toContain('cancelled');
    await fanOut(agentId);
    await fanOut(agentId);
    expect(await statuses(ids)).toEqual(['cancelled']);
  });

  it('has its runs cancelled by its event where the request died after the commit', async () => {
    const { id: agentId } = await world.agent();
    const { id } = await atWork(world, agentId);
    const crash = new Error('killed');
    const transact = async (writes: Parameters<typeof world.ports.store.transact>[0]) => {
      await world.ports.store.transact(writes);
      throw crash;
    };
    const dies = { ...world.ports, store: storeWith(world.ports.store, { transact }) };
    await expect(remove(agentId, true, dies)).rejects.toBe(crash);
    expect((await runRow(world, id)).status).toBe('running');

    await fanOut(agentId);

    expect((await runRow(world, id)).status).toBe('cancelling');
  });

  it('cancels nothing where that was not asked for', async () => {
    const { id: agentId } = await world.agent();
    // The index does not show yet what has just begun.
    const blind = { ...world.ports, store: storeWith(world.ports.store, { queryIndex: async () => ({ items: [] }) }) };
    const { id } = await atWork(world, agentId);
    await remove(agentId, false, blind);
    await fanOut(agentId);
    expect((await runRow(world, id)).status).toBe('running');
  });
});
