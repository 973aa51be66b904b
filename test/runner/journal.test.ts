import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RunnerCommand } from '../../core/contract/runner.ts';
import { decide } from '../../runner/decide.ts';
import { Journal, replay } from '../../runner/journal.ts';
import { apply, EMPTY, type Fact, keyOf, type State } from '../../runner/state.ts';

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

/** One line for each decision. */
const LINES: readonly (readonly Fact[])[] = [
  FACTS.slice(0, 3),
  ...FACTS.slice(3).map((fact) => [fact]),
  [start(6, 'run_refused'), cancel(7, 'run_é')],
  [{ kind: 'signal', runId: 'run_é', attempt: 1, signal: 'SIGINT', monotonicMs: 9 }],
  [{ kind: 'outcome', runId: 'run_é', attempt: 1, outcome: { state: 'ended', signal: 'SIGINT' } }],
];

let folder: string;
let file: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-journal-'));
  file = path.join(folder, 'journal.ndjson');
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

/** What stands in the file before the zeros. */
const written = () => fs.readFileSync(file, 'utf8').replace(/\0+$/, '');
const stateAfter = (lines: number) => LINES.slice(0, lines).flat().reduce(apply, EMPTY);
const journalOf = (lines: readonly (readonly Fact[])[]): Buffer => {
  fs.rmSync(file, { force: true });
  const { journal } = Journal.open(file);
  for (const facts of lines) journal.append(facts);
  return fs.readFileSync(file);
};

// Each cut is a journal that is opened and synced anew, and a disk that others use too takes its time for that.
describe('the journal', { timeout: 120_000 }, () => {
  it('cut at any byte recovers the whole lines before the cut, is whole again with the next line, and repeats nothing', () => {
    const content = journalOf(LINES);
    const length = content.indexOf(0);
    const next = start(99, 'run_next');
    for (let cut = 0; cut <= length; cut += 1) {
      const lines = content.subarray(0, cut).filter((byte) => byte === 0x0a).length;
      // As a crash leaves it: the file ends there; or the rest of the room is still zeros.
      const zeros = Buffer.alloc(cut % 2 === 0 ? 0 : content.length - cut);
      fs.writeFileSync(file, Buffer.concat([content.subarray(0, cut), zeros]));
      const { journal, replayed } = Journal.open(file);
      expect(replayed.badLines).toBe(0);
      expect(replayed.state).toEqual(stateAfter(lines));
      redeliver(replayed.state);
      journal.append([next]);
      const again = replay(fs.readFileSync(file));
      expect(again.badLines).toBe(0);
      expect(again.state).toEqual(apply(replayed.state, next));
      for (const line of written().trimEnd().split('\n')) JSON.parse(line);
    }
  });

  /** The server delivers all that was not acknowledged, and the first five again though they were. */
  function redeliver(state: State): void {
    const taken = LINES.flat().flatMap((fact) => (fact.kind === 'taken' ? [fact] : []));
    const commands = taken
      .filter(({ number }) => number > state.lastTaken || number <= 5)
      .map(({ number, command }) => ({ ...command, number }) as RunnerCommand);
    const { facts, effects } = decide(state, { kind: 'commands', commands }, 0);
    expect(facts.map((fact) => fact.kind === 'taken' && fact.number)).toEqual(
      taken.map(({ number }) => number).filter((number) => number > state.lastTaken),
    );
    for (const effect of effects) {
      if (effect.kind === 'start') expect(state.runs.has(keyOf(effect.command))).toBe(false);
    }
  }

  it('loses a decision as a whole when a crash has kept only a later part of its line', () => {
    const content = journalOf(LINES.slice(0, 1));
    for (let lost = 1; lost < content.indexOf(0); lost += 1) {
      fs.writeFileSync(file, Buffer.concat([Buffer.alloc(lost), content.subarray(lost)]));
      const { journal, replayed } = Journal.open(file);
      expect(replayed).toEqual({ state: EMPTY, wholeBytes: 0, badLines: 0 });
      journal.append([start(1, 'run_x')]);
      expect(Journal.open(file).replayed.state).toEqual(apply(EMPTY, start(1, 'run_x')));
    }
  });

  it('recovers from any damage to its end: whatever bytes stand there, the next line is whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        const content = journalOf(LINES.slice(0, 4));
        fs.writeFileSync(file, Buffer.concat([content.subarray(0, content.indexOf(0)), garbage]));
        const { journal } = Journal.open(file);
        journal.append([start(5, 'run_next')]);
        const { state, badLines } = Journal.open(file).replayed;
        expect(badLines).toBe(0);
        expect(state).toEqual(apply(stateAfter(4), start(5, 'run_next')));
      }),
      { numRuns: 100 },
    );
  });

  it('passes over a line that a failing disk has spoilt, and says so', () => {
    fs.writeFileSync(file, `${JSON.stringify(FACTS[0])}\n\0\0\xffgarbage\n${JSON.stringify(FACTS[1])}\n`, 'latin1');
    const { replayed } = Journal.open(file);
    expect(replayed).toMatchObject({ badLines: 1, state: { lastTaken: 2 } });
  });

  it('grown long is replaced by what it amounts to', () => {
    const { journal } = Journal.open(file);
    for (const facts of LINES) journal.append(facts);
    const state = stateAfter(LINES.length);
    for (let count = 0; count < 20_000; count += 1) {
      journal.append([{ kind: 'acknowledged', runId: 'run_unknown_to_all_'.repeat(40), attempt: 1 }]);
      journal.compact(state);
      if (count > 500 && written().length < 2000) break;
    }
    expect(written().length).toBeLessThan(2000);
    journal.append([start(8, 'run_late')]);
    expect(Journal.open(file).replayed.state).toEqual(apply(state, start(8, 'run_late')));
  });

  it('does not hold what only this process has seen', () => {
    const { journal } = Journal.open(file);
    journal.append([{ kind: 'observed', runId: 'run_a', attempt: 1, live: { pid: 1 } }]);
    expect(written()).toBe('');
  });

  describe('whose disk fails', () => {
    afterEach(() => vi.restoreAllMocks());
    const full = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });

    it('holds nothing of a line that was written in part only, and takes the next one', () => {
      const { journal } = Journal.open(file);
      journal.append([start(1, 'run_a')]);
      const { writeSync } = fs;
      let writes = 0;
      vi.spyOn(fs, 'writeSync').mockImplementation(((
        fd: number,
        bytes: Buffer,
        offset: number,
        length: number,
        at: number,
      ) => {
        writes += 1;
        if (writes === 1) return writeSync(fd, bytes, offset, Math.min(length, 20), at);
        if (writes === 2) throw full();
        return writeSync(fd, bytes, offset, length, at);
      }) as typeof fs.writeSync);
      expect(() => journal.append([start(2, 'run_b')])).toThrow('ENOSPC');
      expect(replay(fs.readFileSync(file)).state.lastTaken).toBe(1);
      journal.append([start(2, 'run_c')]);
      expect(Journal.open(file).replayed).toMatchObject({ badLines: 0, state: { lastTaken: 2 } });
    });

    it('holds nothing of a line that could not be synced', () => {
      const { journal } = Journal.open(file);
      vi.spyOn(fs, 'fdatasyncSync').mockImplementationOnce(() => {
        throw new Error('EIO');
      });
      expect(() => journal.append([start(1, 'run_a')])).toThrow('EIO');
      expect(written()).toBe('');
    });

    it('goes on uncompacted, and is compacted later', () => {
      const { journal } = Journal.open(file);
      const long: Fact = { kind: 'acknowledged', runId: 'x'.repeat(600_000), attempt: 1 };
      journal.append([long]);
      journal.append([long]);
      vi.spyOn(fs, 'writeFileSync').mockImplementationOnce(() => {
        throw full();
      });
      journal.compact(EMPTY);
      expect(fs.existsSync(`${file}.tmp`)).toBe(false);
      journal.append([start(1, 'run_a')]);
      expect(Journal.open(file).replayed.state.lastTaken).toBe(1);
      journal.append([long]);
      journal.append([long]);
      journal.compact(apply(EMPTY, start(1, 'run_a')));
      expect(written().length).toBeLessThan(1000);
    });
  });
});
