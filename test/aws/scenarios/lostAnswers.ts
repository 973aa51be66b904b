/** Answers that never arrive, and answers that say more than one thing. */
import assert from 'node:assert/strict';
import type { RunBody } from '../../../core/contract/runs.ts';
import { INSTALLATION } from '../cdk.ts';
import { endedExecution } from '../executions.ts';
import type { Call } from '../proxy/wire.ts';
import type { Scenario } from '../scenario.ts';
import { open, until, type World, witnessed } from '../world.ts';

/** Exactly one instance was ever launched for the run, and the work has been done once. */
async function oneVmOneWork(world: World, run: RunBody): Promise<void> {
  assert.equal(run.status, 'succeeded', JSON.stringify(run));
  assert.equal(world.host.ofVm(run.vmId ?? '').length, 1, 'one instance was launched');
  assert.equal(run.attempt, 1);
  await world.endedOnce(run);
  await world.vmGone(run);
}

const lostFleetAnswer: Scenario = {
  name: 'the answer to CreateFleet is lost: still exactly one VM',
  smoke: true,
  async play(world) {
    const agent = await world.worker();
    // More often than the SDK tries by itself, so that the state machine has to.
    const effect = { kind: 'cut', applied: true } as const;
    const fault = world.proxy.faults.order({ service: 'ec2', action: 'CreateFleet', times: 4, effect });
    const orders = world.orders();
    const run = await world.ended(await world.run(agent, orders), 300);
    assert.equal(fault.met(), 4);
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const instanceAndError: Scenario = {
  name: 'an answer with an instance and an error: one run, one VM',
  smoke: true,
  async play(world) {
    world.proxy.fleet.addToNextAnswer({
      errors: [{ code: 'InsufficientInstanceCapacity' }, { code: 'InternalError' }],
    });
    const orders = world.orders();
    const run = await world.ended(await world.run(await world.worker(), orders));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const surplus: Scenario = {
  name: 'an answer with two instances: one runs the work, the other is ended',
  async play(world) {
    world.proxy.fleet.addToNextAnswer({ surplus: 1 });
    const orders = world.orders();
    const run = await world.ended(await world.run(await world.worker(), orders));
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await world.vmGone(run);
    assert.equal(world.host.ofVm(run.vmId ?? '').length, 2);
  },
};

const lostSignal: Scenario = {
  name: 'the answer to SendTaskSuccess is lost: the running work is left alone',
  smoke: true,
  async play(world) {
    const effect = { kind: 'cut', applied: true } as const;
    const fault = world.proxy.faults.order({ service: 'states', action: 'SendTaskSuccess', times: 4, effect });
    const orders = world.orders();
    const run = await world.ended(await world.run(await world.worker(), orders));
    assert.ok(fault.met() > 0, 'an answer was lost');
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const neverSignalled: Scenario = {
  name: 'SendTaskSuccess never arrives: the registration alone starts the work, and it is left alone',
  async play(world) {
    const effect = { kind: 'cut', applied: false } as const;
    world.proxy.faults.order({ service: 'states', action: 'SendTaskSuccess', effect });
    const orders = world.orders();
    const run = await world.ended(await world.run(await world.worker(), orders));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const lostStart: Scenario = {
  name: 'the answer to StartExecution is lost: one execution, one VM',
  async play(world) {
    const effect = { kind: 'cut', applied: true } as const;
    const fault = world.proxy.faults.order({ service: 'states', action: 'StartExecution', times: 4, effect });
    const orders = world.orders();
    const run = await world.ended(await world.run(await world.worker(), orders), 300);
    assert.ok(fault.met() > 0, 'an answer was lost');
    await oneVmOneWork(world, run);
  },
};

/** Calls of Step Functions to the function of this state. */
const ofFunction = (name: string) => (call: Call) => call.path.includes(`${INSTALLATION}-${name}`);

const lostDispatch: Scenario = {
  name: 'the answer of DispatchRun is lost: the running work is left alone',
  smoke: true,
  async play(world) {
    const effect = { kind: 'cut', applied: true } as const;
    const when = ofFunction('dispatch-run');
    const fault = world.proxy.faults.order({ service: 'lambda', action: 'Invoke', when, times: 2, effect });
    const orders = world.orders({ gated: true });
    const created = await world.run(await world.worker(), orders);
    await world.reaches(created, 'running');
    await until('the second answer is lost as well', () => fault.met() === 2);
    const execution = await until('the execution ends', () => endedExecution(world, created));
    assert.equal(execution.status, 'SUCCEEDED');
    open(orders);
    const run = await world.ended(created);
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const dispatchNeverAnswers: Scenario = {
  name: 'no answer of DispatchRun ever arrives: its execution fails, and the running work is left alone',
  async play(world) {
    const effect = { kind: 'cut', applied: true } as const;
    const fault = world.proxy.faults.order({
      service: 'lambda',
      action: 'Invoke',
      when: ofFunction('dispatch-run'),
      effect,
    });
    const orders = world.orders({ gated: true });
    const created = await world.run(await world.worker(), orders);
    await world.reaches(created, 'running');
    // Its tries come to an end, ReleaseVm and FailRun are called, and the marker keeps both from doing anything.
    const execution = await until('the execution ends', () => endedExecution(world, created), 300);
    assert.equal(execution.status, 'FAILED');
    assert.equal(fault.met(), 7, 'the call and six repeats');
    const { status, attempt } = await world.getRun(created);
    assert.deepEqual({ status, attempt }, { status: 'running', attempt: 1 });
    open(orders);
    const run = await world.ended(created);
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const everyFirstAnswer: Scenario = {
  name: 'the first answer of each state of the execution is lost: one VM, one start',
  async play(world) {
    const effect = { kind: 'cut', applied: true } as const;
    const names = ['launch-vm', 'await-ready', 'dispatch-run'];
    const faults = names.map((name) =>
      world.proxy.faults.order({ service: 'lambda', action: 'Invoke', when: ofFunction(name), times: 1, effect }),
    );
    const orders = world.orders();
    const run = await world.ended(await world.run(await world.worker(), orders), 300);
    await until('each of them is lost', () => faults.every((fault) => fault.met() === 1));
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

const lostCommit: Scenario = {
  name: 'the answers to transactions are lost: every change is made once',
  async play(world) {
    const effect = { kind: 'cut', applied: true } as const;
    const agent = await world.worker();
    const orders = world.orders({ output: 'once' });
    const created = await world.run(agent, orders);
    const fault = world.proxy.faults.order({ service: 'dynamodb', action: 'TransactWriteItems', times: 6, effect });
    const run = await world.ended(created, 300);
    assert.ok(fault.met() > 0, 'an answer was lost');
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await oneVmOneWork(world, run);
  },
};

export const lostAnswerScenarios: readonly Scenario[] = [
  lostFleetAnswer,
  instanceAndError,
  surplus,
  lostSignal,
  neverSignalled,
  lostDispatch,
  dispatchNeverAnswers,
  everyFirstAnswer,
  lostStart,
  lostCommit,
];
