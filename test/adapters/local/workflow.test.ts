import { describe, expect, it } from 'vitest';
import { type ExecutionEnd, LocalWorkflow, type TaskHandler } from '../../../adapters/local/workflow.ts';
import { Contended } from '../../../core/errors.ts';
import { CapacityUnavailable, LaunchMisconfigured } from '../../../core/vms/launchErrors.ts';
import { RunMovedOn, StartDeadlineExceeded } from '../../../core/vms/stateErrors.ts';
import { DOOMED, workflowContract } from '../../contracts/workflow.ts';
import { afterThisTest, eventually, silent } from './support.ts';

const RUN = { tenantId: 't1', runId: 'run_1', attempt: 1 };
const VM = { vmId: 'vm_1' };
const STATES = ['LaunchVm', 'AwaitReady', 'DispatchRun', 'ReleaseVm', 'FailRun'];

interface Call {
  readonly state: string;
  readonly payload: Record<string, unknown>;
}

/** A workflow whose handlers note their calls. AwaitReady signals at once, as for a VM that has registered already. */
function setUp(handlers: Record<string, (payload: Record<string, unknown>) => unknown> = {}) {
  const calls: Call[] = [];
  const ends: ExecutionEnd[] = [];
  const defaults: typeof handlers = {
    LaunchVm: () => VM,
    AwaitReady: ({ taskToken }) => workflow.signal(String(taskToken), VM),
  };
  const noting =
    (state: string): TaskHandler =>
    (input) => {
      const payload = input as Record<string, unknown>;
      calls.push({ state, payload });
      // Not an async function: a handler that throws synchronously must be borne too.
      return (handlers[state] ?? defaults[state] ?? (() => ({})))(payload) as Promise<unknown>;
    };
  const workflow = new LocalWorkflow({
    handlers: Object.fromEntries(STATES.map((state) => [state, noting(state)])),
    log: silent,
    onEnd: (end) => ends.push(end),
    retryIntervalOverrides: Object.fromEntries(STATES.map((state) => [state, 1])),
  });
  afterThisTest(() => workflow.close());
  return {
    workflow,
    calls,
    ends,
    path: () => calls.map((call) => call.state),
    payload: (state: string) => calls.find((call) => call.state === state)?.payload,
    ended: () => eventually(() => ends[0] ?? Promise.reject(new Error('it has not ended yet'))),
  };
}

const throwing = (error: Error) => () => {
  throw error;
};

/** Throws each of the errors once, then answers. */
function failingFirst(errors: Error[], answer: unknown) {
  return async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return answer;
  };
}

workflowContract('the interpreter', () => {
  const { workflow, calls } = setUp({
    LaunchVm: ({ runId }) => {
      if (runId === DOOMED.runId) throw new LaunchMisconfigured('no such image');
      return VM;
    },
    AwaitReady: () => ({}),
  });
  return {
    workflow,
    begun: () => calls.filter(({ state }) => state === 'LaunchVm').length,
    token: () => calls.find(({ state }) => state === 'AwaitReady')?.payload.taskToken as string | undefined,
  };
});

describe('an execution', () => {
  it('launches, awaits and dispatches, with the input of the execution in every state', async () => {
    const { workflow, ended, path, payload } = setUp();

    expect(await workflow.start('run_1-1', RUN)).toBe('started');

    expect(await ended()).toEqual({ name: 'run_1-1', input: RUN, status: 'succeeded', cause: '' });
    expect(path()).toEqual(['LaunchVm', 'AwaitReady', 'DispatchRun']);
    expect(payload('LaunchVm')).toEqual(RUN);
    expect(payload('AwaitReady')).toEqual({ ...RUN, ...VM, taskToken: expect.stringMatching(/^[\w-]{43}$/) });
    expect(payload('DispatchRun')).toEqual({ ...RUN, ...VM });
    expect(workflow.running()).toBe(0);
  });

  it('says how an execution stands, and how it ended', async () => {
    const { workflow, ended } = setUp({ LaunchVm: throwing(new LaunchMisconfigured('no such image')) });
    expect(await workflow.describe('run_1-1')).toMatchObject({ status: 'unknown' });
    await workflow.start('run_1-1', RUN);
    expect(await workflow.describe('run_1-1')).toMatchObject({ status: 'running' });
    await ended();
    expect(await workflow.describe('run_1-1')).toMatchObject({ status: 'failed' });
  });

  it('asks again after errors that may pass', async () => {
    const { workflow, ended, path } = setUp({
      LaunchVm: failingFirst([new CapacityUnavailable('a'), new CapacityUnavailable('b'), new Contended()], VM),
      DispatchRun: failingFirst([new Contended()], {}),
    });

    await workflow.start('run_1-1', RUN);

    expect(await ended()).toMatchObject({ status: 'succeeded' });
    expect(path()).toEqual([
      'LaunchVm',
      'LaunchVm',
      'LaunchVm',
      'LaunchVm',
      'AwaitReady',
      'DispatchRun',
      'DispatchRun',
    ]);
  });

  it.each([
    ['LaunchVm', new LaunchMisconfigured('no such image')],
    ['LaunchVm', new StartDeadlineExceeded('too late')],
    ['AwaitReady', new TypeError('a bug')],
    ['DispatchRun', new TypeError('a bug')],
  ])('releases the VM and then fails the run when %s fails for good (%s)', async (state, error) => {
    const { workflow, ended, path, payload } = setUp({ [state]: throwing(error) });

    await workflow.start('run_1-1', RUN);

    expect(await ended()).toMatchObject({ status: 'failed', cause: expect.stringContaining(error.name) });
    expect(path().filter((name) => name === state)).toHaveLength(1);
    expect(path().slice(-2)).toEqual(['ReleaseVm', 'FailRun']);
    const failure = payload('FailRun')?.failure as { Error: string; Cause: string };
    expect(failure.Error).toBe(error.name);
    expect(JSON.parse(failure.Cause)).toMatchObject({ errorType: error.name, errorMessage: error.message });
    expect(payload('FailRun')).toEqual({ ...RUN, failure });
    expect(payload('ReleaseVm')).toEqual({ ...RUN, failure });
  });

  it('fails the run with the first cause even if the release fails too', async () => {
    const { workflow, ended, path, payload } = setUp({
      LaunchVm: throwing(new LaunchMisconfigured('no such image')),
      ReleaseVm: throwing(new TypeError('another bug')),
    });

    await workflow.start('run_1-1', RUN);
    await ended();

    expect(path()).toEqual(['LaunchVm', 'ReleaseVm', 'FailRun']);
    expect(payload('FailRun')).toMatchObject({ failure: { Error: 'LaunchMisconfigured' } });
  });

  it('tries to fail the run until that works, whatever goes wrong', async () => {
    const { workflow, ended, path } = setUp({
      LaunchVm: throwing(new LaunchMisconfigured('no such image')),
      FailRun: failingFirst([new TypeError('once'), new Contended(), new RangeError('twice')], {}),
    });

    await workflow.start('run_1-1', RUN);
    await ended();

    expect(path()).toEqual(['LaunchVm', 'ReleaseVm', 'FailRun', 'FailRun', 'FailRun', 'FailRun']);
  });

  it.each(STATES)('ends quietly, without another word, when %s finds that the run has moved on', async (state) => {
    const isOnFailurePath = state === 'ReleaseVm' || state === 'FailRun';
    const { workflow, ended, path } = setUp({
      ...(isOnFailurePath && { LaunchVm: throwing(new LaunchMisconfigured('x')) }),
      [state]: throwing(new RunMovedOn('the run has ended')),
    });

    await workflow.start('run_1-1', RUN);

    expect(await ended()).toMatchObject({ status: 'succeeded' });
    expect(path().at(-1)).toBe(state);
    expect(path().filter((name) => name === state)).toHaveLength(1);
  });
});

describe('AwaitReady', () => {
  const tokenOf = (payload: Record<string, unknown> | undefined) => String(payload?.taskToken);

  it('is open until the signal comes, after its handler has returned', async () => {
    const { workflow, ended, path, payload } = setUp({ AwaitReady: async () => ({}) });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path()).toEqual(['LaunchVm', 'AwaitReady']));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(path()).toEqual(['LaunchVm', 'AwaitReady']);

    expect(await workflow.signal(tokenOf(payload('AwaitReady')), VM)).toBe('signalled');

    expect(await ended()).toMatchObject({ status: 'succeeded' });
  });

  it('goes on at a signal that comes before its handler has returned', async () => {
    const { promise: never } = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    const { workflow, ended, path, payload } = setUp({ AwaitReady: () => Promise.race([never, late.promise]) });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path()).toEqual(['LaunchVm', 'AwaitReady']));

    expect(await workflow.signal(tokenOf(payload('AwaitReady')), VM)).toBe('signalled');

    expect(await ended()).toMatchObject({ status: 'succeeded' });
    late.reject(new Error('too late to matter'));
  });

  it('waits again with the same token when its handler had to be called again', async () => {
    const { workflow, ended, calls, path } = setUp({ AwaitReady: failingFirst([new Contended()], {}) });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path()).toEqual(['LaunchVm', 'AwaitReady', 'AwaitReady']));
    const tokens = calls.filter((call) => call.state === 'AwaitReady').map((call) => tokenOf(call.payload));

    expect(new Set(tokens).size).toBe(1);
    expect(await workflow.signal(tokens[0] ?? '', VM)).toBe('signalled');
    expect(await ended()).toMatchObject({ status: 'succeeded' });
  });

  it('fails with the error that is sent to its token', async () => {
    const { workflow, ended, path, payload } = setUp({ AwaitReady: async () => ({}) });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path()).toEqual(['LaunchVm', 'AwaitReady']));

    expect(await workflow.fail(tokenOf(payload('AwaitReady')), 'VmUnfit', 'it went away')).toBe('signalled');

    await ended();
    expect(payload('FailRun')).toMatchObject({ failure: { Error: 'VmUnfit', Cause: 'it went away' } });
  });

  it('answers a second signal, and one to an unknown token, with gone', async () => {
    const { workflow, ended, payload } = setUp();
    await workflow.start('run_1-1', RUN);
    await ended();

    expect(await workflow.signal(tokenOf(payload('AwaitReady')), VM)).toBe('gone');
    expect(await workflow.signal('no-such-token', VM)).toBe('gone');
  });

  it('gives every execution a token of its own', async () => {
    const { workflow, calls, path } = setUp({ AwaitReady: async () => ({}) });
    await Promise.all([workflow.start('run_1-1', RUN), workflow.start('run_2-1', { ...RUN, runId: 'run_2' })]);
    await eventually(() => expect(path().filter((state) => state === 'AwaitReady')).toHaveLength(2));

    expect(new Set(calls.map((call) => call.payload.taskToken).filter(Boolean)).size).toBe(2);
    expect(workflow.running()).toBe(2);
  });
});

describe('starting and stopping', () => {
  it('starts one execution per name, at once, while it runs and after it has ended', async () => {
    const { workflow, ended, path } = setUp();

    const answers = await Promise.all([1, 2, 3].map(() => workflow.start('run_1-1', RUN)));
    await ended();

    expect(answers.toSorted()).toEqual(['exists', 'exists', 'started']);
    expect(await workflow.start('run_1-1', RUN)).toBe('exists');
    expect(path()).toEqual(['LaunchVm', 'AwaitReady', 'DispatchRun']);
  });

  it('refuses a name that Step Functions would refuse', async () => {
    await expect(setUp().workflow.start('a:b', RUN)).rejects.toThrow('is not a name');
    await expect(setUp().workflow.start('a'.repeat(81), RUN)).rejects.toThrow('is not a name');
  });

  it('refuses to start without a handler for a state, as the interpreter would call AWS then', async () => {
    const workflow = new LocalWorkflow({ handlers: {}, log: silent });

    await expect(workflow.start('run_1-1', RUN)).rejects.toThrow('there is no handler for state LaunchVm');
  });

  it('stops an execution that waits, after which nobody waits for its signal', async () => {
    const { workflow, ends, path, payload } = setUp({ AwaitReady: async () => ({}) });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path()).toEqual(['LaunchVm', 'AwaitReady']));

    await workflow.stop('run_1-1', 'the run was cancelled');

    expect(ends).toEqual([{ name: 'run_1-1', input: RUN, status: 'aborted', cause: 'the run was cancelled' }]);
    expect(workflow.isRunning('run_1-1')).toBe(false);
    expect(await workflow.signal(String(payload('AwaitReady')?.taskToken), VM)).toBe('gone');
    expect(path()).toEqual(['LaunchVm', 'AwaitReady']);
  });

  it('calls no handler any more after a stop between two retries', async () => {
    const { workflow, path } = setUp({ LaunchVm: throwing(new CapacityUnavailable('none')) });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path().length).toBeGreaterThan(2));

    await workflow.stop('run_1-1', 'enough');
    const callsThen = path().length;
    await new Promise((resolve) => setTimeout(resolve, 50));

    expect(path()).toHaveLength(callsThen);
  });

  it('has nothing to stop where nothing runs', async () => {
    await setUp().workflow.stop('unknown', 'whatever');
  });

  it('closes when every execution has ended and every handler has returned, and starts nothing afterwards', async () => {
    const slow = Promise.withResolvers<void>();
    const { workflow, ends, path } = setUp({ LaunchVm: () => slow.promise });
    await workflow.start('run_1-1', RUN);
    await eventually(() => expect(path()).toEqual(['LaunchVm']));
    let isClosed = false;

    const closing = workflow.close().then(() => {
      isClosed = true;
    });
    await eventually(() => expect(ends).toHaveLength(1));
    expect(isClosed).toBe(false);
    slow.resolve();
    await closing;

    expect(path()).toEqual(['LaunchVm']);
    await expect(workflow.start('run_2-1', RUN)).rejects.toMatchObject({ code: 'try_again' });
  });
});
