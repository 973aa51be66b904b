/** Step Functions: executions of the real file in virtual time, each name once, descriptions that lag behind. */
import { readFileSync } from 'node:fs';
import type { ExecutionInput, ExecutionLook } from '../../core/ports.ts';
import { afterFailedExecution } from '../../core/vms/executionEnd.ts';
import { awaitReady, dispatchRun, failRun, launchVm, releaseAttempt } from '../../core/vms/provision.ts';
import { type AslEnd, interpret, lambdaFailure, type OpenToken, TaskFailure } from './asl.ts';
import type { Simulation } from './world.ts';

const MACHINE = JSON.parse(
  readFileSync(new URL('../../state-machines/provision-vm.asl.json', import.meta.url), 'utf8'),
) as object;

export interface WorkflowWeather {
  readonly lagMsMax: number;
  /** That a function is called twice for one try of a state. */
  readonly double: number;
  /** That nobody hears of the end of an execution. */
  readonly unheard: number;
}

const CALM: WorkflowWeather = { lagMsMax: 1000, double: 0, unheard: 0 };

interface Execution {
  readonly name: string;
  readonly input: ExecutionInput;
  readonly startedAt: number;
  readonly abort: AbortController;
  readonly shownFrom: number;
  ended?: { readonly end: AslEnd; readonly shownFrom: number };
}

type Function = (payload: never) => (ports: Parameters<typeof launchVm>[0]) => Promise<unknown>;

/** By the name in the file: the function's kind, and what its Lambda does with the state's payload. */
const FUNCTIONS: Readonly<Record<string, readonly [kind: string, call: Function]>> = {
  LaunchVm: ['launch', (payload: ExecutionInput) => (ports) => launchVm(ports, payload)],
  AwaitReady: ['ready', (payload: Parameters<typeof awaitReady>[1]) => (ports) => awaitReady(ports, payload)],
  DispatchRun: ['dispatch', (payload: Parameters<typeof dispatchRun>[1]) => (ports) => dispatchRun(ports, payload)],
  ReleaseVm: ['release', (payload: ExecutionInput) => (ports) => releaseAttempt(ports, payload)],
  FailRun: ['fail', (payload: Parameters<typeof failRun>[1]) => (ports) => failRun(ports, payload)],
};

export class WorkflowService {
  readonly #world: Simulation;
  readonly weather: WorkflowWeather;
  readonly #executions = new Map<string, Execution>();
  readonly #tokens = new Map<string, (output: unknown) => void>();
  #tokenCount = 0;

  constructor(world: Simulation, weather: WorkflowWeather) {
    this.#world = world;
    this.weather = weather;
  }

  open = (): readonly string[] =>
    [...this.#executions.values()].filter(({ ended }) => ended === undefined).map(({ name }) => name);

  get #present(): WorkflowWeather {
    return this.#world.isCalm ? CALM : this.weather;
  }

  start(name: string, input: ExecutionInput): 'started' | 'exists' {
    if (!/^[A-Za-z0-9_-]{1,80}$/.test(name)) throw new TypeError(`"${name}" is no name of an execution`);
    if (this.#executions.has(name)) return 'exists';
    this.#world.checker.limits.started(input);
    const { time, random } = this.#world;
    const execution: Execution = {
      name,
      input,
      startedAt: time.now,
      abort: new AbortController(),
      shownFrom: time.now + random.spread(1, this.#present.lagMsMax),
    };
    this.#executions.set(name, execution);
    void this.#run(execution);
    return 'started';
  }

  stop(name: string, cause: string): void {
    const execution = this.#executions.get(name);
    if (execution !== undefined && execution.ended === undefined) execution.abort.abort(cause);
  }

  describe(name: string): ExecutionLook {
    const now = this.#world.time.now;
    const execution = this.#executions.get(name);
    if (execution === undefined || execution.shownFrom > now)
      return { status: 'unknown', detail: `Step Functions knows no ${name}` };
    const { ended } = execution;
    if (ended === undefined || ended.shownFrom > now) return { status: 'running', detail: `${name} is under way` };
    const { end } = ended;
    return end.status === 'succeeded'
      ? { status: 'succeeded', detail: `${name} has succeeded` }
      : { status: end.status, error: end.error, detail: `${name} is ${end.status}: ${end.cause}` };
  }

  signal(token: string, output: unknown): 'signalled' | 'gone' {
    const resolve = this.#tokens.get(token);
    if (resolve === undefined) return 'gone';
    this.#tokens.delete(token);
    resolve(output);
    return 'signalled';
  }

  async #run(execution: Execution): Promise<void> {
    const { time, random } = this.#world;
    let end: AslEnd;
    try {
      end = await interpret(MACHINE, execution.input, {
        task: (_resource, input) => this.#task(input as { FunctionName: string; Payload: object }),
        openToken: () => this.#openToken(),
        sleep: (ms, dropped) =>
          new Promise((resolve) => {
            const timer = time.after(ms, resolve);
            dropped.addEventListener('abort', () => timer.cancel(), { once: true });
          }),
        random: () => random.next(),
        now: () => time.now,
        aborted: execution.abort.signal,
      });
    } catch (error) {
      this.#world.broken('defect', `the interpreter threw ${error instanceof Error ? error.stack : String(error)}`);
      return;
    }
    this.#world.note(`execution ${execution.name} ${end.status}`);
    execution.ended = { end, shownFrom: time.now + random.spread(1, this.#present.lagMsMax) };
    if (end.status !== 'succeeded') this.#tell(execution, end.status, end.cause);
  }

  /** EventBridge's rule: late, now and then never; again where its function fails, or a rival calls it. */
  #tell({ input }: Execution, status: 'failed' | 'timed_out' | 'aborted', cause: string, tries = 0): void {
    const { time, random } = this.#world;
    if (random.chance(this.#present.unheard)) return;
    time.after(random.spread(50, 20_000), async () => {
      const outcome = await this.#world.invoke('ended', (ports) =>
        afterFailedExecution(ports, { input, status, cause }),
      );
      if (outcome.kind !== 'answered' && tries < 2) this.#tell({ input } as Execution, status, cause, tries + 1);
    });
  }

  #openToken(): OpenToken {
    const token = `token-${++this.#tokenCount}`;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.#tokens.set(token, resolve);
    return { token, answer: promise, close: () => this.#tokens.delete(token) };
  }

  async #task({ FunctionName: name, Payload: payload }: { FunctionName: string; Payload: object }): Promise<unknown> {
    const found = Object.entries(FUNCTIONS).find(([state]) => name.includes(state));
    if (found === undefined) throw new Error(`there is no function ${name}`);
    const [, [kind, call]] = found;
    const { random, time } = this.#world;
    const body = call(payload as never);
    if (random.chance(this.#present.double))
      time.after(random.spread(5, 20_000), () => void this.#world.invoke(kind, body));
    const outcome = await this.#world.invoke(kind, body);
    if (outcome.kind === 'answered') return { Payload: outcome.value ?? null, StatusCode: 200 };
    if (outcome.kind === 'threw') throw lambdaFailure(outcome.error);
    throw new TaskFailure(random.chance(0.5) ? 'Lambda.Unknown' : 'Sandbox.Timedout', '{"errorMessage":"it died"}');
  }
}
