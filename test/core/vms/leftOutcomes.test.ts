import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { nextAttempt } from '../../../core/runs/nextAttempt.ts';
import { takeLeftOutcomes } from '../../../core/vms/leftOutcomes.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  ended,
  entry,
  eventsOf,
  FakeRunner,
  interleaved,
  runningRun,
  runRow,
  startingRun,
  storeWith,
  vmRow,
} from '../support.ts';
import { atWork, CANCEL, dies, newRun, runsOn } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const left = (vmId: string, ...entries: Parameters<typeof takeLeftOutcomes>[2]) =>
  takeLeftOutcomes(world.ports, vmId, entries);
const typesOf = async (id: string) => (await eventsOf(world, `RUN#${id}`)).map(({ type }) => type);

describe('an end that a dead VM has left untold', () => {
  it('is the end of its run, once, however often it is told; then the VM may be gone', async () => {
    const { id, vmId } = await runningRun(world);
    for (let twice = 0; twice < 2; twice++) await left(vmId, ended(id, { exitCode: 3 }));
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'exit_code', exitCode: 3 });
    expect((await runRow(world, id)).correction).toBeUndefined();
    expect((await typesOf(id)).filter((type) => /failed|lost|corrected/.test(type))).toEqual(['run.failed']);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
  });

  it('stands beside the verdict where the run is called lost already: exactly one correction', async () => {
    const { id, vmId } = await runningRun(world);
    dies(world, vmId);
    await observeVm(world.ports, vmId);
    expect(await runRow(world, id)).toMatchObject({ status: 'lost', reason: 'vm_terminated' });
    await left(vmId, ended(id, { exitCode: 0 }));
    await left(vmId, ended(id, { exitCode: 9 }));
    expect(await runRow(world, id)).toMatchObject({ status: 'lost', correction: { status: 'succeeded', exitCode: 0 } });
    expect((await typesOf(id)).filter((type) => type === 'run.corrected')).toHaveLength(1);
  });

  it('ends one that was being cancelled by what ended it', async () => {
    const { id, vmId } = await runningRun(world);
    await cancelRun(world.ports, world.caller, id, CANCEL);
    await left(vmId, ended(id, { exitCode: 0, terminatedBy: 'self' }));
    expect(await runRow(world, id)).toMatchObject({ status: 'succeeded' });
  });

  it('lets a start that was never made be made again', async () => {
    const { id, vmId } = await startingRun(world);
    await left(vmId, entry(id, 'not_started', { detail: 'no shim has claimed it' }));
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
  });

  it('changes nothing of a later attempt, of another VM or of another tenant', async () => {
    const { id, vmId, input } = await runningRun(world, { retry: { afterStart: true, backoff: 'PT0S' } });
    const { evidence } = await runRow(world, id);
    await nextAttempt(world.ports, id, { attempt: 1, reason: 'test', evidence, mayHaveStarted: true });
    const second = await launchVm(world.ports, { ...input, attempt: 2 });
    await new FakeRunner(world, second.vmId).register();
    const other = await runningRun(world);
    const before = [await runRow(world, id), await runRow(world, other.id)];
    await left(vmId, ended(id), ended(id, { attempt: 2 } as never), ended(other.id), ended('run_unknown'));
    await left('vm_unknown', ended(other.id));
    const store = storeWith(world.ports.store, {
      get: async (key) => {
        const item = await world.ports.store.get(key);
        return key.pk === `VM#${other.vmId}` && item !== undefined ? { ...item, tenantId: 'tenant_x' } : item;
      },
    });
    await takeLeftOutcomes({ ...world.ports, store }, other.vmId, [ended(other.id)]);
    expect([await runRow(world, id), await runRow(world, other.id)]).toEqual(before);
  });

  it('frees no slot for a run that would be lost there', async () => {
    const agent = await world.agent({ warmFor: 'PT10M', limits: { maxConcurrentVms: 1 } });
    const first = await atWork(world, agent.id);
    const waiting = await newRun(world, agent.id);
    await left(first.vmId, ended(first.id));
    expect((await runRow(world, first.id)).status).toBe('succeeded');
    expect(await runsOn(world, first.vmId)).toEqual([]);
    expect(await runRow(world, waiting)).toMatchObject({ status: 'queued', attempt: 1 });
  });

  it('is told again where the table could not take it, and passed over where it never will', async () => {
    const { id, vmId } = await runningRun(world);
    const other = await runningRun(world);
    const away = interleaved(world, () => Promise.reject(new Error('a fault of the program')));
    await takeLeftOutcomes({ ...world.ports, store: away.store }, vmId, [ended(id)]).catch(() => undefined);
    await left(vmId, ended(id));
    expect((await runRow(world, id)).status).toBe('succeeded');
    expect((await runRow(world, other.id)).status).toBe('running');
  });
});
