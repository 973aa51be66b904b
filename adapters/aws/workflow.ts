/** The `provision-vm` state machine on Step Functions (Standard). */
import {
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  InvalidToken,
  SendTaskSuccessCommand,
  type SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
  TaskDoesNotExist,
  TaskTimedOut,
  ValidationException,
} from '@aws-sdk/client-sfn';
import type { ExecutionInput, ExecutionLook, Workflow } from '../../core/ports.ts';

/** The execution's ARN follows from the state machine's: `…:stateMachine:NAME` → `…:execution:NAME:EXECUTION`. */
export const executionArn = (stateMachineArn: string, name: string): string =>
  `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;

export class StepFunctionsWorkflow implements Workflow {
  protected readonly client: SFNClient;
  protected readonly stateMachineArn: string;

  constructor(client: SFNClient, stateMachineArn: string) {
    this.client = client;
    this.stateMachineArn = stateMachineArn;
  }

  async start(name: string, input: ExecutionInput): Promise<'started' | 'exists'> {
    // Byte-stable: the same name with other bytes would be refused while the execution is open.
    const body = JSON.stringify({ tenantId: input.tenantId, runId: input.runId, attempt: input.attempt });
    try {
      await this.client.send(new StartExecutionCommand({ stateMachineArn: this.stateMachineArn, name, input: body }));
      return 'started';
    } catch (error) {
      if (error instanceof ExecutionAlreadyExists) return 'exists';
      throw error;
    }
  }

  async stop(name: string, cause: string): Promise<void> {
    try {
      await this.client.send(
        new StopExecutionCommand({ executionArn: executionArn(this.stateMachineArn, name), error: 'Stopped', cause }),
      );
    } catch (error) {
      // One that has ended already may be refused as not running: there is nothing left to stop.
      const hasEnded = error instanceof ValidationException && /not running/i.test(error.message);
      if (!hasEnded && !(error instanceof ExecutionDoesNotExist)) throw error;
    }
  }

  /** Only who looks after others may look at executions, and carries what that takes: see `executionLooks.ts`. */
  describe(_name: string): Promise<ExecutionLook> {
    return Promise.reject(new Error('not this function'));
  }

  async signal(taskToken: string, output: Readonly<Record<string, string | number>>): Promise<'signalled' | 'gone'> {
    try {
      await this.client.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) }));
      return 'signalled';
    } catch (error) {
      // `TaskTimedOut` may also mean that the execution has closed: either way nobody waits with this token.
      if (error instanceof TaskTimedOut || error instanceof TaskDoesNotExist || error instanceof InvalidToken)
        return 'gone';
      throw error;
    }
  }
}
