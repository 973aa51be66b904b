/**
 * The `provision-vm` state machine on one machine: the same Amazon States Language file that AWS runs, executed by
 * aws-local-stepfunctions, with the functions of the Lambdas as its tasks.
 *
 * Executions live in memory only. A new process starts again those that had not ended (every state is re-entrant).
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { StateMachine } from 'aws-local-stepfunctions';
import { CandorError } from '../../core/errors.ts';
import type { ExecutionInput, ExecutionLook, Log, Workflow } from '../../core/ports.ts';

/** A Task state's function: gets the state's `Payload`, as the Lambda would; its error's `name` is what Retry and Catch see. */
export type TaskHandler = (input: unknown) => Promise<unknown>;

/** How an execution ended: what EventBridge would say about it on AWS. */
export interface ExecutionEnd {
  readonly name: string;
  readonly input: ExecutionInput;
  readonly status: 'succeeded' | 'failed' | 'timed_out' | 'aborted';
  readonly cause: string;
}

export interface LocalWorkflowOptions {
  /** By state name: LaunchVm, AwaitReady, DispatchRun, ReleaseVm, FailRun. */
  readonly handlers: Readonly<Record<string, TaskHandler>>;
  readonly log: Log;
  /** The counterpart of the EventBridge rule on execution status: called once for every end. */
  readonly onEnd?: (end: ExecutionEnd) => void;
  /** Milliseconds between retries by state name, instead of what the file says. For tests. */
  readonly retryIntervalOverrides?: Readonly<Record<string, number>>;
  /** For tests: another state machine file. */
  readonly definitionPath?: string | URL;
}

interface Waiter {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Execution {
  readonly name: string;
  readonly input: ExecutionInput;
  readonly taskToken: string;
  /** Set while AwaitReady is open: only then is there anybody to signal. */
  waiter: Waiter | undefined;
  ended: boolean;
  abort: () => void;
  /** Why it is being ended from outside, once it is. */
  stopCause: string | undefined;
  settled: Promise<void>;
}

const DEFINITION = new URL('../../state-machines/provision-vm.asl.json', import.meta.url);
const WAIT_FOR_TOKEN = '.waitForTaskToken';
/** Step Functions' own limit on names. */
const NAME = /^[A-Za-z0-9_-]{1,80}$/;
const REMEMBERED_NAMES_MAX = 10_000;

/** Ends whatever an ended execution still tries: neither Retry nor Catch of the interpreter may take it up again. */
class ExecutionStopped extends Error {
  readonly isRetryable = false;
  readonly isCatchable = false;

  constructor(name: string) {
    super(`execution ${name} has ended`);
    this.name = 'ExecutionStopped';
  }
}

/** A task's failure as Step Functions reports it: the error's name, and the Lambda's error object as JSON for a cause. */
class TaskFailed extends Error {
  constructor(name: string, cause: string, options?: ErrorOptions) {
    super(cause, options);
    this.name = name;
  }
}

const lambdaFailure = (error: unknown): TaskFailed => {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  return new TaskFailed(name, JSON.stringify({ errorType: name, errorMessage: message, trace: [] }), { cause: error });
};

const payloadOf = (parameters: unknown): Readonly<Record<string, unknown>> => {
  if (typeof parameters === 'object' && parameters !== null && 'Payload' in parameters) {
    const { Payload: payload } = parameters;
    if (typeof payload === 'object' && payload !== null) return { ...payload };
  }
  throw new TypeError('a Task state of the state machine has no Payload in its Parameters');
};

interface Definition {
  readonly States: Readonly<Record<string, { readonly Type: string; readonly Resource?: string }>>;
}

interface Machine {
  readonly machine: StateMachine;
  readonly waitingStates: ReadonlySet<string>;
  readonly taskStates: readonly string[];
}

export class LocalWorkflow implements Workflow {
  readonly #options: LocalWorkflowOptions;
  readonly #running = new Map<string, Execution>();
  readonly #byToken = new Map<string, Execution>();
  /** What ended in this process, oldest first: bounded, so that a year of runs does not fill the memory. */
  readonly #ended = new Map<string, ExecutionLook>();
  readonly #calls = new Set<Promise<unknown>>();
  #machine: Promise<Machine> | undefined;
  #closed = false;

  constructor(options: LocalWorkflowOptions) {
    this.#options = options;
  }

  /**
   * @throws CandorError `try_again` when the workflow is closing
   * @throws Error when the name is none that Step Functions would take, or the state machine cannot be run
   */
  async start(name: string, input: ExecutionInput): Promise<'started' | 'exists'> {
    if (!NAME.test(name)) throw new TypeError(`"${name}" is not a name for an execution: it must match ${NAME}`);
    const machine = await this.#load();
    // From here to the registration nothing waits, so that of two starts under one name exactly one begins.
    if (this.#closed) throw new CandorError('try_again', 'Candor is stopping.', { remedy: 'Send it again later.' });
    if (this.#running.has(name) || this.#ended.has(name)) return 'exists';
    this.#begin(machine, name, input);
    return 'started';
  }

  async stop(name: string, cause: string): Promise<void> {
    const execution = this.#running.get(name);
    if (execution === undefined) return;
    this.#abort(execution, cause);
    await execution.settled;
  }

  async describe(name: string): Promise<ExecutionLook> {
    if (this.#running.has(name)) return { status: 'running', detail: `execution ${name} is under way` };
    return this.#ended.get(name) ?? { status: 'unknown', detail: `this process knows no execution ${name}` };
  }

  async signal(taskToken: string, output: Readonly<Record<string, string | number>>): Promise<'signalled' | 'gone'> {
    return this.#answer(taskToken, (waiter) => waiter.resolve(output));
  }

  /** Fails the waiting state, as SendTaskFailure does. */
  async fail(taskToken: string, error: string, cause: string): Promise<'signalled' | 'gone'> {
    return this.#answer(taskToken, (waiter) => waiter.reject(new TaskFailed(error, cause)));
  }

  /** How many executions have not ended. */
  running(): number {
    return this.#running.size;
  }

  isRunning(name: string): boolean {
    return this.#running.has(name);
  }

  /** Aborts every execution, and is done when none is left and no handler is at work any more. */
  async close(): Promise<void> {
    this.#closed = true;
    const executions = [...this.#running.values()];
    for (const execution of executions) this.#abort(execution, 'Candor is stopping');
    await Promise.all(executions.map((execution) => execution.settled));
    await Promise.allSettled([...this.#calls]);
  }

  /** The interpreter brings an AWS client along that takes a fifth of a second to load, so it is loaded when first needed. */
  #load(): Promise<Machine> {
    if (this.#machine === undefined) {
      this.#machine = this.#loadMachine();
      this.#machine.catch(() => {
        this.#machine = undefined;
      });
    }
    return this.#machine;
  }

  async #loadMachine(): Promise<Machine> {
    const [{ StateMachine }, text] = await Promise.all([
      import('aws-local-stepfunctions'),
      readFile(this.#options.definitionPath ?? DEFINITION, 'utf8'),
    ]);
    const definition = JSON.parse(text) as Definition;
    const tasks = Object.entries(definition.States).filter(([, state]) => state.Type === 'Task');
    for (const [state] of tasks) {
      // Without a local handler the interpreter would call a Lambda in whatever AWS account is configured here.
      if (this.#options.handlers[state] === undefined) throw new TypeError(`there is no handler for state ${state}`);
    }
    return {
      machine: new StateMachine(JSON.parse(text), { validationOptions: { noValidate: true } }),
      taskStates: tasks.map(([state]) => state),
      waitingStates: new Set(tasks.filter(([, s]) => s.Resource?.endsWith(WAIT_FOR_TOKEN)).map(([state]) => state)),
    };
  }

  #begin({ machine, taskStates, waitingStates }: Machine, name: string, input: ExecutionInput): void {
    const execution: Execution = {
      name,
      input,
      taskToken: randomBytes(32).toString('base64url'),
      waiter: undefined,
      ended: false,
      abort: () => undefined,
      stopCause: undefined,
      settled: Promise.resolve(),
    };
    const overrides = this.#options.retryIntervalOverrides;
    const run = machine.run(
      { ...input },
      {
        context: { Execution: { Name: name }, Task: { Token: execution.taskToken } },
        overrides: {
          taskResourceLocalHandlers: Object.fromEntries(
            taskStates.map((state) => [state, this.#task(execution, state, waitingStates.has(state))]),
          ),
          ...(overrides !== undefined && { retryIntervalOverrides: { ...overrides } }),
        },
      },
    );
    execution.abort = run.abort;
    this.#running.set(name, execution);
    this.#byToken.set(execution.taskToken, execution);
    execution.settled = run.result.then(
      () => this.#end(execution, undefined),
      (error: unknown) => this.#end(execution, error),
    );
  }

  /** What the interpreter calls for a Task state. Never throws synchronously: the interpreter could not cope with it. */
  #task(execution: Execution, state: string, waitsForToken: boolean): (parameters: unknown) => Promise<never> {
    const handler = this.#options.handlers[state];
    const call = async (parameters: unknown): Promise<unknown> => {
      if (execution.ended) throw new ExecutionStopped(execution.name);
      if (handler === undefined) throw new TypeError(`there is no handler for state ${state}`);
      // A waiter that still stands belongs to a state that has timed out: nobody waits with it any more.
      execution.waiter = undefined;
      const payload = payloadOf(parameters);
      if (waitsForToken) return this.#callAndWait(execution, handler, payload);
      return { Payload: (await this.#call(handler, payload)) ?? null, StatusCode: 200 };
    };
    // The interpreter's types want a JSON value, which an answer of a handler is by contract.
    return (parameters) => call(parameters) as Promise<never>;
  }

  #call(handler: TaskHandler, payload: unknown): Promise<unknown> {
    const answer = (async () => handler(payload))().catch((error: unknown) => {
      throw lambdaFailure(error);
    });
    this.#calls.add(answer);
    const forget = () => this.#calls.delete(answer);
    answer.then(forget, forget);
    return answer;
  }

  /** Open until somebody signals, whether before or after the handler has returned; a handler that fails closes it. */
  async #callAndWait(execution: Execution, handler: TaskHandler, payload: unknown): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiter: Waiter = { resolve, reject };
    execution.waiter = waiter;
    this.#call(handler, payload).catch(reject);
    try {
      return await promise;
    } finally {
      if (execution.waiter === waiter) execution.waiter = undefined;
    }
  }

  #answer(taskToken: string, give: (waiter: Waiter) => void): 'signalled' | 'gone' {
    const execution = this.#byToken.get(taskToken);
    const waiter = execution?.waiter;
    if (execution === undefined || waiter === undefined) return 'gone';
    execution.waiter = undefined;
    give(waiter);
    return 'signalled';
  }

  #abort(execution: Execution, cause: string): void {
    execution.stopCause ??= cause;
    // First of all, so that the interpreter, which goes on by itself for a moment, calls no handler any more.
    execution.ended = true;
    execution.abort();
    execution.waiter?.reject(new ExecutionStopped(execution.name));
    execution.waiter = undefined;
  }

  #end(execution: Execution, error: unknown): void {
    execution.ended = true;
    execution.waiter?.reject(new ExecutionStopped(execution.name));
    execution.waiter = undefined;
    this.#running.delete(execution.name);
    this.#byToken.delete(execution.taskToken);
    const end = endOf(execution, error);
    const how = `execution ${end.name} is ${end.status}`;
    this.#ended.set(end.name, { status: end.status, detail: end.cause === '' ? how : `${how} (${end.cause})` });
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= REMEMBERED_NAMES_MAX) break;
      this.#ended.delete(oldest);
    }
    const facts = { execution: end.name, runId: end.input.runId, status: end.status, cause: end.cause };
    if (end.status === 'succeeded') this.#options.log.info('execution.ended', facts);
    else this.#options.log.warn('execution.ended', facts);
    try {
      this.#options.onEnd?.(end);
    } catch (listenerError) {
      this.#options.log.error('execution.listener_failed', { execution: end.name, error: listenerError });
    }
  }
}

function endOf({ name, input, stopCause }: Execution, error: unknown): ExecutionEnd {
  if (stopCause !== undefined) return { name, input, status: 'aborted', cause: stopCause };
  if (error === undefined) return { name, input, status: 'succeeded', cause: '' };
  if (!(error instanceof Error)) return { name, input, status: 'failed', cause: String(error) };
  if (error.name === 'ExecutionTimeoutError') return { name, input, status: 'timed_out', cause: error.message };
  const { cause } = error;
  return {
    name,
    input,
    status: 'failed',
    cause: cause instanceof Error ? `${cause.name}: ${cause.message}` : error.message,
  };
}
