/** What a run says, and what is asked for on its behalf, while there is no VM to be had (design.md §5.3). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fleet, LaunchPlan, LaunchSpec, Ports } from '../../../core/ports.ts';
import { explainRun } from '../../../core/runs/explain.ts';
import { getRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import {
  CapacityUnavailable,
  LaunchMisconfigured,
  LaunchPaced,
  LaunchThrottled,
  QuotaExceeded,
  type Tried,
} from '../../../core/vms/launchErrors.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { gathered } from '../../../core/vms/tried.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { apiRun, eventsOf, FakeRunner, MINUTE, runRow, SECOND, vmRow } from '../support.ts';
import { atWork, endOf, newRun, wantMarks, watchdog } from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const pool = (type: string) => ({
  type,
  availabilityZone: 'a',
  subnetId: 'subnet-a',
  template: { id: 'lt-1', version: '1' },
});
const tried = (type: string, code = 'InsufficientInstanceCapacity'): Tried => ({
  type,
  availabilityZone: 'a',
  market: 'spot',
  code,
});

/** A fleet that answers plans and launches from these lists; the last one again and again. */
function scripted(plans: (LaunchPlan | Error)[], launches: (string | Error)[]) {
  const asked: LaunchSpec[] = [];
  const next = <Value>(list: (Value | Error)[]): Value => {
    const value = list.length > 1 ? list.shift() : list[0];
    if (value instanceof Error) throw value;
    return value as Value;
  };
  const fleet: Fleet = {
    ...world.ports.fleet,
    plan: async () => next(plans),
    launch: async (spec) => {
      asked.push(spec);
      return { instanceId: next(launches), pool: { type: 'large', availabilityZone: 'a', market: 'spot' } };
    },
  };
  const ports: Ports = { ...world.ports, fleet };
  return { ports, asked };
}

const PLAN: LaunchPlan = { market: 'spot', pools: [pool('small')] };
const OTHER: LaunchPlan = { market: 'on_demand', pools: [pool('large')] };
const full = (type: string, othersLeft = true) => new CapacityUnavailable('no room', [tried(type)], { othersLeft });
const typesOf = async (id: string) =>
  (await eventsOf(world, keys.run(id).pk)).map((event) => event.type).filter((type) => type !== 'run.queued');

/** Launches that brought no VM from any pool. */
const failuresCounted = () =>
  world.measured.filter(({ name }) => name === 'LaunchFailures').map(({ dimensions }) => dimensions);

describe('a launch', () => {
  it('goes on to the next pools at once, each request under a token of its own, and the run has not waited', async () => {
    const { ports, asked } = scripted([PLAN, OTHER], [full('small'), 'i-1']);
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(ports, input);
    expect(asked.map((spec) => [spec.plan.market, spec.number])).toEqual([
      ['spot', 1],
      ['on_demand', 2],
    ]);
    expect(new Set(asked.map((spec) => spec.clientToken)).size).toBe(2);
    expect(await typesOf(id)).toEqual(['run.provisioning']);
    expect(failuresCounted()).toEqual([]);
    expect(await vmRow(world, vmId)).toMatchObject({
      status: 'booting',
      intent: { number: 2, open: false },
      evidence: { detail: 'instance i-1 (large, a, spot) was launched' },
    });
  });

  it('gives up after a few rounds, with all that was heard in them', async () => {
    const types = ['a', 'b', 'c', 'd', 'e'];
    const { ports, asked } = scripted(
      types.map((type) => ({ market: 'spot', pools: [pool(type)] })),
      types.map((type) => full(type)),
    );
    const { id, input } = await apiRun(world);
    await expect(launchVm(ports, input)).rejects.toMatchObject({ name: 'CapacityUnavailable' });
    expect(asked).toHaveLength(4);
    expect((await getRun(world.ports, world.caller, id)).waiting).toMatchObject({
      reason: 'capacity',
      tried: ['a', 'b', 'c', 'd'].map((type) => tried(type)),
    });
    expect(await typesOf(id)).toEqual(['run.provisioning', 'run.waiting']);
    expect(failuresCounted()).toEqual([{ class: 'CapacityUnavailable' }]);
  });

  it('ends only the instance that it brought, where it stood still until another one of the VM was at work (I9)', async () => {
    const { input } = await apiRun(world);
    let other: { readonly vmId: string } | undefined;
    const launch = async (spec: LaunchSpec) => {
      const { ports } = scripted([OTHER], [full('small', false), 'i-at-work']);
      await launchVm(ports, input).catch(() => undefined);
      other = await launchVm(ports, input);
      await new FakeRunner(world, spec.vmId).register();
      return { instanceId: 'i-too-late' };
    };
    const { ports } = scripted([PLAN], []);
    const late = await launchVm({ ...ports, fleet: { ...ports.fleet, launch } }, input);
    expect(late).toEqual(other);
    expect(await vmRow(world, other?.vmId ?? '')).toMatchObject({ status: 'ready', instanceId: 'i-at-work' });
    expect(world.terminations).toEqual(['i-too-late']);
  });

  it('keeps what it asked for only until there is an answer', async () => {
    const { ports, asked } = scripted(
      [PLAN],
      [new LaunchThrottled('no answer', [], { unanswered: true }), full('x', false)],
    );
    const { input } = await apiRun(world);
    await launchVm(ports, input).catch(() => undefined);
    const intentNow = async () => (await vmRow(world, asked[0]?.vmId ?? '')).intent;
    expect(await intentNow()).toMatchObject({ open: true, plan: PLAN });
    await launchVm(ports, input).catch(() => undefined);
    expect(await intentNow()).toMatchObject({ open: false, number: 1 });
    expect((await intentNow()).plan).toBeUndefined();
  });

  it('may have brought an instance though it is refused at last: the VM is gone only a while later', async () => {
    const unanswered = new LaunchThrottled('no answer', [], { unanswered: true });
    const { ports, asked } = scripted([PLAN], [unanswered, new LaunchThrottled('too fast', [])]);
    const { input } = await apiRun(world);
    for (let time = 0; time < 2; time++) await launchVm(ports, input).catch(() => undefined);
    const vmId = asked[0]?.vmId ?? '';
    world.observations.set(vmId, { status: 'terminated', detail: 'no instance carries its tag' });
    world.now += 59 * SECOND;
    await observeVm(world.ports, vmId);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'launching', intent: { open: false } });
    world.now += SECOND;
    await observeVm(world.ports, vmId);
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'terminated' });
  });

  it('is sent again as it was, under its token, while nobody knows what became of it', async () => {
    const unanswered = new LaunchThrottled('socket hang up', [{ code: 'ECONNRESET' }], { unanswered: true });
    const { ports, asked } = scripted([PLAN, OTHER], [unanswered, unanswered, 'i-1']);
    const { id, input } = await apiRun(world);
    for (let time = 1; time <= 2; time++) {
      await expect(launchVm(ports, input)).rejects.toMatchObject({ name: 'LaunchThrottled' });
      const { waiting } = await getRun(world.ports, world.caller, id);
      expect(waiting).toEqual({
        reason: 'launch_rate',
        tried: [{ code: 'ECONNRESET' }],
        nextTryAt: new Date(world.now + 2 ** time * SECOND).toISOString(),
      });
      world.now += SECOND;
    }
    await launchVm(ports, input);
    const requests = asked.map(({ clientToken, number, plan }) => ({ clientToken, number, plan }));
    expect(requests).toEqual(Array(3).fill({ clientToken: asked[0]?.clientToken, number: 1, plan: PLAN }));
    expect((await getRun(world.ports, world.caller, id)).waiting).toBeUndefined();
    expect(await typesOf(id)).toEqual(['run.provisioning', 'run.waiting', 'run.launched']);
  });

  it('plans for what the agent requires', async () => {
    const requirements = { vcpu: 4, memoryMiB: 8192, architecture: 'arm64', market: 'spot_first' } as const;
    const { input } = await apiRun(world, { requirements });
    await launchVm(world.ports, input);
    expect(world.plans).toEqual([requirements]);
  });
});

describe('a launch that is not asked for', () => {
  it('because of our own rate leaves the run in the queue, saying so; a VM that becomes free takes it', async () => {
    const agent = await world.agent();
    const busy = await atWork(world, agent.id);
    const { ports, asked } = scripted([new LaunchPaced('at most 2 a second')], ['i-1']);
    const id = await newRun(world, agent.id);
    const input = { tenantId: world.caller.tenantId, runId: id, attempt: 1 };
    await expect(launchVm(ports, input)).rejects.toMatchObject({ name: 'LaunchPaced' });
    expect(asked).toEqual([]);
    expect(await getRun(world.ports, world.caller, id)).toMatchObject({
      status: 'queued',
      waiting: { reason: 'launch_rate', tried: [], nextTryAt: new Date(world.now + 2 * SECOND).toISOString() },
    });
    expect(await wantMarks(world, agent.id)).toEqual([id]);
    await endOf(busy.runner, busy.id);
    expect(await runRow(world, id)).toMatchObject({ status: 'starting', vmId: busy.vmId });
    expect((await runRow(world, id)).waiting).toBeUndefined();
    expect(await wantMarks(world, agent.id)).toEqual([]);
  });

  it('because nothing fits fails, and says nothing of waiting', async () => {
    const { ports } = scripted([new LaunchMisconfigured('no pool has 900 vCPUs')], ['i-1']);
    const { id, input } = await apiRun(world);
    await expect(launchVm(ports, input)).rejects.toMatchObject({ name: 'LaunchMisconfigured' });
    expect((await runRow(world, id)).waiting).toBeUndefined();
    expect(await typesOf(id)).toEqual([]);
  });
});

describe('a run that waits for a VM', () => {
  it('gathers what was tried, each pool with each of its answers once, whatever it waits for', async () => {
    const quota = new QuotaExceeded('no vCPUs', [tried('small', 'VcpuLimitExceeded')]);
    const { ports } = scripted([PLAN], [full('small', false), full('large', false), full('small', false), quota]);
    const { id, input } = await apiRun(world);
    const pauses: number[] = [];
    for (let time = 0; time < 4; time++) {
      await launchVm(ports, input).catch(() => undefined);
      pauses.push(((await runRow(world, id)).waiting?.nextTryAt ?? 0) - world.now);
      world.now += SECOND;
    }
    expect(await getRun(world.ports, world.caller, id)).toMatchObject({
      waiting: { reason: 'quota', tried: [tried('large'), tried('small'), tried('small', 'VcpuLimitExceeded')] },
    });
    expect(pauses).toEqual([15_000, 22_500, 33_750, 60_000]);
    // A try that says the same again is no event.
    expect(await typesOf(id)).toEqual(['run.provisioning', 'run.waiting', 'run.waiting']);
  });

  it('explains when it is asked for again, and each pool', async () => {
    const { ports } = scripted([PLAN], [full('small', false)]);
    const { id, input } = await apiRun(world);
    await launchVm(ports, input).catch(() => undefined);
    const { summary, facts, remedy } = await explainRun(world.ports, world.caller, id);
    expect(summary).toContain(`at ${new Date(world.now + 15 * SECOND).toISOString()} at the latest`);
    expect(facts).toContainEqual({ about: 'tried', text: 'small/a/spot: InsufficientInstanceCapacity' });
    expect(remedy).toContain('instance types');
  });

  it('ends with the list in its evidence, by the watchdog too', async () => {
    const { ports } = scripted([PLAN], [full('small', false)]);
    const { id, input } = await apiRun(world, { limits: { startTimeout: 'PT1M' } });
    await launchVm(ports, input).catch(() => undefined);
    world.now += 2 * MINUTE;
    await expect(launchVm(ports, input)).rejects.toMatchObject({
      name: 'StartDeadlineExceeded',
      message: expect.stringContaining('small/a/spot: InsufficientInstanceCapacity') as string,
    });
    await watchdog(world);
    await watchdog(world);
    expect(await runRow(world, id)).toMatchObject({
      status: 'failed',
      reason: 'start_timeout',
      evidence: { detail: expect.stringContaining('small/a/spot: InsufficientInstanceCapacity') },
    });
  });

  it('is read in rows from before pools were told apart', async () => {
    const { ports } = scripted([PLAN], [full('small', false)]);
    const { id, input } = await apiRun(world);
    await launchVm(ports, input).catch(() => undefined);
    const set = { waiting: { reason: 'capacity', tried: ['m7i.large/a: no'] } };
    await world.ports.store.transact([{ kind: 'update', key: keys.run(id), set, guards: [] }]);
    expect((await getRun(world.ports, world.caller, id)).waiting?.tried).toEqual([{ code: 'm7i.large/a: no' }]);
  });

  it('keeps what was heard last, and not more than a row can bear', () => {
    const many = Array.from({ length: 100 }, (_, index) => tried(`t${index}`));
    const kept = gathered(many, [tried('t0'), tried('new')]);
    expect(kept).toHaveLength(60);
    expect(kept.slice(-2)).toEqual([tried('t0'), tried('new')]);
  });
});
