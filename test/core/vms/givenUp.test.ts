/** A VM that was given up in its silence, and reports again before anybody has ended it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { asItem } from '../../../core/table/rows.ts';
import { leaseEnd } from '../../../core/vms/change.ts';
import { giveUp, requestDrain } from '../../../core/vms/drain.ts';
import { overdueMs } from '../../../core/watchdog/overdue.ts';
import { drainingRule } from '../../../core/watchdog/rules/draining.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { entry, heardBeside, MINUTE, none, running, runRow, SECOND, vmRow } from '../support.ts';
import { atWork, dies, endOf, givenTo, passes, runsOn, stuckBesideOther, stuckRun, watchdog } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const IMPOSSIBLE = 'Its VM had been given up before it was started.';
const refusal = (runId: string, detail = IMPOSSIBLE) =>
  entry(runId, 'not_started', { notStartedBecause: 'impossible', detail });

type Stuck = Awaited<ReturnType<typeof withStart>>;

/** A VM with two slots: a run on it that does not end, and another one whose start waits to be sent. */
async function withStart(overrides: Parameters<World['agent']>[0] = {}) {
  const at = await stuckRun(world, overrides);
  return { ...at, other: await givenTo(world, at) };
}

/** The same, and the other one is at work. */
const withWork = () => stuckBesideOther(world);

const both =
  ({ runner, id, other }: Stuck) =>
  () =>
    runner.beat([running(id), running(other)]);

/** It is silent until it is given up; and whoever was to ask for its end did not come to that. */
async function givenUp({ id, vmId }: Stuck): Promise<void> {
  world.now += 3 * MINUTE;
  expect(await giveUp(world.ports, vmId, id, world.now)).toMatchObject({ kind: 'condemned' });
}

/** A VM at work that falls silent and is given up for that, while others are heard; EC2 is not reached for its end. */
async function silenced(beside: () => Promise<unknown>) {
  const { id, vmId, runner } = await atWork(world, (await world.agent()).id);
  const fleet = { ...world.ports.fleet, terminate: () => Promise.reject(new Error('not reached')) };
  for (let passed = 0; passed < 200; passed += 20) {
    world.now += 20 * SECOND;
    await beside();
    await tick({ ...world.ports, fleet }, { owner: 'test', budgetMs: 60_000 });
  }
  expect(await vmRow(world, vmId)).toMatchObject({
    status: 'draining',
    evidence: { detail: expect.stringMatching(/^silent since .*: it is given up$/) },
  });
  return { id, vmId, beat: () => runner.beat([running(id)]) };
}

/** As {@link passes}, and another VM is heard all the while. */
async function passesBeside(seconds: number, beside: () => Promise<unknown>): Promise<void> {
  for (let passed = 0; passed < seconds; passed += 20) {
    await beside();
    await passes(world, Math.min(20, seconds - passed));
  }
}

describe('what waited on it for its start', () => {
  it('is not started there, and gets another attempt (I9)', async () => {
    const at = await withStart();
    await givenUp(at);
    const { commands } = await at.runner.beat([running(at.id)]);
    expect(commands).toMatchObject([{ kind: 'start', runId: at.other, impossible: IMPOSSIBLE }]);
    await at.runner.beat([running(at.id), refusal(at.other)]);
    expect(await runRow(world, at.other)).toMatchObject({
      attempt: 2,
      attempts: [{ reason: 'not_started', vmId: at.vmId }],
    });
    expect(await runsOn(world, at.vmId)).toEqual([at.id]);
    await passes(world, 60, at.runner, () => [running(at.id)]);
    expect(world.terminations).toContain(at.vmId);
  });

  it.each(['the watchdog', 'somebody'])('nor where %s had it drained before (I9)', async (who) => {
    const at = await withStart();
    if (who === 'somebody') await requestDrain(world.ports, world.caller, at.vmId, none);
    else expect(await giveUp(world.ports, at.vmId, at.id, world.now)).toMatchObject({ kind: 'draining', now: true });
    expect((await vmRow(world, at.vmId)).drain).toBeDefined();
    await givenUp(at);
    const deadlineAt = world.now + world.ports.config.drainSeconds * SECOND;
    expect(await vmRow(world, at.vmId)).toMatchObject({ deadlineAt, checkAt: deadlineAt });
    expect((await at.runner.beat([running(at.id)])).commands).toMatchObject([{ impossible: IMPOSSIBLE }]);
  });

  it('has not been started for all anybody knows, where the VM goes before the runner has answered that', async () => {
    const at = await withStart();
    await givenUp(at);
    await at.runner.beat([running(at.id)]);
    await at.runner.beat([running(at.id)]);
    dies(world, at.vmId);
    await passes(world, 120);
    expect(await runRow(world, at.other)).toMatchObject({ attempt: 2, attempts: [{ reason: 'vm_terminated' }] });
  });

  it('may have been started, where that was sent before', async () => {
    const at = await withStart();
    await at.runner.beat([running(at.id)]);
    await givenUp(at);
    dies(world, at.vmId);
    await passes(world, 120);
    expect(await runRow(world, at.other)).toMatchObject({ status: 'lost', reason: 'vm_terminated' });
  });

  it('was not started where it had its last attempt, and its end says so', async () => {
    const at = await withStart({ retry: { maxAttempts: 1 } });
    await givenUp(at);
    await at.runner.beat([running(at.id)]);
    await at.runner.beat([running(at.id), refusal(at.other)]);
    expect(await runRow(world, at.other)).toMatchObject({ status: 'failed', reason: 'not_started' });
  });

  it('fails where it is impossible everywhere', async () => {
    const at = await withStart();
    await at.runner.beat([running(at.id)]);
    await givenUp(at);
    await at.runner.beat([running(at.id), refusal(at.other, 'The secret db does not exist, or may not be read.')]);
    expect(await runRow(world, at.other)).toMatchObject({ status: 'failed', reason: 'configuration', attempt: 1 });
  });
});

describe('work that is well on it', () => {
  it('goes on to its end, and then the VM goes (I9, I6)', async () => {
    const at = await withWork();
    await givenUp(at);
    await passes(world, 300, at.runner, () => [running(at.id), running(at.other)]);
    expect(world.terminations).toEqual([]);
    expect((await runRow(world, at.other)).status).toBe('running');
    const vm = await vmRow(world, at.vmId);
    expect(overdueMs(world.ports.config, asItem(vm), world.now)).toBe(0);
    await endOf(at.runner, at.other);
    await passes(world, 80, at.runner, () => [running(at.id)]);
    expect(world.terminations).toContain(at.vmId);
  });

  it('is looked at by the deadline of the VM, as long as that is to come (§1.6)', async () => {
    const at = await withWork();
    await givenUp(at);
    await both(at)();
    const vm = await vmRow(world, at.vmId);
    const view = { now: world.now, config: world.ports.config, holdUntil: 0, heard: undefined };
    const decide = (now: number) => drainingRule.decide(vm, { leaked: [], wronged: true }, { ...view, now });
    const deadlineAt = vm.deadlineAt ?? 0;
    expect(decide(world.now)).toEqual({ do: 'look_again', at: deadlineAt });
    expect(decide(deadlineAt)).toEqual({ do: 'look_again', at: leaseEnd(vm, world.ports.config) });
  });

  it('is ended with it where it falls silent again, and others are heard', async () => {
    const beside = await heardBeside(world);
    const at = await withWork();
    await givenUp(at);
    await both(at)();
    await passesBeside(120, beside);
    expect(world.terminations).toContain(at.vmId);
  });

  it('is spared where nobody is heard, until its end is seen or that has lasted too long (I9, I6)', async () => {
    const beside = await heardBeside(world);
    const at = await withWork();
    await givenUp(at);
    await passesBeside(60, async () => {
      await beside();
      await both(at)();
    });
    await passes(world, 600);
    expect(world.terminations).toEqual([]);
    await passes(world, 600);
    expect(world.terminations).toContain(at.vmId);
  });

  it('is seen to be gone meanwhile', async () => {
    const at = await withWork();
    await givenUp(at);
    await both(at)();
    dies(world, at.vmId);
    await passes(world, 200);
    expect(await vmRow(world, at.vmId)).toMatchObject({ status: 'terminated' });
    expect(await runRow(world, at.other)).toMatchObject({ status: 'lost' });
  });

  it('is not judged right after a gap of the watchdog (I9)', async () => {
    const beside = await heardBeside(world);
    const { beat } = await silenced(beside);
    await beat();
    await passesBeside(40, beside);
    for (let minute = 0; minute < 4; minute++) {
      world.now += MINUTE;
      await beside();
    }
    expect(await watchdog(world)).toMatchObject({ holding: true });
    expect(world.terminations).toEqual([]);
    await beat();
    await passesBeside(100, beside);
    expect(world.terminations).toEqual([]);
  });

  it('is ended with it where nothing but silence speaks against it, from the second deadline on', async () => {
    const beside = await heardBeside(world);
    const { vmId, beat } = await silenced(beside);
    await beat();
    await passesBeside(160, beside);
    expect(world.terminations).toEqual([]);
    await passesBeside(60, beside);
    expect(world.terminations).toContain(vmId);
  });

  it('is not ended by a look that it has overtaken (I9)', async () => {
    const beside = await heardBeside(world);
    const { id, vmId, beat } = await silenced(beside);
    await beat();
    await passesBeside(160, beside);
    world.now += 40 * SECOND;
    await beside();
    const { fleet } = world.ports;
    let looks = 0;
    const observe: typeof fleet.observe = async (...asked) => {
      if (asked[0] === vmId && ++looks === 1) await beat();
      return fleet.observe(...asked);
    };
    await tick({ ...world.ports, fleet: { ...fleet, observe } }, { owner: 'test', budgetMs: 60_000 });
    expect(looks).toBeGreaterThan(0);
    expect(world.terminations).toEqual([]);
    expect((await runRow(world, id)).status).toBe('running');
  });
});
