/** The `provision-vm` state machine on Step Functions (Standard). */
import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  InvalidToken,
  SendTaskSuccessCommand,
  type SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
  TaskDoesNotExist,
  TaskTimedOut,
} from '@aws-sdk/client-sfn';
import type { ExecutionInput, ExecutionLook, Workflow } from '../../core/ports.ts';

/** The execution's ARN follows from the state machine's: `…:stateMachine:NAME` → `…:execution:NAME:EXECUTION`. */
const executionArn = (stateMachineArn: string, name: string): string =>
  `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;

const DETAIL_MAX = 1000;
const STATUSES: Readonly<Record<string, ExecutionLook['status']>> = {
  RUNNING: 'running',
  PENDING_REDRIVE: 'running',
  SUCCEEDED: 'succeeded',
  FAILED: 'failed',
  TIMED_OUT: 'timed_out',
  ABORTED: 'aborted',
};

export class StepFunctionsWorkflow implements Workflow {
  private readonly client: SFNClient;
  private readonly stateMachineArn: string;

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
      if (!(error instanceof ExecutionDoesNotExist)) throw error;
    }
  }

  /** Eventually consistent, says its reference: that one just begun is not found yet is no news of its end. */
  async describe(name: string): Promise<ExecutionLook> {
    try {
      const answer = await this.client.send(
        new DescribeExecutionCommand({ executionArn: executionArn(this.stateMachineArn, name) }),
      );
      const status = STATUSES[answer.status ?? ''] ?? 'unknown';
      const said = [answer.error, answer.cause].filter((part) => part !== undefined && part !== '').join(': ');
      const detail = `Step Functions says that execution ${name} is ${answer.status}${said === '' ? '' : ` (${said})`}`;
      return { status, ...(answer.error && { error: answer.error }), detail: detail.slice(0, DETAIL_MAX) };
    } catch (error) {
      if (!(error instanceof ExecutionDoesNotExist)) throw error;
      return { status: 'unknown', detail: `Step Functions knows no execution ${name}` };
    }
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
