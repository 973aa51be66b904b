/** The state machine's file against Amazon States Language and against this house's rules for it. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { ASL_FILE, SUBSTITUTIONS } from '../../lib/control/stateMachine.ts';

/** It comes without types. */
const aslValidator = createRequire(import.meta.url)('asl-validator') as (definition: unknown) => {
  readonly isValid: boolean;
  readonly errors: readonly unknown[];
};

interface Rule {
  readonly ErrorEquals: readonly string[];
  readonly MaxAttempts?: number;
  readonly JitterStrategy?: string;
}

interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly TimeoutSeconds?: number;
  readonly HeartbeatSeconds?: number;
  readonly Parameters?: { readonly FunctionName: string };
  readonly Retry?: readonly Rule[];
  readonly Catch?: readonly (Rule & { readonly Next: string })[];
}

const text = readFileSync(ASL_FILE, 'utf8');
const definition = JSON.parse(text) as { readonly TimeoutSeconds: number; readonly States: Record<string, State> };
const tasks = Object.entries(definition.States).filter(([, state]) => state.Type === 'Task');
const errorNames = (rules: readonly Rule[] | undefined) => (rules ?? []).flatMap((rule) => rule.ErrorEquals);

describe('provision-vm', () => {
  it('is valid Amazon States Language', () => {
    // A placeholder is no ARN, and the validator wants one.
    const substituted = JSON.parse(
      text.replaceAll(/\$\{\w+\}/g, 'arn:aws:lambda:eu-central-1:111122223333:function:f'),
    );
    expect(aslValidator(substituted)).toMatchObject({ isValid: true, errors: [] });
  });

  it('has exactly the placeholders that the stack fills', () => {
    const found = [...text.matchAll(/\$\{(\w+)\}/g)].map((match) => match[1]);
    expect([...new Set(found)].sort()).toEqual(Object.keys(SUBSTITUTIONS).sort());
    // In each state the function of that state.
    for (const [name, state] of tasks) expect(state.Parameters?.FunctionName).toBe(`\${${name}FunctionArn}`);
  });

  it('calls functions alone: what EC2 says is lost when a state calls it', () => {
    for (const [, state] of tasks)
      expect(state.Resource).toMatch(/^arn:aws:states:::lambda:invoke(\.waitForTaskToken)?$/);
    expect(
      [...text.matchAll(/"(Ec2\.\w+)"/g)].map((match) => match[1]).filter((name) => name !== 'Ec2.Ec2Exception'),
    ).toEqual([]);
  });

  it('bounds every task, without a heartbeat, and the whole beyond all of them', () => {
    for (const [name, state] of tasks) {
      expect([name, (state.TimeoutSeconds ?? 0) > 0, state.HeartbeatSeconds]).toEqual([name, true, undefined]);
      expect(state.TimeoutSeconds).toBeLessThan(definition.TimeoutSeconds);
    }
  });

  it('answers every class of a launch’s failure: those that may pass with a Retry, all with a Catch', () => {
    const launch = definition.States.LaunchVm;
    for (const name of ['CapacityUnavailable', 'QuotaExceeded', 'LaunchThrottled', 'LaunchPaced'])
      expect(errorNames(launch?.Retry)).toContain(name);
    // Tried again they would only waste time.
    for (const name of ['LaunchMisconfigured', 'StartDeadlineExceeded', 'RunMovedOn', 'States.ALL'])
      expect(errorNames(launch?.Retry)).not.toContain(name);
  });

  it('leaves no task without an end for every error: quiet where the run has moved on, otherwise towards FailRun', () => {
    for (const [name, state] of tasks) {
      expect([name, state.Catch?.[0]]).toEqual([
        name,
        expect.objectContaining({ ErrorEquals: ['RunMovedOn'], Next: 'Done' }),
      ]);
      const last = state.Catch?.at(-1);
      expect([name, last?.ErrorEquals]).toEqual([name, ['States.ALL']]);
      const expected = { ReleaseVm: 'FailRun', FailRun: 'Failed' }[name] ?? 'ReleaseVm';
      expect([name, last?.Next]).toEqual([name, expected]);
    }
  });

  it('tries again what Lambda and the table answer in passing, in every task, with jitter', () => {
    for (const [name, state] of tasks) {
      const retried = errorNames(state.Retry);
      for (const error of ['Contended', 'StoreUnavailable', 'Lambda.TooManyRequestsException'])
        expect([name, retried.includes(error) || retried.includes('States.ALL')]).toEqual([name, true]);
      for (const rule of (state.Retry ?? []).filter(({ MaxAttempts }) => MaxAttempts !== 0))
        expect([name, rule.JitterStrategy, (rule.MaxAttempts ?? 0) > 0]).toEqual([name, 'FULL', true]);
    }
  });

  it('takes a registration that does not come for a verdict: that is not tried again', () => {
    expect(errorNames(definition.States.AwaitReady?.Retry)).not.toContain('States.Timeout');
  });

  it('goes through at most five transitions when all goes well', () => {
    let name = 'LaunchVm';
    let transitions = 1;
    for (let state = definition.States[name] as State & { Next?: string }; state.Next; transitions += 1) {
      name = state.Next;
      state = definition.States[name] as State & { Next?: string };
    }
    expect(name).toBe('Done');
    expect(transitions).toBeLessThanOrEqual(5);
  });
});
