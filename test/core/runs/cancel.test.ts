import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { executionName } from '../../../core/runs/execution.ts';
import { getRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  afterRead,
  apiRun,
  ended,
  entry,
  eventsOf,
  FakeRunner,
  finishAs,
  interleaved,
  running,
  runningRun,
  runRow,
  SECOND,
  startingRun,
  storeWith,
  upTo,
  vmRow,
} from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const order = { by: 'usr_me', reason: 'not needed', cause: 'request' } as const;
const cancel = (runId: string, more: Partial<Parameters<typeof cancelRun>[3]> = {}, ports = world.ports) =>
  cancelRun(ports, world.caller, runId, { ...order, ...more });
const iso = (time: number) => new Date(time).toISOString();

describe('a cancel before any VM has the marker', () => {
  it('ends a queued run at once: no process can exist', async () => {
    const { id } = await apiRun(world);
    const run = await cancel(id);
    expect(run).toMatchObject({
      status: 'cancelled',
      reason: 'cancelled_before_start',
      cancel: { requestedBy: 'usr_me', reason: 'not needed', acknowledgedAt: world.now },
    });
    expect(run.cancel?.processGoneAt).toBeUndefined();
    expect(world.stopped).toEqual([executionName(id, 1)]);
  });

  it('ends a provisioning run at once, stops its execution and releases its VM', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    expect(await cancel(id)).toMatchObject({ status: 'cancelled' });
    expect(world.stopped).toEqual([executionName(id, 1)]);
    expect(world.terminations).toEqual([vmId]);
    expect((await vmRow(world, vmId)).status).toBe('draining');
  });

  it('goes to the VM that took the marker in between', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const ports = afterRead(world, keys.run(id), () => new FakeRunner(world, vmId).register());
    expect(await cancel(id, {}, ports)).toMatchObject({ status: 'cancelling' });
    expect((await vmRow(world, vmId)).commands.map((each) => each.kind)).toEqual(['start', 'cancel']);
    expect(world.terminations).toEqual([]);
  });
});

describe('a cancel of dispatched work', () => {
  it.each(['starting', 'running'] as const)(
    'tells the runner of a %s run in the same step that says so',
    async (status) => {
      const { id, vmId } = status === 'starting' ? await startingRun(world) : await runningRun(world);
      const before = await runRow(world, id);
      expect(before.status).toBe(status);
      const run = await cancel(id);
      expect(run).toMatchObject({ status: 'cancelling', version: before.version + 1 });
      expect((await vmRow(world, vmId)).commands.at(-1)).toMatchObject({ kind: 'cancel', runId: id, cause: 'cancel' });
    },
  );

  it('delivers the cancel after the start that it overtakes, with the waits between the signals', async () => {
    const { id, runner } = await startingRun(world);
    await cancel(id);
    expect((await runner.beat()).commands).toMatchObject([
      { number: 1, kind: 'start' },
      { number: 2, kind: 'cancel', interruptMs: 10_000, terminateMs: 10_000, runId: id },
    ]);
    await runner.beat([entry(id, 'not_started')]);
    expect(await runRow(world, id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_before_start' });
  });

  it('shows its stages, each with its own time (§5.7)', async () => {
    const { id, runner } = await runningRun(world);
    const requestedAt = world.now;
    await cancel(id);
    await runner.beat([running(id)]);
    expect((await getRun(world.ports, world.caller, id)).cancel).toEqual({
      requestedAt: iso(requestedAt),
      requestedBy: 'usr_me',
      reason: 'not needed',
      cause: 'request',
      billed: { seconds: 0, final: false },
    });
    world.now += 2 * SECOND;
    const acknowledgedAt = world.now;
    await runner.beat([entry(id, 'ending', { signalsSent: ['SIGINT'] })]);
    world.now += 10 * SECOND;
    await runner.beat([entry(id, 'ending', { signalsSent: ['SIGINT', 'SIGTERM'] })]);
    world.now += 3 * SECOND;
    const signalsSent = ['SIGINT', 'SIGTERM'];
    await runner.beat([ended(id, { signal: 'SIGTERM', terminatedBy: 'cancel', signalsSent, endedAgoMs: 1000 })]);
    const run = await getRun(world.ports, world.caller, id);
    expect(run.status).toBe('cancelled');
    expect(run.cancel).toMatchObject({
      requestedAt: iso(requestedAt),
      acknowledgedAt: iso(acknowledgedAt),
      processGoneAt: iso(world.now - 1000),
      signals: signalsSent,
    });
    expect(run.cancel?.vmTerminatedAt).toBeUndefined();
    const events = await eventsOf(world, keys.run(id).pk);
    expect(events.map((each) => each.type).slice(4)).toEqual([
      'run.cancelling',
      'run.cancel_acknowledged',
      'run.signalled',
      'run.cancelled',
    ]);
  });

  it('is one cancel when it is asked for twice: the first one’s facts stay', async () => {
    const { id, vmId } = await runningRun(world);
    const first = await cancel(id);
    world.now += 5 * SECOND;
    const second = await cancel(id, { by: 'usr_other', reason: 'me too' });
    expect(second).toMatchObject({ status: 'cancelling', version: first.version, cancel: first.cancel });
    expect((await vmRow(world, vmId)).commands.filter((each) => each.kind === 'cancel')).toHaveLength(1);
  });

  it('is one cancel when two ask at the same moment', async () => {
    for (let round = 0; round < 10; round++) {
      const { id, vmId } = await runningRun(world);
      const [one, other] = await Promise.all([cancel(id, { by: 'a' }), cancel(id, { by: 'b' })]);
      expect(one.cancel).toEqual(other.cancel);
      expect((await vmRow(world, vmId)).commands.filter((each) => each.kind === 'cancel')).toHaveLength(1);
    }
  });

  it('is not called acknowledged by a heartbeat that read the VM before the cancel and the run after it', async () => {
    const { id, runner } = await runningRun(world);
    const real = world.ports.store;
    let first = true;
    const store = storeWith(real, {
      getMany: async (wanted) => {
        if (!first) return real.getMany(wanted);
        first = false;
        const vm = await real.getMany(wanted.slice(0, 1));
        await cancel(id);
        return [...vm, ...(await real.getMany(wanted.slice(1)))];
      },
    });
    await runner.beat([running(id)], { ...world.ports, store });
    expect((await runRow(world, id)).cancel?.acknowledgedAt).toBeUndefined();
    await runner.beat([running(id)]);
    await runner.beat([running(id)]);
    expect((await runRow(world, id)).cancel?.acknowledgedAt).toBe(world.now);
  });

  it('carries its cause to the runner and to the verdict', async () => {
    const timeout = await runningRun(world);
    await cancel(timeout.id, { cause: 'timeout' });
    const told = await timeout.runner.beat([running(timeout.id)]);
    expect(told.commands).toMatchObject([{ kind: 'cancel', cause: 'timeout' }]);

    const shutdown = await runningRun(world);
    await cancel(shutdown.id, { cause: 'shutdown' });
    expect((await shutdown.runner.beat([running(shutdown.id)])).commands).toMatchObject([{ cause: 'cancel' }]);
    await shutdown.runner.beat([ended(shutdown.id, { signal: 'SIGINT', terminatedBy: 'cancel' })]);
    expect(await runRow(world, shutdown.id)).toMatchObject({ status: 'cancelled', reason: 'candor_stopped' });
  });
});

describe('a cancel of what has ended', () => {
  it.each(['succeeded', 'failed'] as const)('is a 409 with the facts of a %s run', async (status) => {
    const { id } = await runningRun(world);
    await finishAs(world, id, status);
    world.now += SECOND;
    await expect(cancel(id)).rejects.toMatchObject({
      code: 'run_ended',
      facts: { runId: id, currentStatus: status, endedAt: iso(world.now - SECOND) },
    });
  });

  it('is a 409 for a run that a cancel has ended, too', async () => {
    const { id } = await apiRun(world);
    await cancel(id);
    await expect(cancel(id)).rejects.toMatchObject({ code: 'run_ended', facts: { currentStatus: 'cancelled' } });
  });

  it('is a 404 for what is not there, or another tenant’s', async () => {
    const { id } = await apiRun(world);
    await expect(cancel('run_nowhere')).rejects.toMatchObject({ code: 'not_found' });
    await expect(cancelRun(world.ports, { tenantId: 'other' }, id, order)).rejects.toMatchObject({ code: 'not_found' });
    expect((await runRow(world, id)).status).toBe('queued');
  });

  it('honours If-Match', async () => {
    const { id } = await runningRun(world);
    await expect(cancel(id, { precondition: { kind: 'version', version: 1 } })).rejects.toMatchObject({
      code: 'version_conflict',
      facts: { currentVersion: 4 },
    });
    expect(await cancel(id, { precondition: { kind: 'version', version: 4 } })).toMatchObject({ status: 'cancelling' });
  });
});

describe('races of a cancel', () => {
  it('with the end: one verdict, and the caller is told what stands (I3)', async () => {
    for (let round = 0; round < 20; round++) {
      const { id, runner, vmId } = await runningRun(world);
      const [asked] = await Promise.allSettled([cancel(id), runner.beat([ended(id)])]);
      const run = await runRow(world, id);
      expect(run.status).toBe('succeeded');
      if (asked.status === 'rejected') expect(asked.reason).toMatchObject({ code: 'run_ended' });
      else expect(run.cancel).toMatchObject({ requestedBy: 'usr_me' });
      const events = await eventsOf(world, keys.run(id).pk);
      expect(events.map((each) => each.sequence)).toEqual(upTo(run.version));
      expect(events.filter((each) => each.type === 'run.succeeded')).toHaveLength(1);
      expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });
    }
  });

  it('with an end that comes just before its write is a 409', async () => {
    const { id } = await runningRun(world);
    await expect(
      cancel(
        id,
        {},
        interleaved(world, () => finishAs(world, id)),
      ),
    ).rejects.toMatchObject({
      code: 'run_ended',
      facts: { currentStatus: 'succeeded' },
    });
  });

  it('with the dispatch: either nothing was started, or the runner is told (I2)', async () => {
    for (let round = 0; round < 20; round++) {
      const { id, input } = await apiRun(world);
      const { vmId } = await launchVm(world.ports, input);
      const runner = new FakeRunner(world, vmId);
      await Promise.all([cancel(id), runner.register()]);
      const run = await runRow(world, id);
      const vm = await vmRow(world, vmId);
      if (run.vmId === undefined) {
        expect(run.status).toBe('cancelled');
        expect(vm).toMatchObject({ status: 'draining', slots: [] });
        expect(vm.commands.map((each) => each.kind)).toEqual(['stop-vm']);
        expect(await claimDispatch(world.ports, id, 1, vmId)).toBe('moved_on');
      } else {
        expect(run.status).toBe('cancelling');
        expect(vm.commands.map((each) => each.kind)).toEqual(['start', 'cancel']);
      }
    }
  });
});
