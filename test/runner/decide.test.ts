import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunnerCommand } from '../../core/contract/runner.ts';
import { RegistryEntry } from '../../core/contract/runner.ts';
import { decide, type Effect, type Event, type Probe } from '../../runner/decide.ts';
import { registryOf } from '../../runner/registry.ts';
import { apply, EMPTY, keyOf, type State } from '../../runner/state.ts';

const RUNS = ['run_a', 'run_b', 'run_c'];
const started = { pid: 7, startTicks: 70, startedMonotonicMs: 1, bootId: 'boot' };
const exit = { exitCode: 0, endedMonotonicMs: 50, bootId: 'boot' };

const start = (number: number, runId: string): RunnerCommand => ({
  number,
  kind: 'start',
  runId,
  attempt: 1,
  command: ['true'],
  env: {},
  input: null,
  runToken: 'token',
  maxOutputBytes: 10,
  maxLogBytes: 10,
});
const cancel = (number: number, runId: string): RunnerCommand => ({
  number,
  kind: 'cancel',
  runId,
  attempt: 1,
  cause: 'timeout',
  interruptMs: 100,
  terminateMs: 100,
});

/** Applies an event and answers the state after it with the effects. */
function step(state: State, event: Event, nowMs = 10): { state: State; effects: readonly Effect[] } {
  const { facts, effects } = decide(state, event, nowMs);
  return { state: facts.reduce(apply, state), effects };
}

const probed = (probe: Probe, runId = 'run_a'): Event => ({ kind: 'probed', runId, attempt: 1, probe });
const signalsOf = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.kind === 'send-signal' ? [effect.signal] : []));

describe('decide', () => {
  it('sends each signal when its time has come, and not before', () => {
    const alive: Probe = { shim: 'alive', started, workAlive: true };
    let { state } = step(EMPTY, { kind: 'commands', commands: [start(1, 'run_a'), cancel(2, 'run_a')] });
    const sent: [number, string][] = [];
    for (let nowMs = 0; nowMs <= 400; nowMs += 10) {
      const next = step(state, probed(alive), nowMs);
      state = next.state;
      for (const signal of signalsOf(next.effects)) sent.push([nowMs, signal]);
    }
    expect(sent).toEqual([
      [0, 'SIGINT'],
      [100, 'SIGTERM'],
      [200, 'SIGKILL'],
    ]);
  });

  it('sends no signal to work that has ended, and takes a shim for hung only after a long wait', () => {
    const ending: Probe = { shim: 'alive', started, workAlive: false };
    let { state } = step(EMPTY, { kind: 'commands', commands: [start(1, 'run_a'), cancel(2, 'run_a')] });
    for (let nowMs = 0; nowMs < 60_000; nowMs += 1000) {
      const next = step(state, probed(ending), nowMs);
      state = next.state;
      expect(next.effects).toEqual([]);
    }
    expect(step(state, probed(ending), 60_000).effects).toEqual([{ kind: 'kill-all', runId: 'run_a', attempt: 1 }]);
  });

  it('does not call a signal the cause of an end that came before it', () => {
    let { state } = step(EMPTY, { kind: 'commands', commands: [start(1, 'run_a'), cancel(2, 'run_a')] });
    ({ state } = step(state, probed({ shim: 'alive', started, workAlive: true }), 60));
    const probe: Probe = { shim: 'dead', started, workAlive: false, exit };
    ({ state } = step(state, probed(probe), 70));
    const collected = { logChunks: 0, remarks: [] };
    ({ state } = step(state, { kind: 'collected', runId: 'run_a', attempt: 1, probe, collected }, 80));
    expect(state.runs.get('run_a.1')?.outcome).toMatchObject({ state: 'ended', terminatedBy: 'self' });
  });

  it('takes a signal back that nobody got', () => {
    let { state } = step(EMPTY, { kind: 'commands', commands: [start(1, 'run_a'), cancel(2, 'run_a')] });
    ({ state } = step(state, probed({ shim: 'alive', started, workAlive: true }), 10));
    ({ state } = step(state, { kind: 'signal-missed', runId: 'run_a', attempt: 1 }));
    expect(state.runs.get('run_a.1')?.signals).toEqual([]);
  });

  it('keeps its promises in any order of events', () => {
    const run = fc.constantFrom(...RUNS);
    const command = fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 12 }), run).map(([number, runId]) => start(number, runId)),
      fc.tuple(fc.integer({ min: 1, max: 12 }), run).map(([number, runId]) => cancel(number, runId)),
      fc.integer({ min: 9, max: 12 }).map((number): RunnerCommand => ({ number, kind: 'stop-vm' })),
    );
    const probe = fc.constantFrom<Probe>(
      { shim: 'absent', workAlive: false },
      { shim: 'booting', workAlive: false },
      { shim: 'refused', workAlive: false },
      { shim: 'alive', workAlive: false },
      { shim: 'alive', workAlive: false, preparing: 'setup' },
      { shim: 'dead', workAlive: true, preparing: 'repository' },
      {
        shim: 'dead',
        workAlive: false,
        preparing: 'setup',
        exit: { notStarted: { because: 'setup', detail: 'why' }, endedMonotonicMs: 50, bootId: 'boot' },
      },
      { shim: 'alive', started, workAlive: true },
      { shim: 'dead', started, workAlive: true },
      { shim: 'dead', started, workAlive: false },
      { shim: 'dead', started, workAlive: false, exit },
    );
    const collected = { logChunks: 1, remarks: [] };
    const event: fc.Arbitrary<Event> = fc.oneof(
      fc.array(command, { maxLength: 4 }).map((commands): Event => ({ kind: 'commands', commands })),
      fc.tuple(run, probe).map(([runId, seen]) => probed(seen, runId)),
      fc
        .tuple(run, probe)
        .map(([runId, seen]): Event => ({ kind: 'collected', runId, attempt: 1, probe: seen, collected })),
      run.map((runId): Event => ({ kind: 'acknowledged', acknowledged: [{ runId, attempt: 1 }] })),
      run.map((runId): Event => ({ kind: 'signal-missed', runId, attempt: 1 })),
      fc.constantFrom<Event>({ kind: 'replayed' }, { kind: 'unwanted' }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let state = EMPTY;
        let stops = 0;
        const starts = new Set<string>();
        for (const [index, next] of events.entries()) {
          const before = state;
          const { facts, effects } = decide(state, next, index * 50);
          state = facts.reduce(apply, state);
          expect(state.lastTaken).toBeGreaterThanOrEqual(before.lastTaken);
          for (const [key, { outcome }] of before.runs) {
            // A verdict never changes; it leaves only by being acknowledged.
            if (outcome) expect(state.runs.get(key)?.outcome ?? (state.done.has(key) && outcome)).toBe(outcome);
            // Living work never leaves the registry.
            else expect(state.runs.has(key)).toBe(true);
          }
          for (const effect of effects) {
            if (effect.kind === 'stop') stops += next.kind === 'replayed' ? 0 : 1;
            if (effect.kind !== 'start') continue;
            expect(starts.has(keyOf(effect.command))).toBe(false);
            expect(before.stopping).toBeUndefined();
            starts.add(keyOf(effect.command));
          }
          for (const entry of registryOf(state, { monotonicMs: index * 50, bootId: 'boot' }, () => ({}))) {
            RegistryEntry.parse(JSON.parse(JSON.stringify(entry)));
          }
        }
        expect(stops).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });
});
