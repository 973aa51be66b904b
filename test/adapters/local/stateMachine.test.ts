/** What holds for the state machine file whoever runs it. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import * as errors from '../../../core/errors.ts';
import * as launchErrors from '../../../core/vms/launchErrors.ts';
import * as stateErrors from '../../../core/vms/stateErrors.ts';

interface Rule {
  readonly ErrorEquals: readonly string[];
  readonly ResultPath?: string;
  readonly Next?: string;
  readonly MaxAttempts?: number;
}
interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly TimeoutSeconds?: number;
  readonly Next?: string;
  readonly Parameters?: { readonly FunctionName: string };
  readonly Retry?: readonly Rule[];
  readonly Catch?: readonly Rule[];
}
interface Definition {
  readonly StartAt: string;
  readonly TimeoutSeconds: number;
  readonly States: Readonly<Record<string, State>>;
}
type Validator = (definition: unknown) => { readonly isValid: boolean; errorsText(separator?: string): string };

const validate: Validator = createRequire(import.meta.url)('asl-validator');
const file = new URL('../../../state-machines/provision-vm.asl.json', import.meta.url);
const definition: Definition = JSON.parse(readFileSync(file, 'utf8'));
const tasks = Object.entries(definition.States).filter(([, state]) => state.Type === 'Task');
const rules = tasks.flatMap(([, state]) => [...(state.Retry ?? []), ...(state.Catch ?? [])]);

describe('provision-vm.asl.json', () => {
  it('is valid Amazon States Language', () => {
    const { isValid, errorsText } = validate(definition);
    expect(isValid, isValid ? '' : errorsText('\n')).toBe(true);
  });

  it.each(tasks)('%s has a timeout, and a Catch whose last rule takes everything', (name, state) => {
    expect(state.TimeoutSeconds).toBeGreaterThan(0);
    expect(state.Parameters?.FunctionName).toBe(`\${${name}FunctionArn}`);
    expect(state.Catch?.[0]).toMatchObject({ ErrorEquals: ['RunMovedOn'], Next: 'Done' });
    expect(state.Catch?.at(-1)?.ErrorEquals).toEqual(['States.ALL']);
    // A Catch without ResultPath would throw away which run this is about.
    for (const rule of state.Catch ?? []) expect(rule.ResultPath).toMatch(/^\$\.\w+$/);
  });

  it('names States.ALL alone and last, and never retries a run that has moved on', () => {
    for (const [, state] of tasks) {
      for (const list of [state.Retry ?? [], state.Catch ?? []]) {
        const at = list.findIndex((rule) => rule.ErrorEquals.includes('States.ALL'));
        if (at < 0) continue;
        expect(list[at]?.ErrorEquals).toEqual(['States.ALL']);
        expect(at).toBe(list.length - 1);
        expect(list[0]?.ErrorEquals).toEqual(['RunMovedOn']);
      }
    }
  });

  it('names only errors that Step Functions, Lambda or Candor raise under that name', () => {
    const ours = Object.keys({ ...errors, ...launchErrors, ...stateErrors });
    const names = new Set(rules.flatMap((rule) => rule.ErrorEquals));

    const unknown = [...names].filter(
      (name) => !/^(States|Lambda)\.\w+$|^Sandbox\.Timedout$/.test(name) && !ours.includes(name),
    );

    expect(unknown).toEqual([]);
    expect([...names].filter((name) => name.startsWith('Ec2.'))).toEqual([]);
  });

  it('asks again for a VM by kind of failure, but not where asking again would only repeat it', () => {
    const retried = (definition.States.LaunchVm?.Retry ?? []).flatMap((rule) => rule.ErrorEquals);

    expect(retried).toEqual(
      expect.arrayContaining(['CapacityUnavailable', 'QuotaExceeded', 'LaunchThrottled', 'LaunchPaced', 'Contended']),
    );
    for (const name of ['LaunchMisconfigured', 'StartDeadlineExceeded', 'VmUnfit', 'States.ALL', 'States.TaskFailed'])
      expect(retried).not.toContain(name);
  });

  it('takes at most five transitions when all goes well', () => {
    // Step Functions bills the entry into each state, and one for the start.
    let transitions = 1;
    for (let name: string | undefined = definition.StartAt; name !== undefined; name = definition.States[name]?.Next)
      transitions++;
    expect(transitions).toBeLessThanOrEqual(5);
  });

  it('ends by itself, later than any start deadline, and soon enough for a timer of Node', () => {
    expect(definition.TimeoutSeconds).toBeGreaterThan(86_400 + 3600);
    expect(definition.TimeoutSeconds).toBeLessThan(2 ** 31 / 1000);
  });
});
