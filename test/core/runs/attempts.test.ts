/** Next attempts (design.md §3, §5.4): what is tried again, what is not, and that no two attempts are ever at work. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RetryPolicy } from '../../../core/contract/agentParts.ts';
import type { NotStartedBecause } from '../../../core/contract/runner.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { executionName } from '../../../core/runs/execution.ts';
import { createRun, getRun, listRuns } from '../../../core/runs/service.ts';
import { fire } from '../../../core/schedules/fire.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { failRun, launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { FIRST, fireFirst } from '../schedules/support.ts';
import {
  apiRun,
  ended,
  entry,
  eventsOf,
  FakeRunner,
  MINUTE,
  page,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingFrom,
  startingRun,
  upTo,
  vmRow,
} from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const refuse = async (runner: FakeRunner, id: string, because: NotStartedBecause, attempt = 1) => {
  await runner.beat();
  return runner.beat([entry(id, 'not_started', { attempt, notStartedBecause: because, detail: 'the disk is full' })]);
};
const look = () => tick(world.ports, { owner: 'test', budgetMs: 10_000 });
/** Time passes in steps that leave the watchdog no gap. */
async function pass(ms: number): Promise<void> {
  for (const until = world.now + ms; world.now < until; ) {
    world.now = Math.min(until, world.now + 30 * SECOND);
    await look();
  }
}
const placed = (id: string, attempt: number) =>
  world.executions.filter(({ name }) => name === executionName(id, attempt)).length;

async function attemptOf(id: string, attempt: number) {
  const { vmId } = await launchVm(world.ports, { tenantId: world.caller.tenantId, runId: id, attempt });
  const runner = new FakeRunner(world, vmId);
  await runner.register();
  return { vmId, runner };
}

describe('a start that was refused', () => {
  it('is tried again on another VM, after a pause; both attempts stay visible', async () => {
    const { id, runner, vmId } = await startingRun(world, { retry: { backoff: 'PT20S' } });
    const refusedAt = world.now;
    const answer = await refuse(runner, id, 'setup');
    expect(answer.acknowledged).toEqual([{ runId: id, attempt: 1 }]);
    const nextTryAt = new Date(refusedAt + 20 * SECOND).toISOString();
    const shown = await getRun(world.ports, world.caller, id);
    expect(shown).toMatchObject({
      status: 'queued',
      attempt: 2,
      waiting: { reason: 'retry_backoff', nextTryAt },
      attempts: [{ attempt: 1, vmId, reason: 'setup_failed', evidence: { detail: 'the disk is full' } }],
    });
    expect(shown.vmId).toBeUndefined();
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });

    world.now = refusedAt + 19 * SECOND;
    await look();
    expect(placed(id, 2)).toBe(0);
    world.now = refusedAt + 20 * SECOND;
    await look();
    expect(placed(id, 2)).toBe(1);

    const second = await attemptOf(id, 2);
    expect(second.vmId).not.toBe(vmId);
    await second.runner.beat();
    await second.runner.beat([{ ...ended(id), attempt: 2 }]);
    const run = await runRow(world, id);
    expect(run).toMatchObject({ status: 'succeeded', attempt: 2 });
    const events = await eventsOf(world, keys.run(id).pk);
    expect(events.map((event) => event.sequence)).toEqual(upTo(run.version));
    expect(events.map((event) => event.type)).toContain('run.retrying');
  });

  it('is not tried again before that because its occurrence is delivered once more', async () => {
    const agent = await world.agent({ retry: { backoff: 'PT20S' } });
    const schedule = await world.schedule(agent.id);
    world.now = FIRST + SECOND;
    await fireFirst(world.ports, schedule.id);
    const [run] = (await listRuns(world.ports, world.caller, {}, page)).items;
    const id = run?.id ?? '';
    const { runner } = await startingFrom(world, id);
    await refuse(runner, id, 'setup');
    await fireFirst(world.ports, schedule.id);
    expect(await runRow(world, id)).toMatchObject({ attempt: 2, waiting: { reason: 'retry_backoff' } });
    expect(placed(id, 2)).toBe(0);
  });

  it('counts once, however often it is reported', async () => {
    const { id, runner } = await startingRun(world);
    await refuse(runner, id, 'refused');
    await runner.beat([entry(id, 'not_started')]);
    await runner.beat([entry(id, 'not_started')]);
    expect(await runRow(world, id)).toMatchObject({ attempt: 2, attempts: [{ attempt: 1, reason: 'not_started' }] });
  });

  it('ends the run after the last attempt that is allowed; each pause is twice as long', async () => {
    const { id } = await apiRun(world, { retry: { maxAttempts: 3, backoff: 'PT10S' } });
    for (const [attempt, pauseSeconds] of [
      [1, 10],
      [2, 20],
    ] as const) {
      const { runner } = await attemptOf(id, attempt);
      const { now } = world;
      await refuse(runner, id, 'repository', attempt);
      expect((await runRow(world, id)).waiting?.nextTryAt).toBe(now + pauseSeconds * SECOND);
      world.now += pauseSeconds * SECOND;
      await look();
    }
    const { runner } = await attemptOf(id, 3);
    await refuse(runner, id, 'repository', 3);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'repository_failed', attempt: 3 });
    expect((await runRow(world, id)).attempts).toHaveLength(2);
  });

  it('is the end where what was asked for cannot be, or the agent allows no second attempt', async () => {
    const impossible = await startingRun(world);
    await refuse(impossible.runner, impossible.id, 'impossible');
    expect(await runRow(world, impossible.id)).toMatchObject({ status: 'failed', reason: 'configuration', attempt: 1 });
    const once = await startingRun(world, { retry: { maxAttempts: 1 } });
    await refuse(once.runner, once.id, 'refused');
    expect(await runRow(world, once.id)).toMatchObject({ status: 'failed', reason: 'not_started', attempt: 1 });
  });

  it('is no next attempt once somebody wants it ended', async () => {
    const { id, runner } = await startingRun(world);
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    await refuse(runner, id, 'refused');
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_before_start' });
  });
});

describe('a VM that is gone', () => {
  const gone = async (vmId: string) => {
    world.observations.set(vmId, { status: 'terminated', detail: 'Server.SpotInstanceTermination' });
    await observeVm(world.ports, vmId);
  };
  const cases: readonly (readonly [string, RetryPolicyInput, 'unsent' | 'sent' | 'started', string])[] = [
    ['before the start was sent to it: tried again', {}, 'unsent', 'queued'],
    ['after the start was sent: nobody knows whether it began, so it is lost', {}, 'sent', 'lost'],
    ['after the process was seen: lost', {}, 'started', 'lost'],
    ['after the start was sent, where the agent allows it: tried again', { afterStart: true }, 'sent', 'queued'],
    ['after the process was seen, where the agent allows it: tried again', { afterStart: true }, 'started', 'queued'],
    ['the last attempt: lost', { afterStart: true, maxAttempts: 1 }, 'started', 'lost'],
  ];
  it.each(cases)('%s', async (_name, retry, stage, status) => {
    const { id, runner, vmId } = await startingRun(world, { retry });
    if (stage !== 'unsent') await runner.beat();
    if (stage === 'started') await runner.beat([running(id)]);
    await gone(vmId);
    expect(await runRow(world, id)).toMatchObject({ status, attempt: status === 'queued' ? 2 : 1 });
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'terminated', slots: [] });
  });

  it('a schedule says otherwise than its agent', async () => {
    const agent = await world.agent({ retry: { maxAttempts: 1 } });
    const overrides = { retry: { afterStart: true, maxAttempts: 2 } };
    const schedule = await world.schedule(agent.id, { overrides });
    world.now = MONDAY_NOON + 5 * MINUTE + SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: MONDAY_NOON + 5 * MINUTE });
    const [id = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
    const { runner, vmId } = await startingFrom(world, id);
    await runner.beat();
    await runner.beat([running(id)]);
    await gone(vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
    // It is the same run of the same occurrence: the schedule still counts it.
    expect((await scheduleRow(world, schedule.id)).liveRuns).toEqual([id]);
  });
});

type RetryPolicyInput = Omit<RetryPolicy, 'backoff'> & { readonly backoff?: string };

describe('an attempt that was given up', () => {
  it('is fenced off: whatever it still reports changes nothing, and its work is ended (I2, I7)', async () => {
    const { id, runner, vmId } = await startingRun(world, { retry: { backoff: 'PT0S' } });
    await refuse(runner, id, 'refused');
    await look();
    const second = await attemptOf(id, 2);
    await second.runner.beat();
    await second.runner.beat([{ ...running(id), attempt: 2 }]);
    const before = await runRow(world, id);
    expect((await vmRow(world, vmId)).status).toBe('draining');
    await runner.beat([ended(id, { exitCode: 9, output: 'stale' })]);
    expect(await runRow(world, id)).toEqual(before);
    // A liar, or a defect: work of the old attempt that shows up after all is told to end.
    await runner.beat([running(id)]);
    expect(await runRow(world, id)).toEqual(before);
    expect((await vmRow(world, vmId)).commands).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ kind: 'cancel', runId: id, attempt: 1 })]),
    );
  });

  it('is not the one that a dead execution speaks of', async () => {
    const { id, runner, input } = await startingRun(world, { retry: { backoff: 'PT0S' } });
    await refuse(runner, id, 'refused');
    const before = await runRow(world, id);
    expect(await failRun(world.ports, { ...input, failure: { Error: 'States.Timeout' } })).toEqual({
      outcome: 'fenced',
    });
    expect(await runRow(world, id)).toEqual(before);
  });
});

describe('between two attempts', () => {
  it('it can be cancelled, and ends at once', async () => {
    const { id, runner } = await startingRun(world);
    await refuse(runner, id, 'refused');
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelled', attempt: 2 });
    await pass(5 * MINUTE);
    expect(placed(id, 2)).toBe(0);
  });

  it('it keeps its place under its limits, and gives it back once', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1 }, retry: { maxAttempts: 2 } });
    const limit = keys.limit(`agent#${agent.id}`);
    const used = async () => (await world.ports.store.get(limit))?.used;
    const run = await createRun(world.ports, world.caller, agent.id, null);
    const { runner } = await startingFrom(world, run.id);
    await refuse(runner, run.id, 'refused');
    expect(await used()).toBe(1);
    world.now += 10 * SECOND;
    await look();
    const second = await attemptOf(run.id, 2);
    await refuse(second.runner, run.id, 'refused', 2);
    expect(await runRow(world, run.id)).toMatchObject({ status: 'failed' });
    expect(await used()).toBe(0);
  });

  it('has a deadline of its own: without a VM it fails as any other', async () => {
    const { id, runner } = await startingRun(world, { limits: { startTimeout: 'PT2M' } });
    await refuse(runner, id, 'refused');
    const { deadlineAt } = await runRow(world, id);
    expect(deadlineAt).toBe(world.now + 10 * SECOND + 2 * MINUTE);
    await pass(4 * MINUTE);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'start_timeout', attempt: 2 });
  });
});

describe('a launch that failed', () => {
  it.each([
    ['States.Timeout', 'retrying', 'queued'],
    ['VmUnfit', 'retrying', 'queued'],
    ['Execution', 'retrying', 'queued'],
    ['LaunchMisconfigured', 'finished', 'failed'],
    ['StartDeadlineExceeded', 'finished', 'failed'],
  ])('as %s is %s', async (error, outcome, status) => {
    const { id, input } = await apiRun(world);
    await launchVm(world.ports, input);
    expect(await failRun(world.ports, { ...input, failure: { Error: error, Cause: 'why' } })).toEqual({ outcome });
    expect((await runRow(world, id)).status).toBe(status);
  });

  it('is not tried again once a VM holds the marker', async () => {
    const { id, input } = await runningRun(world);
    expect(await failRun(world.ports, { ...input, failure: { Error: 'VmUnfit' } })).toEqual({ outcome: 'fenced' });
    expect(await runRow(world, id)).toMatchObject({ status: 'running', attempt: 1 });
  });
});
