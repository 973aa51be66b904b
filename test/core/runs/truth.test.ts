/** What a run says of itself is so: while it waits, when it has ended, and when more is found out later. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CoreConfig } from '../../../core/config.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { explainRun } from '../../../core/runs/explain.ts';
import { getRun } from '../../../core/runs/service.ts';
import { advanceSchedule } from '../../../core/schedules/advance.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { requestDrain } from '../../../core/vms/drain.ts';
import { CapacityUnavailable } from '../../../core/vms/launchErrors.ts';
import { failRun, launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  any,
  apiRun,
  ended,
  entry,
  FakeRunner,
  finishAs,
  MINUTE,
  newNonce,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingFrom,
  startingRun,
  vmRow,
} from '../support.ts';
import { atWork, CANCEL, dies, GONE, newRun, passes, places, refusalOf, watchdog } from '../vms/support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const body = (id: string) => getRun(world.ports, world.caller, id);
const explained = (id: string) => explainRun(world.ports, world.caller, id);

describe('a run that waits', () => {
  it('for a place of a VM names the VM, whichever run that has carried since', async () => {
    const agent = await world.agent({ limits: { maxConcurrentVms: 1 } });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    await first.runner.beat([ended(first.id)]);
    await first.runner.beat([running(second)]);
    const third = await newRun(world, agent.id);
    expect((await body(third)).waiting).toMatchObject({ reason: 'agent_vm_limit', blockedBy: [first.vmId] });
    expect((await explained(third)).facts.map(({ text }) => text)).toContain(`${first.vmId} holds a place.`);
  });

  it('waits for capacity no more once it was found', async () => {
    const { id, input } = await apiRun(world);
    world.launchFault = new CapacityUnavailable('none', [
      { type: 't', availabilityZone: 'az', market: 'spot', code: 'InsufficientInstanceCapacity' },
    ]);
    await expect(launchVm(world.ports, input)).rejects.toThrow('none');
    expect((await body(id)).waiting).toMatchObject({ reason: 'capacity' });
    world.launchFault = undefined;
    await launchVm(world.ports, input);
    expect((await body(id)).waiting).toBeUndefined();
    expect((await explained(id)).summary).toMatch(/^A VM is being launched for it/);
  });

  it('has its whole start timeout after the runs that it displaces have ended', async () => {
    const agent = await world.agent({ limits: { startTimeout: 'PT5M' } });
    const schedule = await world.schedule(agent.id, { overlapPolicy: 'cancel_other' });
    world.now = MONDAY_NOON + 5 * MINUTE;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now });
    const [first = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
    await startingFrom(world, first);
    world.now = MONDAY_NOON + 10 * MINUTE;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now });
    const [waiting = ''] = (await scheduleRow(world, schedule.id)).waitingRuns;
    world.now += 270 * SECOND;
    await finishAs(world, first);
    await advanceSchedule(world.ports, schedule.id);
    const letGoAt = world.now;
    world.now += MINUTE;
    await startingFrom(world, waiting);
    expect(await runRow(world, waiting)).toMatchObject({ status: 'starting', deadlineAt: letGoAt + 5 * MINUTE });
  });

  it('behind the place that a waiting attempt kept is let in at once when that one is cancelled', async () => {
    const limits = { maxConcurrentRuns: 1, maxConcurrentVms: 1 };
    const agent = await world.agent({ limits, retry: { maxAttempts: 3, backoff: 'PT0S' } });
    const first = await startingFrom(world, await newRun(world, agent.id));
    const second = await newRun(world, agent.id);
    await first.runner.beat();
    await refusalOf(first.runner, first.id);
    expect(await runRow(world, first.id)).toMatchObject({ attempt: 2, waiting: { reason: 'agent_vm_limit' } });
    await cancelRun(world.ports, world.caller, first.id, CANCEL);
    expect(await places(world, `agent#${agent.id}`)).toEqual({ used: 0, holders: [], waiters: [] });
    expect((await body(second)).waiting).toMatchObject({ reason: 'agent_vm_limit' });
  });
});

describe('a fault before a run’s execution could write anything', () => {
  it('is tried again like any other of the infrastructure', async () => {
    const { id, input } = await apiRun(world);
    const failure = { Error: 'StoreUnavailable', Cause: 'throttled' };
    expect(await failRun(world.ports, { ...input, failure })).toEqual({ outcome: 'retrying' });
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(await failRun(world.ports, { ...input, failure })).toEqual({ outcome: 'fenced' });
  });
});

describe('a start that took too long', () => {
  it('is called a start timeout, even where its process came a moment before its end', async () => {
    const { id, runner } = await startingRun(world, { limits: { startTimeout: 'PT1M' } });
    await runner.beat();
    await passes(world, 60, runner, () => [entry(id, 'starting')]);
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelling', cancel: { timeout: 'start_timeout' } });
    await runner.beat([entry(id, 'ending', { pid: 1, startedAgoMs: 1500 })]);
    await runner.beat([ended(id, { startedAgoMs: 3000, signal: 'SIGINT', terminatedBy: 'timeout' })]);
    expect(await runRow(world, id)).toMatchObject({ status: 'timed_out', reason: 'start_timeout' });
    expect((await explained(id)).summary).toContain('startTimeout of 60 s');
  });

  it('and a run that took too long is called a run timeout', async () => {
    const { id, runner } = await runningRun(world, { limits: { runTimeout: 'PT1M' } });
    await passes(world, 80, runner, () => [running(id)]);
    await runner.beat([ended(id, { signal: 'SIGINT', terminatedBy: 'timeout' })]);
    expect(await runRow(world, id)).toMatchObject({ status: 'timed_out', reason: 'run_timeout' });
  });
});

describe('work that is seen without the time of its start', () => {
  it('runs from when it was seen', async () => {
    const { id, runner } = await startingRun(world);
    await runner.beat();
    await runner.beat([entry(id, 'running', { pid: 7 })]);
    expect(await runRow(world, id)).toMatchObject({ status: 'running', startedAt: world.now });
  });
});

describe('a VM that was gone before a start could be sent to it', () => {
  it('leaves a run of which it is known that nothing of it ever ran', async () => {
    const { id, vmId } = await startingRun(world, { retry: { maxAttempts: 1 } });
    world.observations.set(vmId, GONE);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'vm_lost_before_start' });
    const { summary } = await explained(id);
    expect(summary).toContain('no process of it ever existed');
    expect(summary).toContain('attempt 1 of 1 was the last one');
  });
});

describe('the late truth about a lost run', () => {
  it('says too whether what proves success was there', async () => {
    const { id, runner } = await runningRun(world, { successCriteria: { artifact: 'report.md' } });
    await runner.beat([]);
    await runner.beat([]);
    expect((await runRow(world, id)).status).toBe('lost');
    await runner.beat([ended(id, { exitCode: 0 })]);
    expect((await body(id)).correction).toMatchObject({ status: 'succeeded', verification: { status: 'unverified' } });
    const texts = (await explained(id)).facts.map(({ text }) => text);
    expect(texts.join('\n')).toContain('succeeded, without what its agent declares as proof of success');
  });
});

describe('what was billed after a cancel', () => {
  it('is final where it says so: a VM that is kept warm afterwards is not the run’s any more', async () => {
    const agent = await world.agent({ warmFor: 'PT10M' });
    const { id, vmId, runner } = await atWork(world, agent.id);
    await cancelRun(world.ports, world.caller, id, CANCEL);
    world.now += 6 * SECOND;
    await runner.beat([ended(id, { signal: 'SIGINT', terminatedBy: 'cancel' })]);
    const billed = (await body(id)).cancel?.billed;
    expect(billed?.final).toBe(true);
    await passes(world, 700, runner);
    dies(world, vmId);
    await passes(world, 60);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    expect((await body(id)).cancel?.billed).toEqual(billed);
  });
});

describe('a runner that registers anew', () => {
  it('does not undo the drain of its VM', async () => {
    const { vmId, runner } = await runningRun(world);
    await requestDrain(world.ports, world.caller, vmId, any);
    world.now += MINUTE;
    await watchdog(world);
    expect((await vmRow(world, vmId)).status).toBe('unresponsive');
    runner.nonce = newNonce();
    await runner.register();
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('does not shorten the time for which its idle VM is kept', async () => {
    const agent = await world.agent({ warmFor: 'PT10M' });
    const { id, vmId, runner } = await atWork(world, agent.id);
    await runner.beat([ended(id)]);
    const { deadlineAt } = await vmRow(world, vmId);
    world.now += MINUTE;
    await watchdog(world);
    expect((await vmRow(world, vmId)).status).toBe('unresponsive');
    const next = new FakeRunner(world, vmId);
    await next.register();
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'ready', deadlineAt });
  });
});

describe('the configuration', () => {
  it('gives a cancel the time to end work in order before its VM is terminated', () => {
    expect(CoreConfig.safeParse({ cancelInterruptSeconds: 100, cancelTerminateSeconds: 20 })).toMatchObject({
      error: { issues: [{ path: ['cancelEscalateSeconds'] }] },
    });
  });
});
