/** Machines, executions and versions that end, or change, under a run that lives. */

import assert from 'node:assert/strict';
import { ListExecutionsCommand, ListStateMachinesCommand, StopExecutionCommand } from '@aws-sdk/client-sfn';
import type { Scenario } from '../scenario.ts';
import { open, until, type World, witnessed } from '../world.ts';

async function runningExecutions(world: World): Promise<readonly string[]> {
  const { stateMachines = [] } = await world.sfn.send(new ListStateMachinesCommand({}));
  const machine = stateMachines.find(({ name }) => name?.endsWith('provision-vm'));
  const list = new ListExecutionsCommand({ stateMachineArn: machine?.stateMachineArn, statusFilter: 'RUNNING' });
  const { executions = [] } = await world.sfn.send(list);
  return executions.map(({ executionArn }) => executionArn ?? '');
}

const aborted: Scenario = {
  name: 'an execution is aborted from outside: the VM is gone, and the run says the truth',
  smoke: true,
  async play(world) {
    world.host.fate = () => ({ kind: 'never-boots' });
    const before = world.host.instances().length;
    const run = await world.run(await world.worker({ retry: { maxAttempts: 1 } }), world.orders());
    await until('the instance is launched', () => world.host.instances().length > before);
    const executions = await until('the execution', async () => {
      const found = await runningExecutions(world);
      return found.length > 0 && found;
    });
    for (const executionArn of executions)
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

const neverBoots: Scenario = {
  name: 'an instance never boots: the next attempt gets another one',
  async play(world) {
    let launched = 0;
    world.host.fate = () => ({ kind: ++launched === 1 ? 'never-boots' : 'boots' });
    const agent = await world.worker({ limits: { startTimeout: 'PT60S' }, retry: { maxAttempts: 2, backoff: 'PT0S' } });
    const orders = world.orders();
    const run = await world.ended(await world.run(agent, orders), 420);
    assert.ok(['succeeded', 'failed'].includes(run.status), JSON.stringify(run));
    if (run.status === 'succeeded') assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await world.endedOnce(run);
    await until('no instance is left', () => world.host.living().length === 0);
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

export const endingScenarios: readonly Scenario[] = [aborted, interruptedInstance, neverBoots, runnerDies, redeploy];
