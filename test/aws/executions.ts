/** Executions of the deployed state machine, as Step Functions shows them. */
import {
  type ExecutionListItem,
  type ExecutionStatus,
  ListExecutionsCommand,
  ListStateMachinesCommand,
} from '@aws-sdk/client-sfn';
import { executionName } from '../../core/runs/execution.ts';
import type { World } from './world.ts';

async function executions(world: World, statusFilter?: ExecutionStatus): Promise<readonly ExecutionListItem[]> {
  const { stateMachines = [] } = await world.sfn.send(new ListStateMachinesCommand({}));
  const machine = stateMachines.find(({ name }) => name?.endsWith('provision-vm'));
  const list = new ListExecutionsCommand({ stateMachineArn: machine?.stateMachineArn, statusFilter });
  return (await world.sfn.send(list)).executions ?? [];
}

/** ARNs. */
export async function runningExecutions(world: World): Promise<readonly string[]> {
  return (await executions(world, 'RUNNING')).map(({ executionArn = '' }) => executionArn);
}

/** That of a run's first attempt, once it has ended. */
export async function endedExecution(
  world: World,
  { id }: { readonly id: string },
): Promise<ExecutionListItem | undefined> {
  const found = (await executions(world)).find(({ name }) => name === executionName(id, 1));
  return found?.status === 'RUNNING' ? undefined : found;
}
