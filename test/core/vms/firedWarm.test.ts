/** A scheduled run that finds a VM of its agent free gets it in the transaction that creates it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Ports } from '../../../core/ports.ts';
import { pauseSchedule } from '../../../core/schedules/actions.ts';
import { fire } from '../../../core/schedules/fire.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Write } from '../../../core/table/model.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { ended, eventsOf, interleaved, MINUTE, none, running, runRow, SECOND, storeWith, vmRow } from '../support.ts';
import { freeMarks, newRun, runsOn, warmVm } from './support.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

/** A schedule whose first occurrence is due, and a VM of its agent that is warm. */
async function dueWithWarmVm(overrides: Parameters<typeof warmVm>[1] = {}) {
  const warm = await warmVm(world, overrides);
  const schedule = await world.schedule(warm.agentId);
  world.now = FIRST + SECOND;
  await warm.runner.beat();
  return { ...warm, fired: (ports: Ports = world.ports) => fire(ports, delivery(schedule.id)), schedule };
}

const delivery = (scheduleId: string) => ({ scheduleId, scheduledTime: FIRST });
const runIdOf = (result: Awaited<ReturnType<typeof fire>>) => ('runId' in result ? result.runId : '');

const observed = (onTransact: (writes: readonly Write[]) => Promise<void>): Ports => ({
  ...world.ports,
  store: storeWith(world.ports.store, { transact: onTransact }),
});

describe('a fire with a warm VM', () => {
  it('commits occurrence, run, both events, schedule, slot and mark in one transaction', async () => {
    const { agentId, vmId, runner, fired, schedule } = await dueWithWarmVm();
    const executions = world.executions.length;
    const committed: (readonly Write[])[] = [];
    const result = await fired(
      observed(async (writes) => {
        committed.push(writes);
        await world.ports.store.transact(writes);
      }),
    );
    expect(committed).toHaveLength(1);
    const runId = runIdOf(result);
    expect(result).toEqual({ outcome: 'dispatched', runId, duplicate: false });
    expect(await runRow(world, runId)).toMatchObject({
      status: 'starting',
      version: 2,
      vmId,
      queuedAt: world.now,
      dispatchedAt: world.now,
    });
    const events = await eventsOf(world, keys.run(runId).pk);
    expect(events.map(({ sequence, type, status }) => [sequence, type, status])).toEqual([
      [1, 'run.queued', 'queued'],
      [2, 'run.starting', 'starting'],
    ]);
    expect(await runsOn(world, vmId)).toEqual([runId]);
    expect(await freeMarks(world, agentId)).toEqual([]);
    expect((await world.ports.store.get(keys.schedule(schedule.id)))?.liveRuns).toEqual([runId]);
    expect(world.executions).toHaveLength(executions);

    expect((await runner.beat()).commands).toMatchObject([{ kind: 'start', runId, attempt: 1 }]);
    await runner.beat([running(runId)]);
    await runner.beat([ended(runId)]);
    expect(await runRow(world, runId)).toMatchObject({ status: 'succeeded', version: 4 });
    expect(await freeMarks(world, agentId)).toEqual([vmId]);
  });

  it('delivered twice, late or at once, gives the VM one run', async () => {
    const { vmId, fired } = await dueWithWarmVm();
    const results = await Promise.all([fired(), fired(), fired()]);
    const again = await fired();
    const runIds = new Set([...results, again].map(runIdOf));
    expect(runIds.size).toBe(1);
    expect(again).toMatchObject({ outcome: 'dispatched', duplicate: true });
    expect(await runsOn(world, vmId)).toEqual([...runIds]);
  });

  it('knows its own transaction where the answer was lost', async () => {
    const { vmId, fired } = await dueWithWarmVm();
    const executions = world.executions.length;
    let lost = false;
    const result = await fired(
      observed(async (writes) => {
        await world.ports.store.transact(writes);
        if (lost) return;
        lost = true;
        throw new StoreUnavailable();
      }),
    );
    expect(lost).toBe(true);
    expect(await runsOn(world, vmId)).toEqual([runIdOf(result)]);
    expect(world.executions).toHaveLength(executions);
  });

  it('commits its run without the VM where another run was faster', async () => {
    const { agentId, vmId, fired } = await dueWithWarmVm();
    let rival = '';
    const take = async () => {
      rival = await newRun(world, agentId);
    };
    const result = await fired(interleaved(world, take, keys.vm(vmId)));
    expect(await runsOn(world, vmId)).toEqual([rival]);
    expect(await runRow(world, runIdOf(result))).toMatchObject({ status: 'queued', version: 1 });
    expect(world.executions.at(-1)?.input.runId).toBe(runIdOf(result));
  });

  it('leaves the VM free where the schedule was paused meanwhile (I4)', async () => {
    const { agentId, vmId, fired, schedule } = await dueWithWarmVm();
    const pause = () => pauseSchedule(world.ports, world.caller, schedule.id, '', none);
    expect(await fired(interleaved(world, pause, keys.schedule(schedule.id)))).toMatchObject({
      outcome: 'skipped',
      reason: 'paused',
    });
    expect(await runsOn(world, vmId)).toEqual([]);
    expect(await freeMarks(world, agentId)).toEqual([vmId]);
    expect((await vmRow(world, vmId)).idleSince).toBeDefined();
  });

  it('goes through admission where a limit stands', async () => {
    const { vmId, fired } = await dueWithWarmVm({ limits: { maxConcurrentRuns: 1 } });
    const result = await fired();
    expect(await runRow(world, runIdOf(result))).toMatchObject({ status: 'starting', vmId, limited: true });
    expect((await runRow(world, runIdOf(result))).admitted).toHaveLength(1);
    const events = await eventsOf(world, keys.run(runIdOf(result)).pk);
    expect(events.map(({ type }) => type)).toEqual(['run.queued', 'run.admitted', 'run.starting']);
  });

  it('does not trust a VM whose lease has run out', async () => {
    const { vmId, fired } = await dueWithWarmVm();
    world.now += world.ports.config.leaseSeconds * SECOND;
    const result = await fired();
    expect(await runsOn(world, vmId)).toEqual([]);
    expect(world.executions.at(-1)?.input.runId).toBe(runIdOf(result));
  });
});
