/** VMs that are unneeded, silent, dead, lingering, or that nobody knows; slots that are held for nothing. */
import { expect } from 'vitest';
import { cancelRun } from '../../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../../core/runs/dispatch.ts';
import * as keys from '../../../../core/table/itemKeys.ts';
import { STRAY_INSTANCES } from '../../../../core/table/keys.ts';
import { requestDrain } from '../../../../core/vms/drain.ts';
import { failRun, launchVm } from '../../../../core/vms/provision.ts';
import type { Recovery } from '../../../../core/watchdog/recoveries.ts';
import type { World } from '../../../support/world.ts';
import {
  afterRead,
  apiRun,
  ended,
  FakeRunner,
  finishAs,
  heardBeside,
  interleaved,
  MINUTE,
  none,
  running,
  runningRun,
  runRow,
  SECOND,
  storeWith,
  vmRow,
} from '../../support.ts';
import { atWork, CANCEL, dies, newRun, warmVm } from '../../vms/support.ts';
import { endWith, keyOf, losing, type RuleCase, type Scene } from '../scene.ts';

const drain = (world: World, vmId: string) => requestDrain(world.ports, world.caller, vmId, none);

/** A VM has registered, and the process that took the registration was killed before it could give it its run. */
async function registeredInVain(scene: Scene) {
  const { world } = scene;
  const { id, input } = await apiRun(world);
  const { vmId } = await launchVm(world.ports, input);
  // Longer than the first of its checks comes after its launch: so the next one is due while it registers.
  await scene.pass(70 * SECOND);
  const runner = new FakeRunner(world, vmId);
  const killed = afterRead(world, keys.run(id), () => Promise.reject(new Error('killed')));
  await expect(runner.register(killed)).rejects.toThrow('killed');
  expect((await vmRow(world, vmId)).status).toBe('ready');
  return { id, input, vmId, runner };
}

const instanceOf = (vmId: string, instanceId = 'i-late') =>
  ({
    instanceId,
    vmId,
    tenantId: 'local',
    status: 'running',
    detail: `EC2 says that ${instanceId} is running`,
  }) as const;

const lingering: readonly RuleCase[] = [
  {
    stuck: 'with its last run gone it was told to stop, and does not',
    found: async (scene) => {
      const { id, vmId, runner } = await runningRun(scene.world);
      await runner.beat([ended(id)]);
      await scene.pass(29 * SECOND);
      expect([scene.rules, scene.world.terminations]).toEqual([[], []]);
      await scene.pass(SECOND);
      expect(scene.world.terminations).toEqual([vmId]);
      return { pk: keys.vm(vmId).pk, because: /it drains since .* says it runs/, did: /terminated it/ };
    },
    almost: 'it powers off by itself within its time',
    leftAlone: async (scene) => {
      const { id, vmId, runner } = await runningRun(scene.world);
      await runner.beat([ended(id)]);
      await scene.pass(20 * SECOND);
      dies(scene.world, vmId);
      await scene.pass(MINUTE);
      expect(scene.world.terminations).toEqual([]);
      expect((await vmRow(scene.world, vmId)).status).toBe('terminated');
    },
  },
  {
    stuck: 'it was drained by order while it was idle, and its runner is dead',
    found: async (scene) => {
      const { vmId } = await warmVm(scene.world);
      await drain(scene.world, vmId);
      await scene.pass(30 * SECOND);
      expect(scene.world.terminations).toEqual([vmId]);
      return { pk: keys.vm(vmId).pk, because: /it drains since/, did: /terminated it/ };
    },
    almost: 'it was drained by order and carries work that is well: that has all the time that it needs',
    leftAlone: async (scene) => {
      const { id, vmId, runner } = await runningRun(scene.world);
      await drain(scene.world, vmId);
      await scene.pass(10 * MINUTE, () => runner.beat([running(id)]));
      expect((await runRow(scene.world, id)).status).toBe('running');
      expect(scene.world.terminations).toEqual([]);
    },
  },
];

const silent: readonly RuleCase[] = [
  {
    stuck: 'its runner is cut off, while the fleet says that it runs',
    found: async (scene) => {
      const { id, vmId } = await runningRun(scene.world);
      await scene.pass(50 * SECOND);
      expect(scene.rules).toEqual([]);
      await scene.pass(10 * SECOND);
      expect(await vmRow(scene.world, vmId)).toMatchObject({
        status: 'unresponsive',
        evidence: { source: 'watchdog', detail: expect.stringContaining('the test says it runs') },
      });
      expect((await runRow(scene.world, id)).status).toBe('running');
      return { pk: keys.vm(vmId).pk, because: /no heartbeat since .*, yet: the test/, did: /marked it unresponsive/ };
    },
    almost: 'a heartbeat comes while the watchdog looks',
    leftAlone: async (scene) => {
      const { id, vmId, runner } = await runningRun(scene.world);
      await scene.pass(50 * SECOND);
      scene.world.now += 10 * SECOND;
      await scene.look(interleaved(scene.world, () => runner.beat([running(id)]), keys.vm(vmId)));
      expect((await vmRow(scene.world, vmId)).status).toBe('ready');
    },
  },
  {
    stuck: 'the same while it is drained by order with work on it',
    found: async (scene) => {
      const { vmId } = await runningRun(scene.world);
      await drain(scene.world, vmId);
      await scene.pass(MINUTE);
      expect((await vmRow(scene.world, vmId)).status).toBe('unresponsive');
      expect(scene.world.terminations).toEqual([]);
      return { pk: keys.vm(vmId).pk, because: /no heartbeat since/, did: /marked it unresponsive/ };
    },
    almost: 'its heartbeats come a second before each lease ends',
    leftAlone: async (scene) => {
      const { id, vmId, runner } = await runningRun(scene.world);
      await drain(scene.world, vmId);
      for (let lease = 0; lease < 6; lease++) {
        await scene.pass(44 * SECOND);
        await runner.beat([running(id)]);
      }
      expect((await vmRow(scene.world, vmId)).status).toBe('draining');
    },
  },
];

const stray: RuleCase = {
  stuck: 'a launch was never answered, its VM was settled as gone, and then its instance appears',
  found: async (scene) => {
    const { world } = scene;
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('no answer');
    await expect(launchVm(world.ports, input)).rejects.toThrow('no answer');
    const vmId = world.launches[0]?.vmId ?? '';
    dies(world, vmId);
    await cancelRun(world.ports, world.caller, id, CANCEL);
    await scene.pass(2 * MINUTE);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    world.instances.set('i-late', instanceOf(vmId));
    world.terminations.length = 0;
    await scene.pass(4 * MINUTE);
    expect(world.terminations).toEqual([]);
    expect((await world.ports.store.query({ pk: STRAY_INSTANCES, limit: 10 })).items).toMatchObject([{ sk: 'i-late' }]);
    await scene.pass(5 * MINUTE);
    expect(world.terminations).toEqual(['i-late']);
    expect(world.measured).toContainEqual({ name: 'OrphanInstances', value: 1, dimensions: {} });
    return { pk: keys.system('strays').pk, because: /was seen to be gone.*nobody's at/, did: /terminated it/ };
  },
  almost: 'an instance whose row the first look did not find, and the second does',
  leftAlone: async (scene) => {
    const { world } = scene;
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const { instanceId = '' } = await vmRow(world, vmId);
    world.instances.set(instanceId, instanceOf(vmId, instanceId));
    const { store } = world.ports;
    const marks = async () => (await store.query({ pk: STRAY_INSTANCES, limit: 10 })).items.length;
    const blind = storeWith(store, { getMany: async (wanted) => wanted.map(() => undefined) });
    await scene.look({ ...world.ports, store: blind });
    expect(await marks()).toBe(1);
    await scene.pass(11 * MINUTE);
    expect([world.terminations, await marks()]).toEqual([[], 0]);
  },
};

export const VM_CASES = {
  vm_unneeded: [
    {
      stuck: 'its run ended before it registered, and the fan-out of that end was lost',
      found: async (scene) => {
        const { id, input } = await apiRun(scene.world);
        const { vmId } = await launchVm(scene.world.ports, input);
        await finishAs(scene.world, id, 'failed');
        await scene.pass(5 * MINUTE);
        expect(scene.world.terminations).toContain(vmId);
        return { pk: keys.vm(vmId).pk, because: new RegExp(`run ${id} needs it no more`), did: /released it/ };
      },
      almost: 'its run waits for it still',
      leftAlone: async (scene) => {
        const { input } = await apiRun(scene.world);
        await launchVm(scene.world.ports, input);
        await scene.pass(14 * MINUTE);
        expect(scene.world.terminations).toEqual([]);
      },
    },
  ],
  vm_died_booting: [
    {
      stuck: 'its instance is taken back before its runner could register',
      found: async (scene) => {
        const { input } = await apiRun(scene.world);
        const { vmId } = await launchVm(scene.world.ports, input);
        scene.world.observations.set(vmId, { status: 'terminated', detail: 'spot interruption' });
        await scene.pass(70 * SECOND);
        expect(await vmRow(scene.world, vmId)).toMatchObject({ status: 'terminated', evidence: { source: 'fleet' } });
        return { pk: keys.vm(vmId).pk, because: /spot interruption/, did: /recorded its end, and woke/ };
      },
      almost: 'the fleet does not know it yet, as for seconds after a launch',
      leftAlone: async (scene) => {
        const { input } = await apiRun(scene.world);
        const { vmId } = await launchVm(scene.world.ports, input);
        scene.world.observations.set(vmId, { status: 'unknown', detail: 'InvalidInstanceID.NotFound' });
        await scene.pass(10 * MINUTE);
        expect((await vmRow(scene.world, vmId)).status).toBe('booting');
      },
    },
  ],
  vm_idle: [
    {
      stuck:
        'it registered, the process that took that was killed before it gave it its run, and that run ended meanwhile',
      found: async (scene) => {
        const { id, vmId } = await registeredInVain(scene);
        await finishAs(scene.world, id, 'failed');
        await scene.pass(50 * SECOND);
        expect(scene.world.terminations).toContain(vmId);
        return { pk: keys.vm(vmId).pk, because: /it carries no run/, did: /released it/ };
      },
      almost: 'its run waits for it, and its runner registers again within its lease',
      leftAlone: async (scene) => {
        const { id, runner } = await registeredInVain(scene);
        await scene.pass(40 * SECOND);
        await runner.register();
        await runner.beat();
        await scene.pass(2 * MINUTE, () => runner.beat([running(id)]));
        expect((await runRow(scene.world, id)).status).toBe('running');
      },
    },
    {
      stuck: 'the same, and that attempt was given up meanwhile',
      found: async (scene) => {
        const { id, input, vmId } = await registeredInVain(scene);
        await failRun(scene.world.ports, { ...input, failure: { Error: 'CapacityUnavailable' } });
        expect((await runRow(scene.world, id)).attempt).toBe(2);
        await scene.pass(50 * SECOND);
        expect(scene.world.terminations).toContain(vmId);
        return { pk: keys.vm(vmId).pk, because: /it carries no run/, did: /released it/ };
      },
      almost: 'it is kept warm, and goes when that is over, as it was meant to',
      besides: ['vm_lingering'],
      leftAlone: async (scene) => {
        const { vmId, runner } = await warmVm(scene.world);
        await scene.pass(9 * MINUTE, () => runner.beat());
        expect((await vmRow(scene.world, vmId)).status).toBe('ready');
        await scene.pass(MINUTE, () => runner.beat());
        expect((await vmRow(scene.world, vmId)).status).toBe('draining');
      },
    },
  ],
  vm_dead: [
    {
      stuck: 'its instance is taken back while a run is at work on it',
      found: async (scene) => {
        const { id, vmId } = await runningRun(scene.world);
        scene.world.observations.set(vmId, { status: 'terminated', detail: 'spot interruption' });
        await scene.pass(MINUTE);
        expect(await vmRow(scene.world, vmId)).toMatchObject({ status: 'terminated', slots: [] });
        expect(await runRow(scene.world, id)).toMatchObject({
          status: 'lost',
          reason: 'vm_terminated',
          evidence: { source: 'fleet', detail: 'spot interruption' },
        });
        return { pk: keys.vm(vmId).pk, because: /spot interruption/, did: /its observed end and that of its runs/ };
      },
      almost: 'it reports while the fleet believes it gone: nothing is asked before its lease is over',
      leftAlone: async (scene) => {
        const { id, vmId, runner } = await runningRun(scene.world);
        dies(scene.world, vmId);
        await scene.pass(5 * MINUTE, () => runner.beat([running(id)]));
        expect((await runRow(scene.world, id)).status).toBe('running');
      },
    },
  ],
  vm_silent: silent,
  vm_unresponsive: [
    {
      stuck: 'it stays cut off past its second deadline, while others report',
      found: async (scene) => {
        const { id, vmId } = await runningRun(scene.world);
        const another = await heardBeside(scene.world);
        await scene.pass(170 * SECOND, another);
        expect(scene.world.terminations).toEqual([]);
        await scene.pass(10 * SECOND, another);
        expect(scene.world.terminations).toEqual([vmId]);
        // Asked for is not seen: the run is lost only when its VM's end has been observed.
        expect((await runRow(scene.world, id)).status).toBe('running');
        dies(scene.world, vmId);
        await scene.pass(MINUTE, another);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'lost', reason: 'vm_terminated' });
        return { pk: keys.vm(vmId).pk, because: /no heartbeat since/, did: /silent past its second deadline/ };
      },
      almost: 'it is heard again just before that, with the outcome of the work that ended meanwhile',
      besides: ['vm_silent', 'vm_lingering'],
      leftAlone: async (scene) => {
        const { id, vmId, runner } = await runningRun(scene.world);
        await scene.pass(170 * SECOND, await heardBeside(scene.world));
        scene.world.now += 10 * SECOND;
        const rival = () => runner.beat([ended(id, { exitCode: 0 })]);
        await scene.look(afterRead(scene.world, keys.vm(vmId), rival));
        expect(scene.world.terminations).toEqual([]);
        expect((await runRow(scene.world, id)).status).toBe('succeeded');
      },
    },
    {
      stuck: 'it is the only one, and stays cut off until it must have powered itself off',
      found: async (scene) => {
        const { vmId } = await runningRun(scene.world);
        await scene.pass((45 + 900) * SECOND);
        expect([scene.rules, scene.world.terminations]).toEqual([['vm_silent'], []]);
        await scene.pass(MINUTE);
        expect(scene.world.terminations).toEqual([vmId]);
        return { pk: keys.vm(vmId).pk, because: /no heartbeat since/, did: /silent past its second deadline/ };
      },
      almost: 'nobody is heard, because the API is away, and then one after the other reports again',
      besides: ['vm_silent'],
      leftAlone: async (scene) => {
        const runs = [await runningRun(scene.world), await runningRun(scene.world), await runningRun(scene.world)];
        await scene.pass(5 * MINUTE - 10 * SECOND);
        for (const { id, runner } of runs) {
          scene.world.now += 10 * SECOND;
          await runner.beat([running(id)]);
          await scene.look();
        }
        await scene.pass(2 * MINUTE, () => Promise.all(runs.map(({ id, runner }) => runner.beat([running(id)]))));
        for (const { id } of runs) expect((await runRow(scene.world, id)).status).toBe('running');
        expect(scene.world.terminations).toEqual([]);
      },
    },
    {
      stuck: 'nobody is heard, and it is one of many: then it is not ended, but seen to be gone where it is',
      found: async (scene) => {
        const [gone, stands] = [await runningRun(scene.world), await runningRun(scene.world)];
        await scene.pass(4 * MINUTE);
        dies(scene.world, gone.vmId);
        await scene.pass(MINUTE);
        expect((await runRow(scene.world, gone.id)).status).toBe('lost');
        expect((await runRow(scene.world, stands.id)).status).toBe('running');
        // Given up is only what nobody hears for longer than it could go on by itself.
        await scene.pass(12 * MINUTE);
        expect(new Set(scene.world.terminations)).toEqual(new Set([stands.vmId]));
        return { pk: keys.vm(stands.vmId).pk, because: /no heartbeat since/, did: /terminated it/ };
      },
      almost: 'a run beside it does not end at its cancel, while nobody is heard',
      besides: ['vm_silent'],
      leftAlone: async (scene) => {
        const { world } = scene;
        const agent = await world.agent({ slots: 2 });
        const first = await atWork(world, agent.id);
        const second = await newRun(world, agent.id);
        await claimDispatch(world.ports, second, 1, first.vmId);
        await first.runner.beat([running(first.id)]);
        await first.runner.beat([running(first.id), running(second)]);
        await cancelRun(world.ports, world.caller, second, CANCEL);
        await scene.pass(5 * MINUTE);
        expect(world.terminations).toEqual([]);
        expect((await runRow(world, first.id)).status).toBe('running');
      },
    },
  ],
  vm_lingering: lingering,
  slot_leaked: [
    {
      stuck: 'the end of its run was written without giving the slot back',
      found: async (scene) => {
        const { id, vmId, runner } = await runningRun(scene.world);
        await endWith(
          losing(scene.world, (write) => keyOf(write).pk === keys.vm(vmId).pk),
          id,
        );
        expect((await vmRow(scene.world, vmId)).slots).toHaveLength(1);
        await scene.pass(MINUTE, () => runner.beat([]));
        expect(await vmRow(scene.world, vmId)).toMatchObject({ status: 'draining', slots: [] });
        return { pk: keys.vm(vmId).pk, because: /its slot was not given back/, did: new RegExp(`slot of ${id} back`) };
      },
      almost: 'its run is at work, and is being cancelled',
      leftAlone: async (scene) => {
        const { id, vmId, runner } = await runningRun(scene.world);
        await scene.pass(2 * MINUTE, () => runner.beat([running(id)]));
        await cancelRun(scene.world.ports, scene.world.caller, id, CANCEL);
        await scene.pass(50 * SECOND, () => runner.beat([running(id)]));
        expect((await vmRow(scene.world, vmId)).slots).toHaveLength(1);
      },
    },
  ],
  instance_stray: [stray],
} satisfies Partial<Record<Recovery, readonly RuleCase[]>>;
