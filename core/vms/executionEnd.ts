/** The second line behind the state machine's Catch: an execution that did not succeed leaves neither VM nor live run. */
import type { ExecutionInput, Ports } from '../ports.ts';
import { failRun, releaseAttempt } from './provision.ts';

export interface FailedExecution {
  readonly input: ExecutionInput;
  readonly status: 'failed' | 'timed_out' | 'aborted';
  readonly cause: string;
}

/** Repeats are harmless, and so is an execution that did its work and was ended too late: the run is read first. */
export async function afterFailedExecution(ports: Ports, end: FailedExecution): Promise<void> {
  await releaseAttempt(ports, end.input);
  await failRun(ports, {
    ...end.input,
    failure: { Error: end.status === 'timed_out' ? 'States.Timeout' : 'Execution', Cause: end.cause },
  });
}
