/** The state machine for those who look after executions: apart, because `fire` does not, and what it loads is counted. */
import { DescribeExecutionCommand, ExecutionDoesNotExist } from '@aws-sdk/client-sfn';
import type { ExecutionLook } from '../../core/ports.ts';
import { executionArn, StepFunctionsWorkflow } from './workflow.ts';

const DETAIL_MAX = 1000;
const STATUSES: Readonly<Record<string, ExecutionLook['status']>> = {
  RUNNING: 'running',
  PENDING_REDRIVE: 'running',
  SUCCEEDED: 'succeeded',
  FAILED: 'failed',
  TIMED_OUT: 'timed_out',
  ABORTED: 'aborted',
};

export class WatchedWorkflow extends StepFunctionsWorkflow {
  /** Eventually consistent, says its reference: that one just begun is not found yet is no news of its end. */
  override async describe(name: string): Promise<ExecutionLook> {
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
}
