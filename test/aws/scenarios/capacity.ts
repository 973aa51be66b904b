/**
 * Capacity that is short, and then is not. A pool without room is remembered for three minutes, so each of these has
 * instance types of its own (config/emulator.ts), and no other scenario suffers from what it has tried.
 */
import assert from 'node:assert/strict';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const NO_ROOM = 'InsufficientInstanceCapacity';

const thirdZone: Scenario = {
  name: 'two zones short of capacity: the third is used',
  smoke: true,
  async play(world) {
    const type = 'm6i.large';
    const agent = await world.worker({ requirements: { instanceTypes: [type], market: 'on_demand' } });
    for (const zone of ['us-east-1a', 'us-east-1b']) world.proxy.fleet.shortage({ type, zone, code: NO_ROOM });
    const run = await world.ended(await world.run(agent, world.orders({ output: 1 })));
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    const instances = world.host.ofVm(run.vmId ?? '');
    assert.deepEqual(
      instances.map(({ availabilityZone, type: launched }) => [availabilityZone, launched]),
      [['us-east-1c', type]],
    );
    await world.vmGone(run);
  },
};

const spotToOnDemand: Scenario = {
  name: 'no spot capacity: an on-demand instance is taken',
  async play(world) {
    const type = 'm5.large';
    const agent = await world.worker({ requirements: { instanceTypes: [type], market: 'spot_first' } });
    world.proxy.fleet.shortage({ type, market: 'spot', code: 'UnfulfillableCapacity' });
    const run = await world.ended(await world.run(agent, world.orders()));
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.equal(world.host.ofVm(run.vmId ?? '').length, 1);
    await world.vmGone(run);
  },
};

const comesBack: Scenario = {
  name: 'all pools short: the run says so and what was tried, and runs when capacity is back',
  async play(world) {
    const type = 'c6i.large';
    const agent = await world.worker({ requirements: { instanceTypes: [type], market: 'on_demand' } });
    const shortage = world.proxy.fleet.shortage({ type, code: NO_ROOM });
    const created = await world.run(agent, world.orders());
    const waiting = await until('the run says what it waits for', async () => (await world.getRun(created)).waiting);
    assert.equal(waiting.reason, 'capacity');
    assert.deepEqual(
      (waiting.tried ?? []).map(({ availabilityZone, code }) => [availabilityZone, code]).sort(),
      ['us-east-1a', 'us-east-1b', 'us-east-1c'].map((zone) => [zone, NO_ROOM]),
    );
    assert.ok(waiting.nextTryAt, 'it says when it is tried again');
    shortage.end();
    // What was found full is remembered for three minutes.
    const run = await world.ended(created, 420);
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.equal(world.host.ofVm(run.vmId ?? '').length, 1);
    await world.endedOnce(run);
    await world.vmGone(run);
  },
};

const pastTheDeadline: Scenario = {
  name: 'all pools short past the start deadline: the run fails with every pool and code',
  async play(world) {
    const type = 'r6i.large';
    const agent = await world.worker({
      requirements: { instanceTypes: [type], market: 'on_demand' },
      limits: { startTimeout: 'PT45S' },
    });
    world.proxy.fleet.shortage({ type, code: NO_ROOM });
    const run = await world.ended(await world.run(agent, world.orders()), 300);
    assert.equal(run.status, 'failed', JSON.stringify(run));
    const said = JSON.stringify(run);
    for (const part of [type, NO_ROOM, 'us-east-1a', 'us-east-1b', 'us-east-1c']) assert.ok(said.includes(part), said);
    await world.endedOnce(run);
  },
};

const misconfigured: Scenario = {
  name: 'a configuration error of EC2 fails the run at once, with the reason',
  smoke: true,
  async play(world) {
    const agent = await world.worker();
    const error = { code: 'InvalidAMIID.NotFound', message: 'The image id ami-12345678 does not exist' };
    const effect = { kind: 'error', error } as const;
    const fault = world.proxy.faults.order({ service: 'ec2', action: 'CreateFleet', effect });
    const run = await world.ended(await world.run(agent, world.orders()));
    assert.equal(run.status, 'failed', JSON.stringify(run));
    assert.match(JSON.stringify(run), /InvalidAMIID\.NotFound/);
    assert.equal(fault.met(), 1, 'it was not tried again');
    await world.endedOnce(run);
  },
};

const quota: Scenario = {
  name: 'a quota is waited out: the run says so, and runs when there is room',
  async play(world) {
    const agent = await world.worker();
    const effect = { kind: 'error', error: { code: 'VcpuLimitExceeded' } } as const;
    const fault = world.proxy.faults.order({ service: 'ec2', action: 'CreateFleet', effect });
    const created = await world.run(agent, world.orders());
    const waiting = await until('the run says what it waits for', async () => (await world.getRun(created)).waiting);
    assert.equal(waiting.reason, 'quota');
    fault.lift();
    const run = await world.ended(created, 300);
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    await world.vmGone(run);
  },
};

const throttled: Scenario = {
  name: 'EC2 throttles launches: they are tried again, and one VM comes of it',
  async play(world) {
    const agent = await world.worker();
    const effect = { kind: 'error', error: { code: 'RequestLimitExceeded', status: 503 } } as const;
    world.proxy.faults.order({ service: 'ec2', action: 'CreateFleet', times: 5, effect });
    const run = await world.ended(await world.run(agent, world.orders()), 300);
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.equal(world.host.ofVm(run.vmId ?? '').length, 1);
    await world.vmGone(run);
  },
};

export const capacityScenarios: readonly Scenario[] = [
  thirdZone,
  spotToOnDemand,
  comesBack,
  pastTheDeadline,
  misconfigured,
  quota,
  throttled,
];
