/** VMs that are kept for work that may come make room for work that is there. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { patchAgent } from '../../../core/agents/service.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, entry, runRow, startingFrom, vmRow } from '../support.ts';
import { atWork, CANCEL, dies, endOf, newRun, passes, placed, warmVm } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1, maxConcurrentVmsPerTenant: 2 });
});

describe('a warm VM', () => {
  it('of a former version of its agent is let go at once: no run will ever be placed on it', async () => {
    const { agentId, vmId } = await warmVm(world, { warmFor: 'PT1H', limits: { maxConcurrentVms: 1 } });
    await patchAgent(world.ports, world.caller, agentId, { command: ['/bin/other'] }, any);
    expect((await vmRow(world, vmId)).status).toBe('draining');
    const next = await newRun(world, agentId);
    expect((await runRow(world, next)).waiting).toMatchObject({ reason: 'agent_vm_limit' });
    dies(world, vmId);
    await passes(world, 60);
    expect(placed(world)).toContain(`${next}-1`);
  });

  it('of another agent is let go where its place under the tenant’s limit is wanted, the longest idle one first', async () => {
    const older = await warmVm(world, { warmFor: 'PT1H' });
    const younger = await warmVm(world, { warmFor: 'PT1H' });
    const other = await world.agent();
    const next = await newRun(world, other.id);
    expect((await runRow(world, next)).waiting).toMatchObject({ reason: 'tenant_vm_limit' });
    expect((await vmRow(world, older.vmId)).status).toBe('draining');
    expect((await vmRow(world, younger.vmId)).status).toBe('ready');
    // One that is on its way out is enough for one that waits.
    await passes(world, 20, younger.runner);
    expect((await vmRow(world, younger.vmId)).status).toBe('ready');
    dies(world, older.vmId);
    await passes(world, 60, younger.runner);
    expect(placed(world)).toContain(`${next}-1`);
  });

  it('with a run on it is left alone', async () => {
    const first = await atWork(world, (await world.agent({ warmFor: 'PT1H' })).id);
    const second = await atWork(world, (await world.agent({ warmFor: 'PT1H' })).id);
    const next = await newRun(world, (await world.agent()).id);
    expect((await runRow(world, next)).waiting).toMatchObject({ reason: 'tenant_vm_limit' });
    expect((await vmRow(world, first.vmId)).status).toBe('ready');
    expect((await vmRow(world, second.vmId)).status).toBe('ready');
    await endOf(first.runner, first.id);
  });
});

describe('a start whose secrets cannot be read just now', () => {
  const secretsAway = () => {
    const { read } = world.ports.secrets;
    Object.assign(world.ports.secrets, { read: () => Promise.reject(new Error('the store of secrets is away')) });
    return () => Object.assign(world.ports.secrets, { read });
  };

  it('fails no heartbeat, and goes out once they can be', async () => {
    world.secrets.set('key', 'value');
    const agent = await world.agent({ env: { KEY: { secret: 'key' } } });
    const back = secretsAway();
    const { id, runner } = await startingFrom(world, await newRun(world, agent.id));
    expect((await runner.beat()).commands).toEqual([]);
    back();
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'start', runId: id, env: { KEY: 'value' } }]);
  });

  it('does not hold back its own cancel', async () => {
    const agent = await world.agent({ env: { KEY: { secret: 'key' } } });
    secretsAway();
    const { id, runner } = await startingFrom(world, await newRun(world, agent.id));
    await runner.beat();
    await cancelRun(world.ports, world.caller, id, CANCEL);
    expect((await runner.beat()).commands).toMatchObject([
      { kind: 'start', runId: id, impossible: expect.stringContaining('cancelled before') },
      { kind: 'cancel', runId: id },
    ]);
    await runner.beat([entry(id, 'not_started', { notStartedBecause: 'impossible' })]);
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_before_start' });
  });
});
