/** What is refused, and in which words. */
import { describe, expect, it } from 'vitest';
import { toAwsExpression } from '../../../core/cadence/aws.ts';
import { parseCron } from '../../../core/cadence/parse.ts';

const INVALID: readonly (readonly [cron: string, says: string])[] = [
  ['', 'must have 5 fields'],
  ['* * * *', 'it has 4'],
  ['0 * * * * ? *', 'leave out the seconds'],
  ['@reboot', 'names no time'],
  ['@every 5m', 'use the cadence "every"'],
  ['@fortnightly', '@fortnightly is not known: use one of @yearly'],
  ['cron(0 9 * * ? *)', 'leave out "cron("'],
  ['rate(5 minutes)', 'use the cadence "every"'],
  ['at(2027-01-01T00:00:00)', 'use the cadence "at"'],
  ['60 * * * *', 'minute 60 is above the highest value, 59: use 0 to 59'],
  ['0 24 * * *', 'hour 24 is above the highest value, 23'],
  ['0 0 0 * *', 'day-of-month 0 is below the lowest value, 1'],
  ['0 0 32 * *', 'day-of-month 32 is above the highest value, 31'],
  ['0 0 * 0 *', 'month 0 is below the lowest value, 1: use 1 to 12 or JAN to DEC'],
  ['0 0 * 13 *', 'month 13 is above'],
  ['0 0 * * 8', 'day-of-week 8 is above the highest value, 7: use 0 to 7 or SUN to SAT'],
  ['0 0 * * MONDAY', 'day-of-week "MONDAY" cannot be read: use 0 to 7 or SUN to SAT'],
  ['0 0 * MON *', 'month "MON" cannot be read: use 1 to 12 or JAN to DEC'],
  ['JAN * * * *', 'minute "JAN" cannot be read'],
  ['-5 * * * *', 'minute "-5" cannot be read'],
  ['1.5 * * * *', 'minute "1.5" cannot be read'],
  ['1- * * * *', 'minute "1-" cannot be read'],
  ['1-2-3 * * * *', 'minute "1-2-3" cannot be read'],
  ['*-5 * * * *', 'minute "*-5" cannot be read'],
  ['** * * * *', 'minute "**" cannot be read'],
  ['1,,2 * * * *', 'minute "1,,2" has an empty item in its list'],
  ['1, * * * *', 'has an empty item'],
  ['30-10 * * * *', 'minute "30-10" runs backwards, from 30 to 10: write 30-59,0-10'],
  ['0 22-2 * * *', 'hour "22-2" runs backwards, from 22 to 2: write 22-23,0-2'],
  ['0 0 * * FRI-MON', 'day-of-week "FRI-MON" runs backwards'],
  ['*/0 * * * *', 'the smallest step is 1'],
  ['*/ * * * *', 'minute "*/" needs a whole number from 1 to 60 after the /'],
  ['*/x * * * *', 'needs a whole number from 1 to 60'],
  ['*/5/2 * * * *', 'needs a whole number'],
  ['/5 * * * *', 'minute "/5" cannot be read'],
  ['*/90 * * * *', 'use a step from 1 to 60, or the cadence "every"'],
  ['0 */25 * * *', 'use a step from 1 to 24'],
  ['5/10 * * * *', 'write 5-59/10'],
  ['0 0 ? * *', 'day-of-month "?" has ?, but there it may have only , - * /: write *'],
  ['0 0 L * *', 'stand in the day fields of the 6-field form'],
  ['0 0 * * 5#2', 'stand in the day fields of the 6-field form'],
  ['0 9 1-30 * 1-5', 'Make two schedules, "0 9 1-30 * *" and "0 9 * * 1-5"'],
  ['0 9 1 * MON', 'Make two schedules, "0 9 1 * *" and "0 9 * * MON"'],
  ['0 9 1,15 * 1-6', 'Make two schedules, "0 9 1,15 * *" and "0 9 * * 1-6"'],
  ['0 9 */2 * MON', 'wants both to match, which EventBridge Scheduler cannot say'],
  ['0 9 1 * */2', 'wants both to match'],
  ['0 0 * * * *', 'one of the two must be ?: write "0 0 ? * * *"'],
  ['0 0 1 * * *', 'one of the two must be ?: write "0 0 1 * ? *"'],
  ['0 0 * * MON *', 'one of the two must be ?: write "0 0 ? * MON *"'],
  ['0 9 1 * MON *', 'make two schedules, "0 9 1 * ? *" and "0 9 ? * MON *"'],
  ['0 0 ? * ? *', 'has ? in both day fields: write * in one of them, such as "0 0 * * ? *"'],
  ['? 0 * * ? *', 'minute "?" has ?, but there it may have only'],
  ['0 0 ? * 0 *', 'day-of-week 0 is below the lowest value, 1: use 1 to 7 or SUN to SAT'],
  ['0 0 ? * 8 *', 'day-of-week 8 is above the highest value, 7'],
  ['0 0 ? * 8L *', 'day-of-week 8 is above'],
  ['0 0 ? * 3#0 *', 'only 1 to 5'],
  ['0 0 ? * 3#6 *', 'names instance 6, but a month has only 1 to 5'],
  ['0 0 ? * 3#1,6#3 *', 'day-of-week "3#1" has #, which is known there only alone'],
  ['0 0 ? * 2L,6L *', 'known there only alone'],
  ['0 0 ? * 2/2 *', 'list the days, such as MON,WED,FRI'],
  ['0 0 ? * 15W *', 'day-of-week "15W" has W, but there it may have only , - * ? L #'],
  ['0 0 1,L * ? *', 'day-of-month "L" has L, which is known there only alone'],
  ['0 0 1W,15W * ? *', 'day-of-month "1W" has W, which is known there only alone'],
  ['0 0 32W * ? *', 'day-of-month 32 is above the highest value, 31'],
  ['0 0 LW * ? *', 'LW (the last workday) is not documented'],
  ['0 0 L-3 * ? *', 'L-3 (days before the last) is not documented'],
  ['0 0 * * ? 1969', 'year 1969 is below the lowest value, 1970'],
  ['0 0 * * ? 2200', 'year 2200 is above the highest value, 2199'],
  ['0 0 * * ? 2030-2027', 'put the earlier year first'],
  ['0 0 * * ? ?', 'year "?" has ?'],
];

describe('an invalid cron expression', () => {
  it.each(INVALID)('"%s" is refused: %s', (cron, says) => {
    const result = parseCron(cron);
    expect(result.ok ? 'accepted' : result.problem).toContain(says);
  });

  it('gives remedies that are themselves accepted', () => {
    const quoted = INVALID.flatMap(([cron]) => {
      const result = parseCron(cron);
      const remedy = result.ok ? '' : result.problem.slice(result.problem.search(/such as "|write "|schedules, "/));
      return result.ok || remedy === ''
        ? []
        : [...remedy.matchAll(/"([^"]+(?: [^"]+){4,5})"/g)].map(([, text = '']) => text);
    });
    expect(quoted.length).toBeGreaterThan(8);
    expect(quoted.filter((text) => !parseCron(text).ok)).toEqual([]);
  });
});

describe('a valid cron expression', () => {
  it('is kept with single spaces and capitals', () => {
    expect(parseCron(' 0  9 * jan mon-fri ')).toMatchObject({
      ok: true,
      cron: { form: 'unix', text: '0 9 * JAN MON-FRI' },
    });
  });

  it.each([
    '0 0 * * 0-7',
    '0-59 0-23 1-31 * *',
    '*,5 * * * *',
    '0 0 */1 * MON',
    '*/5 0/2 1/3 */2 ? 2027/2',
    '0-15/1 8-8 ? * 2,3,4,5,6,7 *',
    '30-30 13-13 ? * 2,4,6 *',
    '1-31/30 1-1 ? * 1,7 *',
    '0 0 ? * MON#1 *',
    '0 0 ? * fril *',
    '0 0 ? * SAT-THU *',
    '0 0 25-5 * ? *',
    '0 0 ? NOV-FEB TUE 1970-2199',
  ])('%s is accepted', (cron) => {
    expect(parseCron(cron)).toMatchObject({ ok: true });
  });
});

describe('both day fields of Unix, where one of them names all days', () => {
  const days = (cron: string) => {
    const result = parseCron(cron);
    return result.ok ? result.cron.days : result.problem;
  };

  it.each(['1-31 * 1', '15 * 1-7', '1-31 * 0-6', '1-31/1 * MON-FRI', '1-15,16-31 * SUN', '15 * SUN-SAT', '*/1 * */1'])(
    '%s is every day: either suffices, or neither restricts',
    (text) => {
      expect(days(`0 0 ${text}`)).toEqual({ kind: 'any' });
    },
  );

  it.each([
    ['*/1 * 1', { kind: 'weekdays', weekdays: [1] }],
    ['*,5 * 1', { kind: 'weekdays', weekdays: [1] }],
    ['1-31 * */2', { kind: 'weekdays', weekdays: [0, 2, 4, 6] }],
    ['15 * */1', { kind: 'dates', dates: [15] }],
    ['*/15 * 0-7', { kind: 'dates', dates: [1, 16, 31] }],
  ])('%s is restricted by the other field: one begins with *, so both must match', (text, rule) => {
    expect(days(`0 0 ${text}`)).toEqual(rule);
  });

  it('is said to AWS as every day', () => {
    expect(toAwsExpression({ kind: 'cron', cron: '0 0 1-31 * 1', timezone: 'UTC' })).toMatchObject({
      expression: 'cron(0 0 * * ? *)',
    });
  });
});
