/** The server's wall clock is set back by an hour: nothing is reordered, lost or ended. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { listRunEvents } from '../../core/runs/reading.ts';
import { createRun, getRun } from '../../core/runs/service.ts';
import { fire } from '../../core/schedules/fire.ts';
import { listOccurrences } from '../../core/schedules/ledgerLists.ts';
import { tick } from '../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../support/world.ts';
import { ended, MINUTE, page, running, runningRun, runRow, SECOND, startingRun, vmRow } from './support.ts';
import { passes, warmVm } from './vms/support.ts';

const HOUR = 60 * MINUTE;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const look = () => tick(world.ports, { owner: 'test', budgetMs: 60_000 });

describe('a clock that steps back by an hour', () => {
  it('ends no work, and lets its events stand in the order in which they were', async () => {
    const { id, vmId, runner } = await runningRun(world);
    world.now -= HOUR;
    await passes(world, 120, runner, () => [running(id, 100 + HOUR)]);
    expect((await runRow(world, id)).status).toBe('running');
    expect((await vmRow(world, vmId)).status).toBe('ready');
    expect(world.terminations).toEqual([]);
    await runner.beat([ended(id, { exitCode: 0 })]);
    const body = await getRun(world.ports, world.caller, id);
    expect(body.status).toBe('succeeded');
    const { items } = await listRunEvents(world.ports, world.caller, id, page);
    expect(items.map(({ type }) => type)).toEqual([
      'run.queued',
      'run.provisioning',
      'run.starting',
      'run.running',
      'run.succeeded',
    ]);
    expect(items.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(Date.parse(items[4]?.at ?? '')).toBeLessThan(Date.parse(items[3]?.at ?? ''));
  });

  it('gives no start timeout to what has just been started, and none twice', async () => {
    const { id, runner } = await startingRun(world);
    world.now -= HOUR;
    await passes(world, 60, runner);
    expect((await runRow(world, id)).status).toBe('starting');
    await runner.beat([running(id)]);
    expect((await runRow(world, id)).status).toBe('running');
  });

  it('does not let a kept VM go early, nor forget it', async () => {
    const { vmId, runner } = await warmVm(world, { warmFor: 'PT10M' });
    world.now -= HOUR;
    await passes(world, 120, runner);
    expect((await vmRow(world, vmId)).status).toBe('ready');
    world.now += HOUR;
    await runner.beat();
    await passes(world, 9 * 60, runner);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('fires nothing twice and misses nothing: an occurrence is known by its nominal time', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id, { overlapPolicy: 'allow_all' });
    const at = (minutes: number) => MONDAY_NOON + minutes * MINUTE;
    world.now = at(5);
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: at(5) });
    world.now -= HOUR;
    // By this clock it is not due yet; by the ledger it has been dispatched.
    expect(await fire(world.ports, { scheduleId: schedule.id, scheduledTime: at(5) })).toMatchObject({
      outcome: 'ignored',
    });
    await look();
    world.now = at(10) + SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: at(10) });
    const { items } = await listOccurrences(world.ports, world.caller, schedule.id, page);
    expect(items.map(({ disposition }) => disposition)).toEqual(['dispatched', 'dispatched']);
  });

  it('lists runs of before and after it', async () => {
    const agent = await world.agent();
    const before = (await createRun(world.ports, world.caller, agent.id, {})).id;
    world.now -= HOUR;
    const after = (await createRun(world.ports, world.caller, agent.id, {})).id;
    expect(after).not.toBe(before);
    for (const id of [before, after]) expect((await getRun(world.ports, world.caller, id)).status).toBe('queued');
  });
});
