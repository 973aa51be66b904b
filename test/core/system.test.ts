/** System status: what the parts said of themselves, how fresh that is, and nothing else. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { StoreUnavailable } from '../../core/errors.ts';
import { handleEvent } from '../../core/notifications/fanOut.ts';
import { fire } from '../../core/schedules/fire.ts';
import { firedInTime } from '../../core/schedules/ledger.ts';
import { proofPublisher, publishProof, readSystem } from '../../core/system.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { observeVm } from '../../core/vms/release.ts';
import { tick } from '../../core/watchdog/tick.ts';
import { MONDAY_NOON, silentLog, type TestEngine, testEngine, type World } from '../support/world.ts';
import { ended, eventsOf, MINUTE, runningRun, SECOND, storeWith, vmRow } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const statuses = async () =>
  Object.fromEntries((await readSystem(world.ports)).parts.map(({ name, status }) => [name, status]));

it('is unknown where nothing was published; the answer itself is the proof of the table', async () => {
  const system = await readSystem(world.ports);
  const never = { clock: 'unknown', watchdog: 'unknown', events: 'unknown', workflow: 'unknown', audit: 'unknown' };
  expect(await statuses()).toEqual({ store: 'alive', ...never });
  expect(system.parts.filter(({ status }) => status === 'unknown').every(({ owner }) => owner === undefined)).toBe(
    true,
  );
});

it('is alive as long as a part promised, silent after that, and merely seen where it promises nothing', async () => {
  await tick(world.ports, { owner: 'the watchdog', budgetMs: 20 * SECOND });
  await publishProof(world.ports, 'events', { owner: 'fan-out', detail: { handled: 3 } });
  expect(await statuses()).toMatchObject({ watchdog: 'alive', events: 'seen' });
  world.now += 200 * SECOND;
  expect(await statuses()).toMatchObject({ watchdog: 'alive' });
  world.now += SECOND;
  expect(await statuses()).toMatchObject({ watchdog: 'silent', events: 'seen' });
  const { parts } = await readSystem(world.ports);
  expect(parts.find(({ name }) => name === 'watchdog')).toMatchObject({
    owner: 'the watchdog',
    lastProofAt: new Date(MONDAY_NOON).toISOString(),
    promisedWithinSeconds: 200,
    asOf: new Date(world.now).toISOString(),
  });
});

it('costs a write now and then, however often a part works, and never the work itself', async () => {
  let writes = 0;
  const store = storeWith(world.ports.store, {
    transact: () => {
      writes++;
      return Promise.reject(new Error('throttled'));
    },
  });
  const publish = proofPublisher({ store, time: world.ports.time, log: silentLog }, MINUTE);
  const proof = { owner: 'fan-out', detail: {} };
  for (let turn = 0; turn < 5; turn++) await publish('events', proof);
  world.now += MINUTE;
  await publish('events', proof);
  expect(writes).toBe(2);
});

it('takes a fire in time for the clock’s sign of life, and one that the watchdog made up for not', async () => {
  const agent = await world.agent();
  const schedule = await world.schedule(agent.id);
  const occurrence = async (at: number) => {
    const item = await world.ports.store.get(keys.occurrence(schedule.id, at));
    return item === undefined ? undefined : firedInTime(world.ports.config, item);
  };
  world.now = MONDAY_NOON + 5 * MINUTE + 40 * SECOND;
  await fire(world.ports, { scheduleId: schedule.id, scheduledTime: MONDAY_NOON + 5 * MINUTE });
  expect(await occurrence(MONDAY_NOON + 5 * MINUTE)).toBe(world.now);
  world.now = MONDAY_NOON + 12 * MINUTE;
  await fire(world.ports, { scheduleId: schedule.id, scheduledTime: MONDAY_NOON + 10 * MINUTE });
  expect(await occurrence(MONDAY_NOON + 10 * MINUTE)).toBeUndefined();
});

it('tells how a VM has spent its life when that is over, once, whoever saw it and whatever was told twice', async () => {
  const { id, vmId, runner } = await runningRun(world);
  world.now += 5 * MINUTE;
  await runner.beat([ended(id)]);
  world.now += 2 * MINUTE;
  world.observations.set(vmId, { status: 'terminated', detail: 'powered off' });
  const { store } = world.ports;
  // The answer to the write that ends it is lost: it asks what became of it.
  let lost = false;
  const deaf = storeWith(store, {
    transact: async (writes) => {
      await store.transact(writes);
      const ends = writes.some((write) => write.kind === 'update' && write.set?.status === 'terminated');
      if (!ends || lost) return;
      lost = true;
      throw new StoreUnavailable();
    },
  });
  const looks = [world.ports, { ...world.ports, store: deaf }, world.ports].map((ports) => observeVm(ports, vmId));
  await Promise.all(looks);
  await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
  expect((await vmRow(world, vmId)).status).toBe('terminated');
  for (const event of await eventsOf(world, keys.vm(vmId).pk))
    for (let twice = 0; twice < 2; twice++) await handleEvent(world.ports, event);
  expect(world.measured.filter(({ name }) => name === 'VmSeconds')).toEqual([
    { name: 'VmSeconds', value: 300, dimensions: { use: 'with_run' } },
    { name: 'VmSeconds', value: 120, dimensions: { use: 'without_run' } },
  ]);
  expect(world.measured).toContainEqual({ name: 'TimeToReadySeconds', value: 0, dimensions: {} });
});
