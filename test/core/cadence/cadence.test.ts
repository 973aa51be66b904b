/** Single times, intervals, local texts and warnings. */
import { describe, expect, it } from 'vitest';
import { toAwsExpression } from '../../../core/cadence/aws.ts';
import { isOccurrence, nextOccurrence, occurrences } from '../../../core/cadence/occurrences.ts';
import { describeWarnings } from '../../../core/cadence/warnings.ts';
import { localText, offsetAt } from '../../../core/cadence/zone.ts';
import type { Cadence } from '../../../core/schedules/model.ts';

const time = (text: string) => Date.parse(text);
const cron = (expression: string, timezone: string): Cadence => ({ kind: 'cron', cron: expression, timezone });
const inZone = (cadence: Cadence, from: string, count: number, timezone: string) =>
  occurrences(cadence, time(from), count).map((at) => localText(at, timezone).slice(0, 25));

describe('at', () => {
  const at: Cadence = { kind: 'at', at: time('2027-01-31T09:00:00Z') };

  it('occurs once', () => {
    expect(occurrences(at, 0, 5)).toEqual([at.at]);
    expect(nextOccurrence(at, at.at - 1)).toBe(at.at);
    expect(nextOccurrence(at, at.at)).toBeUndefined();
  });
});

describe('every', () => {
  const daily: Cadence = { kind: 'every', everySeconds: 86_400, startAt: time('2027-03-26T08:00:00Z') };

  it('begins at its start and counts days of 24 hours, also over a change of the clock', () => {
    expect(inZone(daily, '2027-01-01T00:00:00Z', 4, 'Europe/Berlin')).toEqual([
      '2027-03-26T09:00:00+01:00',
      '2027-03-27T09:00:00+01:00',
      '2027-03-28T10:00:00+02:00',
      '2027-03-29T10:00:00+02:00',
    ]);
  });

  it('keeps its phase after any time', () => {
    expect(nextOccurrence(daily, daily.startAt)).toBe(daily.startAt + 86_400_000);
    expect(nextOccurrence(daily, time('2031-07-01T08:00:00Z') - 1)).toBe(time('2031-07-01T08:00:00Z'));
    expect(nextOccurrence(daily, time('2031-07-01T08:00:00Z'))).toBe(time('2031-07-02T08:00:00Z'));
  });
});

describe('the end of the year 9999', () => {
  const NEW_YEAR = Date.UTC(10_000, 0, 1);

  it('is the last of an interval: a later time could not be sent', () => {
    const quarterly: Cadence = { kind: 'every', everySeconds: 900, startAt: NEW_YEAR - 3_600_000 };
    const found = occurrences(quarterly, 0, 1000).map((at) => new Date(at).toISOString());
    expect([found.length, found.at(-1)]).toEqual([4, '9999-12-31T23:45:00.000Z']);
    expect(nextOccurrence(quarterly, NEW_YEAR - 1000)).toBeUndefined();
    expect(nextOccurrence({ ...quarterly, startAt: NEW_YEAR }, 0)).toBeUndefined();
    expect(describeWarnings(quarterly, NEW_YEAR - 1000, NEW_YEAR).map(({ message }) => message)).toEqual([
      'never fires after 9999-12-31T23:59:59Z: no time after the year 9999 can be kept',
    ]);
  });

  it('is the last of a single time, which is said in UTC where its zone is already further', () => {
    const last: Cadence = { kind: 'at', at: NEW_YEAR - 1000, timezone: 'Asia/Tokyo' };
    expect(nextOccurrence(last, 0)).toBe(last.at);
    expect(nextOccurrence({ kind: 'at', at: NEW_YEAR }, 0)).toBeUndefined();
    expect(toAwsExpression(last)).toEqual({ ok: true, expression: 'at(9999-12-31T23:59:59)', timezone: 'UTC' });
    expect(localText(last.at, 'Asia/Tokyo')).toBe('+010000-01-01T08:59:59+09:00[Asia/Tokyo]');
  });
});

describe('cron over a change of the clock', () => {
  it('skips a local time that does not exist', () => {
    expect(inZone(cron('30 2 * * *', 'Europe/Berlin'), '2027-03-27T00:00:00Z', 2, 'Europe/Berlin')).toEqual([
      '2027-03-27T02:30:00+01:00',
      '2027-03-29T02:30:00+02:00',
    ]);
  });

  it('fires once, the first time, at a local time that exists twice', () => {
    expect(inZone(cron('*/30 2 * * *', 'Europe/Berlin'), '2027-10-30T12:00:00Z', 3, 'Europe/Berlin')).toEqual([
      '2027-10-31T02:00:00+02:00',
      '2027-10-31T02:30:00+02:00',
      '2027-11-01T02:00:00+01:00',
    ]);
  });

  it('goes on after the repeated hour from within it', () => {
    expect(nextOccurrence(cron('* * * * *', 'Europe/Berlin'), time('2027-10-31T01:10:30Z'))).toBe(
      time('2027-10-31T02:00:00Z'),
    );
  });

  it('has no occurrence on the day that Apia left out', () => {
    expect(inZone(cron('0 12 * * *', 'Pacific/Apia'), '2011-12-29T00:00:00Z', 3, 'Pacific/Apia')).toEqual([
      '2011-12-29T12:00:00-10:00',
      '2011-12-31T12:00:00+14:00',
      '2012-01-01T12:00:00+14:00',
    ]);
  });

  it('is an occurrence at exactly its instants', () => {
    const cadence = cron('30 2 * * *', 'Europe/Berlin');
    expect(isOccurrence(cadence, time('2027-10-31T00:30:00Z'))).toBe(true);
    expect(isOccurrence(cadence, time('2027-10-31T01:30:00Z'))).toBe(false);
    expect(isOccurrence(cadence, time('2027-03-28T01:30:00Z'))).toBe(false);
  });

  it('knows the seconds of old local mean times', () => {
    expect(offsetAt('Africa/Monrovia', 0)).toBe(-(44 * 60 + 30) * 1000);
    expect(nextOccurrence(cron('0 12 * * *', 'Africa/Monrovia'), 0)).toBe(time('1970-01-01T12:44:30Z'));
  });

  it('refuses a zone that does not exist', () => {
    expect(() => nextOccurrence(cron('@daily', 'Mars/Olympus'), 0)).toThrow(RangeError);
  });
});

describe('localText', () => {
  it.each([
    ['2027-03-28T01:30:00Z', 'Europe/Berlin', '2027-03-28T03:30:00+02:00[Europe/Berlin]'],
    ['2027-01-01T00:00:00Z', 'UTC', '2027-01-01T00:00:00+00:00[UTC]'],
    ['2027-01-01T00:00:00Z', 'America/St_Johns', '2026-12-31T20:30:00-03:30[America/St_Johns]'],
    ['2027-01-01T00:00:00Z', 'Pacific/Chatham', '2027-01-01T13:45:00+13:45[Pacific/Chatham]'],
  ])('%s in %s', (at, timezone, text) => {
    expect(localText(time(at), timezone)).toBe(text);
  });
});

describe('warnings', () => {
  const YEAR = [time('2027-01-01T00:00:00Z'), time('2028-01-01T00:00:00Z')] as const;
  const messages = (cadence: Cadence) => describeWarnings(cadence, ...YEAR).map(({ message }) => message);

  it('are none for a harmless cadence', () => {
    expect(messages(cron('0 9 * * MON-FRI', 'Europe/Berlin'))).toEqual([]);
    expect(messages(cron('30 2 * * *', 'Asia/Tokyo'))).toEqual([]);
    expect(messages({ kind: 'every', everySeconds: 3600, startAt: 0 })).toEqual([]);
  });

  it('name the local times that a change of the clock skips or repeats', () => {
    expect(describeWarnings(cron('30 2 * * *', 'Europe/Berlin'), ...YEAR)).toEqual([
      {
        kind: 'skipped_local_times',
        changeAt: time('2027-03-28T01:00:00Z'),
        date: '2027-03-28',
        localTimes: ['02:30'],
        count: 1,
        message: '02:30 does not exist on 2027-03-28 in Europe/Berlin, where the clock is put forward: skipped',
      },
      {
        kind: 'repeated_local_times',
        changeAt: time('2027-10-31T01:00:00Z'),
        date: '2027-10-31',
        localTimes: ['02:30'],
        count: 1,
        message:
          '02:30 comes twice on 2027-10-31 in Europe/Berlin, where the clock is put back: fires only the first time (that it is the first is not documented by AWS)',
      },
    ]);
  });

  it('shorten long lists of local times', () => {
    expect(messages(cron('*/10 * * * *', 'Australia/Lord_Howe'))).toEqual([
      expect.stringContaining('01:30, 01:40, 01:50 come twice on 2027-04-04'),
      expect.stringContaining('02:00, 02:10, 02:20 do not exist on 2027-10-03'),
    ]);
    expect(messages(cron('* 1,2 * * *', 'Europe/Berlin'))[0]).toContain('02:04 and 55 more do not exist');
  });

  it('tell what never fires, and why', () => {
    expect(messages(cron('0 0 31 2 *', 'UTC'))).toEqual([
      'never fires after 2027-01-01T00:00:00Z: no such date exists',
    ]);
    expect(messages(cron('0 0 * * ? 2026', 'UTC'))[0]).toContain('the dates that it names are over');
    expect(messages({ kind: 'at', at: YEAR[0] - 1000 })[0]).toContain(
      'never fires: its only time, 2026-12-31T23:59:59Z, is before 2027-01-01T00:00:00Z',
    );
  });

  it('tell that a day field restricts nothing', () => {
    expect(messages(cron('0 9 1-31 * MON-FRI', 'UTC'))).toEqual([
      'fires every day: in Unix cron either day field suffices, and one of 1-31 and MON-FRI names all days; write * in the one that you do not mean',
    ]);
    expect(messages(cron('0 9 15 * 1-7', 'UTC'))[0]).toMatch(/^fires every day/);
    expect(messages(cron('0 9 */1 * MON', 'UTC'))).toEqual([]);
    expect(messages(cron('0 9 * * ? *', 'UTC'))).toEqual([]);
  });

  it('tell what fires often: from 288 times a day', () => {
    expect(messages(cron('* * * * *', 'UTC'))).toEqual(['fires 1,440 times a day']);
    expect(messages(cron('*/5 * * * *', 'UTC'))).toEqual(['fires 288 times a day']);
    expect(messages(cron('*/6 * * * *', 'UTC'))).toEqual([]);
    expect(messages({ kind: 'every', everySeconds: 60, startAt: 0 })).toEqual(['fires 1,440 times a day']);
  });

  it('are bounded over any range', () => {
    const many = describeWarnings(
      cron('30 2 * * *', 'Europe/Berlin'),
      time('2000-01-01T00:00:00Z'),
      time('2100-01-01T00:00:00Z'),
    );
    expect(many).toHaveLength(20);
  });
});
