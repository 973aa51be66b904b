/** Every cron example that AWS documents, and the expressions that people write in crontabs, each with its occurrences. */
import { describe, expect, it } from 'vitest';
import { nextOccurrence, occurrences } from '../../../core/cadence/occurrences.ts';
import { parseCron } from '../../../core/cadence/parse.ts';

const iso = (at: number) => new Date(at).toISOString().slice(0, 16);
const firstOf = (cron: string, from: string, count: number, timezone = 'UTC') =>
  occurrences({ kind: 'cron', cron, timezone }, Date.parse(`${from}Z`) - 1, count).map(iso);

/** 2026-12-04 is a Friday. */
const FRIDAY_EVENING = '2026-12-04T17:45';

interface Example {
  readonly cron: string;
  readonly says: string;
  readonly from: string;
  readonly first: readonly string[];
  /** There are no more than these. */
  readonly all?: true;
}

/** EventBridge user guide, "Cron expressions reference", and EventBridge Scheduler user guide, "Schedule types". */
const AWS_EXAMPLES: readonly Example[] = [
  {
    cron: '0 10 * * ? *',
    says: 'at 10:00 am every day',
    from: FRIDAY_EVENING,
    first: ['2026-12-05T10:00', '2026-12-06T10:00', '2026-12-07T10:00'],
  },
  {
    cron: '15 12 * * ? *',
    says: 'at 12:15 pm every day',
    from: FRIDAY_EVENING,
    first: ['2026-12-05T12:15', '2026-12-06T12:15'],
  },
  {
    cron: '0 18 ? * MON-FRI *',
    says: 'at 6:00 pm every Monday through Friday',
    from: FRIDAY_EVENING,
    first: ['2026-12-04T18:00', '2026-12-07T18:00', '2026-12-08T18:00'],
  },
  {
    cron: '0 8 1 * ? *',
    says: 'at 8:00 am every 1st day of the month',
    from: FRIDAY_EVENING,
    first: ['2027-01-01T08:00', '2027-02-01T08:00', '2027-03-01T08:00'],
  },
  {
    cron: '0/15 * * * ? *',
    says: 'every 15 minutes',
    from: FRIDAY_EVENING,
    first: ['2026-12-04T17:45', '2026-12-04T18:00', '2026-12-04T18:15', '2026-12-04T18:30', '2026-12-04T18:45'],
  },
  {
    cron: '0/10 * ? * MON-FRI *',
    says: 'every 10 minutes Monday through Friday',
    from: '2026-12-04T23:35',
    first: ['2026-12-04T23:40', '2026-12-04T23:50', '2026-12-07T00:00', '2026-12-07T00:10'],
  },
  {
    cron: '0/5 8-17 ? * MON-FRI *',
    says: 'every 5 minutes Monday through Friday between 8:00 am and 5:55 pm',
    from: FRIDAY_EVENING,
    first: ['2026-12-04T17:45', '2026-12-04T17:50', '2026-12-04T17:55', '2026-12-07T08:00', '2026-12-07T08:05'],
  },
  {
    cron: '0/30 20-2 ? * MON-FRI *',
    says: 'every 30 minutes, the evenings and the small hours of Monday through Friday, "12:00 am to 2:00 am on Monday morning" included',
    from: '2026-12-04T23:00',
    first: [
      '2026-12-04T23:00',
      '2026-12-04T23:30',
      '2026-12-07T00:00',
      '2026-12-07T00:30',
      '2026-12-07T01:00',
      '2026-12-07T01:30',
      '2026-12-07T02:00',
      '2026-12-07T02:30',
      '2026-12-07T20:00',
    ],
  },
  {
    cron: '0 12 * * ? *',
    says: 'every day at 12:00 pm',
    from: FRIDAY_EVENING,
    first: ['2026-12-05T12:00', '2026-12-06T12:00'],
  },
  {
    cron: '5,35 14 * * ? *',
    says: 'every day, at 2:05 pm and 2:35 pm',
    from: FRIDAY_EVENING,
    first: ['2026-12-05T14:05', '2026-12-05T14:35', '2026-12-06T14:05'],
  },
  {
    cron: '15 10 ? * 6L 2019-2022',
    says: 'at 10:15 am on the last Friday of each month during the years 2019 to 2022',
    from: '2022-10-01T00:00',
    first: ['2022-10-28T10:15', '2022-11-25T10:15', '2022-12-30T10:15'],
    all: true,
  },
  {
    cron: '15 10 ? * 6L 2022-2023',
    says: 'at 10:15 am on the last Friday of each month during the years 2022 to 2023',
    from: '2023-11-01T00:00',
    first: ['2023-11-24T10:15', '2023-12-29T10:15'],
    all: true,
  },
  {
    cron: '1/10 * * * ? *',
    says: 'every tenth minute, starting from the first minute of the hour: the 11th, 21st, and 31st minute',
    from: '2026-12-04T17:00',
    first: ['2026-12-04T17:01', '2026-12-04T17:11', '2026-12-04T17:21', '2026-12-04T17:31'],
  },
  {
    cron: '0 0 1-15 * ? *',
    says: 'days 1 through 15 of the month',
    from: '2026-12-14T00:00',
    first: ['2026-12-14T00:00', '2026-12-15T00:00', '2027-01-01T00:00'],
  },
  {
    cron: '0 0 1 JAN,FEB,MAR ? *',
    says: 'January, February, and March',
    from: FRIDAY_EVENING,
    first: ['2027-01-01T00:00', '2027-02-01T00:00', '2027-03-01T00:00', '2028-01-01T00:00'],
  },
  {
    cron: '0 0 7 * ? *',
    says: 'the 7th, on any day of the week',
    from: FRIDAY_EVENING,
    first: ['2026-12-07T00:00', '2027-01-07T00:00'],
  },
  {
    cron: '0 0 L * ? *',
    says: 'the last day of the month',
    from: FRIDAY_EVENING,
    first: ['2026-12-31T00:00', '2027-01-31T00:00', '2027-02-28T00:00', '2027-03-31T00:00'],
  },
  {
    cron: '0 0 ? * L *',
    says: 'the last day of the week',
    from: FRIDAY_EVENING,
    first: ['2026-12-05T00:00', '2026-12-12T00:00'],
  },
  {
    cron: '0 0 3W * ? *',
    says: 'the weekday closest to the third day of the month (2027-01-03 is a Sunday, 2027-04-03 a Saturday)',
    from: FRIDAY_EVENING,
    first: ['2027-01-04T00:00', '2027-02-03T00:00', '2027-03-03T00:00', '2027-04-02T00:00'],
  },
  {
    cron: '0 0 ? * 3#2 *',
    says: 'the second Tuesday of the month',
    from: FRIDAY_EVENING,
    first: ['2026-12-08T00:00', '2027-01-12T00:00', '2027-02-09T00:00'],
  },
];

const UNIX_EXAMPLES: readonly (readonly [cron: string, from: string, first: readonly string[]])[] = [
  ['* * * * *', FRIDAY_EVENING, ['2026-12-04T17:45', '2026-12-04T17:46', '2026-12-04T17:47']],
  ['*/5 * * * *', '2026-12-04T17:51', ['2026-12-04T17:55', '2026-12-04T18:00', '2026-12-04T18:05']],
  ['*/7 * * * *', '2026-12-04T17:50', ['2026-12-04T17:56', '2026-12-04T18:00', '2026-12-04T18:07']],
  ['0 * * * *', FRIDAY_EVENING, ['2026-12-04T18:00', '2026-12-04T19:00']],
  ['@hourly', FRIDAY_EVENING, ['2026-12-04T18:00', '2026-12-04T19:00']],
  ['@daily', FRIDAY_EVENING, ['2026-12-05T00:00', '2026-12-06T00:00']],
  ['@midnight', FRIDAY_EVENING, ['2026-12-05T00:00', '2026-12-06T00:00']],
  ['@weekly', FRIDAY_EVENING, ['2026-12-06T00:00', '2026-12-13T00:00']],
  ['@monthly', FRIDAY_EVENING, ['2027-01-01T00:00', '2027-02-01T00:00']],
  ['@yearly', FRIDAY_EVENING, ['2027-01-01T00:00', '2028-01-01T00:00']],
  ['@Annually', FRIDAY_EVENING, ['2027-01-01T00:00', '2028-01-01T00:00']],
  ['30 4 * * 1-5', FRIDAY_EVENING, ['2026-12-07T04:30', '2026-12-08T04:30']],
  ['0 9-17/2 * * MON-FRI', '2026-12-04T16:00', ['2026-12-04T17:00', '2026-12-07T09:00', '2026-12-07T11:00']],
  ['0 0 * * 0', FRIDAY_EVENING, ['2026-12-06T00:00', '2026-12-13T00:00']],
  ['0 0 * * 7', FRIDAY_EVENING, ['2026-12-06T00:00', '2026-12-13T00:00']],
  ['0 0 * * 0,7', FRIDAY_EVENING, ['2026-12-06T00:00', '2026-12-13T00:00']],
  ['0 0 * * 5-7', FRIDAY_EVENING, ['2026-12-05T00:00', '2026-12-06T00:00', '2026-12-11T00:00']],
  [
    '0 22 * * fri-sun',
    FRIDAY_EVENING,
    ['2026-12-04T22:00', '2026-12-05T22:00', '2026-12-06T22:00', '2026-12-11T22:00'],
  ],
  ['0 22 * * sun-sun', FRIDAY_EVENING, ['2026-12-06T22:00', '2026-12-13T22:00']],
  ['0 0 * * */2', FRIDAY_EVENING, ['2026-12-05T00:00', '2026-12-06T00:00', '2026-12-08T00:00']],
  ['0 0 29 2 *', FRIDAY_EVENING, ['2028-02-29T00:00', '2032-02-29T00:00']],
  ['0 0 29 2 *', '2096-03-01T00:00', ['2104-02-29T00:00']],
  ['0 0 31 * *', FRIDAY_EVENING, ['2026-12-31T00:00', '2027-01-31T00:00', '2027-03-31T00:00']],
  ['15,45 8,20 * * *', FRIDAY_EVENING, ['2026-12-04T20:15', '2026-12-04T20:45', '2026-12-05T08:15']],
  ['5-59/20 1 * * *', FRIDAY_EVENING, ['2026-12-05T01:05', '2026-12-05T01:25', '2026-12-05T01:45', '2026-12-06T01:05']],
  ['0 0 */10 * *', FRIDAY_EVENING, ['2026-12-11T00:00', '2026-12-21T00:00', '2026-12-31T00:00', '2027-01-01T00:00']],
  ['0 0 * jan,JUL Mon', FRIDAY_EVENING, ['2027-01-04T00:00', '2027-01-11T00:00']],
  ['0 0 1 */3 *', FRIDAY_EVENING, ['2027-01-01T00:00', '2027-04-01T00:00', '2027-07-01T00:00']],
  ['*/60 */24 * * *', FRIDAY_EVENING, ['2026-12-05T00:00', '2026-12-06T00:00']],
  ['  05 \t 06  *  *  * ', FRIDAY_EVENING, ['2026-12-05T06:05']],
];

/** Where AWS is silent: our rules, those of Quartz (unverified on AWS). */
const AWS_SILENT: readonly (readonly [cron: string, from: string, first: readonly string[]])[] = [
  // 2027-05-01 is a Saturday: not over the edge of the month.
  ['0 0 1W * ? *', '2027-04-15T00:00', ['2027-05-03T00:00', '2027-06-01T00:00']],
  // 2027-01-31 and 2027-10-31 are Sundays; February has no 31st.
  ['0 0 31W * ? *', '2027-01-15T00:00', ['2027-01-29T00:00', '2027-03-31T00:00']],
  ['0 0 ? * 1#5 *', '2027-01-15T00:00', ['2027-01-31T00:00', '2027-05-30T00:00']],
  ['0 0 ? FEB 1#5 *', '2027-01-15T00:00', ['2032-02-29T00:00', '2060-02-29T00:00']],
  [
    '0 0 ? * FRI-MON *',
    '2026-12-01T00:00',
    ['2026-12-04T00:00', '2026-12-05T00:00', '2026-12-06T00:00', '2026-12-07T00:00', '2026-12-11T00:00'],
  ],
  ['0 22-2/2 * * ? *', '2026-12-01T01:00', ['2026-12-01T02:00', '2026-12-01T22:00', '2026-12-02T00:00']],
  ['0 0 1 1 ? 2028/2', '2026-12-01T00:00', ['2028-01-01T00:00', '2030-01-01T00:00']],
];

describe('the cron examples that AWS documents', () => {
  it.each(AWS_EXAMPLES)('$cron fires $says', ({ cron, from, first, all }) => {
    expect(firstOf(cron, from, all === true ? first.length + 1 : first.length)).toEqual(first);
  });
});

describe('cron expressions as in crontabs', () => {
  it.each(UNIX_EXAMPLES)('%s from %s', (cron, from, first) => {
    expect(firstOf(cron, from, first.length)).toEqual(first);
  });
});

describe('what AWS does not document', () => {
  it.each(AWS_SILENT)('%s from %s', (cron, from, first) => {
    expect(firstOf(cron, from, first.length)).toEqual(first);
  });
});

describe('a pattern that never fires', () => {
  it.each([
    ['0 0 31 2 *', 'UTC'],
    ['0 0 30 FEB ? *', 'UTC'],
    ['0 0 ? FEB 1#5 2027', 'UTC'],
    ['0 0 * * ? 2025', 'UTC'],
    // On the last Sunday of March the clock of Berlin jumps over half past two, every year.
    ['30 2 ? MAR 1L *', 'Europe/Berlin'],
  ])('%s in %s is found out quickly', (cron, timezone) => {
    expect(parseCron(cron)).toMatchObject({ ok: true });
    const begin = performance.now();
    expect(nextOccurrence({ kind: 'cron', cron, timezone }, Date.UTC(2026, 11, 1))).toBeUndefined();
    expect(performance.now() - begin).toBeLessThan(500);
  });

  it('ends with the year 2199, as the years of AWS do', () => {
    expect(firstOf('0 0 31 12 *', '2199-01-01T00:00', 2)).toEqual(['2199-12-31T00:00']);
  });
});
