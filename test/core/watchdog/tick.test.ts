import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemTime } from '../../../adapters/system/time.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { getSchedule } from '../../../core/schedules/service.ts';
import { readSystem } from '../../../core/system.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { type TickReport, tick } from '../../../core/watchdog/tick.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  afterRead,
  apiRun,
  ended,
  entry,
  eventsOf,
  FakeRunner,
  finishAs,
  heardBeside,
  MINUTE,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingRun,
  storeWith,
  upTo,
  vmRow,
} from '../support.ts';

const options = { owner: 'test', budgetMs: 60_000 };

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const look = (ports = world.ports): Promise<TickReport> => tick(ports, options);
const rulesOf = (report: TickReport): readonly string[] => report.actions.map((each) => each.rule);

/** Time passes with a tick every half minute, so that the watchdog has no gap of its own. */
async function pass(milliseconds: number, each: () => Promise<unknown> = async () => {}): Promise<readonly string[]> {
  const rules: string[] = [];
  const until = world.now + milliseconds;
  while (world.now < until) {
    world.now = Math.min(world.now + 10 * SECOND, until);
    await each();
    rules.push(...rulesOf(await look()));
  }
  return rules;
}

describe('a run without a VM', () => {
  it('is left to the VM that took its marker in the meantime', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await pass(15 * MINUTE - SECOND);
    world.now += SECOND;
    const report = await look(afterRead(world, keys.run(id), () => new FakeRunner(world, vmId).register()));
    expect(rulesOf(report)).not.toContain('start_timeout');
    expect((await runRow(world, id)).status).toBe('starting');
    expect(world.terminations).toEqual([]);
  });
});

describe('a run that is starting', () => {
  it('is ended through the cancel when its VM lives and never starts it', async () => {
    const { id, runner } = await startingRun(world);
    const silentStart = () => runner.send([], ++runner.seq, 0);
    expect(await pass(15 * MINUTE - SECOND, silentStart)).toEqual([]);
    expect(await pass(SECOND, silentStart)).toEqual(['start_timeout']);
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelling', cancel: { cause: 'timeout' } });
    await runner.beat();
    await runner.beat([entry(id, 'not_started')]);
    expect(await runRow(world, id)).toMatchObject({ status: 'timed_out', reason: 'start_timeout' });
  });

  it('is left alone when it was dispatched late: a VM gets one lease to start it', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await pass(15 * MINUTE - SECOND);
    const runner = new FakeRunner(world, vmId);
    await runner.register();
    expect(await pass(44 * SECOND, () => runner.send([], ++runner.seq, 0))).toEqual([]);
    await runner.beat([running(id)]);
    expect((await runRow(world, id)).status).toBe('running');
  });
});

describe('a run that is running', () => {
  it('that ends while the watchdog decides is no failure of the watchdog', async () => {
    const { id, runner } = await runningRun(world, { limits: { runTimeout: 'PT30S' } });
    world.now += 30 * SECOND;
    const report = await look(afterRead(world, keys.run(id), () => runner.beat([ended(id)])));
    expect(report).toMatchObject({ failures: 0, actions: [] });
    expect((await runRow(world, id)).status).toBe('succeeded');
  });

  it('is never ended while its evidence is fresh, under the largest skew that is allowed (I9)', async () => {
    const { id, runner } = await runningRun(world);
    const beat = () => runner.beat([running(id)]);
    // Another machine’s watchdog is 5 s ahead of the one that took the heartbeat.
    for (let round = 0; round < 8; round++) {
      await beat();
      world.now += 50 * SECOND;
      expect(await look()).toMatchObject({ actions: [] });
    }
    expect((await runRow(world, id)).status).toBe('running');
    expect(world.terminations).toEqual([]);
  });
});

describe('a VM whose lease has run out', () => {
  it('is recorded with its runs when the fleet sees that it is gone', async () => {
    const { id, vmId } = await runningRun(world);
    world.observations.set(vmId, { status: 'terminated', detail: 'spot interruption' });
    expect(await pass(50 * SECOND)).toEqual([]);
    world.now += 10 * SECOND;
    expect(rulesOf(await look())).toEqual(['vm_dead']);
    expect(await runRow(world, id)).toMatchObject({
      status: 'lost',
      reason: 'vm_terminated',
      evidence: { source: 'fleet', detail: 'spot interruption' },
    });
    const vm = await vmRow(world, vmId);
    expect(vm).toMatchObject({ status: 'terminated', slots: [], commands: [] });
    expect(vm.checkAt).toBeUndefined();
    const events = await eventsOf(world, keys.run(id).pk);
    expect(events.map((each) => each.sequence)).toEqual(upTo(events.length));
  });

  it('recovers when it reports again: the run goes on', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await pass(60 * SECOND);
    await runner.beat([running(id)]);
    expect((await vmRow(world, vmId)).status).toBe('ready');
    expect(await pass(5 * MINUTE, () => runner.beat([running(id)]))).toEqual([]);
    expect((await runRow(world, id)).status).toBe('running');
  });

  it('is not terminated when a heartbeat comes just before its second deadline is judged (I9)', async () => {
    const { id, vmId, runner } = await runningRun(world);
    const another = await heardBeside(world);
    await pass(60 * SECOND, another);
    await pass(110 * SECOND, another);
    world.now += 10 * SECOND;
    const report = await look(afterRead(world, keys.vm(vmId), () => runner.beat([running(id)])));
    expect(rulesOf(report)).toEqual([]);
    expect(world.terminations).toEqual([]);
    expect((await vmRow(world, vmId)).status).toBe('ready');
  });

  it('is not judged where the fleet could not be asked', async () => {
    const { id, vmId } = await runningRun(world);
    const deaf = {
      ...world.ports,
      fleet: { ...world.ports.fleet, observe: async () => Promise.reject(new Error('throttled')) },
    };
    await pass(50 * SECOND);
    world.now += 10 * SECOND;
    expect(await look(deaf)).toMatchObject({ failures: 1, actions: [] });
    expect((await vmRow(world, vmId)).status).toBe('ready');
    expect((await runRow(world, id)).status).toBe('running');
    expect(await pass(MINUTE)).toEqual(['vm_silent']);
  });

  it('does not take a run down with it unseen that was dispatched while the watchdog looked (I14)', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    // The registration commits, then the process dies before it dispatches.
    const crashes = afterRead(world, keys.run(id), () => Promise.reject(new Error('crash')));
    await expect(new FakeRunner(world, vmId).register(crashes)).rejects.toThrow('crash');
    expect((await vmRow(world, vmId)).status).toBe('ready');
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await observeVm(
      afterRead(world, keys.vm(vmId), () => claimDispatch(world.ports, id, 1, vmId)),
      vmId,
    );
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    // No heartbeat has been answered since: no runner can have got the start, so the next attempt may have it.
    expect(await runRow(world, id)).toMatchObject({
      status: 'queued',
      attempt: 2,
      attempts: [{ attempt: 1, vmId, reason: 'vm_terminated' }],
    });
  });
});

describe('a VM that serves nothing', () => {
  it('is released when its run has ended before it registered', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await finishAs(world, id, 'failed');
    expect(await pass(15 * MINUTE + SECOND)).toContain('vm_unneeded');
    expect(world.terminations).toContain(vmId);
  });

  it('is released at once by the fan-out of the run’s end, without waiting for the check', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await finishAs(world, id, 'failed');
    for (const event of await eventsOf(world, keys.run(id).pk)) await handleEvent(world.ports, event);
    expect(world.terminations).toEqual([vmId]);
    expect(world.stopped).toEqual([`${id}-1`]);
  });

  it('is released when it registered and carries nothing', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const crashes = afterRead(world, keys.run(id), () => Promise.reject(new Error('crash')));
    const runner = new FakeRunner(world, vmId);
    await expect(runner.register(crashes)).rejects.toThrow('crash');
    world.now += 30 * SECOND;
    await runner.register();
    expect((await runRow(world, id)).status).toBe('starting');
    await runner.beat();
    await runner.beat([ended(id)]);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('is terminated when it drains and lingers, until it has been seen gone (I6)', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await runner.beat([ended(id)]);
    expect(await pass(29 * SECOND)).toEqual([]);
    expect(world.terminations).toEqual([]);
    expect(await pass(10 * SECOND)).toEqual(['vm_lingering']);
    const asked = world.terminations.length;
    // It is asked for again and again, and told once.
    expect(await pass(5 * MINUTE)).toEqual([]);
    expect(world.terminations.length).toBeGreaterThan(asked + 5);
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    expect(await pass(40 * SECOND)).toEqual([]);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('whose launch was never answered is settled only by a second look after a while', async () => {
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('no answer');
    await expect(launchVm(world.ports, input)).rejects.toThrow('no answer');
    const vmId = world.launches[0]?.vmId ?? '';
    world.observations.set(vmId, { status: 'terminated', detail: 'no instance has its tag' });
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    expect((await vmRow(world, vmId)).status).toBe('draining');
    await pass(50 * SECOND);
    expect((await vmRow(world, vmId)).status).toBe('draining');
    await pass(20 * SECOND);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('whose launch was asked for again is settled only a while after the last asking', async () => {
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('no answer');
    await expect(launchVm(world.ports, input)).rejects.toThrow('no answer');
    const vmId = world.launches[0]?.vmId ?? '';
    world.observations.set(vmId, { status: 'terminated', detail: 'no instance has its tag' });
    world.now += 3 * MINUTE;
    await expect(launchVm(world.ports, input)).rejects.toThrow('no answer');
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    expect((await vmRow(world, vmId)).status).toBe('draining');
    await pass(50 * SECOND);
    expect((await vmRow(world, vmId)).status).toBe('draining');
    await pass(20 * SECOND);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });
});

describe('a cancel', () => {
  const ask = (id: string) => cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });

  it('is not sent again while it waits for its delivery, or when it has been acknowledged', async () => {
    const { id, runner } = await runningRun(world);
    await ask(id);
    await runner.beat([running(id)]);
    await runner.beat([entry(id, 'ending', { signalsSent: ['SIGINT'] })]);
    expect(await pass(90 * SECOND, () => runner.beat([entry(id, 'ending')]))).toEqual([]);
  });

  it('is escalated again and again while the VM stands, and told once', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await ask(id);
    expect(await pass(8 * MINUTE, () => runner.beat([running(id)]))).toEqual(['cancel_escalated']);
    expect(world.terminations.filter((each) => each === vmId).length).toBeGreaterThan(3);
  });

  it('of a timeout ends as timed_out when it had to be escalated', async () => {
    const { id, vmId, runner } = await runningRun(world, { limits: { runTimeout: 'PT1M' } });
    const beat = () => runner.beat([running(id)]);
    await pass(60 * SECOND, beat);
    await pass(120 * SECOND, beat);
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await pass(70 * SECOND);
    expect(await runRow(world, id)).toMatchObject({ status: 'timed_out', reason: 'vm_terminated_after_cancel' });
  });
});

describe('a schedule', () => {
  it('whose clock could not be set is set by the watchdog within two ticks, long before its first occurrence', async () => {
    const agent = await world.agent();
    const put = world.ports.clock.put;
    Object.assign(world.ports.clock, { put: async () => Promise.reject(new Error('scheduler is down')) });
    const schedule = await world.schedule(agent.id, { cadence: { cron: '0 0 1 1 *', timezone: 'UTC' } });
    expect(schedule.clock.status).toBe('pending');
    await pass(2 * MINUTE);
    expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({ clock: { status: 'pending' } });
    Object.assign(world.ports.clock, { put });
    expect(await pass(2 * MINUTE)).toEqual(['clock_drift']);
    expect(world.clocks.get(schedule.id)).toMatchObject({ specVersion: 1 });
    const row = await scheduleRow(world, schedule.id);
    expect(row).toMatchObject({ clock: { status: 'synced' }, checkAt: Date.UTC(2028, 0, 1) });
    expect(await pass(2 * MINUTE)).toEqual([]);
  });

  it('gets the newest spec on its clock, also when an older put arrives after it', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    const put = world.ports.clock.put;
    const remove = world.ports.clock.delete;
    let first = true;
    // The pause's delete is slow: the resume is through before it arrives.
    Object.assign(world.ports.clock, {
      delete: async (id: string) => {
        if (first) {
          first = false;
          await resumeSchedule(world.ports, world.caller, schedule.id, { kind: 'none' });
        }
        await remove(id);
      },
      put,
    });
    await pauseSchedule(world.ports, world.caller, schedule.id, '', { kind: 'none' });
    expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({
      status: 'active',
      clock: { status: 'synced', specVersion: 3 },
    });
    expect(world.clocks.get(schedule.id)).toMatchObject({ specVersion: 3 });
  });
});

describe('the watchdog itself', () => {
  it('gives no verdict for one lease after a gap of its own, and then gives it', async () => {
    const { id, vmId } = await runningRun(world);
    await look();
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    world.now += 10 * MINUTE;
    const woken = await look();
    expect(woken).toMatchObject({ holding: true, actions: [] });
    expect((await runRow(world, id)).status).toBe('running');
    world.now += 44 * SECOND;
    expect(await look()).toMatchObject({ holding: true, actions: [] });
    world.now += SECOND;
    expect(rulesOf(await look())).toEqual(['vm_dead']);
    expect((await runRow(world, id)).status).toBe('lost');
  });

  it('takes a late tick for no gap, and its first tick ever too', async () => {
    expect(await look()).toMatchObject({ holding: false });
    world.now += 121 * SECOND;
    expect(await look()).toMatchObject({ holding: false });
    world.now += 122 * SECOND;
    expect(await look()).toMatchObject({ holding: true });
  });

  it('leaves a VM alone that reports again within the lease after the gap', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await look();
    world.now += 10 * MINUTE;
    await look();
    await runner.beat([running(id)]);
    expect(await pass(3 * MINUTE, () => runner.beat([running(id)]))).toEqual([]);
    expect((await vmRow(world, vmId)).status).toBe('ready');
  });

  it('goes on past an item that a newer Candor wrote, and counts it', async () => {
    const poisoned = await apiRun(world);
    const other = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
    await world.ports.store.transact([
      { kind: 'update', key: keys.run(poisoned.id), set: { schemaVersion: 99 }, guards: [] },
    ]);
    world.now += MINUTE;
    const report = await look();
    expect(report.failures).toBe(1);
    expect(rulesOf(report)).toEqual(['start_timeout']);
    expect((await runRow(world, other.id)).status).toBe('failed');
  });

  it('is not starved by a batch full of items that it cannot handle', async () => {
    world = await engine.world({ checkShards: 1, watchdogBatch: 2 });
    for (let index = 0; index < 3; index++) {
      const { id } = await apiRun(world);
      await world.ports.store.transact([{ kind: 'update', key: keys.run(id), set: { schemaVersion: 99 }, guards: [] }]);
    }
    world.now += SECOND;
    const { id } = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
    await pass(2 * MINUTE);
    expect((await runRow(world, id)).status).toBe('failed');
  });

  it('stops at its budget and leaves the rest due', async () => {
    world = await engine.world({ watchdogLanes: 1 });
    await apiRun(world);
    await apiRun(world);
    world.now += MINUTE;
    const slow = {
      ...world.ports,
      workflow: {
        ...world.ports.workflow,
        start: async () => {
          world.now += 2 * SECOND;
          return 'exists' as const;
        },
      },
    };
    expect(await tick(slow, { owner: 'test', budgetMs: 1000 })).toMatchObject({ looked: 1 });
    expect(await tick(slow, { owner: 'test', budgetMs: 60_000 })).toMatchObject({ looked: 1 });
  });

  describe('comes to its end in time, with all that it could do, where a service does not answer:', () => {
    const never = () => new Promise<never>(() => {});
    /** The time that the function has goes by while it waits. */
    async function ticked(ports: World['ports']) {
      const startedAt = world.now;
      const ticking = tick(ports, { owner: 'test', budgetMs: 45_000 });
      await systemTime.sleep(300);
      world.now = startedAt + 50 * SECOND + 1;
      const report = await ticking;
      expect(world.now - startedAt).toBeLessThan(55 * SECOND);
      const part = (await readSystem(world.ports)).parts.find(({ name }) => name === 'watchdog');
      expect(part?.lastProofAt).toBe(new Date(world.now).toISOString());
      expect(world.measured).toContainEqual({ name: 'WatchdogTicks', value: 1, dimensions: {} });
      return report;
    }

    it('EC2, asked for a VM, which is looked at again later', async () => {
      const { vmId } = await runningRun(world);
      const { id } = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
      world.now += MINUTE;
      const report = await ticked({ ...world.ports, fleet: { ...world.ports.fleet, observe: never } });
      expect(report).toMatchObject({ leftOver: true, failures: 1, poison: [keys.vm(vmId).pk] });
      expect((await runRow(world, id)).status).toBe('failed');
      expect(await vmRow(world, vmId)).toMatchObject({
        checkAt: world.now + MINUTE,
        checkFailures: 1,
        status: 'ready',
      });
      expect(await pass(MINUTE)).toContain('vm_silent');
    });

    it('EC2, asked for all instances', async () => {
      const report = await ticked({ ...world.ports, fleet: { ...world.ports.fleet, list: never } });
      expect(report).toMatchObject({ failures: 1 });
      // It has not been looked at, so the next tick does.
      world.instances.set('i-x', { instanceId: 'i-x', vmId: '', tenantId: '', status: 'running', detail: '' });
      await look();
      expect(world.measured).toContainEqual({ name: 'OrphanInstances', value: 1, dimensions: {} });
    });

    it('the table, asked for its index', async () => {
      const limping = storeWith(world.ports.store, { queryIndex: never });
      expect(await ticked({ ...world.ports, store: limping })).toMatchObject({ leftOver: true, looked: 0 });
    });
  });

  it('publishes its proof of life with what it did', async () => {
    await look();
    const system = await readSystem(world.ports);
    expect(system.parts.find((each) => each.name === 'watchdog')).toMatchObject({
      owner: 'test',
      lastProofAt: new Date(world.now).toISOString(),
      detail: { looked: 0, recovered: 0, failures: 0 },
    });
  });

  it('reads nothing that is not due, and comes to rest when all is at rest (I14)', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await runner.beat([ended(id)]);
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await pass(MINUTE);
    world.now += 2 * MINUTE;
    expect(await look()).toMatchObject({ looked: 0 });
  });
});
