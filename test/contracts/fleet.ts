/** What every Fleet keeps about one VM: one instance per token, an end that is seen before it is said, and no guesses. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Fleet, LaunchSpec } from '../../core/ports.ts';

export interface FleetHarness {
  readonly fleet: Fleet;
  /** An id that this fleet takes for a VM's. */
  newVmId(): string;
  /** Lets the ends that were asked for come about. */
  settle(): Promise<void>;
  readonly now: () => number;
}

export function fleetContract(name: string, begin: () => Promise<FleetHarness> | FleetHarness): void {
  describe(`${name} keeps the contract of a fleet`, () => {
    let world: FleetHarness;
    beforeEach(async () => {
      world = await begin();
    });
    const specOf = async (vmId: string, clientToken: string): Promise<LaunchSpec> => ({
      tenantId: 't1',
      vmId,
      agentId: 'agt_1',
      runId: 'run_1',
      attempt: 1,
      clientToken,
      number: 1,
      plan: await world.fleet.plan({}),
      registrationKey: async () => 'key',
    });

    it('has one instance for one token, however often and at once it is asked', async () => {
      const spec = await specOf(world.newVmId(), 'token-1');
      const first = await world.fleet.launch(spec);
      const again = await Promise.all([world.fleet.launch(spec), world.fleet.launch(spec)]);
      for (const each of again) expect(each.instanceId).toBe(first.instanceId);
    });

    it('shows it as pending or running from the launch on, with evidence', async () => {
      const spec = await specOf(world.newVmId(), 'token-1');
      const { instanceId } = await world.fleet.launch(spec);
      for (const known of [instanceId, undefined]) {
        const seen = await world.fleet.observe(spec.vmId, known, world.now());
        expect(['pending', 'running']).toContain(seen.status);
        expect(seen.detail).not.toBe('');
      }
    });

    it('says that it is terminated when it is, and goes on saying so', async () => {
      const spec = await specOf(world.newVmId(), 'token-1');
      const { instanceId } = await world.fleet.launch(spec);
      await world.fleet.terminate(spec.vmId, instanceId);
      await world.fleet.terminate(spec.vmId, instanceId);
      await world.settle();
      for (let look = 0; look < 2; look++)
        expect(await world.fleet.observe(spec.vmId, instanceId, world.now())).toMatchObject({ status: 'terminated' });
      await world.fleet.terminate(spec.vmId, instanceId);
    });

    it('ends an instance whose id nobody knows, by the VM’s', async () => {
      const spec = await specOf(world.newVmId(), 'token-1');
      await world.fleet.launch(spec);
      await world.fleet.terminate(spec.vmId, undefined);
      await world.settle();
      expect(await world.fleet.observe(spec.vmId, undefined, world.now())).toMatchObject({ status: 'terminated' });
    });

    it('keeps VMs apart', async () => {
      const [mine, other] = [await specOf(world.newVmId(), 'token-1'), await specOf(world.newVmId(), 'token-2')];
      const { instanceId } = await world.fleet.launch(mine);
      const kept = await world.fleet.launch(other);
      await world.fleet.terminate(mine.vmId, instanceId);
      await world.settle();
      expect(['pending', 'running']).toContain(
        (await world.fleet.observe(other.vmId, kept.instanceId, world.now())).status,
      );
      await world.fleet.terminate(other.vmId, kept.instanceId);
    });

    it('knows of no instance where none was launched, and its end is success', async () => {
      const vmId = world.newVmId();
      await world.fleet.terminate(vmId, undefined);
      expect(await world.fleet.observe(vmId, undefined)).toMatchObject({ status: 'terminated' });
    });
  });
}
