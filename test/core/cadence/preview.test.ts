/** What a preview answers at the edges: times that are over, the last year, sparse cadences. */
import { describe, expect, it } from 'vitest';
import { CoreConfig } from '../../../core/config.ts';
import { Instant } from '../../../core/contract/common.ts';
import { PreviewRequest } from '../../../core/contract/schedules.ts';
import { InvalidRequest } from '../../../core/errors.ts';
import { acceptCadence } from '../../../core/schedules/cadenceRequest.ts';
import { previewCadence } from '../../../core/schedules/preview.ts';

const NOW = Date.parse('2027-01-01T00:00:00Z');
const ports = { time: { now: () => NOW, sleep: async () => {} }, config: CoreConfig.parse({}) };
const preview = (request: object) => previewCadence(ports, PreviewRequest.parse(request));

describe('a preview of a single time', () => {
  const at = '2027-07-01T10:00:00Z';

  it('that is past answers what it is: no occurrence, and why; a creation refuses it', () => {
    const body = preview({ cadence: { at: '2026-12-31T23:00:00Z', timezone: 'Asia/Tokyo' } });
    expect(body).toMatchObject({
      occurrences: [],
      awsExpression: { expression: 'at(2027-01-01T08:00:00)', timezone: 'Asia/Tokyo' },
      warnings: ['never fires: its only time, 2026-12-31T23:00:00Z, is before 2027-01-01T00:00:00Z'],
    });
    expect(() => acceptCadence({ at: Date.parse('2026-12-31T23:00:00Z') }, undefined, NOW)).toThrow(InvalidRequest);
  });

  it('that lies between a given start and now is shown, as the past of any cadence is', () => {
    const body = preview({ cadence: { at: '2026-12-31T23:00:00Z' }, from: '2026-12-01T00:00:00Z' });
    expect(body.occurrences.map(({ utc }) => utc)).toEqual(['2026-12-31T23:00:00Z']);
  });

  it('that is now is shown, though a creation would come too late', () => {
    expect(preview({ cadence: { at: '2027-01-01T00:00:00Z' } }).occurrences).toHaveLength(1);
  });

  it.each([
    ['begins', { from: '2027-08-01T00:00:00Z' }],
    ['has its window', { window: { startAt: '2027-08-01T00:00:00Z' } }],
  ])('that %s after it warns that it never fires', (_, more) => {
    const body = preview({ cadence: { at }, ...more });
    expect(body.occurrences).toEqual([]);
    expect(body.warnings).toEqual([`never fires: its only time, ${at}, is before 2027-08-01T00:00:00Z`]);
  });
});

describe('a preview up to the year 9999', () => {
  it('answers nothing that could not be sent back', () => {
    const body = preview({ cadence: { every: '1d' }, from: '9999-12-29T00:00:00Z', count: 1000 });
    expect(body.occurrences.map(({ utc }) => utc)).toEqual([
      '9999-12-29T00:00:00Z',
      '9999-12-30T00:00:00Z',
      '9999-12-31T00:00:00Z',
    ]);
    expect(body.occurrences.filter(({ utc }) => !Instant.safeParse(utc).success)).toEqual([]);
  });

  it('warns where nothing is left before its end', () => {
    const body = preview({ cadence: { every: '1d' }, from: '9999-12-31T00:00:01Z' });
    expect(body.occurrences).toEqual([]);
    expect(body.warnings).toEqual(['never fires after 9999-12-31T00:00:01Z: no time after the year 9999 can be kept']);
  });
});

describe('a preview of a sparse cadence', () => {
  it('shows all times that there are, and the clock changes of ten years', () => {
    const leap = preview({ cadence: { cron: '0 0 29 2 *', timezone: 'Europe/Berlin' }, count: 1000 });
    expect(leap.occurrences).toHaveLength(42);
    expect(leap.occurrences.at(-1)?.utc).toBe('2196-02-28T23:00:00Z');
    // The last Sunday of March is its 31st in 2030, and then not before 2041.
    const spring = preview({ cadence: { cron: '30 2 31 3 *', timezone: 'Europe/Berlin' }, count: 1000 });
    expect(spring.warnings).toEqual([expect.stringContaining('does not exist on 2030-03-31')]);
  });
});
