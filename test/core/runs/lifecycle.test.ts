import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RegistryEntry } from '../../../core/contract/runner.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { getRun, listRuns } from '../../../core/runs/service.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { CapacityUnavailable, QuotaExceeded } from '../../../core/vms/launchErrors.ts';
import { awaitReady, dispatchRun, failRun, launchVm, releaseAttempt } from '../../../core/vms/provision.ts';
import { registerRunner } from '../../../core/vms/register.ts';
import { releaseVm } from '../../../core/vms/release.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  apiRun,
  ended,
  entry,
  eventsOf,
  FakeRunner,
  finishAs,
  newNonce,
  page,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingRun,
  upTo,
  vmRow,
} from '../support.ts';

const NO_LARGE = {
  type: 'm7i.large',
  availabilityZone: 'a',
  market: 'spot',
  code: 'InsufficientInstanceCapacity',
} as const;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

/** I13 and I8: one event for each version, in order, and the statuses that they tell. */
async function story(runId: string): Promise<readonly string[]> {
  const run = await runRow(world, runId);
  const events = await eventsOf(world, keys.run(runId).pk);
  expect(events.map((each) => each.sequence)).toEqual(upTo(run.version));
  return events.map((each) => each.type);
}

describe('the way of a run from queue to end', () => {
  it('leaves one event for each change, in order, without gaps (I8, I13)', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const runner = new FakeRunner(world, vmId);
    await runner.register();
    await claimDispatch(world.ports, id, 1, vmId);
    const first = await runner.beat();
    await runner.beat([running(id)]);
    const last = await runner.beat([ended(id, { exitCode: 0, output: { answer: 42 }, logChunks: 3 })]);

    expect(first.commands).toMatchObject([
      { kind: 'start', runId: id, attempt: 1, number: 1, input: { some: 'input' } },
    ]);
    expect(last.acknowledged).toEqual([{ runId: id, attempt: 1 }]);
    expect(last.commands).toMatchObject([{ kind: 'stop-vm', number: 2 }]);
    expect(await story(id)).toEqual(['run.queued', 'run.provisioning', 'run.starting', 'run.running', 'run.succeeded']);
    expect(await getRun(world.ports, world.caller, id)).toMatchObject({
      status: 'succeeded',
      output: { answer: 42 },
      exitCode: 0,
      terminatedBy: 'self',
      vmId,
    });
    const vm = await vmRow(world, vmId);
    expect(vm).toMatchObject({ status: 'draining', slots: [] });
    expect((await runRow(world, id)).checkAt).toBeUndefined();
  });

  it('tells the same story when every step is delivered twice', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    expect(await launchVm(world.ports, input)).toEqual({ vmId });
    const runner = new FakeRunner(world, vmId);
    await runner.register();
    await runner.register();
    expect(await claimDispatch(world.ports, id, 1, vmId)).toBe('same');
    expect(await dispatchRun(world.ports, { ...input, vmId })).toEqual({ claim: 'same' });
    await runner.beat();
    await runner.beat([running(id)]);
    await runner.beat([running(id)]);
    await runner.beat([ended(id)]);
    const again = await runner.beat([ended(id)]);

    expect(again.acknowledged).toEqual([{ runId: id, attempt: 1 }]);
    expect(runner.generation).toBe(1);
    expect(world.launches).toHaveLength(1);
    expect(await story(id)).toEqual(['run.queued', 'run.provisioning', 'run.starting', 'run.running', 'run.succeeded']);
    expect((await vmRow(world, vmId)).commands.filter((each) => each.kind === 'stop-vm')).toHaveLength(0);
    expect((await vmRow(world, vmId)).commandCount).toBe(2);
  });

  it('counts its times from what was seen: started before it was reported, never before it was dispatched', async () => {
    const { id, runner } = await startingRun(world);
    await runner.beat();
    world.now += 10 * SECOND;
    const dispatchedAt = (await runRow(world, id)).dispatchedAt ?? 0;
    await runner.beat([running(id, 4 * SECOND)]);
    expect((await runRow(world, id)).startedAt).toBe(world.now - 4 * SECOND);

    const other = await startingRun(world);
    await other.runner.beat();
    await other.runner.beat([running(other.id, 1e17)]);
    const row = await runRow(world, other.id);
    expect(row.startedAt).toBeGreaterThanOrEqual(dispatchedAt);
    expect(row.deadlineAt).toBeGreaterThan(world.now);
    // One runner's nonsense must not take the list of runs away from everybody.
    expect((await listRuns(world.ports, world.caller, {}, page)).items).toHaveLength(2);
  });

  it('ends work that began and ended between two reports, with both of its times', async () => {
    const { id, runner } = await startingRun(world);
    await runner.beat();
    world.now += 5 * SECOND;
    await runner.beat([ended(id)]);
    expect(await story(id)).toEqual(['run.queued', 'run.provisioning', 'run.starting', 'run.succeeded']);
    const run = await runRow(world, id);
    expect(run.startedAt).toBe(world.now - 2000);
    expect(run.endedAt).toBe(world.now);
  });

  it('frees its schedule’s live set exactly once, whoever reports the end and however often (I10)', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    const run = await triggerSchedule(world.ports, world.caller, schedule.id, {}, { kind: 'none' });
    const input = { tenantId: world.caller.tenantId, runId: run.id, attempt: 1 };
    const { vmId } = await launchVm(world.ports, input);
    const runner = new FakeRunner(world, vmId);
    await runner.register();
    await runner.beat();
    const before = await scheduleRow(world, schedule.id);
    expect(before.liveRuns).toEqual([run.id]);

    await runner.beat([ended(run.id)]);
    await runner.beat([ended(run.id)]);
    await finishAs(world, run.id, 'failed');

    const after = await scheduleRow(world, schedule.id);
    expect(after).toMatchObject({ liveRuns: [], liveSeq: before.liveSeq + 1, version: before.version });
    expect(after.lastRun).toMatchObject({ runId: run.id, status: 'succeeded' });
  });
});

describe('registration, dispatch and AwaitReady in any order', () => {
  it('dispatches from the state machine when the registration could not', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await expect(dispatchRun(world.ports, { ...input, vmId })).rejects.toMatchObject({ name: 'VmUnfit' });
    expect(await claimDispatch(world.ports, id, 1, vmId)).toBe('vm_unfit');
    await new FakeRunner(world, vmId).register();
    expect(await dispatchRun(world.ports, { ...input, vmId })).toEqual({ claim: 'same' });
    expect((await vmRow(world, vmId)).slots).toMatchObject([{ runId: id, attempt: 1 }]);
  });

  it('signals once both are there, whichever comes second', async () => {
    const early = await apiRun(world);
    const first = await launchVm(world.ports, early.input);
    await awaitReady(world.ports, { ...early.input, ...first, taskToken: 'token-early' });
    expect(world.signals).toEqual([]);
    await new FakeRunner(world, first.vmId).register();
    expect(world.signals).toEqual(['token-early']);

    const late = await apiRun(world);
    const second = await launchVm(world.ports, late.input);
    await new FakeRunner(world, second.vmId).register();
    expect(world.signals).toEqual(['token-early']);
    await awaitReady(world.ports, { ...late.input, ...second, taskToken: 'token-late' });
    expect(world.signals).toEqual(['token-early', 'token-late']);
  });

  it('asks a runner to come again until its instance is stored', async () => {
    const { input } = await apiRun(world);
    world.launchFault = new Error('the answer was lost');
    await expect(launchVm(world.ports, input)).rejects.toThrow('lost');
    const [vmId] = world.launches.map((each) => each.vmId);
    const runner = new FakeRunner(world, vmId ?? '');
    await expect(runner.register()).rejects.toMatchObject({ code: 'try_again' });
    world.launchFault = undefined;
    await launchVm(world.ports, input);
    await runner.register();
    expect(runner.generation).toBe(1);
  });

  it('sends a runner home whose VM has been recorded as ended, also when its instance was never stored', async () => {
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('the answer was lost');
    await expect(launchVm(world.ports, input)).rejects.toThrow('lost');
    const vmId = world.launches[0]?.vmId ?? '';
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    world.observations.set(vmId, { status: 'terminated', detail: 'no such instance' });
    world.now += 61 * SECOND;
    await releaseVm(world.ports, vmId, 'looked again');
    expect((await vmRow(world, vmId)).status).toBe('terminated');

    await expect(new FakeRunner(world, vmId).register()).rejects.toMatchObject({ code: 'illegal_transition' });
  });

  it('refuses a key of another VM, and of another tenant', async () => {
    const { vmId } = await startingRun(world);
    const request = { vmId, nonce: newNonce(), runnerVersion: 'test' };
    const identity = { kind: 'registration', tenantId: world.caller.tenantId, vmId: 'vm_other' } as const;
    await expect(registerRunner(world.ports, identity, request)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(registerRunner(world.ports, { ...identity, tenantId: 'other', vmId }, request)).rejects.toMatchObject({
      code: 'try_again',
    });
  });

  it('gives one VM’s marker to nobody else: a second VM has moved on', async () => {
    const one = await startingRun(world);
    const other = await startingRun(world);
    expect(await claimDispatch(world.ports, one.id, 1, other.vmId)).toBe('moved_on');
    expect(await claimDispatch(world.ports, one.id, 2, one.vmId)).toBe('moved_on');
    expect((await vmRow(world, other.vmId)).slots).toMatchObject([{ runId: other.id, attempt: 1 }]);
  });

  it('lets a VM go that registers for a run which has ended', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await finishAs(world, id, 'failed');
    await new FakeRunner(world, vmId).register();
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });
    expect(world.terminations).toContain(vmId);
  });
});

describe('heartbeats that come twice, late, or from somebody else (I7)', () => {
  it('change nothing when their seq has been handled or overtaken', async () => {
    const { id, runner } = await runningRun(world);
    await runner.beat([running(id)]);
    const before = await runRow(world, id);
    for (const seq of [runner.seq, runner.seq - 1, 1])
      await expect(runner.send([ended(id)], seq, runner.acks)).rejects.toMatchObject({ code: 'stale_heartbeat' });
    expect(await runRow(world, id)).toEqual(before);
  });

  it('change nothing when an older generation sends them', async () => {
    const { id, vmId, runner } = await runningRun(world);
    const newer = new FakeRunner(world, vmId);
    await newer.register();
    expect(newer.generation).toBe(2);
    await expect(runner.beat([ended(id)])).rejects.toMatchObject({ code: 'stale_generation' });
    expect((await runRow(world, id)).status).toBe('running');
    await newer.beat([ended(id)]);
    expect((await runRow(world, id)).status).toBe('succeeded');
  });

  it('change no run of another VM, and get their stray work ended', async () => {
    const mine = await runningRun(world);
    const other = await runningRun(world);
    const answer = await other.runner.beat([running(other.id), running(mine.id)]);
    expect(answer.commands).toMatchObject([{ kind: 'cancel', runId: mine.id }]);
    const over = await other.runner.beat([running(other.id), ended(mine.id, { exitCode: 1 })]);
    expect(over.acknowledged).toEqual([{ runId: mine.id, attempt: 1 }]);
    expect((await runRow(world, mine.id)).status).toBe('running');
  });

  it('change nothing for another attempt, and acknowledge it so that it is forgotten', async () => {
    const { id, runner } = await runningRun(world);
    const answer = await runner.beat([running(id), { ...ended(id), attempt: 2 }]);
    expect(answer.acknowledged).toEqual([{ runId: id, attempt: 2 }]);
    expect((await runRow(world, id)).status).toBe('running');
  });

  it('are refused with a token of another VM, and where the VM is gone', async () => {
    const { id, vmId, runner } = await runningRun(world);
    const other = await runningRun(world);
    runner.seq++;
    await expect(new FakeRunner(world, 'vm_nowhere').send([], 1, 0)).rejects.toMatchObject({ code: 'unauthenticated' });
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await runner.beat([ended(id)]);
    await releaseVm(world.ports, vmId, 'test');
    await expect(runner.beat([])).rejects.toMatchObject({ code: 'illegal_transition' });
    expect((await runRow(world, other.id)).status).toBe('running');
  });

  it('tell a command until it is acknowledged, and never again', async () => {
    const { id, runner } = await startingRun(world);
    const numbers = async (acks: number) =>
      (await runner.send([], ++runner.seq, acks)).commands.map((command) => command.number);
    expect(await numbers(0)).toEqual([1]);
    expect(await numbers(0)).toEqual([1]);
    expect(await numbers(1)).toEqual([]);
    expect((await runner.beat([running(id)])).commands).toEqual([]);
  });
});

describe('launching', () => {
  it('makes one VM with one client token of concurrent LaunchVm calls (I2)', async () => {
    const { input } = await apiRun(world);
    const answers = await Promise.all(Array.from({ length: 6 }, () => launchVm(world.ports, input)));
    expect(new Set(answers.map((each) => each.vmId)).size).toBe(1);
    expect(new Set(world.launches.map((each) => each.clientToken)).size).toBe(1);
    expect(world.terminations).toEqual([]);
    // Whoever finds the intent open asks once more under its token, and writes down when.
    expect(await vmRow(world, answers[0]?.vmId ?? '')).toMatchObject({ status: 'booting', intent: { number: 1 } });
  });

  it('uses the same token again when no answer arrived', async () => {
    const { input } = await apiRun(world);
    world.launchFault = new Error('socket hang up');
    await expect(launchVm(world.ports, input)).rejects.toThrow('socket hang up');
    world.launchFault = undefined;
    await launchVm(world.ports, input);
    expect(world.launches).toHaveLength(2);
    expect(new Set(world.launches.map((each) => each.clientToken)).size).toBe(1);
  });

  it('closes the intent with any answer: the next try is a new number and a new token, and the run says why it waits', async () => {
    const { id, input } = await apiRun(world);
    world.launchFault = new CapacityUnavailable('no room', [NO_LARGE]);
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({ name: 'CapacityUnavailable' });
    expect(await runRow(world, id)).toMatchObject({
      status: 'provisioning',
      waiting: { reason: 'capacity', tried: [NO_LARGE] },
    });
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({ name: 'CapacityUnavailable' });
    world.launchFault = new QuotaExceeded('no vCPUs left');
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({ name: 'QuotaExceeded' });
    world.launchFault = undefined;
    const { vmId } = await launchVm(world.ports, input);

    expect(new Set(world.launches.map((each) => each.clientToken)).size).toBe(4);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'booting', intent: { number: 4, open: false } });
    // The same reason again is no news: only the change of reason is told.
    expect(await story(id)).toEqual(['run.queued', 'run.provisioning', 'run.waiting', 'run.waiting', 'run.launched']);
  });

  it('terminates an instance whose answer comes after the release, and keeps its id until it is seen to be gone', async () => {
    const { id, input } = await apiRun(world);
    const ports = {
      ...world.ports,
      fleet: {
        ...world.ports.fleet,
        launch: async (spec: Parameters<typeof world.ports.fleet.launch>[0]) => {
          const answer = await world.ports.fleet.launch(spec);
          await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
          world.terminations.length = 0;
          return answer;
        },
      },
    };
    await expect(launchVm(ports, input)).rejects.toMatchObject({ name: 'RunMovedOn' });
    const vm = await vmRow(world, world.launches[0]?.vmId ?? '');
    // EC2 may not show it yet, and then knows nothing to terminate: without its id the VM would be called gone.
    expect(vm).toMatchObject({ status: 'draining', intent: { open: false }, instanceId: expect.any(String) });
    expect(world.terminations).toEqual([vm.id]);
  });

  it('ends with StartDeadlineExceeded once the deadline is over, naming what was tried, and asks for no VM', async () => {
    const { input } = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
    world.launchFault = new CapacityUnavailable('no room', [{ type: 'small', code: 'no' }]);
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({ name: 'CapacityUnavailable' });
    world.now += 59 * SECOND;
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({ name: 'CapacityUnavailable' });
    world.now += SECOND;
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({
      name: 'StartDeadlineExceeded',
      message: expect.stringContaining('small: no') as string,
    });
    expect(world.launches).toHaveLength(2);
  });

  it('does not make the start deadline look fresh by provisioning (§1.6)', async () => {
    const { id, input } = await apiRun(world);
    const before = (await runRow(world, id)).deadlineAt;
    world.now += 60 * SECOND;
    const { vmId } = await launchVm(world.ports, input);
    const after = await runRow(world, id);
    expect(after).toMatchObject({ status: 'provisioning', deadlineAt: before });
    expect((await vmRow(world, vmId)).deadlineAt).toBe(before);
    // It is looked at before that all the same: its execution may end, and its instance die.
    expect([after.checkAt, (await vmRow(world, vmId)).checkAt]).toEqual([
      world.now + 60 * SECOND,
      world.now + 60 * SECOND,
    ]);
  });

  it('asks for nothing for a run that has ended', async () => {
    const { id, input } = await apiRun(world);
    await finishAs(world, id);
    await expect(launchVm(world.ports, input)).rejects.toMatchObject({ name: 'RunMovedOn' });
    await expect(launchVm(world.ports, { ...input, attempt: 2 })).rejects.toMatchObject({ name: 'RunMovedOn' });
    await expect(launchVm(world.ports, { ...input, tenantId: 'other' })).rejects.toMatchObject({ name: 'RunMovedOn' });
    expect(world.launches).toEqual([]);
  });
});

describe('the Catch path', () => {
  it('releases the VM and fails the run, with the reason and what Step Functions said', async () => {
    const { id, input } = await apiRun(world, { retry: { maxAttempts: 1 } });
    const { vmId } = await launchVm(world.ports, input);
    expect(await releaseAttempt(world.ports, input)).toEqual({ released: 'released' });
    const failure = { Error: 'States.Timeout', Cause: '{"errorMessage":"no registration"}' };
    expect(await failRun(world.ports, { ...input, failure })).toEqual({ outcome: 'finished' });
    expect(await failRun(world.ports, { ...input, failure })).toEqual({ outcome: 'already' });
    expect(await runRow(world, id)).toMatchObject({
      status: 'failed',
      reason: 'start_timeout',
      evidence: { detail: 'States.Timeout: no registration' },
    });
    expect(world.terminations).toEqual([vmId]);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('does nothing once the marker names the VM: a lost answer must not kill healthy work (I9)', async () => {
    const { id, input, vmId, runner } = await startingRun(world);
    const before = [await runRow(world, id), await vmRow(world, vmId)];
    expect(await releaseAttempt(world.ports, input)).toEqual({ released: 'dispatched' });
    expect(await failRun(world.ports, { ...input, failure: { Error: 'States.Timeout' } })).toEqual({
      outcome: 'fenced',
    });
    expect([await runRow(world, id), await vmRow(world, vmId)]).toEqual(before);
    await runner.beat();
    await runner.beat([running(id)]);
    expect(await releaseAttempt(world.ports, input)).toEqual({ released: 'dispatched' });
    expect(world.terminations).toEqual([]);
  });
});

describe('verdicts', () => {
  const cases: readonly (readonly [string, RegistryEntry['state'], Partial<RegistryEntry>, object])[] = [
    ['exit 0', 'ended', { exitCode: 0 }, { status: 'succeeded', exitCode: 0, terminatedBy: 'self' }],
    ['exit 3', 'ended', { exitCode: 3 }, { status: 'failed', reason: 'exit_code', exitCode: 3 }],
    ['an end without an exit code', 'ended', {}, { status: 'failed', reason: 'exit_code' }],
    [
      'a signal from elsewhere',
      'ended',
      { signal: 'SIGSEGV', terminatedBy: 'signal' },
      { status: 'failed', reason: 'signal', signal: 'SIGSEGV' },
    ],
    [
      'no memory left',
      'ended',
      { signal: 'SIGKILL', terminatedBy: 'oom' },
      { status: 'failed', reason: 'out_of_memory', terminatedBy: 'oom' },
    ],
    [
      'a timeout',
      'ended',
      { signal: 'SIGTERM', terminatedBy: 'timeout' },
      { status: 'timed_out', reason: 'run_timeout' },
    ],
    ['idleness', 'ended', { signal: 'SIGTERM', terminatedBy: 'idle' }, { status: 'timed_out', reason: 'idle' }],
    ['a refused start', 'not_started', { detail: 'no such program' }, { status: 'failed', reason: 'not_started' }],
    ['a vanished process', 'gone', {}, { status: 'lost', reason: 'process_vanished' }],
  ];
  it.each(cases)('of %s', async (_name, state, more, expected) => {
    const { id, runner } = await startingRun(world, { retry: { maxAttempts: 1 } });
    await runner.beat();
    const answer = await runner.beat([entry(id, state, more)]);
    expect(await runRow(world, id)).toMatchObject(expected);
    expect(answer.acknowledged).toEqual([{ runId: id, attempt: 1 }]);
  });

  const cancelled: typeof cases = [
    [
      'ended by the cancel',
      'ended',
      { signal: 'SIGINT', terminatedBy: 'cancel' },
      { status: 'cancelled', reason: 'cancelled' },
    ],
    ['ended by itself before the signal', 'ended', { exitCode: 0, terminatedBy: 'self' }, { status: 'succeeded' }],
    ['failed by itself before the signal', 'ended', { exitCode: 2, terminatedBy: 'self' }, { status: 'failed' }],
    ['never started', 'not_started', {}, { status: 'cancelled', reason: 'cancelled_before_start' }],
    ['vanished', 'gone', {}, { status: 'lost', reason: 'process_vanished' }],
  ];
  it.each(cancelled)('while cancelling, of work that %s', async (_name, state, more, expected) => {
    const { id, runner } = await runningRun(world);
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    await runner.beat([entry(id, state, more)]);
    const run = await runRow(world, id);
    expect(run).toMatchObject(expected);
    expect(run.cancel).toMatchObject({ acknowledgedAt: world.now, processGoneAt: world.now });
  });
});

describe('work that its VM does not name any more', () => {
  it('is lost as ended_unreported after two reports in a row, and its VM drains', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await runner.beat([]);
    expect((await runRow(world, id)).status).toBe('running');
    const answer = await runner.beat([]);
    expect(await runRow(world, id)).toMatchObject({ status: 'lost', reason: 'ended_unreported' });
    expect(answer.commands).toMatchObject([{ kind: 'stop-vm' }]);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('is left alone when it was missing once and is there again', async () => {
    const { id, runner } = await runningRun(world);
    for (let round = 0; round < 3; round++) {
      await runner.beat([]);
      await runner.beat([running(id)]);
    }
    expect(await runRow(world, id)).toMatchObject({ status: 'running', version: 4 });
    expect((await runRow(world, id)).missingReports).toBeUndefined();
  });

  it('counts only reports that are later than the acknowledgement of its start', async () => {
    const { id, runner } = await startingRun(world);
    await runner.send([], ++runner.seq, 0);
    await runner.send([], ++runner.seq, 0);
    // This very report acknowledges: what it does not name may have been started after it was written.
    await runner.send([], ++runner.seq, 1);
    await runner.send([], ++runner.seq, 1);
    expect((await runRow(world, id)).status).toBe('starting');
    await runner.send([], ++runner.seq, 1);
    expect((await runRow(world, id)).status).toBe('lost');
  });

  it('gets one correction when the proof of its end comes late, and nothing else changes', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    const run = await triggerSchedule(world.ports, world.caller, schedule.id, {}, { kind: 'none' });
    const input = { tenantId: world.caller.tenantId, runId: run.id, attempt: 1 };
    const { vmId } = await launchVm(world.ports, input);
    const runner = new FakeRunner(world, vmId);
    await runner.register();
    await runner.beat();
    await runner.beat([running(run.id)]);
    await runner.beat([]);
    await runner.beat([]);
    const before = await scheduleRow(world, schedule.id);
    const lost = await runRow(world, run.id);
    expect(lost.status).toBe('lost');

    await runner.beat([ended(run.id, { exitCode: 0 })]);
    await runner.beat([ended(run.id, { exitCode: 1 })]);
    await runner.beat([entry(run.id, 'gone')]);

    const after = await runRow(world, run.id);
    expect(after).toMatchObject({
      status: 'lost',
      reason: 'ended_unreported',
      endedAt: lost.endedAt,
      evidence: lost.evidence,
      correction: { status: 'succeeded', exitCode: 0 },
      version: lost.version + 1,
    });
    expect(after.exitCode).toBeUndefined();
    expect(await scheduleRow(world, schedule.id)).toEqual(before);
    expect((await story(run.id)).at(-1)).toBe('run.corrected');
  });

  it('is not corrected where it was not lost: the first verdict was the truth', async () => {
    const { id, runner } = await runningRun(world);
    await runner.beat([ended(id, { exitCode: 3 })]);
    const before = await runRow(world, id);
    await runner.beat([ended(id, { exitCode: 0 })]);
    expect(await runRow(world, id)).toEqual(before);
  });
});
