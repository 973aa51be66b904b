/** What is decided about a VM and carried out later: by then it may be another run, another silence, another time. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { giveUp, requestDrain } from '../../../core/vms/drain.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { type TickReport, tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  afterRead,
  apiRun,
  heardBeside,
  MINUTE,
  none,
  running,
  runningRun,
  runRow,
  SECOND,
  vmRow,
} from '../support.ts';
import { CANCEL, dies, endOf, GONE, givenTo, stuckBesideOther, stuckRun } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const look = (ports = world.ports): Promise<TickReport> => tick(ports, { owner: 'test', budgetMs: 60_000 });

/** Every ten seconds somebody may report, and the watchdog looks. */
async function pass(seconds: number, each: () => Promise<unknown> = async () => {}): Promise<readonly string[]> {
  const rules: string[] = [];
  for (let passed = 0; passed < seconds; passed += 10) {
    world.now += 10 * SECOND;
    await each();
    rules.push(...(await look()).actions.map(({ rule }) => rule));
  }
  return rules;
}

const secondDeadlineOf = async (vmId: string) => (await vmRow(world, vmId)).deadlineAt;

describe('a VM that is to be given up for a run that does not end', () => {
  it('spares other work by the time at which that was judged, however long the write takes (I9)', async () => {
    const { id, vmId } = await stuckBesideOther(world);
    const judgedAt = world.now + 30 * SECOND;
    world.now += 2 * MINUTE;
    expect(await giveUp(world.ports, vmId, id, judgedAt)).toEqual({ kind: 'draining', now: true });
  });

  it('stays where the run has ended meanwhile: kept for the next one', async () => {
    const at = await stuckRun(world, { warmFor: 'PT10M' });
    await endOf(at.runner, at.id);
    const before = await vmRow(world, at.vmId);
    expect(await giveUp(world.ports, at.vmId, at.id, world.now)).toEqual({ kind: 'gone' });
    expect(await vmRow(world, at.vmId)).toEqual(before);
  });

  it('stays where the run has ended meanwhile, and another one is on it', async () => {
    const at = await stuckRun(world, { warmFor: 'PT10M' });
    await endOf(at.runner, at.id);
    await givenTo(world, at);
    expect(await giveUp(world.ports, at.vmId, at.id, world.now)).toEqual({ kind: 'gone' });
    expect((await vmRow(world, at.vmId)).status).toBe('ready');
  });

  it('and the watchdog tells of no escalation then', async () => {
    const at = await stuckRun(world, { warmFor: 'PT10M' });
    await pass(110, () => at.runner.beat([running(at.id)]));
    world.now += 10 * SECOND;
    const { actions } = await look(afterRead(world, keys.run(at.id), () => endOf(at.runner, at.id)));
    expect(actions).toEqual([]);
    expect((await vmRow(world, at.vmId)).status).toBe('ready');
  });
});

describe('a VM that is silent', () => {
  it('keeps its second deadline where it is drained by order meanwhile (§1.6)', async () => {
    const beside = await heardBeside(world);
    const { vmId } = await runningRun(world);
    expect(await pass(60, beside)).toEqual(['vm_silent']);
    const deadlineAt = await secondDeadlineOf(vmId);
    await pass(30, beside);
    await requestDrain(world.ports, world.caller, vmId, none);
    await pass(20, beside);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'unresponsive', deadlineAt });
  });

  it('has a deadline of its own for each silence, drained by order or not', async () => {
    const beside = await heardBeside(world);
    const { id, vmId, runner } = await runningRun(world);
    await pass(60, beside);
    await requestDrain(world.ports, world.caller, vmId, none);
    await runner.beat([running(id)]);
    const again = world.now;
    await pass(60, beside);
    expect((await secondDeadlineOf(vmId)) ?? 0).toBeGreaterThan(again + 150 * SECOND);
  });

  it('is not given up for a silence that is over, though it is silent once more (I9)', async () => {
    const beside = await heardBeside(world);
    const { id, vmId, runner } = await runningRun(world);
    await pass(170, beside);
    expect((await vmRow(world, vmId)).status).toBe('unresponsive');
    world.now += 10 * SECOND;
    await beside();
    // The look that gives it up stands still right after its decision.
    const meanwhile = async () => {
      await runner.beat([running(id)]);
      await pass(60, beside);
    };
    await look(afterRead(world, keys.vm(vmId), meanwhile));
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'unresponsive' });
    expect(world.terminations).toEqual([]);
  });

  it('is told to be given up once: that EC2 takes its time to end it is no lingering', async () => {
    const beside = await heardBeside(world);
    await runningRun(world);
    expect(await pass(600, beside)).toEqual(['vm_silent', 'vm_unresponsive']);
  });
});

describe('the end of a VM', () => {
  it('is seen in two looks before the runs on it end or are tried again (§5.4)', async () => {
    const { id, vmId } = await runningRun(world);
    let looks = 0;
    const { fleet } = world.ports;
    const observe: typeof fleet.observe = (...asked) =>
      ++looks === 1 ? Promise.resolve(GONE) : fleet.observe(...asked);
    await observeVm({ ...world.ports, fleet: { ...fleet, observe } }, vmId);
    expect(looks).toBe(2);
    expect((await runRow(world, id)).status).toBe('running');
    expect((await vmRow(world, vmId)).status).toBe('ready');
  });

  it('is that of a cancelled run, also where the cancel comes while it is judged', async () => {
    const { id, vmId } = await runningRun(world);
    dies(world, vmId);
    const cancel = () => cancelRun(world.ports, world.caller, id, CANCEL);
    await observeVm(afterRead(world, keys.run(id), cancel), vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelled', reason: 'vm_terminated_after_cancel' });
  });
});

describe('a VM that is launched', () => {
  it('is looked at by the deadline of its start, however seldom by then (§1.6)', async () => {
    const { input } = await apiRun(world, { limits: { startTimeout: 'PT8M' } });
    const { vmId } = await launchVm(world.ports, input);
    const { deadlineAt = 0 } = await vmRow(world, vmId);
    while (world.now < deadlineAt - 10 * SECOND) {
      await pass(10);
      const { checkAt = Number.POSITIVE_INFINITY, status } = await vmRow(world, vmId);
      if (status === 'booting') expect(checkAt).toBeLessThanOrEqual(deadlineAt);
    }
  });
});
