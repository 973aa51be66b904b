/** Machines, executions and versions that end, or change, under a run that lives. */

import assert from 'node:assert/strict';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import type { VmBody } from '../../../core/contract/runs.ts';
import { endedExecution, executionOf } from '../executions.ts';
import type { Hosted } from '../host/host.ts';
import type { Scenario } from '../scenario.ts';
import { open, until, type World, witnessed } from '../world.ts';

const aborted: Scenario = {
  name: 'an execution is aborted from outside: the VM is gone, and the run says the truth',
  smoke: true,
  async play(world) {
    world.host.fate = () => ({ kind: 'never-boots' });
    const before = world.host.instances().length;
    const run = await world.run(await world.worker({ retry: { maxAttempts: 1 } }), world.orders());
    await until('the instance is launched', () => world.host.instances().length > before);
    const { executionArn, status } = await until('the execution', () => executionOf(world, run));
    assert.equal(status, 'RUNNING');
    await world.sfn.send(new StopExecutionCommand({ executionArn, error: 'Operator', cause: 'somebody stopped it' }));
    const body = await world.ended(run, 300);
    assert.equal(body.status, 'failed', JSON.stringify(body));
    await world.endedOnce(body);
    await until('the instance is terminated', () => world.host.living().length === 0);
  },
};

const interruptedInstance: Scenario = {
  name: 'AWS takes a spot instance back: the run says lost, and why',
  async play(world) {
    const orders = world.orders({ gated: true });
    const run = await world.run(await world.worker({ retry: { maxAttempts: 1 } }), orders);
    const { vmId = '' } = await world.reaches(run, 'running');
    const [instance] = world.host.ofVm(vmId);
    await world.host.interrupt(instance?.instanceId ?? '');
    const body = await world.ended(run, 420);
    assert.equal(body.status, 'lost', JSON.stringify(body));
    assert.match(JSON.stringify(body.evidence), /SpotInstanceTermination/);
    await world.endedOnce(body);
    await world.vmGone(body);
  },
};

const recovered = async (world: World, rule: string, id: string) => (await world.recoveries({ id })).includes(rule);

const neverBoots: Scenario = {
  name: 'an instance never boots and never dies: the run fails at its start deadline, and the instance is ended',
  async play(world) {
    const startSeconds = 60;
    const before = world.host.instances().length;
    world.host.fate = () => ({ kind: 'never-boots' });
    // Attempts are left, and change nothing: the deadline counts from the admission, for all of them together.
    const agent = await world.worker({
      limits: { startTimeout: `PT${startSeconds}S` },
      retry: { maxAttempts: 3, backoff: 'PT0S' },
    });
    const orders = world.orders();
    const run = await world.ended(await world.run(agent, orders), 420);
    assert.equal(run.status, 'failed', JSON.stringify(run));
    assert.equal(run.reason, 'start_timeout');
    assert.equal(run.attempt, 1);
    assert.equal(run.evidence.source, 'watchdog');
    assert.equal(run.evidence.detail, `no VM within ${startSeconds} s`);
    assert.ok(Date.parse(run.evidence.observedAt) >= Date.parse(run.queuedAt) + startSeconds * 1000, 'not too early');
    await until('the watchdog tells of it', () => recovered(world, 'start_timeout', run.id));
    assert.equal(run.vmId, undefined, 'no VM was ever told to start it');
    const launched = world.host.instances().slice(before);
    assert.equal(launched.length, 1, 'no other instance was launched');
    await world.vmGone({ vmId: launched[0]?.vmId });
    await until('its execution has ended', () => endedExecution(world, run));
    await world.endedOnce(run);
    assert.deepEqual(witnessed(orders), []);
  },
};

const diesBooting: Scenario = {
  name: 'AWS ends an instance while it boots: the next attempt gets another one, and the work is started once',
  async play(world) {
    const before = world.host.instances().length;
    let first: Hosted | undefined;
    world.host.fate = (instance) => {
      first ??= instance;
      return { kind: instance === first ? 'never-boots' : 'boots' };
    };
    const orders = world.orders({ output: 'the second instance' });
    const agent = await world.worker({ retry: { maxAttempts: 2, backoff: 'PT0S' } });
    const created = await world.run(agent, orders);
    const { instanceId, vmId = '' } = await until('the first instance', () => first);
    // Its launch has been answered: from here on it is the VM's own instance that ends.
    await until(`${vmId} boots`, async () => (await world.get<VmBody>(`/v1/vms/${vmId}`)).status === 'booting');
    await world.host.interrupt(instanceId);
    const run = await world.ended(created, 420);
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.equal(run.attempt, 2);
    assert.notEqual(run.vmId, vmId);
    const gone = await world.get<VmBody>(`/v1/vms/${vmId}`);
    assert.equal(gone.status, 'terminated');
    assert.match(JSON.stringify(gone.evidence), /SpotInstanceTermination/);
    await until('the watchdog tells of it', () => recovered(world, 'vm_died_booting', vmId));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    assert.equal(world.host.instances().length - before, 2);
    await world.endedOnce(run);
    await world.vmGone(run);
  },
};

const runnerDies: Scenario = {
  name: 'the runner dies and is started again: the work goes on, and ends once',
  async play(world) {
    const orders = world.orders({ gated: true, output: 'survived' });
    const run = await world.run(await world.worker(), orders);
    const { vmId = '' } = await world.reaches(run, 'running');
    const machine = world.host.ofVm(vmId)[0]?.machine;
    machine?.killRunner();
    await until('the runner is started again', () => (machine?.starts ?? 0) > 1);
    open(orders);
    const body = await world.ended(run);
    assert.equal(body.status, 'succeeded', JSON.stringify(body));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await world.vmGone(body);
  },
};

const redeploy: Scenario = {
  name: 'a new version is deployed while a run lives: the run ends as it should',
  async play(world) {
    const orders = world.orders({ gated: true, output: 'over a deploy' });
    const run = await world.run(await world.worker(), orders);
    await world.reaches(run, 'running');
    await world.cdk.deployNewVersion();
    open(orders);
    const body = await world.ended(run);
    assert.equal(body.status, 'succeeded', JSON.stringify(body));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await world.vmGone(body);
  },
};

export const endingScenarios: readonly Scenario[] = [
  aborted,
  interruptedInstance,
  neverBoots,
  diesBooting,
  runnerDies,
  redeploy,
];
