import { afterEach, describe, expect, it, vi } from 'vitest';
import { removalsOf, SECOND_LOCKS } from './guards.ts';
import { outcomeOf, sensitivity } from './sensitivity.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('what is taken out', () => {
  it('is it alone, and then all that covers it, whether it is a guard or a fence', () => {
    expect(removalsOf('limit.free')).toEqual([['limit.free']]);
    expect(removalsOf('check.stillDue')).toEqual([['check.stillDue'], ['check.stillDue', 'check.rowUnchanged']]);
    expect(removalsOf('fence.generation')).toEqual([['fence.generation']]);
    expect(removalsOf('fence.heartbeatOrder')).toEqual([
      ['fence.heartbeatOrder'],
      ['fence.heartbeatOrder', 'heartbeat.inOrder'],
    ]);
  });
});

describe('what is said in the end', () => {
  const [lock = ''] = Object.keys(SECOND_LOCKS);

  it('is as expected where only second locks are not found', () => {
    expect(outcomeOf([lock, 'limit.free'], ['limit.free'])).toEqual({
      lines: ['1 of 2 found; second locks, not found as expected: 1'],
      isAsExpected: true,
    });
  });

  it('is not as expected where anything else is not found, though others cover it', () => {
    const { lines, isAsExpected } = outcomeOf([lock, 'check.stillDue', 'skew.lease'], []);
    expect(lines).toContain('not found: check.stillDue, skew.lease');
    expect(isAsExpected).toBe(false);
  });

  it('names a second lock that is found', () => {
    const { lines, isAsExpected } = outcomeOf([lock], [lock]);
    expect(lines).toContain(`${lock} is found, so it is no second lock: take it out of SECOND_LOCKS (guards.ts)`);
    expect(isAsExpected).toBe(true);
  });
});

describe('a search for what is taken out', () => {
  const rowOf = async (name: string, seeds: number) => {
    const log = vi.spyOn(console, 'log').mockReturnValue();
    const isAsExpected = await sensitivity([name], { from: 1, seeds, workers: 1 });
    return {
      isAsExpected,
      row: log.mock.calls.map(([line]) => String(line)).find((line) => line.includes(`| ${name} |`)),
    };
  };

  it.each(['heartbeat.inOrder', 'looks.missingAfterStart'])('finds %s', { timeout: 60_000 }, async (name) => {
    const { isAsExpected, row } = await rowOf(name, 20);
    expect(isAsExpected).toBe(true);
    expect(row).toMatch(/^\| \S+ \| {2}\| (I\d+|truth): .+ \| \d+ \|$/);
  });

  it('does not call it a second lock when it has merely not been found', { timeout: 60_000 }, async () => {
    const { isAsExpected, row } = await rowOf('withheld.rangeOnce', 1);
    expect(isAsExpected).toBe(false);
    expect(row).toContain('| not found | > 1 |');
  });

  it('expects to find nothing without a second lock', { timeout: 60_000 }, async () => {
    const { isAsExpected, row } = await rowOf('correction.once', 1);
    expect(isAsExpected).toBe(true);
    expect(row).toContain(
      '| run.unchanged, event.appendedOnce | a second lock: nothing more breaks without it | > 1 |',
    );
  });
});
