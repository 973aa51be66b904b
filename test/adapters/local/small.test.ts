/** The adapters that are a few lines each. */
import { describe, expect, it } from 'vitest';
import { createLog } from '../../../adapters/local/log.ts';
import { randomIds } from '../../../adapters/system/ids.ts';
import { idPattern } from '../../../core/ids.ts';

describe('ids', () => {
  it('have the shape of the API, order by time, and never repeat', () => {
    const earlier = randomIds.next('run_', 1000);
    const later = randomIds.next('run_', 2000);

    expect(earlier).toMatch(idPattern('run_'));
    expect(earlier < later).toBe(true);
    expect(randomIds.next('run_', 1000)).not.toBe(earlier);
    expect(randomIds.writer()).not.toBe(randomIds.writer());
    expect(randomIds.secret().length).toBeGreaterThanOrEqual(43);
  });
});

describe('the operating log', () => {
  it('writes one JSON object per line, errors with their text, and leaves out what is below its level', () => {
    const lines: string[] = [];
    const log = createLog({ level: 'warn', write: (line) => lines.push(line), now: () => 0 });
    const circular: Record<string, unknown> = {};
    circular.self = circular;

    log.info('left.out');
    log.warn('kept', { error: new RangeError('too far'), event: 'not mine', big: 1n });
    log.error('odd', circular);

    expect(lines.every((line) => line.endsWith('\n'))).toBe(true);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        at: '1970-01-01T00:00:00.000Z',
        level: 'warn',
        event: 'kept',
        error: { name: 'RangeError', message: 'too far' },
        big: '1',
      },
      { at: '1970-01-01T00:00:00.000Z', level: 'error', event: 'odd', facts: expect.any(String) },
    ]);
  });
});
