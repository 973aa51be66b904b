/** How runs end that end neither by their own exit nor by a request: idleness, and success with and without its proof. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AgentCreateInput } from '../../../core/contract/agents.ts';
import type { RegistryEntry } from '../../../core/contract/runner.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { createRun, getRun } from '../../../core/runs/service.ts';
import { fire } from '../../../core/schedules/fire.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  ended,
  finishAs,
  MINUTE,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingFrom,
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

describe('idleness', () => {
  const idle = (id: string, idleForMs: number): RegistryEntry => ({ ...running(id, 60_000), idleForMs });

  it('ends a run after its idleTimeout, through the cancel, with its own verdict', async () => {
    const { id, runner, vmId } = await runningRun(world, { limits: { idleTimeout: 'PT30S' } });
    await runner.beat([idle(id, 29_999)]);
    expect((await runRow(world, id)).status).toBe('running');
    await runner.beat([idle(id, 30_000)]);
    expect(await runRow(world, id)).toMatchObject({
      status: 'cancelling',
      cancel: { cause: 'idle', requestedBy: `runner ${vmId}` },
    });
    expect((await vmRow(world, vmId)).commands).toMatchObject([{ kind: 'cancel', cause: 'idle' }]);
    await runner.beat([{ ...idle(id, 31_000), state: 'ending' }]);
    await runner.beat([ended(id, { signal: 'SIGINT', terminatedBy: 'idle', signalsSent: ['SIGINT'] })]);
    expect(await runRow(world, id)).toMatchObject({ status: 'timed_out', reason: 'idle', terminatedBy: 'idle' });
    const run = await getRun(world.ports, world.caller, id);
    expect(run.cancel?.reason).toMatch(/no output and no CPU time for 30 s; its idleTimeout is 30 s/);
  });

  it('is off unless somebody wants it, and then the narrowest wish counts', async () => {
    const without = await runningRun(world);
    await without.runner.beat([idle(without.id, 7 * 24 * 3_600_000)]);
    expect((await runRow(world, without.id)).status).toBe('running');

    const agent = await world.agent({ limits: { idleTimeout: 'PT30S' } });
    const own = await createRun(world.ports, world.caller, agent.id, null, { idleTimeout: 90 });
    expect((await runRow(world, own.id)).idleTimeoutSeconds).toBe(90);
    const schedule = await world.schedule(agent.id, { overrides: { idleTimeout: 'PT1M' } });
    world.now = MONDAY_NOON + 5 * MINUTE + SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: MONDAY_NOON + 5 * MINUTE });
    const [scheduled = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
    expect((await runRow(world, scheduled)).idleTimeoutSeconds).toBe(60);
  });

  it('does not end work that is being ended for another reason', async () => {
    const { id, runner } = await runningRun(world, { limits: { idleTimeout: 'PT30S' } });
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    await runner.beat([idle(id, 60_000)]);
    expect((await runRow(world, id)).cancel).toMatchObject({ cause: 'request' });
  });

  it('is timed_out too where the VM had to be ended for it', async () => {
    const { id, runner, vmId } = await runningRun(world, { limits: { idleTimeout: 'PT30S' } });
    await runner.beat([idle(id, 60_000)]);
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'timed_out', reason: 'vm_terminated_after_cancel' });
  });
});

describe('what proves success', () => {
  const artifact = { path: 'out/report.pdf', bytes: 12, sha256: 'a'.repeat(64) };
  const endedAs = async (criteria: AgentCreateInput['successCriteria'], report: Partial<RegistryEntry>) => {
    const { id, runner } = await runningRun(world, criteria === undefined ? {} : { successCriteria: criteria });
    await runner.beat([ended(id, { exitCode: 0, ...report })]);
    return getRun(world.ports, world.caller, id);
  };
  const schema = { type: 'object', required: ['answer'], properties: { answer: { type: 'number' } } } as const;

  it('is nothing unless the agent declares it', async () => {
    const run = await endedAs(undefined, {});
    expect(run.status).toBe('succeeded');
    expect(run.verification).toBeUndefined();
  });

  it.each([
    ['an artifact', { artifact: 'out/*.pdf' }, { artifacts: [artifact] }, 'verified'],
    ['an artifact that is not there', { artifact: 'out/*.pdf' }, {}, 'unverified'],
    [
      'an artifact of another name',
      { artifact: 'out/*.pdf' },
      { artifacts: [{ ...artifact, path: 'x' }] },
      'unverified',
    ],
    ['an output that fits its schema', { outputSchema: schema }, { output: { answer: 42 } }, 'verified'],
    ['an output that does not', { outputSchema: schema }, { output: { answer: 'x' } }, 'unverified'],
    ['no output', { outputSchema: schema }, {}, 'unverified'],
    ['an output that was cut', { outputSchema: {} }, { output: 'x', outputTruncatedBytes: 9 }, 'unverified'],
    ['one of two', { artifact: '*', outputSchema: schema }, { output: { answer: 1 } }, 'unverified'],
  ] as const)('%s: exit 0 is succeeded, and shown as %4$s', async (_name, criteria, report, status) => {
    const run = await endedAs(criteria as AgentCreateInput['successCriteria'], report as Partial<RegistryEntry>);
    expect(run).toMatchObject({ status: 'succeeded', verification: { status } });
    expect(run.verification?.checks).toHaveLength(Object.keys(criteria).length);
    expect(run.verification?.checks.every(({ met }) => met)).toBe(status === 'verified');
  });

  it('is looked up for a run that was stored before runs said whether there is anything to prove', async () => {
    const { id, runner } = await runningRun(world, { successCriteria: { exitCode: 3 } });
    const unsaid = { kind: 'update', key: keys.run(id), set: { hasCriteria: undefined }, guards: [] } as const;
    await world.ports.store.transact([unsaid]);
    await runner.beat([ended(id, { exitCode: 3 })]);
    expect(await getRun(world.ports, world.caller, id)).toMatchObject({ verification: { status: 'verified' } });
  });

  it('may be another exit code', async () => {
    expect(await endedAs({ exitCode: 3 }, { exitCode: 3 })).toMatchObject({
      status: 'succeeded',
      verification: { status: 'verified' },
    });
    expect(await endedAs({ exitCode: 3 }, { exitCode: 0 })).toMatchObject({ status: 'failed', reason: 'exit_code' });
  });

  it('is not asked of a run that failed', async () => {
    const run = await endedAs({ artifact: '*' }, { exitCode: 1 });
    expect(run.status).toBe('failed');
    expect(run.verification).toBeUndefined();
  });

  it('lists the artifacts', async () => {
    expect((await endedAs(undefined, { artifacts: [artifact] })).artifacts).toEqual([artifact]);
  });
});

describe('a late truth', () => {
  it('is stored once, and counts nothing twice', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 2 } });
    const schedule = await world.schedule(agent.id);
    const at = MONDAY_NOON + 5 * MINUTE;
    world.now = at + SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: at });
    const [id = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
    const { runner } = await startingFrom(world, id);
    await runner.beat();
    await runner.beat([running(id)]);
    await runner.beat([]);
    await runner.beat([]);
    expect(await runRow(world, id)).toMatchObject({ status: 'lost', reason: 'ended_unreported' });
    const counted = await scheduleRow(world, schedule.id);
    const limit = { pk: `LIM#agent#${agent.id}`, sk: 'META' };
    expect((await world.ports.store.get(limit))?.used).toBe(0);
    const first = await runner.beat([ended(id, { exitCode: 0 })]);
    expect(first.acknowledged).toEqual([{ runId: id, attempt: 1 }]);
    const corrected = await runRow(world, id);
    expect(corrected).toMatchObject({ status: 'lost', correction: { status: 'succeeded', exitCode: 0 } });
    await runner.beat([ended(id, { exitCode: 7 })]);
    await runner.beat([ended(id, { exitCode: 0 })]);
    expect(await runRow(world, id)).toEqual(corrected);
    expect(await scheduleRow(world, schedule.id)).toEqual(counted);
    expect((await world.ports.store.get(limit))?.used).toBe(0);
  });

  it('does not correct a verdict that is not lost', async () => {
    const { id, runner } = await runningRun(world);
    await finishAs(world, id, 'failed');
    const before = await runRow(world, id);
    await runner.beat([ended(id)]);
    expect(await runRow(world, id)).toEqual(before);
  });
});
