/** Executions of the deployed state machine, as Step Functions shows them. */
import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  ExecutionDoesNotExist,
} from '@aws-sdk/client-sfn';
import { executionName } from '../../core/runs/execution.ts';
import { INSTALLATION } from './cdk.ts';
import { ACCOUNT, REGION } from './emulator/start.ts';
import type { World } from './world.ts';

/** That of a run's first attempt, once it has been started. */
export async function executionOf(
  world: World,
  { id }: { readonly id: string },
): Promise<DescribeExecutionCommandOutput | undefined> {
  const machine = `${INSTALLATION}-provision-vm`;
  const executionArn = `arn:aws:states:${REGION}:${ACCOUNT}:execution:${machine}:${executionName(id, 1)}`;
  try {
    return await world.sfn.send(new DescribeExecutionCommand({ executionArn }));
  } catch (error) {
    if (error instanceof ExecutionDoesNotExist) return undefined;
    throw error;
  }
}

/** The same, once it has ended. */
export async function endedExecution(
  world: World,
  run: { readonly id: string },
): Promise<DescribeExecutionCommandOutput | undefined> {
  const found = await executionOf(world, run);
  return found?.status === 'RUNNING' ? undefined : found;
}
