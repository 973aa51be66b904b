/** A cancel that is not carried out: the VM is given up, and nothing that is well on it pays for that. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { ended, interleaved, running, runRow, SECOND, vmRow } from '../support.ts';
import { CANCEL, dies, endOf, freeMarks, givenTo, newRun, passes, runsOn, stuckRun, watchdog } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

/** Another run is given to the VM, and is at work there. */
async function joins(at: Awaited<ReturnType<typeof stuckRun>>) {
  const other = await givenTo(world, at);
  await at.runner.beat([running(at.id), running(other)]);
  return other;
}

describe('a VM whose only run does not end', () => {
  it('is marked before its end is asked for: no run is placed on it any more', async () => {
    const at = await stuckRun(world);
    await passes(world, 120, at.runner, () => [running(at.id)]);
    expect(world.terminations).toEqual([at.vmId]);
    expect(await vmRow(world, at.vmId)).toMatchObject({ status: 'draining', evidence: { source: 'watchdog' } });
    expect(await freeMarks(world, at.agentId)).toEqual([]);
    const next = await newRun(world, at.agentId);
    expect(await claimDispatch(world.ports, next, 1, at.vmId)).toBe('vm_unfit');
    expect((await runRow(world, next)).vmId).toBeUndefined();
    dies(world, at.vmId);
    await passes(world, 60);
    expect(await runRow(world, at.id)).toMatchObject({ status: 'cancelled', reason: 'vm_terminated_after_cancel' });
    expect((await runRow(world, next)).status).toBe('queued');
  });

  it('that takes another run while the watchdog decides is drained, and not terminated (I9)', async () => {
    const at = await stuckRun(world);
    await passes(world, 100, at.runner, () => [running(at.id)]);
    world.now += 20 * SECOND;
    await at.runner.beat([running(at.id)]);
    let other = '';
    const rival = async () => {
      other = await joins(at);
    };
    // By the event of the VM's next status: the look at the VM itself, in the same tick, writes its row too.
    const next = keys.vmEvent(at.vmId, (await vmRow(world, at.vmId)).version + 1);
    await tick(interleaved(world, rival, next), { owner: 'test', budgetMs: 60_000 });
    expect(await runsOn(world, at.vmId)).toContain(other);
    expect(world.terminations).toEqual([]);
    expect((await vmRow(world, at.vmId)).drain).toMatchObject({ requestedBy: 'watchdog' });
  });
});

describe('a VM with a run that does not end, and with other work', () => {
  it('takes nothing further, lets the other work end, and goes with it (I14)', async () => {
    const at = await stuckRun(world);
    const other = await joins(at);
    const both = () => [running(at.id), running(other)];
    await passes(world, 600, at.runner, both);
    expect(world.terminations).toEqual([]);
    expect((await runRow(world, other)).status).toBe('running');
    expect(await vmRow(world, at.vmId)).toMatchObject({ status: 'draining', drain: { requestedBy: 'watchdog' } });
    await endOf(at.runner, other);
    expect((await runRow(world, other)).status).toBe('succeeded');
    await passes(world, 80, at.runner, () => [running(at.id)]);
    expect(world.terminations).toEqual([at.vmId]);
    dies(world, at.vmId);
    await passes(world, 80);
    expect(await runRow(world, at.id)).toMatchObject({ status: 'cancelled', reason: 'vm_terminated_after_cancel' });
  });

  it('is terminated where that work has no fresh evidence either', async () => {
    const at = await stuckRun(world);
    await joins(at);
    await passes(world, 100, at.runner, () => [running(at.id), running('run_none')].slice(0, 1));
    for (let look = 0; look < 6; look++) {
      world.now += 20 * SECOND;
      await watchdog(world);
    }
    expect(world.terminations).toContain(at.vmId);
  });

  it('is terminated where that work was told to end too, and does not (I6)', async () => {
    const at = await stuckRun(world);
    const other = await joins(at);
    await cancelRun(world.ports, world.caller, other, CANCEL);
    await passes(world, 140, at.runner, () => [running(at.id), running(other)]);
    expect(world.terminations).toContain(at.vmId);
  });

  it('keeps the verdict of a run that ends by itself after all', async () => {
    const at = await stuckRun(world);
    const other = await joins(at);
    await passes(world, 140, at.runner, () => [running(at.id), running(other)]);
    await at.runner.beat([ended(at.id, { exitCode: 3 }), running(other)]);
    expect(await runRow(world, at.id)).toMatchObject({ status: 'failed', reason: 'exit_code' });
    await passes(world, 120, at.runner, () => [running(other)]);
    expect((await runRow(world, other)).status).toBe('running');
    expect(world.terminations).toEqual([]);
  });
});
