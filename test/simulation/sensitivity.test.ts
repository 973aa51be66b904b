import { afterEach, describe, expect, it, vi } from 'vitest';
import { removalsOf } from './guards.ts';
import { sensitivity } from './sensitivity.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('what is taken out', () => {
  it('is it alone, and then all that covers it, whether it is a guard or a fence', () => {
    expect(removalsOf('limit.free')).toEqual([['limit.free']]);
    expect(removalsOf('check.stillDue')).toEqual([['check.stillDue'], ['check.stillDue', 'check.rowUnchanged']]);
    // Without its version nothing is left of a run: that is taken out of these transactions only.
    expect(removalsOf('run.sameAttempt')).toEqual([
      ['run.sameAttempt'],
      ['run.sameAttempt', 'run.unchanged@run.sameAttempt', 'event.appendedOnce@run.sameAttempt'],
    ]);
    expect(removalsOf('fence.generation')).toEqual([['fence.generation']]);
    expect(removalsOf('fence.heartbeatOrder')).toEqual([
      ['fence.heartbeatOrder'],
      ['fence.heartbeatOrder', 'heartbeat.inOrder'],
    ]);
  });
});

describe('a search for what is taken out', () => {
  const rowOf = async (name: string, seeds: number) => {
    const log = vi.spyOn(console, 'log').mockReturnValue();
    const areAllFound = await sensitivity([name], { from: 1, seeds, workers: 1 });
    return {
      areAllFound,
      row: log.mock.calls.map(([line]) => String(line)).find((line) => line.includes(`| ${name} |`)),
    };
  };

  it.each(['heartbeat.inOrder', 'looks.missingAfterStart'])('finds %s', { timeout: 60_000 }, async (name) => {
    const { areAllFound, row } = await rowOf(name, 20);
    expect(areAllFound).toBe(true);
    expect(row).toMatch(/^\| \S+ \| {2}\| (I\d+|truth): .+ \| \d+ \|$/);
  });

  it('says what it has not found, and what covers that', { timeout: 60_000 }, async () => {
    const { areAllFound, row } = await rowOf('withheld.rangeOnce', 1);
    expect(areAllFound).toBe(false);
    expect(row).toContain('| not found | > 1 |');
  });
});
