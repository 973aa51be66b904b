/**
 * Amazon States Language in virtual time: what `state-machines/provision-vm.asl.json` uses of it, and nothing else. A state
 * type, field, path or error name beyond that is refused before the first state, by name, so that the file never comes to
 * mean here what it does not mean on AWS.
 *
 * It has no timer, clock or randomness of its own: the world gives them, so the same world gives the same execution.
 */
import { checkMachine, type Machine, type Retrier, type State, type TaskState, type Template } from './aslFile.ts';

export { UnknownInFile } from './aslFile.ts';

/** What a task or a token's answer fails with: `error` is what Retry and Catch match, both go to `ResultPath`. */
export class TaskFailure extends Error {
  readonly error: string;
  override readonly cause: string;

  constructor(error: string, cause: string) {
    super(`${error}: ${cause}`);
    this.name = 'TaskFailure';
    this.error = error;
    this.cause = cause;
  }
}

/** The error that a Lambda function has thrown, as Step Functions reports it: its class, and Lambda's error object as JSON. */
export function lambdaFailure(error: unknown): TaskFailure {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  return new TaskFailure(name, JSON.stringify({ errorType: name, errorMessage: message, trace: [] }));
}

/** The context object (`$$`), as far as it is the same for every execution. */
export interface AslContext {
  readonly Execution: { readonly Input: unknown; readonly StartTime: string };
  readonly State: { readonly Name: string; readonly EnteredTime: string; readonly RetryCount: number };
  /** Only in a state that waits for its token; every try of it has another one, as on AWS. */
  readonly Task?: { readonly Token: string };
}

export interface OpenToken {
  readonly token: string;
  /** SendTaskSuccess resolves it with the output, SendTaskFailure rejects it with a `TaskFailure`. */
  readonly answer: Promise<unknown>;
  /** The state has ended or is tried again: whoever answers now finds that the task is gone. */
  close(): void;
}

export interface AslWorld {
  /**
   * Calls the resource with the state's `Parameters`. For `lambda:invoke` it resolves with `{Payload}`; for
   * `lambda:invoke.waitForTaskToken` what it resolves with is ignored, as the token's answer is the result.
   *
   * @throws TaskFailure which Retry and Catch see; anything else is a bug of the world, and `interpret` rejects with it
   */
  task(resource: string, input: unknown, context: AslContext): Promise<unknown>;
  openToken(): OpenToken;
  /** Once `dropped` aborts nobody waits any more: the timer may be forgotten, and the promise need never settle. */
  sleep(ms: number, dropped: AbortSignal): Promise<void>;
  /** From 0 up to but not including 1. */
  random(): number;
  /** Epoch milliseconds. */
  now(): number;
  /** StopExecution; its `reason`, as text, is the cause. What is in flight goes on in the world, unheard. */
  readonly aborted?: AbortSignal | undefined;
}

export type AslEnd =
  | { readonly status: 'succeeded'; readonly output: unknown }
  | { readonly status: 'failed' | 'timed_out' | 'aborted'; readonly error: string; readonly cause: string };

/**
 * Runs one execution to its end.
 *
 * @throws UnknownInFile when the file uses what this interpreter does not know
 */
export async function interpret(machine: object, input: unknown, world: AslWorld): Promise<AslEnd> {
  return new Execution(checkMachine(machine), clone(input), world).run();
}

/** No error of the file: paths that lead nowhere. Neither Retry nor Catch sees it, not even `States.ALL`. */
class RuntimeFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'States.Runtime';
  }
}

/** The execution has ended from outside, and what still runs inside unwinds. */
class Halted extends Error {}

type Step = { readonly next: string; readonly data: unknown } | { readonly end: AslEnd };

class Execution {
  readonly #machine: Machine;
  readonly #input: unknown;
  readonly #world: AslWorld;
  readonly #startTime: string;
  readonly #over = new AbortController();

  constructor(machine: Machine, input: unknown, world: AslWorld) {
    this.#machine = machine;
    this.#input = input;
    this.#world = world;
    this.#startTime = new Date(world.now()).toISOString();
  }

  run(): Promise<AslEnd> {
    const { promise, resolve, reject } = Promise.withResolvers<AslEnd>();
    const signal = this.#over.signal;
    const finish = (end: AslEnd) => {
      if (signal.aborted) return;
      this.#over.abort(OVER);
      resolve(end);
    };
    const seconds = this.#machine.TimeoutSeconds;
    const { aborted } = this.#world;
    const stop = () => finish({ status: 'aborted', error: '', cause: String(aborted?.reason ?? '') });
    if (aborted?.aborted === true) stop();
    else {
      aborted?.addEventListener('abort', stop, { once: true, signal });
      const cause = `the execution took longer than ${seconds} s`;
      this.#world
        .sleep(seconds * 1000, signal)
        .then(() => finish({ status: 'timed_out', error: 'States.Timeout', cause }), reject);
      this.#walk().then(finish, (error: unknown) => {
        if (error instanceof Halted) return;
        this.#over.abort(OVER);
        reject(error);
      });
    }
    return promise;
  }

  async #walk(): Promise<AslEnd> {
    let name = this.#machine.StartAt;
    let data = this.#input;
    try {
      for (;;) {
        const state = stateOf(this.#machine, name);
        const step = state.Type === 'Task' ? await this.#task(name, state, data) : { end: endOf(state, data) };
        if ('end' in step) return step.end;
        ({ next: name, data } = step);
      }
    } catch (error) {
      if (!(error instanceof RuntimeFailure)) throw error;
      return { status: 'failed', error: error.name, cause: error.message };
    }
  }

  /** All tries of one state. Each retrier counts for itself, anew at each entry into the state. */
  async #task(name: string, state: TaskState, data: unknown): Promise<Step> {
    const enteredTime = new Date(this.#world.now()).toISOString();
    const tries = new Map<Retrier, number>();
    for (let retries = 0; ; retries++) {
      try {
        const result = await this.#try(state, data, {
          Execution: { Input: this.#input, StartTime: this.#startTime },
          State: { Name: name, EnteredTime: enteredTime, RetryCount: retries },
        });
        return { next: state.Next, data: placed(data, state.ResultPath, selected(state.ResultSelector, result)) };
      } catch (error) {
        if (!(error instanceof TaskFailure)) throw error;
        const retrier = (state.Retry ?? []).find((each) => matches(each.ErrorEquals, error.error));
        const used = retrier === undefined ? 0 : (tries.get(retrier) ?? 0);
        if (retrier === undefined || used >= (retrier.MaxAttempts ?? 3)) return this.#caught(state, data, error);
        tries.set(retrier, used + 1);
        await this.#goingOn(this.#world.sleep(this.#pauseMs(retrier, used), this.#over.signal));
      }
    }
  }

  #caught(state: TaskState, data: unknown, { error, cause }: TaskFailure): Step {
    const catcher = (state.Catch ?? []).find((each) => matches(each.ErrorEquals, error));
    if (catcher === undefined) return { end: { status: 'failed', error, cause } };
    return { next: catcher.Next, data: placed(data, catcher.ResultPath, { Error: error, Cause: cause }) };
  }

  /** Whoever is first ends the try: the task (or its token's answer), or the timeout. The others are not heard any more. */
  async #try(state: TaskState, data: unknown, context: AslContext): Promise<unknown> {
    const token = state.Resource.endsWith('.waitForTaskToken') ? this.#world.openToken() : undefined;
    const full = token === undefined ? context : { ...context, Task: { Token: token.token } };
    const done = new AbortController();
    const dropped = AbortSignal.any([done.signal, this.#over.signal]);
    dropped.addEventListener('abort', () => token?.close(), { once: true });
    try {
      const called = this.#world.task(state.Resource, filled(state.Parameters, data, full), full);
      const result = token === undefined ? called : answered(called, token.answer);
      return clone(await this.#goingOn(Promise.race([result, this.#timeout(state.TimeoutSeconds, dropped)])));
    } finally {
      done.abort(OVER);
    }
  }

  async #timeout(seconds: number, dropped: AbortSignal): Promise<never> {
    await this.#world.sleep(seconds * 1000, dropped);
    throw new TaskFailure('States.Timeout', '');
  }

  /** @throws Halted when the execution has ended meanwhile, whatever came of the promise */
  async #goingOn<T>(promise: Promise<T>): Promise<T> {
    const [outcome] = await Promise.allSettled([promise]);
    if (this.#over.signal.aborted) throw new Halted();
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  #pauseMs({ IntervalSeconds, BackoffRate, MaxDelaySeconds, JitterStrategy }: Retrier, used: number): number {
    const seconds = (IntervalSeconds ?? 1) * (BackoffRate ?? 2) ** used;
    const ms = Math.min(seconds, MaxDelaySeconds ?? Number.POSITIVE_INFINITY) * 1000;
    return JitterStrategy === 'FULL' ? Math.floor(this.#world.random() * (ms + 1)) : ms;
  }
}

function stateOf(machine: Machine, name: string): State {
  const state = machine.States[name];
  if (state === undefined) throw new RuntimeFailure(`there is no state ${name}`);
  return state;
}

function endOf(state: Exclude<State, TaskState>, data: unknown): AslEnd {
  if (state.Type === 'Succeed') return { status: 'succeeded', output: data };
  const error = found(state.ErrorPath, data);
  if (typeof error !== 'string') throw new RuntimeFailure(`${state.ErrorPath} leads to no text`);
  return { status: 'failed', error, cause: state.Cause };
}

const matches = (names: readonly string[], error: string) => names.includes(error) || names.includes('States.ALL');

/** The answer, or the failure of the function that should see to it: its success says nothing. */
async function answered(called: Promise<unknown>, answer: Promise<unknown>): Promise<unknown> {
  const failed = new Promise<never>((_, reject) => {
    called.catch(reject);
  });
  return Promise.race([answer, failed]);
}

function filled(template: Template, data: unknown, context: unknown): unknown {
  return Object.fromEntries(
    Object.entries(template).map(([key, value]) => {
      if (typeof value !== 'string') return [key, filled(value, data, context)];
      if (!key.endsWith('.$')) return [key, value];
      const from = value.startsWith('$$') ? found(value.slice(1), context) : found(value, data);
      return [key.slice(0, -2), clone(from)];
    }),
  );
}

const selected = (template: Template | undefined, result: unknown) =>
  template === undefined ? result : filled(template, result, {});

/** A path of names, as `checkMachine` has let it pass. */
function found(path: string, data: unknown): unknown {
  let at = data;
  for (const name of path.split('.').slice(1)) {
    const holds = typeof at === 'object' && at !== null && Object.hasOwn(at, name);
    if (!holds) throw new RuntimeFailure(`the path ${path} leads to no value`);
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

function placed(data: unknown, path: string | null, value: unknown): unknown {
  if (path === null) return data;
  if (typeof data !== 'object' || data === null)
    throw new RuntimeFailure(`${path} cannot be set: the input is no object`);
  return { ...data, [path.slice(2)]: value };
}

/** What JSON keeps of it: states and functions share no memory on AWS either. */
/** One for all: to make an error for each that nobody reads takes time. */
const OVER = 'over';
const clone = (value: unknown): unknown => (value === undefined ? null : JSON.parse(JSON.stringify(value)));
