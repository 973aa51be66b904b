/** A double of Step Functions, as far as one state machine needs it that waits with a token: written from its API reference. */
import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  InvalidToken,
  SendTaskSuccessCommand,
  type SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
  TaskTimedOut,
} from '@aws-sdk/client-sfn';

interface Execution {
  readonly input: string;
  readonly token: string;
  status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'ABORTED';
  error?: string;
  cause?: string;
}

const because = (message: string) => ({ $metadata: {}, message });

export class FakeStepFunctions {
  readonly #executions = new Map<string, Execution>();
  readonly #machine: string;
  readonly #failure: (input: unknown) => string | undefined;

  /** @param failure the error with which an execution of this input fails at once, if it does */
  constructor(machine: string, failure: (input: unknown) => string | undefined) {
    this.#machine = machine;
    this.#failure = failure;
  }

  get begun(): number {
    return this.#executions.size;
  }

  token(name: string): string | undefined {
    const execution = this.#executions.get(this.#arn(name));
    return execution?.status === 'RUNNING' ? execution.token : undefined;
  }

  get client(): SFNClient {
    return { send: async (command: unknown) => this.#answer(command) } as unknown as SFNClient;
  }

  #arn(name: string): string {
    return `${this.#machine.replace(':stateMachine:', ':execution:')}:${name}`;
  }

  #answer(command: unknown): object {
    if (command instanceof StartExecutionCommand)
      return this.#start(command.input.name ?? '', command.input.input ?? '{}');
    if (command instanceof DescribeExecutionCommand) return this.#known(command.input.executionArn);
    if (command instanceof StopExecutionCommand) return this.#stop(command.input);
    if (command instanceof SendTaskSuccessCommand) return this.#succeed(command.input.taskToken ?? '');
    throw new TypeError('a command that this double does not know');
  }

  #start(name: string, input: string): object {
    const executionArn = this.#arn(name);
    const there = this.#executions.get(executionArn);
    // "Idempotent for STANDARD": the same name and input while it is open; else the name is taken for 90 days.
    if (there !== undefined && (there.status !== 'RUNNING' || there.input !== input))
      throw new ExecutionAlreadyExists(because(`Execution Already Exists: '${executionArn}'`));
    if (there === undefined) {
      const error = this.#failure(JSON.parse(input));
      const token = `token-${this.#executions.size}`.padEnd(43, 'x');
      this.#executions.set(executionArn, {
        input,
        token,
        ...(error === undefined ? { status: 'RUNNING' } : { status: 'FAILED', error, cause: 'no such image' }),
      });
    }
    return { executionArn, startDate: new Date() };
  }

  #known(executionArn = ''): Execution {
    const execution = this.#executions.get(executionArn);
    if (execution === undefined)
      throw new ExecutionDoesNotExist(because(`Execution Does Not Exist: '${executionArn}'`));
    return execution;
  }

  #stop({
    executionArn,
    error,
    cause,
  }: {
    executionArn?: string | undefined;
    error?: string | undefined;
    cause?: string | undefined;
  }): object {
    const execution = this.#known(executionArn);
    if (execution.status === 'RUNNING')
      Object.assign(execution, { status: 'ABORTED', error, cause } satisfies Partial<Record<keyof Execution, unknown>>);
    return { stopDate: new Date() };
  }

  #succeed(token: string): object {
    const execution = [...this.#executions.values()].find((each) => each.token === token);
    if (execution === undefined) throw new InvalidToken(because('Invalid token'));
    if (execution.status !== 'RUNNING')
      throw new TaskTimedOut(because('Task Timed Out: Provided task does not exist anymore'));
    execution.status = 'SUCCEEDED';
    return {};
  }
}
