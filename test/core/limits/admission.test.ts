import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { patchAgent } from '../../../core/agents/service.ts';
import { admitRun } from '../../../core/limits/admit.ts';
import { admitWaiting } from '../../../core/limits/next.ts';
import type { Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { createRun, getRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { eventsOf, finishAs, interleaved, MINUTE, runRow, SECOND, storeWith, upTo } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const limited = (maxConcurrentRuns: number, of = world) => of.agent({ limits: { maxConcurrentRuns } });
const order = { by: 'test', reason: 'test', cause: 'request' } as const;
const agentLimit = (agentId: string) => `agent#${agentId}`;

async function create(agentId: string, ports: Ports = world.ports): Promise<string> {
  world.now += SECOND;
  return (await createRun(ports, world.caller, agentId, {})).id;
}

/** What the limit's items say: the counter, who holds, who waits in which order. */
async function places(limitId: string, of = world) {
  const { pk } = keys.limit(limitId);
  const row = await of.ports.store.get(keys.limit(limitId));
  const holders = await of.ports.store.query({ pk, prefix: 'HOLD#', limit: 1000 });
  const waiters = await of.ports.store.query({ pk, prefix: 'WAIT#', limit: 1000 });
  return {
    used: Number(row?.used ?? 0),
    holders: holders.items.map((item) => String(item.runId)),
    waiters: waiters.items.map((item) => String(item.runId)),
  };
}

const placed = () => world.executions.map((execution) => execution.input.runId);

describe('a limit of an agent', () => {
  it('lets in as many as it allows; the next one waits and says for what', async () => {
    const agent = await limited(2);
    const [first, second, third] = [await create(agent.id), await create(agent.id), await create(agent.id)];
    expect(placed()).toEqual([first, second]);
    expect(await places(agentLimit(agent.id))).toEqual({
      used: 2,
      holders: [first, second].toSorted(),
      waiters: [third],
    });
    const body = await getRun(world.ports, world.caller, third ?? '');
    expect(body).toMatchObject({
      status: 'queued',
      waiting: { reason: 'agent_limit', position: 1, blockedBy: [first, second].toSorted() },
    });
    expect(body.deadlineAt).toBeUndefined();
  });

  it('passes a place on in the order in which the runs were queued', async () => {
    const agent = await limited(1);
    const ids: string[] = [];
    for (const _ of upTo(4)) ids.push(await create(agent.id));
    expect((await getRun(world.ports, world.caller, ids[3] ?? '')).waiting).toMatchObject({ position: 3 });
    for (const id of ids) await finishAs(world, id);
    expect(placed()).toEqual(ids);
    expect(await places(agentLimit(agent.id))).toEqual({ used: 0, holders: [], waiters: [] });
  });

  it('counts the start timeout from the admission', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1, startTimeout: 'PT1M' } });
    const [first, second] = [await create(agent.id), await create(agent.id)];
    world.now += 60 * MINUTE;
    await finishAs(world, first ?? '');
    expect((await runRow(world, second ?? '')).deadlineAt).toBe(world.now + MINUTE);
  });

  it('leaves events without gaps (I13)', async () => {
    const agent = await limited(1);
    const [first = '', second = ''] = [await create(agent.id), await create(agent.id)];
    await finishAs(world, first);
    await finishAs(world, second);
    const events = await eventsOf(world, keys.run(second).pk);
    expect(events.map((event) => event.type)).toEqual(['run.queued', 'run.waiting', 'run.admitted', 'run.succeeded']);
    expect(events.map((event) => event.sequence)).toEqual([1, 2, 3, 4]);
  });

  it('has no counter and costs nothing where none is set', async () => {
    const agent = await world.agent();
    const id = await create(agent.id);
    expect((await runRow(world, id)).version).toBe(1);
    expect(await places(agentLimit(agent.id))).toEqual({ used: 0, holders: [], waiters: [] });
  });

  it('is not exceeded when two runs are admitted at the same instant (I10)', async () => {
    const agent = await limited(1);
    const rival = () => create(agent.id);
    const ports = interleaved(world, rival, keys.limit(agentLimit(agent.id)));
    await create(agent.id, ports);
    expect(await places(agentLimit(agent.id))).toMatchObject({ used: 1, waiters: [expect.any(String)] });
    expect(placed()).toHaveLength(1);
  });

  it('is looked at once more by who begins to wait: the last one to free a place found nobody (I14)', async () => {
    const agent = await limited(1);
    const first = await create(agent.id);
    let joined = false;
    const store = storeWith(world.ports.store, {
      transact: async (writes) => {
        const joins = writes.some((write) => write.kind === 'put' && write.item.sk.startsWith('WAIT#'));
        if (joins && !joined) {
          joined = true;
          await finishAs(world, first);
        }
        return world.ports.store.transact(writes);
      },
    });
    const second = await create(agent.id, { ...world.ports, store });
    expect(joined).toBe(true);
    expect(placed()).toEqual([first, second]);
  });

  it('gives back what a cancelled waiting run stood for, and nothing twice', async () => {
    const agent = await limited(1);
    const [first = '', second = '', third = ''] = [
      await create(agent.id),
      await create(agent.id),
      await create(agent.id),
    ];
    await cancelRun(world.ports, world.caller, second, order);
    expect(await places(agentLimit(agent.id))).toEqual({ used: 1, holders: [first], waiters: [third] });
    await finishAs(world, first);
    await finishAs(world, first);
    expect(await places(agentLimit(agent.id))).toEqual({ used: 1, holders: [third], waiters: [] });
  });

  it('lets in who waits when it is raised or taken away', async () => {
    const agent = await limited(1);
    const ids: string[] = [];
    for (const _ of upTo(5)) ids.push(await create(agent.id));
    await patchAgent(world.ports, world.caller, agent.id, { limits: { maxConcurrentRuns: 3 } }, { kind: 'any' });
    expect(placed()).toEqual(ids.slice(0, 3));
    await patchAgent(world.ports, world.caller, agent.id, { limits: null }, { kind: 'any' });
    expect(placed()).toEqual(ids);
    for (const id of ids) await finishAs(world, id);
    expect(await places(agentLimit(agent.id))).toEqual({ used: 0, holders: [], waiters: [] });
  });

  it('is passed on by the watchdog where the one that freed a place crashed', async () => {
    const agent = await limited(1);
    const [first = '', second = ''] = [await create(agent.id), await create(agent.id)];
    const deaf = storeWith(world.ports.store, {
      query: (range) =>
        range.pk.startsWith('LIM#') ? Promise.reject(new Error('crash')) : world.ports.store.query(range),
    });
    const crashed: World = { ...world, ports: { ...world.ports, store: deaf } };
    await finishAs(crashed, first);
    expect(placed()).toEqual([first]);
    world.now += 2 * MINUTE;
    await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
    expect(placed()).toEqual([first, second]);
  });

  it('places by the watchdog what was admitted by somebody who crashed before its placement', async () => {
    const agent = await limited(1);
    const workflow = { ...world.ports.workflow, start: () => Promise.reject(new Error('crash')) };
    await create(agent.id, { ...world.ports, workflow });
    const { holders } = await places(agentLimit(agent.id));
    expect(holders).toHaveLength(1);
    world.now += MINUTE;
    await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
    await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
    expect(placed()).toEqual(holders);
  });

  it('does nothing when an admission is repeated', async () => {
    const agent = await limited(1);
    const [first = '', second = ''] = [await create(agent.id), await create(agent.id)];
    const before = [await runRow(world, first), await runRow(world, second)];
    await admitRun(world.ports, first);
    await admitRun(world.ports, second);
    await admitWaiting(world.ports, agentLimit(agent.id));
    expect([await runRow(world, first), await runRow(world, second)]).toEqual(before);
  });
});

describe('a limit of the tenant', () => {
  it('holds over agents, and beside the limit of an agent', async () => {
    world = await engine.world({ checkShards: 1, maxConcurrentRunsPerTenant: 2 });
    const [narrow, wide] = [await limited(1), await world.agent()];
    const first = await create(narrow.id);
    const second = await create(narrow.id);
    const third = await create(wide.id);
    const fourth = await create(wide.id);
    expect(placed()).toEqual([first, third]);
    expect((await runRow(world, second)).waiting?.reason).toBe('agent_limit');
    expect((await runRow(world, fourth)).waiting?.reason).toBe('tenant_limit');
    await finishAs(world, third);
    expect(placed()).toEqual([first, third, fourth]);
    await finishAs(world, first);
    expect(placed()).toEqual([first, third, fourth, second]);
    await finishAs(world, second);
    await finishAs(world, fourth);
    expect(await places(`tenant#${world.caller.tenantId}`)).toEqual({ used: 0, holders: [], waiters: [] });
    expect(await places(agentLimit(narrow.id))).toEqual({ used: 0, holders: [], waiters: [] });
  });
});

describe('many runs at once', () => {
  it('never exceed the limit, are never overtaken by much, and leave nothing behind (I10)', async () => {
    const agent = await limited(3);
    const limitId = agentLimit(agent.id);
    let most = 0;
    const store = storeWith(world.ports.store, {
      transact: async (writes) => {
        await world.ports.store.transact(writes);
        const { used, holders } = await places(limitId);
        most = Math.max(most, used, holders.length);
      },
    });
    const busy: World = { ...world, ports: { ...world.ports, store } };
    const ids = await Promise.all(upTo(30).map(() => create(agent.id, busy.ports)));
    const open = new Set(ids);
    while (open.size > 0) {
      const { holders, waiters } = await places(limitId);
      expect(holders.length).toBeGreaterThan(0);
      const cancelled = waiters.at(-1);
      await Promise.all([
        ...holders.map((id) => finishAs(busy, id)),
        ...(cancelled === undefined
          ? []
          : [cancelRun(busy.ports, world.caller, cancelled, order).catch(() => undefined)]),
      ]);
      for (const id of open) if ((await runRow(world, id)).endedAt !== undefined) open.delete(id);
    }
    expect(most).toBe(3);
    expect(await places(limitId)).toEqual({ used: 0, holders: [], waiters: [] });
  });
});
