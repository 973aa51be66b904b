/** One tick among many things at once: poison, a service that hangs, a flood, a table that does not answer. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StoreUnavailable } from '../../../core/errors.ts';
import { readSystem } from '../../../core/system.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { checkPartition } from '../../../core/table/keys.ts';
import type { Key } from '../../../core/table/model.ts';
import { DueQueue } from '../../../core/watchdog/due.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { apiRun, MINUTE, running, runningRun, runRow, SECOND, storeWith, upTo, vmRow } from '../support.ts';
import { dies } from '../vms/support.ts';
import { type Line, Scene } from './scene.ts';

const options = { owner: 'test', budgetMs: 60_000 };

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const keyOfLine = ({ detail }: Line): string => String(detail.key);

const poison = (runId: string) =>
  world.ports.store.transact([{ kind: 'update', key: keys.run(runId), set: { schemaVersion: 99 }, guards: [] }]);

describe('poison', () => {
  /** What a fault, a newer program or a hand on the table may leave in the index; the row's rule cannot read it. */
  const DAMAGE = {
    'written by a newer Candor': { schemaVersion: 99 },
    'without a version': { schemaVersion: undefined },
    'of no known status': { status: 'asleep' },
    'without a status': { status: undefined },
    'with text where a list was': { slots: 'none', liveRuns: 'none', buffer: 3, waiting: 'soon' },
    'with text where numbers were': { deadlineAt: 'tomorrow', attempt: 'one', version: 'new' },
  } as const;

  it.each(Object.entries(DAMAGE))('%s, of every kind, costs nothing of any kind its tick', async (_how, damage) => {
    const scene = new Scene(world);
    const damaged: string[] = [];
    const spoil = async ({ pk, sk }: Key) => {
      damaged.push(pk);
      await world.ports.store.transact([{ kind: 'update', key: { pk, sk }, set: damage, guards: [] }]);
    };
    const spoiled = await runningRun(world);
    const schedules = [await world.schedule((await world.agent()).id), await world.schedule((await world.agent()).id)];
    await spoil(keys.run((await apiRun(world)).id));
    await spoil(keys.vm(spoiled.vmId));
    await spoil(keys.schedule(schedules[0]?.id ?? ''));
    // An entry of the index that belongs to no kind.
    const noKind = { pk: 'NOBODY#1', sk: 'META', checkIn: checkPartition('RUN', 0), checkAt: world.now };
    await world.ports.store.transact([{ kind: 'put', item: { ...noKind, tenantId: 'local', schemaVersion: 1 } }]);
    damaged.push(noKind.pk);
    const due = await apiRun(world, { limits: { startTimeout: 'PT7M' } });
    const dead = await runningRun(world);
    dies(world, dead.vmId);
    world.clocks.clear();
    // Two minutes after the first occurrence all three are due in the same tick.
    for (let tick = 0; tick < 7; tick++) {
      world.now += 50 * SECOND;
      await dead.runner.beat([running(dead.id)]);
      await scene.look();
    }
    const well = [due.id, dead.vmId, schedules[1]?.id ?? ''];
    const seenTo = () =>
      scene.lines.flatMap(({ message, detail }) =>
        message === 'watchdog.recovered' && well.includes(String(detail.subject)) ? [detail.subject] : [],
      );
    expect(seenTo()).toEqual([]);
    world.now += 70 * SECOND;
    await scene.look();
    expect(seenTo().sort()).toEqual([...well].sort());
    expect((await runRow(world, due.id)).status).toBe('failed');
    expect((await runRow(world, dead.id)).status).toBe('lost');
    // Reported by key: in the log, and counted.
    const told = new Set(scene.lines.filter(({ message }) => message === 'watchdog.item_failed').map(keyOfLine));
    const failures = world.measured.filter(({ name }) => name === 'WatchdogItemFailures');
    expect(failures.some(({ value }) => value > 0)).toBe(true);
    expect(damaged).toEqual(expect.arrayContaining([...told]));
    expect([...told]).toContain(noKind.pk);
    if ('schemaVersion' in damage && damage.schemaVersion === 99) expect(told).toEqual(new Set(damaged));
  });

  it('of every kind costs the others nothing, is reported, and is looked at less and less often', async () => {
    const unreadable = await apiRun(world);
    await poison(unreadable.id);
    const { vmId, id } = await runningRun(world);
    const due = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
    world.now += MINUTE;
    const deaf = {
      ...world.ports,
      fleet: { ...world.ports.fleet, observe: async () => Promise.reject(new Error('throttled')) },
    };
    const report = await tick(deaf, options);
    expect([...report.poison].sort()).toEqual([keys.run(unreadable.id).pk, keys.vm(vmId).pk].sort());
    expect(report.failures).toBe(2);
    // Every tenant reads how many they are, and none reads which (I12).
    const { parts } = await readSystem(world.ports);
    expect(parts.find(({ name }) => name === 'watchdog')?.detail.poison).toBe(2);
    expect(JSON.stringify(parts)).not.toMatch(/RUN#|VM#|run_|vm_/);
    expect((await runRow(world, due.id)).status).toBe('failed');
    expect((await runRow(world, id)).status).toBe('running');
    expect(world.measured).toContainEqual({ name: 'WatchdogItemFailures', value: 2, dimensions: {} });
    const waits: number[] = [];
    for (let round = 0; round < 6; round++) {
      const row = await runRow(world, unreadable.id);
      waits.push((row.checkAt ?? 0) - world.now);
      world.now = row.checkAt ?? world.now;
      await tick(deaf, options);
    }
    expect(waits).toEqual([1, 2, 4, 8, 15, 15].map((intervals) => intervals * MINUTE));
  });

  it('that heals is forgotten: its next failure waits no longer than a first one', async () => {
    const { vmId } = await runningRun(world);
    const { fleet } = world.ports;
    const deaf = { ...world.ports, fleet: { ...fleet, observe: async () => Promise.reject(new Error('throttled')) } };
    world.now += MINUTE;
    await tick(deaf, options);
    expect(await world.ports.store.get(keys.vm(vmId))).toMatchObject({ checkFailures: 1 });
    world.now += MINUTE;
    await tick(world.ports, options);
    expect((await world.ports.store.get(keys.vm(vmId)))?.checkFailures).toBeUndefined();
  });
});

it('what an index that lags still shows is not put off: its look comes when it is due', async () => {
  const { store } = world.ports;
  const { id } = await apiRun(world);
  await poison(id);
  const seenAt = Number((await store.get(keys.run(id)))?.checkAt);
  world.now = seenAt;
  const moved = { checkAt: world.now + 20 * SECOND };
  await store.transact([{ kind: 'update', key: keys.run(id), set: moved, guards: [] }]);
  const lagging = storeWith(store, {
    queryIndex: async ({ partition, ...range }) =>
      partition === checkPartition('RUN', 0)
        ? { items: [{ ...keys.run(id), sort: seenAt }] }
        : store.queryIndex({ ...range, partition }),
  });
  const { poison: found } = await tick({ ...world.ports, store: lagging }, options);
  expect(found).toContain(keys.run(id).pk);
  const after = await store.get(keys.run(id));
  expect(after?.checkAt).toBe(moved.checkAt);
  expect(after?.checkFailures).toBeUndefined();
});

it('a service that one kind waits for keeps no other waiting', async () => {
  const { vmId } = await runningRun(world);
  const due = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
  world.now += MINUTE;
  const hangs = Promise.withResolvers<never>();
  hangs.promise.catch(() => undefined);
  const slow = { ...world.ports, fleet: { ...world.ports.fleet, observe: () => hangs.promise } };
  const ticking = tick(slow, options);
  await expect.poll(async () => (await runRow(world, due.id)).status, { timeout: 20_000 }).toBe('failed');
  expect((await vmRow(world, vmId)).status).toBe('ready');
  hangs.reject(new Error('it never answered'));
  expect((await ticking).failures).toBe(1);
});

describe('what is due', () => {
  it('is taken the longest overdue first, over all shards and pages', async () => {
    world = await engine.world({ checkShards: 4, watchdogBatch: 2 });
    const order: string[] = [];
    for (const _each of upTo(9)) {
      order.push(keys.run((await apiRun(world)).id).pk);
      world.now += SECOND;
    }
    const queue = new DueQueue(world.ports, 'RUN', world.now + MINUTE, {});
    const taken: string[] = [];
    for (let entry = await queue.take(); entry !== undefined; entry = await queue.take()) taken.push(entry.pk);
    expect(taken).toEqual(order);
    expect(queue.resumePoint()).toEqual({});
  });

  it('goes on at the next tick from where this one stopped, though what it met first cannot be moved', async () => {
    world = await engine.world({ checkShards: 1, watchdogBatch: 2, watchdogLanes: 1 });
    const stuck = [await apiRun(world), await apiRun(world)].map(({ id }) => keys.run(id).pk);
    world.now += SECOND;
    const behind = [await apiRun(world, { limits: { startTimeout: 'PT1M' } }), await apiRun(world)];
    world.now += 2 * MINUTE;
    // They cost all the time that there is, and not even their check can be put off.
    const slow = {
      ...world.ports,
      store: storeWith(world.ports.store, {
        get: async (key) => {
          if (!stuck.includes(key.pk)) return world.ports.store.get(key);
          world.now += 10 * SECOND;
          throw new Error('damaged');
        },
      }),
    };
    expect(await tick(slow, { owner: 'test', budgetMs: 5 * SECOND })).toMatchObject({ looked: 1, leftOver: true });
    await tick(slow, { owner: 'test', budgetMs: 5 * SECOND });
    expect((await runRow(world, behind[0]?.id ?? '')).status).toBe('failed');
  });
});

describe('a table that does not answer', () => {
  it('makes the watchdog hold for a lease: heartbeats were lost too', async () => {
    const { id, vmId } = await runningRun(world);
    await tick(world.ports, options);
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    const other = await apiRun(world);
    world.now += 30 * SECOND;
    const throttled = {
      ...world.ports,
      store: storeWith(world.ports.store, {
        get: async (key) => {
          if (key.pk === keys.run(other.id).pk) throw new StoreUnavailable();
          return world.ports.store.get(key);
        },
      }),
    };
    expect((await tick(throttled, options)).failures).toBe(1);
    world.now += 40 * SECOND;
    // Its lease has run out by now, and the fleet would say that it is gone.
    expect(await tick(world.ports, options)).toMatchObject({ holding: true, actions: [] });
    expect((await runRow(world, id)).status).toBe('running');
    world.now += 10 * SECOND;
    await tick(world.ports, options);
    expect((await runRow(world, id)).status).toBe('lost');
  });
});
