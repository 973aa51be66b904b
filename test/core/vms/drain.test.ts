import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NotFound, VersionConflict } from '../../../core/errors.ts';
import type { Ports } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { drainIdle, requestDrain } from '../../../core/vms/drain.ts';
import { vmOf } from '../../../core/vms/liveRun.ts';
import { awaitReady, dispatchRun, failRun, launchVm, releaseAttempt } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { VmUnfit } from '../../../core/vms/stateErrors.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { afterRead, apiRun, eventsOf, interleaved, MINUTE, none, running, runRow, SECOND, vmRow } from '../support.ts';
import { atWork, dies, endOf, freeMarks, GONE, newRun, passes, placed, warmVm, watchdog } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const drain = (vmId: string, ports = world.ports) => requestDrain(ports, world.caller, vmId, none);

describe('a drain by order of a VM without work', () => {
  it('tells its runner to stop, takes it from the free ones, and it goes', async () => {
    const { vmId, agentId, runner } = await warmVm(world);
    const vm = await drain(vmId);
    expect(vm).toMatchObject({ status: 'draining', drain: { requestedBy: world.caller.principalId } });
    expect(await freeMarks(world, agentId)).toEqual([]);
    const second = await newRun(world, agentId);
    expect(placed(world)).toContain(`${second}-1`);
    expect((await runner.beat()).commands).toMatchObject([{ kind: 'stop-vm' }]);
    await passes(world, 40);
    expect(world.terminations).toEqual([vmId]);
    dies(world, vmId);
    await passes(world, 40);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('wakes the execution that waits for its registration: its run gets another attempt at once', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await awaitReady(world.ports, { ...input, vmId, taskToken: 'task' });
    await drain(vmId);
    expect(world.signals).toEqual(['task']);
    await expect(dispatchRun(world.ports, { ...input, vmId })).rejects.toThrow(VmUnfit);
    expect(await releaseAttempt(world.ports, input)).toEqual({ released: 'released' });
    expect(await failRun(world.ports, { ...input, failure: { Error: 'VmUnfit' } })).toEqual({ outcome: 'retrying' });
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
  });
});

describe('a look for a VM of which no instance is known yet', () => {
  it('says nothing of the one that its launch has brought meanwhile', async () => {
    const { id, input } = await apiRun(world);
    const [asked, launched] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const observe = async () => {
      asked.resolve();
      await launched.promise;
      return GONE;
    };
    let look: Promise<unknown> | undefined;
    // The watchdog reads the row before there is an instance, and is answered when there is one.
    const launch: Ports['fleet']['launch'] = async (spec) => {
      look = observeVm({ ...world.ports, fleet: { ...world.ports.fleet, observe } }, vmOf(await runRow(world, id)));
      await asked.promise;
      return world.ports.fleet.launch(spec);
    };
    const { vmId } = await launchVm({ ...world.ports, fleet: { ...world.ports.fleet, launch } }, input);
    launched.resolve();
    await look;
    expect((await vmRow(world, vmId)).status).toBe('booting');
  });

  it('settles nothing by an answer that comes after the launch had settled, to a look that began before', async () => {
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('socket hang up');
    await expect(launchVm(world.ports, input)).rejects.toThrow('socket hang up');
    const vmId = vmOf(await runRow(world, id));
    const observe = async () => {
      world.now += MINUTE;
      return GONE;
    };
    world.now += 30 * SECOND;
    await observeVm({ ...world.ports, fleet: { ...world.ports.fleet, observe } }, vmId);
    expect((await vmRow(world, vmId)).status).toBe('launching');
  });
});

describe('a VM that is seen to be gone before it registered', () => {
  it('wakes the execution that waits for it', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await awaitReady(world.ports, { ...input, vmId, taskToken: 'task' });
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(world.signals).toEqual(['task']);
    await expect(dispatchRun(world.ports, { ...input, vmId })).rejects.toThrow(VmUnfit);
  });
});

describe('a drain by order of a VM with work', () => {
  it('lets the work go on to its end; nothing new begins, and with its last run the VM goes, warm or not', async () => {
    const { vmId, agentId, runner } = await warmVm(world, { slots: 2 });
    const work = await newRun(world, agentId);
    await runner.beat();
    await runner.beat([running(work)]);
    await drain(vmId);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [{ runId: work }], commands: [] });
    const next = await newRun(world, agentId);
    expect(placed(world)).toContain(`${next}-1`);
    await passes(world, 120, runner, () => [running(work)]);
    expect((await runRow(world, work)).status).toBe('running');
    expect(world.terminations).toEqual([]);
    expect((await endOf(runner, work)).commands).toMatchObject([{ kind: 'stop-vm' }]);
    expect(await runRow(world, work)).toMatchObject({ status: 'succeeded' });
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });
    dies(world, vmId);
    await passes(world, 40);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('becomes unresponsive when its lease runs out, and comes back as draining', async () => {
    const { vmId, id, runner } = await atWork(world, (await world.agent({ slots: 2 })).id);
    await drain(vmId);
    await passes(world, 60);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'unresponsive', slots: [{ runId: id }] });
    expect((await runRow(world, id)).status).toBe('running');
    await runner.beat([running(id)]);
    const vm = await vmRow(world, vmId);
    expect(vm.status).toBe('draining');
    expect(vm.unresponsiveSince).toBeUndefined();
    expect(await freeMarks(world, vm.agentId)).toEqual([]);
    await passes(world, 60, runner, () => [running(id)]);
    expect((await runRow(world, id)).status).toBe('running');
  });

  it('is terminated at its second deadline if it stays silent, and its run is lost when it is seen to be gone', async () => {
    const agentId = (await world.agent()).id;
    const { vmId, id } = await atWork(world, agentId);
    const another = await atWork(world, agentId);
    await drain(vmId);
    await passes(world, 160, another.runner, () => [running(another.id)]);
    expect(world.terminations).toEqual([]);
    await passes(world, 40, another.runner, () => [running(another.id)]);
    expect(world.terminations).toContain(vmId);
    expect((await runRow(world, id)).status).toBe('running');
    dies(world, vmId);
    await passes(world, 60);
    expect((await runRow(world, id)).status).toBe('lost');
  });

  it('never comes back from its end: what was seen to be gone stays so', async () => {
    const { vmId, id } = await atWork(world, (await world.agent()).id);
    await drain(vmId);
    world.now += 60 * SECOND;
    await watchdogHoldsOff();
    let looked = false;
    const fleet = {
      ...world.ports.fleet,
      observe: async (...asked: Parameters<typeof world.ports.fleet.observe>) => {
        const seen = await world.ports.fleet.observe(...asked);
        if (!looked) {
          looked = true;
          // Between this look, which still sees it, and what is made of it, somebody else sees its end.
          dies(world, vmId);
          await observeVm(world.ports, vmId);
        }
        return seen;
      },
    };
    await tick({ ...world.ports, fleet }, { owner: 'test', budgetMs: 60_000 });
    expect(looked).toBe(true);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    expect((await runRow(world, id)).status).toBe('lost');
  });
});

/** The watchdog's own gap is over: it may judge what is silent. */
async function watchdogHoldsOff(): Promise<void> {
  await world.ports.store.transact([{ kind: 'delete', key: keys.system('watchdog'), guards: [] }]);
}

describe('a drain that is asked for', () => {
  it('twice changes nothing the second time', async () => {
    const { vmId } = await warmVm(world);
    await drain(vmId);
    const [vm, events] = [await vmRow(world, vmId), await eventsOf(world, keys.vm(vmId).pk)];
    expect(await drain(vmId)).toMatchObject({ status: 'draining', version: vm.version });
    expect(await vmRow(world, vmId)).toEqual(vm);
    expect(await eventsOf(world, keys.vm(vmId).pk)).toEqual(events);
  });

  it('twice at the same time is done once', async () => {
    const { vmId } = await warmVm(world);
    await drain(
      vmId,
      interleaved(world, () => drain(vmId), keys.vm(vmId)),
    );
    const types = (await eventsOf(world, keys.vm(vmId).pk)).map(({ type }) => type);
    expect(types.filter((type) => type === 'vm.draining')).toHaveLength(1);
    expect((await vmRow(world, vmId)).commands).toHaveLength(1);
  });

  it('of a VM that is gone is refused', async () => {
    const { vmId } = await warmVm(world);
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    await expect(drain(vmId)).rejects.toMatchObject({ code: 'illegal_transition' });
  });

  it('of a VM that goes meanwhile is refused', async () => {
    const { vmId } = await warmVm(world);
    const rival = async () => {
      dies(world, vmId);
      await observeVm(world.ports, vmId);
    };
    const ports = afterRead(world, keys.vm(vmId), rival);
    await expect(drain(vmId, ports)).rejects.toMatchObject({ code: 'illegal_transition' });
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('of no VM, of another tenant’s, or of another version than is meant is refused', async () => {
    const { vmId } = await warmVm(world);
    await expect(drain('vm_nobody')).rejects.toThrow(NotFound);
    const stranger = { tenantId: 'ten_other', principalId: 'prn_other' };
    await expect(requestDrain(world.ports, stranger, vmId, none)).rejects.toThrow(NotFound);
    const stale = { kind: 'version', version: 1 } as const;
    await expect(requestDrain(world.ports, world.caller, vmId, stale)).rejects.toThrow(VersionConflict);
    expect((await vmRow(world, vmId)).status).toBe('ready');
  });
});

describe('a drain because nothing is left to do', () => {
  it('does nothing while a slot is taken, and ends what had been let go already', async () => {
    const { vmId } = await atWork(world, (await world.agent()).id);
    expect(await drainIdle(world.ports, vmId, 'test')).toBe('in_use');
    expect((await vmRow(world, vmId)).status).toBe('ready');
    expect(await drainIdle(world.ports, 'vm_nobody', 'test')).toBe('none');
    await watchdog(world);
  });
});
