import { DescribeExecutionCommand, ExecutionDoesNotExist, type SFNClient } from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { WatchedWorkflow } from '../../../adapters/aws/executionLooks.ts';
import type { ExecutionInput } from '../../../core/ports.ts';
import { DOOMED, FAILURE, workflowContract } from '../../contracts/workflow.ts';
import { FakeStepFunctions } from './stepFunctions.ts';

const MACHINE = 'arn:aws:states:eu-central-1:000000000000:stateMachine:candor-dev-provision-vm';
const EXECUTION = 'arn:aws:states:eu-central-1:000000000000:execution:candor-dev-provision-vm:run_1-1';

workflowContract('Step Functions', () => {
  const service = new FakeStepFunctions(MACHINE, (input) =>
    (input as ExecutionInput).runId === DOOMED.runId ? FAILURE : undefined,
  );
  return {
    workflow: new WatchedWorkflow(service.client, MACHINE),
    begun: () => service.begun,
    token: (name) => service.token(name),
  };
});

const workflowThat = (answer: object | Error) => {
  const send = async (command: unknown) => {
    if (!(command instanceof DescribeExecutionCommand)) throw new TypeError('another command');
    expect(command.input.executionArn).toBe(EXECUTION);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return new WatchedWorkflow({ send } as unknown as SFNClient, MACHINE);
};

it.each([
  ['RUNNING', 'running'],
  ['PENDING_REDRIVE', 'running'],
  ['SUCCEEDED', 'succeeded'],
  ['FAILED', 'failed'],
  ['TIMED_OUT', 'timed_out'],
  ['ABORTED', 'aborted'],
  ['SOMETHING_NEW', 'unknown'],
])('an execution that is %s is %s', async (status, expected) => {
  expect(await workflowThat({ status }).describe('run_1-1')).toMatchObject({ status: expected });
});

it('tells the error and the cause of an execution that failed', async () => {
  const failed = { status: 'FAILED', error: 'States.Runtime', cause: 'no such path' };
  expect(await workflowThat(failed).describe('run_1-1')).toEqual({
    status: 'failed',
    error: 'States.Runtime',
    detail: 'Step Functions says that execution run_1-1 is FAILED (States.Runtime: no such path)',
  });
});

it('knows nothing of one that is not there, and says so where it could not ask', async () => {
  const absent = new ExecutionDoesNotExist({ $metadata: {}, message: 'm' });
  expect(await workflowThat(absent).describe('run_1-1')).toMatchObject({ status: 'unknown' });
  await expect(workflowThat(new Error('throttled')).describe('run_1-1')).rejects.toThrow('throttled');
});
