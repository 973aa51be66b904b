/**
 * The interpreter of the simulation against the one that `candor dev` uses, on the same file: whatever the functions answer,
 * and whenever, both call the same functions with the same inputs at the same virtual times, and come to the same end.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { LocalWorkflow } from '../../adapters/local/workflow.ts';
import { LAUNCH_BACKOFF } from '../../core/vms/launchErrors.ts';
import { silent, temporaryFolder } from '../adapters/local/support.ts';
import { type AslEnd, type AslWorld, interpret, lambdaFailure, TaskFailure, UnknownInFile } from './asl.ts';
import { FIELDS } from './aslFile.ts';
import { VirtualTimers } from './virtualTimers.ts';

interface Rule {
  readonly ErrorEquals: readonly string[];
}
interface TaskDefinition {
  readonly Type: string;
  readonly Retry?: readonly Rule[];
  readonly Catch?: readonly Rule[];
}
const file = new URL('../../state-machines/provision-vm.asl.json', import.meta.url);
const definition = JSON.parse(readFileSync(file, 'utf8')) as {
  readonly TimeoutSeconds: number;
  readonly States: Readonly<Record<string, TaskDefinition>>;
};
const TASKS = ['LaunchVm', 'AwaitReady', 'DispatchRun', 'ReleaseVm', 'FailRun'] as const;
type Task = (typeof TASKS)[number];
/** These are retried for thousands of times: only a few of them in a row are played. */
const LAUNCH_ERRORS = new Set(Object.keys(LAUNCH_BACKOFF));
const TOKEN = 'token';
const RUN = { tenantId: 't1', runId: 'run_1', attempt: 1 };

const namedIn = (task: Task): readonly string[] => {
  const { Retry = [], Catch = [] } = definition.States[task] ?? { Type: 'none' };
  return [...Retry, ...Catch].flatMap((rule) => rule.ErrorEquals).filter((name) => !name.startsWith('States.'));
};
/** Each name of the file, in every state, and some that it does not name. */
const ERRORS = [...new Set([...TASKS.flatMap(namedIn), 'LaunchMisconfigured', 'StartDeadlineExceeded', 'TypeError'])];

/** What one call of a function comes to. */
interface Outcome {
  readonly afterMs: number;
  /** Thrown. */
  readonly error?: string | undefined;
  /** Returned. */
  readonly output?: unknown;
  readonly never?: boolean | undefined;
  /** Who answers the token, counted from the call. Only AwaitReady has one. */
  readonly answer?: { readonly afterMs: number; readonly error?: string | undefined } | undefined;
}
interface Script {
  readonly random: number;
  readonly timeoutSeconds: number;
  readonly abortAtMs: number | undefined;
  /** Call by call; what comes after the last is `rest`. */
  readonly calls: Readonly<Record<Task, readonly Outcome[]>>;
  readonly rest: Readonly<Record<Task, Outcome>>;
}

interface Failed {
  readonly failure?: { readonly Error: string };
}

interface Played {
  readonly calls: readonly { readonly atMs: number; readonly task: string; readonly input: unknown }[];
  readonly answers: readonly { readonly atMs: number; readonly found: string }[];
  readonly end: { readonly atMs: number; readonly status: string; readonly why: string };
}

/** The functions, as the script has them, for whichever interpreter calls. */
class Functions {
  readonly calls: Played['calls'][number][] = [];
  readonly answers: Played['answers'][number][] = [];
  readonly #count = new Map<Task, number>();
  readonly #script: Script;
  readonly #timers: VirtualTimers;
  readonly #answer: (token: string, error: string | undefined) => Promise<string>;

  constructor(script: Script, timers: VirtualTimers, answer: (token: string, error?: string) => Promise<string>) {
    this.#script = script;
    this.#timers = timers;
    this.#answer = answer;
  }

  async call(task: Task, payload: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { taskToken, ...rest } = payload;
    const { failure } = rest as Failed;
    // What the cause of a timeout says differs.
    const input = failure?.Error === 'States.Timeout' ? { ...rest, failure: { Error: failure.Error } } : rest;
    const nth = this.#count.get(task) ?? 0;
    this.#count.set(task, nth + 1);
    this.calls.push({ atMs: this.#timers.now, task, input });
    const outcome = this.#script.calls[task][nth] ?? this.#script.rest[task];
    const { answer } = outcome;
    if (answer !== undefined) void this.#answers(String(taskToken), answer.afterMs, answer.error);
    if (outcome.never === true) return new Promise(() => {});
    await this.#timers.sleep(outcome.afterMs);
    if (outcome.error !== undefined) throw Object.assign(new Error(`call ${nth}`), { name: outcome.error });
    return outcome.output;
  }

  async #answers(token: string, afterMs: number, error: string | undefined): Promise<void> {
    await this.#timers.sleep(afterMs);
    const found = await this.#answer(token, error);
    this.answers.push({ atMs: this.#timers.now, found });
  }
}

async function playedHere(script: Script, ends: Set<string>): Promise<Played> {
  const timers = new VirtualTimers();
  let waiter: PromiseWithResolvers<unknown> | undefined;
  const functions = new Functions(script, timers, async (token, error) => {
    if (waiter === undefined || token !== TOKEN) return 'gone';
    if (error === undefined) waiter.resolve({ ready: true });
    else waiter.reject(new TaskFailure(error, 'said so'));
    waiter = undefined;
    return 'signalled';
  });
  const abort = new AbortController();
  if (script.abortAtMs !== undefined) timers.set(() => abort.abort('stopped'), script.abortAtMs);
  const world: AslWorld = {
    async task(_resource, input, context) {
      const { FunctionName, Payload } = input as { FunctionName: string; Payload: Record<string, unknown> };
      const task = context.State.Name as Task;
      expect(FunctionName).toBe(`\${${task}FunctionArn}`);
      try {
        return { Payload: await functions.call(task, Payload) };
      } catch (error) {
        throw lambdaFailure(error);
      }
    },
    openToken() {
      // One token for all tries, as LocalWorkflow has it: whose it is decides the world.
      waiter = Promise.withResolvers();
      return {
        token: TOKEN,
        answer: waiter.promise,
        close: () => {
          waiter = undefined;
        },
      };
    },
    sleep: (ms, dropped) => timers.sleep(ms, dropped),
    random: () => script.random,
    now: () => timers.now,
    aborted: abort.signal,
  };
  const end = await timers.until(interpret({ ...definition, TimeoutSeconds: script.timeoutSeconds }, RUN, world));
  ends.add(end.status);
  const { calls, answers } = functions;
  return { calls, answers, end: { atMs: timers.now, status: end.status, why: alike(why(end)) } };
}

function why(end: AslEnd): string {
  if (end.status === 'failed') return `${end.error}: ${end.cause}`;
  return end.status === 'aborted' ? end.cause : '';
}

/** Each words it in its own way that a path leads nowhere. */
const alike = (text: string) => text.replace(/^(States\.Runtime): .*/, '$1');

async function playedThere(script: Script, folder: string): Promise<Played> {
  const definitionPath = path.join(folder, `${script.timeoutSeconds}.json`);
  await writeFile(definitionPath, JSON.stringify({ ...definition, TimeoutSeconds: script.timeoutSeconds }));
  const timers = new VirtualTimers();
  timers.install();
  vi.spyOn(Math, 'random').mockReturnValue(script.random);
  const functions = new Functions(script, timers, (token, error) =>
    error === undefined ? workflow.signal(token, { ready: 'yes' }) : workflow.fail(token, error, 'said so'),
  );
  const { promise, resolve } = Promise.withResolvers<Played['end']>();
  const workflow = new LocalWorkflow({
    handlers: Object.fromEntries(
      TASKS.map((task) => [task, (payload) => functions.call(task, payload as Record<string, unknown>)]),
    ),
    log: silent,
    definitionPath,
    onEnd: ({ status, cause }) =>
      resolve({ atMs: timers.now, status, why: status === 'timed_out' ? '' : alike(cause) }),
  });
  if (script.abortAtMs !== undefined) timers.set(() => void workflow.stop('run_1-1', 'stopped'), script.abortAtMs);
  await workflow.start('run_1-1', RUN);
  const end = await timers.until(promise);
  const { calls, answers } = functions;
  return { calls: [...calls], answers: [...answers], end };
}

/** aws-local-stepfunctions ends a pause early when the execution times out, and tries once more before it notices. */
const withoutTheLast = ({ calls, ...rest }: Played): Played =>
  rest.end.status === 'timed_out'
    ? { ...rest, calls: calls.filter(({ atMs }) => atMs < rest.end.atMs) }
    : { ...rest, calls };

const sometimes = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const outcome = (task: Task): fc.Arbitrary<Outcome> => {
  const afterMs = fc.constantFrom(0, 7, 1500, 59_999, 90_000, 130_000);
  const output =
    task === 'LaunchVm'
      ? fc.oneof({ arbitrary: fc.constant({ vmId: 'vm_1' }), weight: 8 }, fc.constant({}), fc.constant({ vmId: null }))
      : fc.constantFrom({}, null, { ok: [1] });
  const error = sometimes(fc.oneof(fc.constantFrom(...namedIn(task)), fc.constantFrom(...ERRORS)));
  const answer = fc.record({
    afterMs: fc.constantFrom(0, 5, 2000, 95_000, 1_800_000, 3_700_000),
    error: fc.option(fc.constantFrom(...ERRORS), { nil: undefined, freq: 2 }),
  });
  return fc.record({
    afterMs,
    output,
    error,
    never: fc.oneof({ arbitrary: fc.constant(false), weight: 9 }, fc.constant(true)),
    answer: task === 'AwaitReady' ? sometimes(answer) : fc.constant(undefined),
  });
};
const each = <T>(of: (task: Task) => fc.Arbitrary<T>) =>
  fc.record(Object.fromEntries(TASKS.map((task) => [task, of(task)])) as Record<Task, fc.Arbitrary<T>>);
const scripts: fc.Arbitrary<Script> = fc.record({
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  timeoutSeconds: fc.constantFrom(definition.TimeoutSeconds, definition.TimeoutSeconds, 3660, 600),
  abortAtMs: fc.option(fc.integer({ min: 1, max: 400_000 }), { nil: undefined, freq: 2 }),
  calls: each((task) => fc.array(outcome(task), { maxLength: task === 'FailRun' ? 3 : 6 })),
  rest: each(outcome).filter(({ LaunchVm: { error = '' } }) => !LAUNCH_ERRORS.has(error)),
});

describe('the interpreter of the simulation and the one of candor dev', () => {
  it('call the same functions with the same inputs at the same times, and end alike', {
    timeout: 120_000,
  }, async () => {
    const folder = temporaryFolder();
    const ends = new Set<string>();
    const met = new Set<string>();
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const here = await playedHere(script, ends);
        const there = await playedThere(script, folder);
        expect(here).toEqual(withoutTheLast(there));
        for (const { task, input } of here.calls) met.add(task).add(`${task} ${(input as Failed).failure?.Error}`);
        for (const { found } of here.answers) met.add(found);
      }),
      { numRuns: 500, seed: 8 },
    );
    expect([...met].sort()).toEqual(expect.arrayContaining([...TASKS, 'gone', 'signalled', 'FailRun States.Timeout']));
    expect([...ends].sort()).toEqual(['aborted', 'failed', 'succeeded', 'timed_out']);
  });

  it('meet every error that the file names, in every state, again and again until it is given up', async () => {
    const folder = temporaryFolder();
    const well: Outcome = { afterMs: 3, output: { vmId: 'vm_1' } };
    const rest = {
      ...(Object.fromEntries(TASKS.map((task) => [task, well])) as Record<Task, Outcome>),
      AwaitReady: { ...well, answer: { afterMs: 10 } },
    };
    const calls = Object.fromEntries(TASKS.map((task) => [task, []])) as unknown as Script['calls'];
    const script = { random: 0.5, timeoutSeconds: definition.TimeoutSeconds, abortAtMs: undefined, calls, rest };
    const failing = { afterMs: 4, error: 'LaunchMisconfigured' };
    for (const task of TASKS) {
      // The last two states are met only behind a failure.
      const before = task === 'ReleaseVm' || task === 'FailRun' ? { LaunchVm: failing } : {};
      const outcomes: readonly Outcome[] = [
        ...ERRORS.map((error) => ({ afterMs: 4, error })),
        { afterMs: 4, never: true },
      ];
      for (const outcome of outcomes) {
        const some = LAUNCH_ERRORS.has(outcome.error ?? '')
          ? { calls: { ...calls, [task]: Array(9).fill(outcome) } }
          : {};
        const all = some.calls === undefined ? { [task]: outcome } : {};
        const played: Script = { ...script, ...some, rest: { ...rest, ...before, ...all } };
        expect(await playedHere(played, new Set())).toEqual(await playedThere(played, folder));
      }
    }
  });
});

/** An execution whose functions answer at once, where `tasks` says nothing else. */
function simple(tasks: Partial<Record<Task, () => Promise<unknown>>> = {}) {
  const timers = new VirtualTimers();
  const open = new Map<string, PromiseWithResolvers<unknown>>();
  const tokens: string[] = [];
  const world: AslWorld = {
    task: async (_resource, _input, { State }) =>
      tasks[State.Name as Task]?.() ?? Promise.resolve({ Payload: { vmId: 'vm_1' } }),
    openToken() {
      const token = `token-${tokens.length}`;
      const waiter = Promise.withResolvers<unknown>();
      tokens.push(token);
      open.set(token, waiter);
      return { token, answer: waiter.promise, close: () => void open.delete(token) };
    },
    sleep: (ms, dropped) => timers.sleep(ms, dropped),
    random: () => 0.5,
    now: () => timers.now,
  };
  return { world, timers, tokens, open };
}

describe('a token', () => {
  it('is another one at each try, and an answer to the older finds nobody', async () => {
    let tries = 0;
    const contended = new TaskFailure('Contended', 'busy');
    const { world, timers, tokens, open } = simple({
      AwaitReady: () => (tries++ === 0 ? Promise.reject(contended) : Promise.resolve()),
    });
    const ended = interpret(definition, RUN, world);
    const answered = timers.sleep(60_000).then(() => {
      expect([...open.keys()]).toEqual(['token-1']);
      open.get('token-1')?.resolve({});
    });
    expect((await timers.until(ended)).status).toBe('succeeded');
    await answered;
    expect(tokens).toEqual(['token-0', 'token-1']);
    expect(open.size).toBe(0);
  });

  it('is gone at once when its execution is stopped, and when it has timed out', async () => {
    const stopped = simple();
    const abort = new AbortController();
    const ended = interpret(definition, RUN, { ...stopped.world, aborted: abort.signal });
    const later = stopped.timers.sleep(1000).then(() => {
      expect(stopped.open.size).toBe(1);
      abort.abort('the run was cancelled');
      expect(stopped.open.size).toBe(0);
    });
    expect(await stopped.timers.until(ended)).toEqual({ status: 'aborted', error: '', cause: 'the run was cancelled' });
    await later;

    const { world, timers, open } = simple();
    expect(await timers.until(interpret(definition, RUN, world))).toMatchObject({
      status: 'failed',
      error: 'States.Timeout',
    });
    expect(timers.now).toBe(3_600_000);
    expect(open.size).toBe(0);
  });
});

describe('an execution that is over', () => {
  it('has dropped its timers', async () => {
    const { world, timers, open } = simple();
    const ended = interpret(definition, RUN, world);
    void timers.sleep(5).then(() => open.get('token-0')?.resolve({}));
    await timers.until(ended);
    await expect(timers.until(new Promise(() => {}))).rejects.toThrow('no timer');
    expect(timers.now).toBe(5);
  });

  it('rejects with what the world itself got wrong', async () => {
    const { world, timers } = simple({ LaunchVm: () => Promise.reject(new RangeError('a bug of the world')) });
    await expect(timers.until(interpret(definition, RUN, world))).rejects.toThrow('a bug of the world');
  });
});

describe('what the file may use', () => {
  const changed = (change: (machine: Record<string, unknown>, launch: Record<string, unknown>) => void) => {
    const machine = structuredClone(definition) as unknown as { States: { LaunchVm: Record<string, unknown> } };
    change(machine as unknown as Record<string, unknown>, machine.States.LaunchVm);
    return interpret(machine, RUN, simple().world);
  };

  it.each<readonly [string, Parameters<typeof changed>[0]]>([
    ['the field QueryLanguage', (machine) => Object.assign(machine, { QueryLanguage: 'JSONata' })],
    ['states of the type Parallel', (_, launch) => Object.assign(launch, { Type: 'Parallel' })],
    ['the field HeartbeatSeconds', (_, launch) => Object.assign(launch, { HeartbeatSeconds: 30 })],
    ['the field Assign', (_, launch) => Object.assign(launch, { Assign: {} })],
    [
      'the resource arn:aws:states:::sqs:sendMessage',
      (_, launch) => Object.assign(launch, { Resource: 'arn:aws:states:::sqs:sendMessage' }),
    ],
    ['the path $.a[0]', (_, launch) => Object.assign(launch, { Parameters: { 'x.$': '$.a[0]' } })],
    ['the path States.UUID()', (_, launch) => Object.assign(launch, { Parameters: { 'x.$': 'States.UUID()' } })],
    ['the path $', (_, launch) => Object.assign(launch, { ResultPath: '$' })],
    [
      'the error States.TaskFailed',
      (_, launch) => Object.assign(launch, { Retry: [{ ErrorEquals: ['States.TaskFailed'] }] }),
    ],
    ['the state Nowhere', (_, launch) => Object.assign(launch, { Next: 'Nowhere' })],
    ['what it means without the field Next', (_, launch) => void delete launch.Next],
  ])('is refused by name: %s', async (what, change) => {
    const refused = changed(change);
    await expect(refused).rejects.toThrow(UnknownInFile);
    await expect(refused).rejects.toThrow(`does not know ${what} (at `);
  });

  it('is exactly what it uses', () => {
    const used = new Set<string>();
    const note = (kind: string, value: object) =>
      Object.keys(value).forEach((field) => void used.add(`${kind}.${field}`));
    note('machine', definition);
    for (const state of Object.values(definition.States)) {
      note(state.Type, state);
      for (const retrier of state.Retry ?? []) note('Retry', retrier);
      for (const catcher of state.Catch ?? []) note('Catch', catcher);
    }
    const known = Object.entries(FIELDS).flatMap(([kind, fields]) => fields.map((field) => `${kind}.${field}`));
    expect(known.sort()).toEqual([...used].sort());
  });
});
