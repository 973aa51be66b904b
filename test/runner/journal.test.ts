import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal, replay } from '../../runner/journal.ts';
import { apply, EMPTY, type Fact } from '../../runner/state.ts';

const start = (number: number, runId: string): Fact => ({
  kind: 'taken',
  number,
  command: { kind: 'start', runId, attempt: 1, maxOutputBytes: 10 },
});
const cancel = (number: number, runId: string): Fact => ({
  kind: 'taken',
  number,
  command: { kind: 'cancel', runId, attempt: 1, cause: 'cancel', interruptMs: 1, terminateMs: 1 },
});
const FACTS: readonly Fact[] = [
  start(1, 'run_a'),
  start(2, 'run_é'),
  cancel(3, 'run_a'),
  { kind: 'signal', runId: 'run_a', attempt: 1, signal: 'SIGINT', monotonicMs: 5 },
  { kind: 'signal-missed', runId: 'run_a', attempt: 1 },
  { kind: 'outcome', runId: 'run_a', attempt: 1, outcome: { state: 'ended', exitCode: 0, output: 'a\nb→' } },
  cancel(4, 'run_tombstone'),
  { kind: 'acknowledged', runId: 'run_a', attempt: 1 },
  { kind: 'taken', number: 5, command: { kind: 'stop-vm' } },
];

let folder: string;
let file: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-journal-'));
  file = path.join(folder, 'journal.ndjson');
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

describe('the journal', () => {
  it('cut at any byte replays to the state of the whole lines before the cut', () => {
    const whole = FACTS.map((fact) => `${JSON.stringify(fact)}\n`).join('');
    const bytes = Buffer.from(whole);
    for (let length = 0; length <= bytes.length; length += 1) {
      const { state, badLines } = replay(bytes.subarray(0, length).toString('utf8'));
      const lines = bytes.subarray(0, length).filter((byte) => byte === 0x0a).length;
      expect(state).toEqual(FACTS.slice(0, lines).reduce(apply, EMPTY));
      expect(badLines).toBe(0);
    }
  });

  it('goes on behind the last whole line after a torn one', () => {
    const { journal } = Journal.open(file);
    journal.append(FACTS.slice(0, 2));
    fs.appendFileSync(file, '{"kind":"taken","nu');
    const again = Journal.open(file);
    expect(again.replayed.state.lastTaken).toBe(2);
    again.journal.append(FACTS.slice(2));
    const { replayed } = Journal.open(file);
    expect(replayed.badLines).toBe(0);
    expect(replayed.state).toEqual(FACTS.reduce(apply, EMPTY));
  });

  it('passes over a line that a failing disk has spoilt, and says so', () => {
    fs.writeFileSync(file, `${JSON.stringify(FACTS[0])}\n\0\0garbage\n${JSON.stringify(FACTS[1])}\n`);
    const { replayed } = Journal.open(file);
    expect(replayed).toMatchObject({ badLines: 1, state: { lastTaken: 2 } });
  });

  it('grown long is replaced by what it amounts to', () => {
    const { journal } = Journal.open(file);
    journal.append(FACTS);
    const state = FACTS.reduce(apply, EMPTY);
    for (let count = 0; count < 20_000; count += 1) {
      journal.append([{ kind: 'acknowledged', runId: 'run_unknown_to_all_'.repeat(4), attempt: 1 }]);
      journal.compact(state);
      if (count > 500 && fs.statSync(file).size < 2000) break;
    }
    expect(fs.statSync(file).size).toBeLessThan(2000);
    journal.append([start(6, 'run_late')]);
    expect(Journal.open(file).replayed.state).toEqual(apply(state, start(6, 'run_late')));
  });

  it('does not hold what only this process has seen', () => {
    const { journal } = Journal.open(file);
    journal.append([{ kind: 'observed', runId: 'run_a', attempt: 1, live: { pid: 1 } }]);
    expect(fs.readFileSync(file, 'utf8')).toBe('');
  });
});
