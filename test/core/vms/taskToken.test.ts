import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Key, Write } from '../../../core/table/model.ts';
import { drainIdle } from '../../../core/vms/drain.ts';
import { awaitReady, launchVm } from '../../../core/vms/provision.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { apiRun, FakeRunner, storeWith, vmRow } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

describe('the token of the state that waits for a VM', () => {
  it.each(['before the token is left', 'after it', 'after the row was read'])(
    'signals where the registration comes in the middle of AwaitReady: %s',
    async (moment) => {
      const { input } = await apiRun(world);
      const { vmId } = await launchVm(world.ports, input);
      const register = () => new FakeRunner(world, vmId).register();
      const { store } = world.ports;
      let registered = false;
      const once = async (at: string) => {
        if (moment !== at || registered) return;
        registered = true;
        await register();
      };
      const transact = async (writes: readonly Write[]) => {
        await once('before the token is left');
        await store.transact(writes);
        await once('after it');
      };
      const get = async (key: Key) => {
        const item = await store.get(key);
        if (key.pk === keys.vm(vmId).pk) await once('after the row was read');
        return item;
      };
      const ports = { ...world.ports, store: storeWith(store, { get, transact }) };
      await awaitReady(ports, { ...input, vmId, taskToken: 'token' });
      expect(registered).toBe(true);
      // Both may see each other: the second signal of a token finds nobody waiting.
      expect(new Set(world.signals)).toEqual(new Set(['token']));
    },
  );

  it('signals the last token where the state was tried again', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await awaitReady(world.ports, { ...input, vmId, taskToken: 'first' });
    await awaitReady(world.ports, { ...input, vmId, taskToken: 'second' });
    await new FakeRunner(world, vmId).register();
    expect(world.signals).toEqual(['second']);
  });

  it('signals a token that stands in the row, as rows had it before', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    await world.ports.store.transact([{ kind: 'update', key: keys.vm(vmId), set: { taskToken: 'old' }, guards: [] }]);
    await new FakeRunner(world, vmId).register();
    expect(world.signals).toEqual(['old']);
  });

  it('refuses a VM that was given up in the middle of AwaitReady, and leaves nobody waiting', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const { store } = world.ports;
    const transact = async (writes: readonly Write[]) => {
      await store.transact(writes);
      await drainIdle(world.ports, vmId, 'test');
    };
    const ports = { ...world.ports, store: storeWith(store, { transact }) };
    await expect(awaitReady(ports, { ...input, vmId, taskToken: 'token' })).rejects.toMatchObject({ name: 'VmUnfit' });
  });

  it('stands beside the row, which keeps its size', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const before = await vmRow(world, vmId);
    await awaitReady(world.ports, { ...input, vmId, taskToken: 'token' });
    expect(await vmRow(world, vmId)).toEqual(before);
  });
});
