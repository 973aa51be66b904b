/** The part of Amazon States Language that `state-machines/provision-vm.asl.json` is written in, and the check that it is. */

export type Template = { readonly [key: string]: string | Template };

export interface Retrier {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds?: number;
  readonly BackoffRate?: number;
  readonly MaxDelaySeconds?: number;
  readonly MaxAttempts?: number;
  readonly JitterStrategy?: 'FULL';
}

export interface Catcher {
  readonly ErrorEquals: readonly string[];
  readonly ResultPath: string;
  readonly Next: string;
}

export interface TaskState {
  readonly Type: 'Task';
  readonly Resource: string;
  readonly TimeoutSeconds: number;
  readonly Parameters: Template;
  readonly ResultSelector?: Template;
  readonly ResultPath: string | null;
  readonly Retry?: readonly Retrier[];
  readonly Catch?: readonly Catcher[];
  readonly Next: string;
}

export type State =
  | TaskState
  | { readonly Type: 'Succeed' }
  | { readonly Type: 'Fail'; readonly ErrorPath: string; readonly Cause: string };

export interface Machine {
  readonly StartAt: string;
  readonly TimeoutSeconds: number;
  readonly States: Readonly<Record<string, State>>;
}

/** The file uses a part of the language that the interpreter does not know; the message names it and where it stands. */
export class UnknownInFile extends Error {
  constructor(what: string, at: string) {
    super(`the interpreter of the simulation does not know ${what} (at ${at}): teach it, with a test, or leave it out`);
    this.name = 'UnknownInFile';
  }
}

/** Each kind of object with the fields that are known in it. */
export const FIELDS = {
  machine: ['Comment', 'StartAt', 'TimeoutSeconds', 'States'],
  Task: [
    ...['Comment', 'Type', 'Resource', 'TimeoutSeconds', 'Parameters', 'ResultSelector', 'ResultPath'],
    ...['Retry', 'Catch', 'Next'],
  ],
  Succeed: ['Type'],
  Fail: ['Comment', 'Type', 'ErrorPath', 'Cause'],
  Retry: ['ErrorEquals', 'IntervalSeconds', 'BackoffRate', 'MaxDelaySeconds', 'MaxAttempts', 'JitterStrategy'],
  Catch: ['ErrorEquals', 'ResultPath', 'Next'],
} as const;

const REQUIRED: Readonly<Record<keyof typeof FIELDS, readonly string[]>> = {
  machine: ['StartAt', 'TimeoutSeconds', 'States'],
  Task: ['Resource', 'TimeoutSeconds', 'Parameters', 'ResultPath', 'Next'],
  Succeed: [],
  Fail: ['ErrorPath', 'Cause'],
  Retry: ['ErrorEquals'],
  Catch: ['ErrorEquals', 'ResultPath', 'Next'],
};

const RESOURCES = ['arn:aws:states:::lambda:invoke', 'arn:aws:states:::lambda:invoke.waitForTaskToken'];
/** `States.ALL` means all; a timeout is matched by its name; the others of the language's own match more than their name. */
const STATES_ERRORS = ['States.ALL', 'States.Timeout'];
const PATH = /^\$\$?(\.\w+)+$/;
const RESULT_PATH = /^\$\.\w+$/;

/** @throws UnknownInFile */
export function checkMachine(machine: object): Machine {
  const { StartAt, States } = checkedFields('machine', machine, 'the top') as { StartAt: string; States: object };
  for (const [name, state] of Object.entries(States)) {
    const { Type: type } = state as { readonly Type?: unknown };
    if (type !== 'Task' && type !== 'Succeed' && type !== 'Fail')
      throw new UnknownInFile(`states of the type ${String(type)}`, name);
    checkedFields(type, state, name);
    if (type === 'Task') checkTask(state, name, States);
    if (type === 'Fail') checkPath(state.ErrorPath, `${name}.ErrorPath`, PATH);
  }
  checkNext(StartAt, 'StartAt', States);
  return machine as Machine;
}

function checkedFields(kind: keyof typeof FIELDS, value: object, at: string): object {
  const known: readonly string[] = FIELDS[kind];
  for (const field of Object.keys(value)) if (!known.includes(field)) throw new UnknownInFile(`the field ${field}`, at);
  for (const field of REQUIRED[kind])
    if (!Object.hasOwn(value, field)) throw new UnknownInFile(`what it means without the field ${field}`, at);
  return value;
}

function checkTask(state: TaskState, at: string, states: object): void {
  if (!RESOURCES.includes(state.Resource)) throw new UnknownInFile(`the resource ${state.Resource}`, at);
  checkTemplate(state.Parameters, `${at}.Parameters`);
  if (state.ResultSelector !== undefined) checkTemplate(state.ResultSelector, `${at}.ResultSelector`);
  if (state.ResultPath !== null) checkPath(state.ResultPath, `${at}.ResultPath`, RESULT_PATH);
  checkNext(state.Next, `${at}.Next`, states);
  for (const retrier of state.Retry ?? []) {
    checkedFields('Retry', retrier, `${at}.Retry`);
    checkErrors(retrier.ErrorEquals, `${at}.Retry`);
    const jitter: string | undefined = retrier.JitterStrategy;
    if (jitter !== undefined && jitter !== 'FULL') throw new UnknownInFile(`the jitter ${jitter}`, `${at}.Retry`);
  }
  for (const catcher of state.Catch ?? []) {
    checkedFields('Catch', catcher, `${at}.Catch`);
    checkErrors(catcher.ErrorEquals, `${at}.Catch`);
    checkPath(catcher.ResultPath, `${at}.Catch`, RESULT_PATH);
    checkNext(catcher.Next, `${at}.Catch`, states);
  }
}

function checkErrors(names: readonly string[], at: string): void {
  for (const name of names)
    if (name.startsWith('States.') && !STATES_ERRORS.includes(name)) throw new UnknownInFile(`the error ${name}`, at);
}

function checkTemplate(template: Template, at: string): void {
  for (const [key, value] of Object.entries(template)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) checkTemplate(value, `${at}.${key}`);
    else if (typeof value !== 'string') throw new UnknownInFile(`the value ${JSON.stringify(value)}`, `${at}.${key}`);
    else if (key.endsWith('.$')) checkPath(value, `${at}.${key}`, PATH);
  }
}

function checkPath(value: string, at: string, form: RegExp): void {
  if (!form.test(value)) throw new UnknownInFile(`the path ${value}`, at);
}

function checkNext(name: string, at: string, states: object): void {
  if (!Object.hasOwn(states, name)) throw new UnknownInFile(`the state ${name}`, at);
}
