/** What counts as a search that shows something: the reports are pan's own, shortened. */
import { describe, expect, it } from 'vitest';
import { readReport } from './spin.ts';

const report = (errors: number, ...lines: readonly string[]) =>
  [
    ...lines,
    '(Spin Version 6.5.2 -- 6 December 2019)',
    `State-vector 124 byte, depth reached 170, errors: ${errors}`,
    ' 11541350 states, stored',
  ].join('\n');

describe('a search', () => {
  it('that ends without an error is exhausted', () => {
    expect(readReport(report(0))).toMatchObject({ isExhausted: true, error: undefined, states: 11541350, depth: 170 });
  });

  it.each([
    ['error: max search depth too small'],
    ['pan: reached -DMEMLIM bound'],
    ['Interrupted\nWarning: Search not completed'],
    ['Bit statespace search for:'],
  ])('that says "%s" is not', (line) => {
    expect(readReport(report(0, line))).toMatchObject({ isExhausted: false, error: undefined });
  });

  it('that was killed, and says nothing at its end, is not', () => {
    expect(readReport('Depth=     173 States=    1e+06').isExhausted).toBe(false);
  });

  it('names the assertion that does not hold, or what else is wrong', () => {
    const line = 'pan:1: assertion violated (work!=5) (at depth 105)';
    expect(readReport(report(1, line, 'Warning: Search not completed'))).toMatchObject({
      isExhausted: false,
      error: 'assertion violated (work!=5)',
    });
    expect(readReport(report(1, 'pan:1: invalid end state (at depth 9)')).error).toBe('invalid end state');
  });

  it('names the assertions that no path has come to', () => {
    const unreached = '\trun.pml:184, state 491, "assert((work!=5))"\n\trun.pml:162, state 332, "stop = 1"';
    expect(readReport(report(0, unreached)).neverReached).toEqual(['run.pml:184 assert((work!=5))']);
  });
});
