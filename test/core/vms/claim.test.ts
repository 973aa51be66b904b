import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { requestDrain } from '../../../core/vms/drain.ts';
import { observeVm, releaseVm } from '../../../core/vms/release.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { FakeRunner, interleaved, newNonce, none, running, runRow, SECOND, storeWith, vmRow } from '../support.ts';
import { dies, freeMarks, GONE, newRun, placed, runsOn, warmVm, watchdog } from './support.ts';

/** Each race is played in both orders: before the loser's transaction and after its reads, the winner comes to its end. */
let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1, retryBackoffSeconds: 1 });
});

const drain = (vmId: string, ports = world.ports) => requestDrain(ports, world.caller, vmId, none);

describe('two runs that claim the same free slot', () => {
  it('do not both get it: the slower one gets a VM of its own (I2)', async () => {
    const { vmId, agentId } = await warmVm(world);
    let winner = '';
    const rival = async () => {
      winner = await newRun(world, agentId);
    };
    const loser = await newRun(world, agentId, interleaved(world, rival, keys.vm(vmId)));
    expect(await runsOn(world, vmId)).toEqual([winner]);
    expect(await runRow(world, loser)).toMatchObject({ status: 'queued', version: 1 });
    expect(placed(world)).toContain(`${loser}-1`);
    expect(placed(world)).not.toContain(`${winner}-1`);
    expect(await freeMarks(world, agentId)).toEqual([]);
  });

  it('both get in where there is room for both, and are numbered one after the other', async () => {
    const { vmId, agentId, runner } = await warmVm(world, { slots: 2 });
    let first = '';
    const rival = async () => {
      first = await newRun(world, agentId);
    };
    const second = await newRun(world, agentId, interleaved(world, rival, keys.vm(vmId)));
    expect(await runsOn(world, vmId)).toEqual([first, second]);
    const { commands } = await runner.beat();
    expect(commands).toMatchObject([
      { kind: 'start', runId: first },
      { kind: 'start', runId: second },
    ]);
  });

  it('may claim twice for the same run: the second time is success and changes nothing', async () => {
    const { vmId, agentId } = await warmVm(world);
    const id = await newRun(world, agentId);
    const before = [await runRow(world, id), await vmRow(world, vmId)];
    expect(await claimDispatch(world.ports, id, 1, vmId)).toBe('same');
    expect([await runRow(world, id), await vmRow(world, vmId)]).toEqual(before);
  });
});

describe('a claim against the release of the VM', () => {
  it('wins if it is first: the release finds it in use', async () => {
    const { vmId, agentId } = await warmVm(world);
    const rival = () => newRun(world, agentId);
    expect(await releaseVm(interleaved(world, rival, keys.vm(vmId)), vmId, 'test')).toBe('in_use');
    expect((await vmRow(world, vmId)).status).toBe('ready');
    expect(await runsOn(world, vmId)).toHaveLength(1);
    expect(world.terminations).toEqual([]);
  });

  it('loses if it is second: the run gets a VM of its own', async () => {
    const { vmId, agentId } = await warmVm(world);
    const rival = () => releaseVm(world.ports, vmId, 'test');
    const id = await newRun(world, agentId, interleaved(world, rival, keys.vm(vmId)));
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });
    expect(await runRow(world, id)).toMatchObject({ status: 'queued' });
    expect(placed(world)).toContain(`${id}-1`);
  });
});

describe('a claim against a drain by order', () => {
  it('wins if it is first: the drain waits for its work', async () => {
    const { vmId, agentId } = await warmVm(world);
    const rival = () => newRun(world, agentId);
    await drain(vmId, interleaved(world, rival, keys.vm(vmId)));
    const vm = await vmRow(world, vmId);
    expect(vm).toMatchObject({ status: 'draining', drain: { requestedBy: world.caller.principalId } });
    expect(vm.slots).toHaveLength(1);
    expect(vm.commands.map(({ kind }) => kind)).toEqual(['start']);
  });

  it('loses if it is second', async () => {
    const { vmId, agentId } = await warmVm(world);
    const id = await newRun(
      world,
      agentId,
      interleaved(world, () => drain(vmId), keys.vm(vmId)),
    );
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });
    expect(placed(world)).toContain(`${id}-1`);
  });
});

describe('a claim against the death of the VM', () => {
  it('is tried again where the start was never sent: no process can exist', async () => {
    const { vmId, agentId } = await warmVm(world);
    dies(world, vmId);
    let id = '';
    const rival = async () => {
      id = await newRun(world, agentId);
    };
    await observeVm(interleaved(world, rival, keys.vm(vmId)), vmId);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'terminated', slots: [] });
    const run = await runRow(world, id);
    expect(run).toMatchObject({ status: 'queued', attempt: 2, waiting: { reason: 'retry_backoff' } });
    expect(run.attempts).toMatchObject([{ attempt: 1, vmId, reason: 'vm_terminated' }]);
    expect(run.vmId).toBeUndefined();
    world.now += 2 * SECOND;
    await watchdog(world);
    expect(placed(world)).toContain(`${id}-2`);
  });

  it('loses if it is second: nobody is given what has been seen to be gone', async () => {
    const { vmId, agentId } = await warmVm(world);
    dies(world, vmId);
    const rival = () => observeVm(world.ports, vmId);
    const id = await newRun(world, agentId, interleaved(world, rival, keys.vm(vmId)));
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 1 });
    expect(placed(world)).toContain(`${id}-1`);
  });

  it('is not tried again once a heartbeat was answered: the process may have started', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    const id = await newRun(world, agentId);
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'start', runId: id }]);
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'lost', reason: 'vm_terminated', attempt: 1 });
  });

  it('is tried again after that where the agent allows it (retry.afterStart)', async () => {
    const { vmId, agentId, runner } = await warmVm(world, { retry: { afterStart: true } });
    const id = await newRun(world, agentId);
    await runner.beat();
    await runner.beat([running(id)]);
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
  });

  it('is tried again where the slot was taken while a heartbeat was handled: its answer leaves the start out', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    let id = '';
    const store = storeWith(world.ports.store, {
      transact: async (writes) => {
        await world.ports.store.transact(writes);
        if (id === '') id = await newRun(world, agentId);
      },
    });
    // The lease is renewed; before the answer is composed, a run takes the slot.
    const answer = await runner.beat([running('run_of_nobody')], { ...world.ports, store });
    expect(await runsOn(world, vmId)).toEqual([id]);
    expect(answer.commands.filter(({ kind }) => kind === 'start')).toEqual([]);
    expect(answer.nextHeartbeatMs).toBe(0);
    world.observations.set(vmId, GONE);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
  });

  it('is tried again after a registration since: no heartbeat has taken the start along', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    const id = await newRun(world, agentId);
    runner.nonce = newNonce();
    await runner.register();
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
  });

  it('is not tried again once the runner that has registered since was answered', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    const id = await newRun(world, agentId);
    runner.nonce = newNonce();
    await runner.register();
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'start', runId: id }]);
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'lost', attempt: 1 });
  });

  it('is not sent to the runner before, where the new one registers while its heartbeat is handled (I7)', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    const newer = new FakeRunner(world, vmId);
    // Its token is old enough for another one to be handed out.
    world.now += world.ports.config.runnerTokenSeconds * SECOND;
    let renewed = false;
    const store = storeWith(world.ports.store, {
      transact: async (writes) => {
        await world.ports.store.transact(writes);
        if (renewed) return;
        renewed = true;
        await newRun(world, agentId);
        await newer.register();
      },
    });
    const answer = await runner.beat([running('run_of_nobody')], { ...world.ports, store });
    expect(answer.commands).toEqual([]);
    expect(answer.token).toBeUndefined();
    expect((await newer.beat()).commands.filter(({ kind }) => kind === 'start')).toHaveLength(1);
  });
});

describe('runs in a row', () => {
  it('all go over one warm VM, without an execution of their own', async () => {
    const { agentId, vmId, runner, firstRun } = await warmVm(world);
    for (let each = 0; each < 3; each++) {
      const { id } = await createRun(world.ports, world.caller, agentId, {});
      await runner.beat();
      await runner.beat([{ runId: id, attempt: 1, state: 'ended', exitCode: 0, startedAgoMs: 5, endedAgoMs: 1 }]);
      expect(await runRow(world, id)).toMatchObject({ status: 'succeeded', vmId });
    }
    expect(placed(world)).toEqual([`${firstRun}-1`]);
  });
});
