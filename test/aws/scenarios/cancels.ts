/** A cancel in each of the states that a run can be in. */
import assert from 'node:assert/strict';
import type { RunBody } from '../../../core/contract/runs.ts';
import { endedExecution } from '../executions.ts';
import type { Scenario } from '../scenario.ts';
import { until, type World, witnessed } from '../world.ts';

const cancel = (world: World, run: { readonly id: string }) =>
  world.post<RunBody>(`/v1/runs/${run.id}/cancel`, { reason: 'changed my mind' });

async function cancelled(world: World, run: { readonly id: string }): Promise<RunBody> {
  const body = await world.ended(run);
  assert.equal(body.status, 'cancelled', JSON.stringify(body));
  assert.equal(body.cancel?.reason, 'changed my mind');
  await world.endedOnce(body);
  return body;
}

/** Nothing is left to cancel: that is said, and changes nothing. */
async function refused(world: World, run: { readonly id: string }): Promise<void> {
  const before = await world.getRun(run);
  const answer = await world.request<{ readonly code: string }>('POST', `/v1/runs/${run.id}/cancel`, { body: {} });
  assert.equal(answer.status, 409, JSON.stringify(answer.body));
  assert.equal(answer.body.code, 'run_ended');
  assert.equal((await world.getRun(run)).version, before.version);
}

const queued: Scenario = {
  name: 'a cancel while queued ends the run at once',
  async play(world) {
    const agent = await world.worker({ limits: { maxConcurrentRuns: 1 } });
    const gate = world.orders({ gated: true });
    const first = await world.run(agent, gate);
    await world.reaches(first, 'running');
    const second = await world.run(agent, world.orders());
    assert.equal((await world.getRun(second)).status, 'queued');
    await cancel(world, second);
    const body = await cancelled(world, second);
    assert.equal(body.vmId, undefined);
    await cancel(world, first);
    await world.vmGone(await cancelled(world, first));
  },
};

const provisioning: Scenario = {
  name: 'a cancel while its VM boots ends the run and the VM',
  smoke: true,
  async play(world) {
    const before = world.host.instances().length;
    world.host.fate = () => ({ kind: 'never-boots' });
    const orders = world.orders();
    const run = await world.run(await world.worker(), orders);
    await until('the instance is launched', () => world.host.instances().length > before);
    await world.reaches(run, 'provisioning');
    await cancel(world, run);
    await cancelled(world, run);
    await until('the instance is terminated', () => world.host.living().length === 0);
    assert.deepEqual(witnessed(orders), []);
  },
};

const waiting: Scenario = {
  name: 'a cancel while it waits for capacity ends the run at once, and nothing is launched when there is some',
  async play(world) {
    const before = world.host.instances().length;
    // A pool without room is remembered for minutes: this type is no other run's but one that found none either.
    const type = 'r6i.large';
    const agent = await world.worker({ requirements: { instanceTypes: [type], market: 'on_demand' } });
    const shortage = world.proxy.fleet.shortage({ type, code: 'InsufficientInstanceCapacity' });
    const orders = world.orders();
    const run = await world.run(agent, orders);
    const { reason } = await until('the run says what it waits for', async () => (await world.getRun(run)).waiting);
    assert.equal(reason, 'capacity');
    await cancel(world, run);
    const body = await cancelled(world, run);
    assert.equal(body.vmId, undefined);
    shortage.end();
    await until('its execution has ended', () => endedExecution(world, run));
    assert.equal(world.host.instances().length, before);
    assert.deepEqual(witnessed(orders), []);
    await refused(world, run);
  },
};

const starting: Scenario = {
  name: 'a cancel while starting, before its warm VM has heard of it, ends the run and leaves the VM to the next one',
  async play(world) {
    const agent = await world.worker({ warmFor: 'PT60S' });
    const first = await world.ended(await world.run(agent, world.orders()));
    const { vmId = '' } = first;
    const machine = world.host.ofVm(vmId)[0]?.machine;
    // Its lease still holds for a while: it is given the next run, and does not hear of it.
    machine?.freeze();
    const orders = world.orders({ gated: true, exitOn: ['SIGINT'] });
    const run = await world.run(agent, orders);
    assert.equal((await world.reaches(run, 'starting')).vmId, vmId);
    await cancel(world, run);
    assert.equal((await world.getRun(run)).status, 'cancelling');
    machine?.thaw();
    const body = await cancelled(world, run);
    assert.ok(body.cancel?.acknowledgedAt, 'the runner has acknowledged it');
    // Where the order to start had been on its way already, the work has begun, and was told to end.
    const seen = witnessed(orders).join();
    assert.ok(['', 'start,SIGINT,end 0'].includes(seen), seen);
    const next = await world.ended(await world.run(agent, world.orders()));
    assert.equal(next.status, 'succeeded', JSON.stringify(next));
    assert.equal(next.vmId, vmId);
    await world.vmGone(next);
  },
};

const running: Scenario = {
  name: 'a cancel while running ends the work, with proof',
  smoke: true,
  async play(world) {
    const orders = world.orders({ gated: true, exitOn: ['SIGINT'] });
    const run = await world.run(await world.worker(), orders);
    await world.reaches(run, 'running');
    await until('the work has started', () => witnessed(orders).length > 0);
    await cancel(world, run);
    const body = await cancelled(world, run);
    assert.ok(body.cancel?.acknowledgedAt, 'the runner has acknowledged it');
    assert.ok(body.cancel?.processGoneAt, 'its process is gone');
    assert.deepEqual(witnessed(orders), ['start', 'SIGINT', 'end 0']);
    await refused(world, run);
    await world.vmGone(body);
  },
};

const silent: Scenario = {
  name: 'a cancel on a machine that stands still ends with the VM, as EC2 says',
  async play(world) {
    const orders = world.orders({ gated: true });
    const run = await world.run(await world.worker(), orders);
    const { vmId = '' } = await world.reaches(run, 'running');
    for (const { machine } of world.host.ofVm(vmId)) machine?.freeze();
    await cancel(world, run);
    const body = await world.ended(run, 420);
    assert.equal(body.status, 'cancelled', JSON.stringify(body));
    assert.ok(body.cancel?.vmTerminatedAt, 'its VM was terminated');
    await world.vmGone(body);
  },
};

export const cancelScenarios: readonly Scenario[] = [queued, waiting, provisioning, starting, running, silent];
