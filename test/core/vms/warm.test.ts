import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensurePrincipal } from '../../../core/access/principals.ts';
import { createAgent, patchAgent } from '../../../core/agents/service.ts';
import { AgentCreate } from '../../../core/contract/agents.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { getVm } from '../../../core/vms/service.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, eventsOf, MINUTE, newNonce, running, runRow, SECOND, storeWith, vmRow } from '../support.ts';
import { atWork, dies, endOf, freeMarks, GONE, newRun, passes, placed, runsOn, warmVm, watchdog } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

describe('a VM whose agent says warmFor', () => {
  it('is kept for so long after its run, then released by the watchdog, and gone when it is seen to be (I6)', async () => {
    const { vmId, agentId, runner } = await warmVm(world, { warmFor: 'PT2M' });
    const since = world.now;
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'ready', slots: [], idleSince: since, commands: [] });
    expect(await freeMarks(world, agentId)).toEqual([vmId]);
    expect(await getVm(world.ports, world.caller, vmId)).toMatchObject({
      idleSince: new Date(since).toISOString(),
      warmUntil: new Date(since + 2 * MINUTE).toISOString(),
    });
    await passes(world, 119, runner);
    expect((await vmRow(world, vmId)).status).toBe('ready');
    expect(world.terminations).toEqual([]);
    await passes(world, 2);
    expect((await vmRow(world, vmId)).status).toBe('draining');
    expect(world.terminations).toEqual([vmId]);
    expect(await freeMarks(world, agentId)).toEqual([]);
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'stop-vm' }]);
    dies(world, vmId);
    await passes(world, 40);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('takes the next run, marker, slot and mark in one transaction, and starts it at its next heartbeat', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    const touched: string[][] = [];
    const store = storeWith(world.ports.store, {
      transact: (writes) => {
        touched.push(
          writes.map((write) => (write.kind === 'put' ? write.item : write.key)).map(({ pk, sk }) => `${pk} ${sk}`),
        );
        return world.ports.store.transact(writes);
      },
    });
    const before = placed(world);
    const second = await newRun(world, agentId, { ...world.ports, store });
    const at = keys.freeVm(agentId, 1, vmId);
    const claims = touched.filter((each) => each.includes(`RUN#${second} META`) && each.includes(`VM#${vmId} META`));
    expect(claims).toEqual([expect.arrayContaining([`${at.pk} ${at.sk}`])]);
    expect(placed(world)).toEqual(before);
    expect(await runRow(world, second)).toMatchObject({ status: 'starting', vmId });
    expect((await vmRow(world, vmId)).idleSince).toBeUndefined();
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'start', runId: second, attempt: 1 }]);
    await runner.beat([running(second)]);
    await endOf(runner, second);
    expect(await runRow(world, second)).toMatchObject({ status: 'succeeded' });
    expect(await freeMarks(world, agentId)).toEqual([vmId]);
    expect((await eventsOf(world, keys.run(second).pk)).map(({ type }) => type)).toEqual([
      'run.queued',
      'run.starting',
      'run.running',
      'run.succeeded',
    ]);
  });

  it('counts its time anew after each run', async () => {
    const { vmId, agentId, runner } = await warmVm(world, { warmFor: 'PT1M' });
    await passes(world, 50, runner);
    const second = await newRun(world, agentId);
    await runner.beat();
    await passes(world, 120, runner, () => [running(second)]);
    await endOf(runner, second);
    await passes(world, 50, runner);
    expect((await vmRow(world, vmId)).status).toBe('ready');
    await passes(world, 20, runner);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('reports at the pace for warm VMs while it has nothing to do', async () => {
    const { runner, agentId } = await warmVm(world);
    const { heartbeatWarmSeconds, heartbeatActiveSeconds } = world.ports.config;
    expect((await runner.beat()).nextHeartbeatMs).toBe(heartbeatWarmSeconds * SECOND);
    await newRun(world, agentId);
    expect((await runner.beat()).nextHeartbeatMs).toBe(heartbeatActiveSeconds * SECOND);
  });

  it('is not kept where its run was lost: it has not proved to work', async () => {
    const agent = await world.agent({ warmFor: 'PT10M' });
    const { id, vmId } = await atWork(world, agent.id);
    const found = { source: 'test', observedAt: '', detail: '' };
    await finishRun(world.ports, id, { status: 'lost', evidence: found }, { attempt: 1 });
    expect((await vmRow(world, vmId)).status).toBe('draining');
    expect(await freeMarks(world, agent.id)).toEqual([]);
  });

  it('stays warm when its runner is started anew', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    runner.nonce = newNonce();
    await runner.register();
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'ready', generation: 2 });
    const second = await newRun(world, agentId);
    expect(await runsOn(world, vmId)).toEqual([second]);
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'start', runId: second }]);
  });
});

describe('a warm VM that dies', () => {
  it('is found when its lease has run out, however long it was to be kept (I6)', async () => {
    const { vmId, agentId } = await warmVm(world, { warmFor: 'PT10H' });
    await watchdog(world);
    dies(world, vmId);
    await passes(world, 60);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    expect(await freeMarks(world, agentId)).toEqual([]);
  });

  it('is given to no run once its lease has run out, seen to be gone or not', async () => {
    const { vmId, agentId } = await warmVm(world);
    world.now += MINUTE;
    const second = await newRun(world, agentId);
    expect(await runsOn(world, vmId)).toEqual([]);
    expect(placed(world)).toContain(`${second}-1`);
  });

  it('takes no run while it is silent, and is free again when it reports, for the time that was left', async () => {
    const { vmId, agentId, runner } = await warmVm(world, { warmFor: 'PT3M' });
    await passes(world, 60);
    expect((await vmRow(world, vmId)).status).toBe('unresponsive');
    expect(await freeMarks(world, agentId)).toEqual([]);
    await runner.beat();
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'ready' });
    expect(await freeMarks(world, agentId)).toEqual([vmId]);
    await passes(world, 110, runner);
    expect((await vmRow(world, vmId)).status).toBe('ready');
    await passes(world, 20, runner);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });
});

describe('a warm VM is not for', () => {
  it('a run of another version of its agent', async () => {
    const { vmId, agentId } = await warmVm(world);
    await patchAgent(world.ports, world.caller, agentId, { command: ['false'] }, any);
    const second = await newRun(world, agentId);
    expect(await runsOn(world, vmId)).toEqual([]);
    expect(placed(world)).toContain(`${second}-1`);
    expect(await claimDispatch(world.ports, second, 1, vmId)).toBe('vm_unfit');
  });

  it('a run of another agent', async () => {
    const { vmId } = await warmVm(world);
    const other = await world.agent({ warmFor: 'PT10M' });
    const second = await newRun(world, other.id);
    expect(placed(world)).toContain(`${second}-1`);
    expect(await claimDispatch(world.ports, second, 1, vmId)).toBe('vm_unfit');
  });

  it('a run of another tenant (I12)', async () => {
    const { vmId } = await warmVm(world);
    const caller = { tenantId: 'ten_other', principalId: 'prn_other' };
    await ensurePrincipal(world.ports.store, caller.tenantId, caller.principalId, 'Other');
    const request = AgentCreate.parse({ name: 'agent 1', command: ['true'], warmFor: 'PT10M' });
    const other = await createAgent(world.ports, caller, request);
    const { id } = await createRun(world.ports, caller, other.id, {});
    expect(placed(world)).toContain(`${id}-1`);
    expect(await claimDispatch(world.ports, id, 1, vmId)).toBe('vm_unfit');
  });

  it('any other run where its agent says reuse: never', async () => {
    const { vmId, agentId } = await warmVm(world, { reuse: 'never' });
    expect((await vmRow(world, vmId)).status).toBe('draining');
    const second = await newRun(world, agentId);
    expect(placed(world)).toContain(`${second}-1`);
    const third = await atWork(world, agentId);
    expect(await claimDispatch(world.ports, second, 1, third.vmId)).toBe('vm_unfit');
  });
});

describe('a VM with several slots', () => {
  it('takes a second run while the first is at work, and no more than it has slots', async () => {
    const agent = await world.agent({ slots: 2 });
    const first = await atWork(world, agent.id);
    expect(await freeMarks(world, agent.id)).toEqual([first.vmId]);
    const second = await newRun(world, agent.id);
    expect(await runsOn(world, first.vmId)).toEqual([first.id, second]);
    expect(await freeMarks(world, agent.id)).toEqual([]);
    const third = await newRun(world, agent.id);
    expect(placed(world)).toEqual([`${first.id}-1`, `${third}-1`]);
    expect(await claimDispatch(world.ports, third, 1, first.vmId)).toBe('vm_unfit');
    await first.runner.beat([running(first.id)]);
    await first.runner.beat([running(first.id), running(second)]);
    await endOf(first.runner, first.id);
    expect(await runsOn(world, first.vmId)).toEqual([second]);
    expect(await freeMarks(world, agent.id)).toEqual([first.vmId]);
    await endOf(first.runner, second);
    expect((await vmRow(world, first.vmId)).status).toBe('draining');
  });

  it('gives no run a dead VM when the others on it are lost', async () => {
    const agent = await world.agent({ slots: 2, limits: { maxConcurrentRuns: 2 }, retry: { maxAttempts: 1 } });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    const third = await newRun(world, agent.id);
    expect(await runsOn(world, first.vmId)).toEqual([first.id, second]);
    await first.runner.beat([running(first.id)]);
    world.observations.set(first.vmId, GONE);
    await observeVm(world.ports, first.vmId);
    expect((await runRow(world, first.id)).status).toBe('lost');
    expect((await runRow(world, second)).status).toBe('lost');
    expect(await runRow(world, third)).toMatchObject({ status: 'queued', attempt: 1 });
    expect(placed(world)).toContain(`${third}-1`);
  });
});
