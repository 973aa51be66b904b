/** What the cases of `everyRule.test.ts` leave out: the finer points of some of the rules, and their pure decisions. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { deleteSchedule } from '../../../core/schedules/actions.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { LIMIT_WAITER_PREFIX } from '../../../core/table/keys.ts';
import { requestDrain } from '../../../core/vms/drain.ts';
import { awaitReady, dispatchRun, launchVm } from '../../../core/vms/provision.ts';
import { cancellingRule } from '../../../core/watchdog/rules/cancelling.ts';
import { executionVerdict } from '../../../core/watchdog/rules/provisioning.ts';
import { queuedRule } from '../../../core/watchdog/rules/queued.ts';
import { decideStray, whyStray } from '../../../core/watchdog/rules/strays.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  afterRead,
  apiRun,
  FakeRunner,
  heardBeside,
  MINUTE,
  none,
  running,
  runRow,
  SECOND,
  scheduleRow,
  startingFrom,
  storeWith,
  vmRow,
} from '../support.ts';
import { atWork, endOf, newRun } from '../vms/support.ts';
import { endWith, keyOf, losing, Scene } from './scene.ts';

let engine: TestEngine;
let world: World;
let scene: Scene;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
  scene = new Scene(world);
});

const look = () => scene.look();
const pass: Scene['pass'] = (...args) => scene.pass(...args);

it('looks at a queued run at its start deadline, though its next try would come later', async () => {
  const { id } = await apiRun(world);
  const run = await runRow(world, id);
  const [now, deadlineAt] = [world.now + MINUTE, world.now + 2 * MINUTE];
  const waiting = { reason: 'capacity', nextTryAt: world.now + 5 * MINUTE };
  const view = { now, config: world.ports.config, holdUntil: 0, heard: undefined };
  expect(queuedRule.decide({ ...run, deadlineAt, waiting }, undefined, view)).toEqual({
    do: 'look_again',
    at: deadlineAt,
  });
});

it('leaves its deadline to a run that was let in and has begun since it was seen to wait', async () => {
  const agent = await world.agent({ limits: { maxConcurrentRuns: 1, runTimeout: 'PT1M' } });
  const first = await atWork(world, agent.id);
  const id = await newRun(world, agent.id);
  const { waiting } = await runRow(world, id);
  expect(waiting?.reason).toBe('agent_limit');
  for (let second = 0; second < 200; second += 20) {
    world.now += 20 * SECOND;
    await first.runner.beat([running(first.id)]);
  }
  // When the look asks who stands before it.
  const { store } = world.ports;
  let begun = false;
  const query: World['ports']['store']['query'] = async (range) => {
    const found = await store.query(range);
    if (begun || range.prefix !== LIMIT_WAITER_PREFIX) return found;
    begun = true;
    await endOf(first.runner, first.id);
    await first.runner.beat();
    await first.runner.beat([running(id)]);
    return found;
  };
  await tick({ ...world.ports, store: storeWith(store, { query }) }, { owner: 'test', budgetMs: 60_000 });
  const { status, checkAt, deadlineAt } = await runRow(world, id);
  expect({ begun, status, checkAt }).toEqual({ begun: true, status: 'running', checkAt: deadlineAt });
});

it('looks at a run that waits for the one that it displaces by its queue deadline', async () => {
  const { id } = await apiRun(world, { limits: { queueTimeout: 'PT5M', maxConcurrentRuns: 5 } });
  const run = await runRow(world, id);
  const waiting = { reason: 'overlap', blockedBy: ['run_other'] };
  const deadlineAt = world.now + MINUTE;
  const waits = { ...run, admittedAt: undefined, waiting, deadlineAt } as unknown as typeof run;
  const view = { now: deadlineAt - SECOND, config: world.ports.config, holdUntil: 0, heard: undefined };
  expect(queuedRule.decide(waits, [], view)).toEqual({ do: 'look_again', at: deadlineAt });
});

it('leaves a cancel that was asked for a moment ago its time, though the run is looked at already', async () => {
  const { id } = await apiRun(world);
  const run = await runRow(world, id);
  const { now } = world;
  const asked = { requestedAt: now, requestedBy: 'me', reason: '', cause: 'request', sentAt: now } as const;
  const cancelling = { ...run, status: 'cancelling', vmId: 'vm_x', cancel: asked, deadlineAt: now + MINUTE } as const;
  const view = (at: number) => ({ now: at, config: world.ports.config, holdUntil: 0, heard: undefined });
  expect(cancellingRule.decide(cancelling, undefined, view(now + SECOND))).toEqual({
    do: 'look_again',
    at: now + MINUTE,
  });
  expect(cancellingRule.decide(cancelling, undefined, view(now + MINUTE))).toMatchObject({ do: 'tell_again' });
});

describe('an execution that is over', () => {
  const over = { status: 'failed', error: 'States.Runtime', detail: 'it failed: States.Runtime' } as const;

  it('before it could open an intent is found by the run that is queued still', async () => {
    const { id } = await apiRun(world);
    world.executionLooks.set(`${id}-1`, over);
    expect(await pass(40 * SECOND)).toEqual(['execution_over']);
    expect(world.executions.at(-1)?.name).toBe(`${id}-2`);
    expect(await runRow(world, id)).toMatchObject({ attempt: 2 });
  });

  it('means nothing for a run that was dispatched, or went on, before it ended', async () => {
    const { id } = await apiRun(world);
    const run = await runRow(world, id);
    const seen = { attempt: 1 };
    expect(executionVerdict(over, seen, run)).toBe('over');
    expect(executionVerdict(over, seen, { ...run, vmId: 'vm_x' })).toBe('leave');
    expect(executionVerdict(over, seen, { ...run, attempt: 2 })).toBe('leave');
    expect(executionVerdict(over, seen, { ...run, status: 'succeeded' })).toBe('leave');
    expect(executionVerdict(over, seen, undefined)).toBe('leave');
  });

  it('is judged only after the lease that follows a gap of the watchdog (I9)', async () => {
    const { id, input } = await apiRun(world);
    await launchVm(world.ports, input);
    await look();
    world.executionLooks.set(`${id}-1`, over);
    world.now += 10 * MINUTE;
    expect(await look()).toMatchObject({ holding: true, actions: [] });
    expect((await runRow(world, id)).status).toBe('provisioning');
    world.now += 46 * SECOND;
    expect((await look()).actions.map(({ rule }) => rule)).toEqual(['execution_over']);
  });
});

describe('a VM whose instance dies while it boots', () => {
  it.each(['pending', 'running', 'unknown'] as const)('is left alone while the fleet calls it %s', async (status) => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    world.observations.set(vmId, { status, detail: 'slow' });
    expect(await pass(10 * MINUTE)).toEqual([]);
    expect((await vmRow(world, vmId)).status).toBe('booting');
  });
});

describe('a VM that registers while its check is due', () => {
  /** It has booted so long that it is looked at in the very second. */
  async function booted() {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await awaitReady(world.ports, { ...input, vmId, taskToken: 'token' });
    await pass(70 * SECOND);
    const dueAt = (await vmRow(world, vmId)).checkAt ?? 0;
    while (world.now < dueAt - SECOND) await pass(Math.min(10 * SECOND, dueAt - SECOND - world.now));
    world.now = dueAt;
    return { id, input, vmId, runner: new FakeRunner(world, vmId) };
  }
  const killed = (id: string) => afterRead(world, keys.run(id), () => Promise.reject(new Error('killed')));

  it('gets its run, though the watchdog looks before that is dispatched', async () => {
    const { id, vmId, runner } = await booted();
    await runner.register(afterRead(world, keys.run(id), () => look()));
    expect(await runRow(world, id)).toMatchObject({ status: 'starting', vmId, attempt: 1 });
    expect([scene.rules, world.terminations]).toEqual([[], []]);
  });

  it('gets it where that registration was cut short, and the runner registers again after the look', async () => {
    const { id, vmId, runner } = await booted();
    await expect(runner.register(killed(id))).rejects.toThrow('killed');
    world.now += SECOND;
    await look();
    world.now += 2 * SECOND;
    await runner.register();
    expect(await runRow(world, id)).toMatchObject({ status: 'starting', vmId, attempt: 1 });
    expect(scene.rules).toEqual([]);
  });

  it('and is never heard again is given up, and the execution that waits for it goes on', async () => {
    const { id, input, vmId, runner } = await booted();
    const another = await heardBeside(world);
    await expect(runner.register(killed(id))).rejects.toThrow('killed');
    expect(await pass(4 * MINUTE, another)).toContain('vm_unresponsive');
    expect(world.signals).toEqual([]);
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await pass(MINUTE, another);
    expect(world.signals).toEqual(['token']);
    await expect(dispatchRun(world.ports, { ...input, vmId })).rejects.toThrow('cannot take run');
    expect(await runRow(world, id)).toMatchObject({ status: 'provisioning', attempt: 1 });
  });

  it('and is drained by order before it gets its run wakes the execution that waits for it', async () => {
    const { id, vmId, runner } = await booted();
    await expect(runner.register(killed(id))).rejects.toThrow('killed');
    await requestDrain(world.ports, world.caller, vmId, none);
    expect(world.signals).toEqual(['token']);
  });
});

describe('an instance that no VM accounts for', () => {
  const instance = (vmId: string) =>
    ({
      instanceId: 'i-late',
      vmId,
      tenantId: 'local',
      status: 'running',
      detail: 'EC2 says that i-late is running',
    }) as const;

  /** A launch is never answered, its run is cancelled, its VM is settled as gone; then the instance appears. */
  async function lateInstance(): Promise<string> {
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('no answer');
    await expect(launchVm(world.ports, input)).rejects.toThrow('no answer');
    const vmId = world.launches[0]?.vmId ?? '';
    world.observations.set(vmId, { status: 'terminated', detail: 'no instance has its tag' });
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    await pass(2 * MINUTE);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    world.instances.set('i-late', instance(vmId));
    return vmId;
  }

  it('is not terminated right after a gap of the watchdog, though it was marked before it (I9)', async () => {
    await lateInstance();
    await pass(4 * MINUTE);
    world.terminations.length = 0;
    world.now += 20 * MINUTE;
    expect(await look()).toMatchObject({ holding: true, actions: [] });
    expect(world.terminations).toEqual([]);
  });

  it('is found beside one whose VM cannot be read, which is told and left alone (I6)', async () => {
    await lateInstance();
    world.launchFault = undefined;
    const other = await apiRun(world);
    const { vmId: unreadable } = await launchVm(world.ports, other.input);
    const own = { ...instance(unreadable), instanceId: (await vmRow(world, unreadable)).instanceId ?? '' };
    world.instances.set(own.instanceId, own);
    await world.ports.store.transact([
      { kind: 'update', key: keys.vm(unreadable), set: { schemaVersion: 99 }, guards: [] },
    ]);
    world.terminations.length = 0;
    await pass(12 * MINUTE);
    expect(world.terminations).toEqual(['i-late']);
    expect(scene.lines).toContainEqual(
      expect.objectContaining({
        message: 'fleet.instance_failed',
        detail: expect.objectContaining({ instanceId: own.instanceId, vmId: unreadable }) as object,
      }),
    );
    expect(world.measured).toContainEqual({ name: 'OrphanInstances', value: 1, dimensions: {} });
  });

  it('is not meant where a VM has it, is being launched, or takes it before the second look', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const vm = await vmRow(world, vmId);
    const own = { ...instance(vmId), instanceId: vm.instanceId ?? '' };
    expect(whyStray(own, vm)).toBeUndefined();
    expect(whyStray(instance(vmId), vm)).toContain(vm.instanceId);
    const { instanceId: _none, ...launching } = { ...vm, intent: { ...vm.intent, open: true } };
    expect(whyStray(instance(vmId), launching)).toBeUndefined();
    const view = { now: world.now, holdUntil: 0, heard: undefined, config: world.ports.config };
    expect(decideStray(undefined, { firstSeenAt: 0 }, view)).toEqual({ do: 'forget' });
    expect(decideStray('nobody', { firstSeenAt: world.now - 44 * SECOND }, view)).toEqual({ do: 'nothing' });
    expect(decideStray('nobody', { firstSeenAt: world.now - 45 * SECOND }, view)).toMatchObject({ do: 'end' });
    world.instances.set(own.instanceId, own);
    expect(await pass(11 * MINUTE)).toEqual([]);
  });
});

describe('a delete', () => {
  it('that waits for a run which is over comes to its end', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    const live = (await triggerSchedule(world.ports, world.caller, schedule.id, {}, none)).id;
    await startingFrom(world, live);
    await deleteSchedule(world.ports, world.caller, schedule.id, { kind: 'any' }, { cancelRuns: true });
    await endWith(
      losing(world, (write) => keyOf(write).pk === keys.schedule(schedule.id).pk),
      live,
    );
    expect((await scheduleRow(world, schedule.id)).status).toBe('deleting');
    await pass(2 * MINUTE);
    expect((await scheduleRow(world, schedule.id)).status).toBe('deleted');
  });
});
