import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { admitWaiting } from '../../../core/limits/next.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { placeRun } from '../../../core/runs/place.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Write } from '../../../core/table/model.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  afterQuery,
  eventsOf,
  interleaved,
  running,
  runRow,
  SECOND,
  startingFrom,
  storeWith,
  vmRow,
} from '../support.ts';
import {
  atWork,
  CANCEL,
  dies,
  endOf,
  newRun,
  passes,
  placed,
  places,
  refusalOf,
  runsOn,
  wantMarks,
  warmVm,
  watchdog,
} from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1, retryBackoffSeconds: 1 });
});

const vmLimit = (agentId: string) => `vms#agent#${agentId}`;
const limited = (maxConcurrentVms: number, more = {}) => world.agent({ limits: { maxConcurrentVms }, ...more });
const executionOf = (runId: string, attempt = 1) => ({ tenantId: world.caller.tenantId, runId, attempt });
const nothing = { used: 0, holders: [], waiters: [] };

/** A process that can do anything but let a run in. */
const withoutAdmissions = () =>
  storeWith(world.ports.store, {
    query: (range) =>
      range.pk.startsWith('LIM#') ? Promise.reject(new Error('crash')) : world.ports.store.query(range),
  });

describe('maxConcurrentVms', () => {
  it('lets as many VMs come as it says; the next run waits and says for what', async () => {
    const agent = await limited(2);
    const [first, second, third] = [
      await newRun(world, agent.id),
      await newRun(world, agent.id),
      await newRun(world, agent.id),
    ];
    expect(placed(world)).toEqual([`${first}-1`, `${second}-1`]);
    expect((await runRow(world, third)).waiting).toMatchObject({ reason: 'agent_vm_limit', maximum: 2 });
    expect(await places(world, vmLimit(agent.id))).toEqual({
      used: 2,
      holders: [first, second].toSorted(),
      waiters: [third],
    });
  });

  it('is not exceeded when two runs come at the same instant (I10)', async () => {
    const agent = await limited(1);
    const rival = () => newRun(world, agent.id);
    await newRun(world, agent.id, interleaved(world, rival, keys.limit(vmLimit(agent.id))));
    expect(await places(world, vmLimit(agent.id))).toMatchObject({ used: 1, waiters: [expect.any(String)] });
    expect(placed(world)).toHaveLength(1);
  });

  it('passes the place from the run to its VM, in the transaction that makes the VM', async () => {
    const agent = await limited(1);
    const id = await newRun(world, agent.id);
    expect((await places(world, vmLimit(agent.id))).holders).toEqual([id]);
    const { vmId } = await launchVm(world.ports, executionOf(id));
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [vmId], waiters: [] });
    expect((await vmRow(world, vmId)).places).toEqual([vmLimit(agent.id)]);
    expect((await runRow(world, id)).admitted).toEqual([]);
  });

  it('frees it only when the VM is seen to be gone, and lets in who waits then', async () => {
    const agent = await limited(1, { reuse: 'never' });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    await endOf(first.runner, first.id);
    expect((await vmRow(world, first.vmId)).status).toBe('draining');
    await observeVm(world.ports, first.vmId);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [first.vmId], waiters: [second] });
    dies(world, first.vmId);
    await observeVm(world.ports, first.vmId);
    await observeVm(world.ports, first.vmId);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [second], waiters: [] });
    expect(placed(world)).toEqual([`${first.id}-1`, `${second}-1`]);
  });

  it('does not stand in the way of a VM that is there and free: it goes over', async () => {
    const agent = await limited(1);
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    expect((await runRow(world, second)).waiting?.reason).toBe('agent_vm_limit');
    await endOf(first.runner, first.id);
    expect(await runsOn(world, first.vmId)).toEqual([second]);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [first.vmId], waiters: [] });
    expect((await runRow(world, second)).admitted).toEqual([]);
  });

  it('gives back the place of a run that finds a free VM after all', async () => {
    const { agentId, vmId } = await warmVm(world, { limits: { maxConcurrentVms: 2 } });
    const id = await newRun(world, agentId);
    expect(await runsOn(world, vmId)).toEqual([id]);
    expect(await places(world, vmLimit(agentId))).toEqual({ used: 1, holders: [vmId], waiters: [] });
  });

  it('gives back the place of a run that is cancelled before its launch, and once', async () => {
    const agent = await limited(1);
    const [first, second] = [await newRun(world, agent.id), await newRun(world, agent.id)];
    await cancelRun(world.ports, world.caller, first, CANCEL);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [second], waiters: [] });
    await cancelRun(world.ports, world.caller, second, CANCEL);
    expect(await places(world, vmLimit(agent.id))).toEqual(nothing);
  });

  it('holds for the tenant over agents', async () => {
    world = await engine.world({ checkShards: 1, maxConcurrentVmsPerTenant: 1 });
    const [agent, other] = [await world.agent(), await world.agent()];
    const first = await atWork(world, agent.id);
    const second = await newRun(world, other.id);
    expect((await runRow(world, second)).waiting?.reason).toBe('tenant_vm_limit');
    await endOf(first.runner, first.id);
    expect(placed(world)).toEqual([`${first.id}-1`]);
    dies(world, first.vmId);
    await observeVm(world.ports, first.vmId);
    expect(placed(world)).toEqual([`${first.id}-1`, `${second}-1`]);
  });

  it('lets a waiting run share a VM as soon as it has room', async () => {
    const agent = await limited(1, { slots: 2 });
    const [first, second] = [await newRun(world, agent.id), await newRun(world, agent.id)];
    expect((await runRow(world, second)).waiting?.reason).toBe('agent_vm_limit');
    const { vmId, runner } = await startingFrom(world, first);
    expect(await runsOn(world, vmId)).toEqual([first, second]);
    const third = await newRun(world, agent.id);
    expect((await runRow(world, third)).waiting?.reason).toBe('agent_vm_limit');
    await runner.beat();
    await runner.beat([running(first), running(second)]);
    await endOf(runner, first);
    expect(await runsOn(world, vmId)).toEqual([second, third]);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [vmId], waiters: [] });
  });
});

describe('a run that was let in because a VM was free', () => {
  /** The first of two takes the free VM after the second was let in for it, and before it took it. */
  async function robbed() {
    const { agentId, vmId, runner } = await warmVm(world, { limits: { maxConcurrentVms: 1 } });
    let winner = '';
    const rival = async () => {
      winner = await newRun(world, agentId);
    };
    const loser = await newRun(world, agentId, interleaved(world, rival, keys.vm(vmId)));
    expect(await runsOn(world, vmId)).toEqual([winner]);
    return { agentId, vmId, runner, winner, loser };
  }

  it('and has lost it to another one launches none over the limit, and says what it waits for', async () => {
    const { agentId, vmId, loser } = await robbed();
    await expect(launchVm(world.ports, executionOf(loser))).rejects.toThrow('which is the limit');
    expect(world.launches).toHaveLength(1);
    expect(await places(world, vmLimit(agentId))).toEqual({ used: 1, holders: [vmId], waiters: [] });
    expect((await runRow(world, loser)).waiting).toMatchObject({
      reason: 'capacity',
      tried: [{ code: expect.stringContaining('limit') }],
    });
    expect(await wantMarks(world, agentId)).toEqual([loser]);
  });

  it('gets the VM when the other one has ended', async () => {
    const { vmId, runner, winner, loser } = await robbed();
    await expect(launchVm(world.ports, executionOf(loser))).rejects.toThrow('which is the limit');
    await runner.beat();
    await endOf(runner, winner);
    expect(await runsOn(world, vmId)).toEqual([loser]);
  });

  it('takes a place of its own where there is one by then', async () => {
    const { agentId, vmId, runner, winner, loser } = await robbed();
    await runner.beat();
    await runner.beat([running(winner)]);
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    const launched = await launchVm(world.ports, executionOf(loser));
    expect(await places(world, vmLimit(agentId))).toEqual({ used: 1, holders: [launched.vmId], waiters: [] });
  });
});

describe('a next attempt', () => {
  it('waits for a place for its VM, and keeps its place among the runs', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1, maxConcurrentVms: 1 } });
    const id = await newRun(world, agent.id);
    const first = await startingFrom(world, id);
    const later = await newRun(world, agent.id);
    await first.runner.beat();
    await refusalOf(first.runner, id);
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2, kept: [`agent#${agent.id}`] });
    world.now += 2 * SECOND;
    await watchdog(world);
    expect((await runRow(world, id)).waiting).toMatchObject({ reason: 'agent_vm_limit' });
    expect(await places(world, `agent#${agent.id}`)).toEqual({ used: 1, holders: [id], waiters: [later] });
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [first.vmId], waiters: [id] });
    dies(world, first.vmId);
    await observeVm(world.ports, first.vmId);
    expect(placed(world)).toEqual([`${id}-1`, `${id}-2`]);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [id], waiters: [] });
    expect((await runRow(world, id)).admitted).toEqual([`agent#${agent.id}`, vmLimit(agent.id)]);
    await cancelRun(world.ports, world.caller, later, CANCEL);
    await cancelRun(world.ports, world.caller, id, CANCEL);
    expect(await places(world, `agent#${agent.id}`)).toEqual(nothing);
    expect(await places(world, vmLimit(agent.id))).toEqual(nothing);
    const events = await eventsOf(world, keys.run(id).pk);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  });

  /** A first attempt that somebody lets in, who then stands still; others place it, and it is refused on its VM meanwhile. */
  async function letInBefore(agentId: string, id: string, letIn: (ports: World['ports']) => Promise<unknown>) {
    let first: Awaited<ReturnType<typeof startingFrom>> | undefined;
    const transact = async (writes: readonly Write[]) => {
      await world.ports.store.transact(writes);
      const admits = writes.some((write) => write.kind === 'update' && write.set?.admitted !== undefined);
      if (first !== undefined || !admits) return;
      await placeRun(world.ports, await runRow(world, id));
      first = await startingFrom(world, id);
      await first.runner.beat();
      await refusalOf(first.runner, id);
      world.now += 2 * SECOND;
      await watchdog(world);
      expect(await runRow(world, id)).toMatchObject({ attempt: 2, waiting: { reason: 'agent_vm_limit' } });
    };
    await letIn({ ...world.ports, store: storeWith(world.ports.store, { transact }) });
    expect(placed(world)).not.toContain(`${id}-2`);
    expect(await places(world, vmLimit(agentId))).toEqual({ used: 1, holders: [first?.vmId], waiters: [id] });
    dies(world, first?.vmId ?? '');
    await observeVm(world.ports, first?.vmId ?? '');
    expect(placed(world)).toContain(`${id}-2`);
  }

  it('is not begun, without a place, by who let in the one before it and stood still', async () => {
    const agent = await limited(1);
    const run = await newRun(world, agent.id, { ...world.ports, store: withoutAdmissions() });
    await letInBefore(agent.id, run, async (ports) => placeRun(ports, await runRow(world, run)));
  });

  it('nor by who let it in from the queue', async () => {
    const agent = await limited(1);
    const before = await newRun(world, agent.id);
    const run = await newRun(world, agent.id);
    await cancelRun({ ...world.ports, store: withoutAdmissions() }, world.caller, before, CANCEL);
    await letInBefore(agent.id, run, (ports) => admitWaiting(ports, vmLimit(agent.id)));
  });

  it('is not let in before its time by who meant to place the one before it', async () => {
    const agent = await limited(1);
    const id = await newRun(world, agent.id, { ...world.ports, store: withoutAdmissions() });
    const seen = await runRow(world, id);
    await placeRun(world.ports, seen);
    const first = await startingFrom(world, id);
    await first.runner.beat();
    await refusalOf(first.runner, id);
    dies(world, first.vmId);
    await observeVm(world.ports, first.vmId);
    expect(await placeRun(world.ports, seen)).toBe('waiting');
    expect(await runRow(world, id)).toMatchObject({ attempt: 2, waiting: { reason: 'retry_backoff' } });
    expect(placed(world)).toEqual([`${id}-1`]);
    world.now += 2 * SECOND;
    await watchdog(world);
    expect(placed(world)).toEqual([`${id}-1`, `${id}-2`]);
  });

  it('nor by who found the one before it at the head of the queue', async () => {
    const agent = await limited(1);
    const before = await newRun(world, agent.id);
    const id = await newRun(world, agent.id);
    const ports = afterQuery(world, `LIM#${vmLimit(agent.id)}`, async () => {
      await cancelRun(world.ports, world.caller, before, CANCEL);
      const first = await startingFrom(world, id);
      await first.runner.beat();
      await refusalOf(first.runner, id);
      dies(world, first.vmId);
      await observeVm(world.ports, first.vmId);
    });
    await admitWaiting(ports, vmLimit(agent.id));
    expect(await runRow(world, id)).toMatchObject({ attempt: 2, waiting: { reason: 'retry_backoff' } });
    expect(placed(world)).toEqual([`${before}-1`, `${id}-1`]);
  });

  it('gives back all that it keeps when it is cancelled while it waits', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1, maxConcurrentVms: 1 } });
    const id = await newRun(world, agent.id);
    const first = await startingFrom(world, id);
    await first.runner.beat();
    await refusalOf(first.runner, id);
    await cancelRun(world.ports, world.caller, id, CANCEL);
    expect(await places(world, `agent#${agent.id}`)).toEqual(nothing);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [first.vmId], waiters: [] });
  });
});

describe('a crash after a place was taken', () => {
  it('and before the launch was answered takes no second one when the launch is repeated', async () => {
    const agent = await limited(1);
    const id = await newRun(world, agent.id);
    const fleet = { ...world.ports.fleet, launch: () => Promise.reject(new Error('crash')) };
    await expect(launchVm({ ...world.ports, fleet }, executionOf(id))).rejects.toThrow('crash');
    const { vmId } = await launchVm(world.ports, executionOf(id));
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 1, holders: [vmId], waiters: [] });
    expect((await vmRow(world, vmId)).intent).toMatchObject({ number: 1, open: false });
  });

  it('and before its execution was started is placed by the watchdog', async () => {
    const agent = await limited(1);
    const workflow = { ...world.ports.workflow, start: () => Promise.reject(new Error('crash')) };
    await newRun(world, agent.id, { ...world.ports, workflow } as World['ports']);
    const [holder] = (await places(world, vmLimit(agent.id))).holders;
    await passes(world, 40);
    expect(placed(world)).toContain(`${holder}-1`);
    expect((await places(world, vmLimit(agent.id))).used).toBe(1);
  });

  it('and the run’s end gives it back when the VM that holds it is seen to be gone', async () => {
    const agent = await limited(1);
    const id = await newRun(world, agent.id);
    const fleet = { ...world.ports.fleet, launch: () => Promise.reject(new Error('crash')) };
    await expect(launchVm({ ...world.ports, fleet }, executionOf(id))).rejects.toThrow('crash');
    const [vmId = ''] = (await places(world, vmLimit(agent.id))).holders;
    dies(world, vmId);
    await cancelRun(world.ports, world.caller, id, CANCEL);
    // Its launch was never answered: an instance may yet appear, so its place is not given to another one at once.
    expect((await places(world, vmLimit(agent.id))).holders).toEqual([vmId]);
    await passes(world, 120);
    expect(await places(world, vmLimit(agent.id))).toEqual(nothing);
  });

  it('and the one that freed it did not pass it on: the watchdog lets in who waits', async () => {
    const agent = await limited(1, { reuse: 'never' });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    await endOf(first.runner, first.id);
    dies(world, first.vmId);
    await observeVm({ ...world.ports, store: withoutAdmissions() }, first.vmId);
    expect(await places(world, vmLimit(agent.id))).toEqual({ used: 0, holders: [], waiters: [second] });
    await passes(world, 80);
    expect(placed(world)).toContain(`${second}-1`);
  });
});
