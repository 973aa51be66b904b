/** What the real clock is told means the same, in the grammar that AWS documents. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXPRESSION_CHARACTERS_MAX, toAwsExpression } from '../../../core/cadence/aws.ts';
import { occurrences } from '../../../core/cadence/occurrences.ts';
import { anyExpression } from './expressions.ts';

const told = (cron: string, timezone = 'UTC') => toAwsExpression({ kind: 'cron', cron, timezone });
const every = (everySeconds: number) => toAwsExpression({ kind: 'every', everySeconds, startAt: 0 });
const at = (time: string, timezone?: string) =>
  toAwsExpression({ kind: 'at', at: Date.parse(time), ...(timezone !== undefined && { timezone }) });

/** Only what the table of fields and wildcards of the user guide shows; ranges in lists only from AWS's own answers. */
const VALUE = '(?:\\d+(?:-\\d+)?)';
const LIST = `(?:\\*|\\d+/\\d+|${VALUE}(?:,${VALUE})*)`;
const DAY = '(?:SUN|MON|TUE|WED|THU|FRI|SAT)';
const DOCUMENTED = new RegExp(
  `^cron\\(${LIST} ${LIST} (?:(?:${LIST}|L|\\d+W) ${LIST} \\?|\\? ${LIST} (?:${DAY}-${DAY}|${DAY}(?:,${DAY})*|[1-7]L|[1-7]#[1-5])) ${LIST}\\)$`,
);

describe('the AWS expression of a cron cadence', () => {
  it.each([
    ['0 9 * * 1-5', 'cron(0 9 ? * MON-FRI *)'],
    ['@daily', 'cron(0 0 * * ? *)'],
    ['*/15 * * * *', 'cron(0/15 * * * ? *)'],
    ['0 0 * * 0', 'cron(0 0 ? * SUN *)'],
    ['0 0 * * 5-7', 'cron(0 0 ? * SUN,FRI,SAT *)'],
    ['0 8-17/3 1 JAN *', 'cron(0 8,11,14,17 1 1 ? *)'],
    ['0 20-2 ? * 2-6 *', 'cron(0 0,1,2,20,21,22,23 ? * MON-FRI *)'],
    ['15 10 ? * friL 2027-2028', 'cron(15 10 ? * 6L 2027,2028)'],
    ['0 0 ? * TUE#2 *', 'cron(0 0 ? * 3#2 *)'],
    ['0 0 15w * ? *', 'cron(0 0 15W * ? *)'],
    ['0 0 ? * * *', 'cron(0 0 * * ? *)'],
    ['0 0 ? * L *', 'cron(0 0 ? * SAT *)'],
  ])('%s is %s', (cron, expression) => {
    expect(told(cron)).toEqual({ ok: true, expression, timezone: 'UTC' });
  });

  it('names the same occurrences when it is read again, whatever was written', () => {
    let [cases, compared] = [0, 0];
    fc.assert(
      fc.property(anyExpression({ year: 2027, month: 3, day: 28, hour: 2 }), (cron) => {
        cases += 1;
        const answer = told(cron, 'Europe/Berlin');
        if (!answer.ok) throw new Error(`${cron}: ${answer.problem}`);
        expect(answer.expression).toMatch(DOCUMENTED);
        expect(answer.expression.length).toBeLessThanOrEqual(EXPRESSION_CHARACTERS_MAX);
        const again = answer.expression.slice(5, -1);
        const from = Date.UTC(2027, 2, 20);
        const of = (text: string) => occurrences({ kind: 'cron', cron: text, timezone: 'Europe/Berlin' }, from, 12);
        expect(of(again).join(), `${cron} as ${again}`).toBe(of(cron).join());
        compared += of(cron).length;
      }),
      { numRuns: 3000 },
    );
    process.stdout.write(`cadence: ${cases} AWS expressions read again, ${compared} occurrences, all equal\n`);
  });

  it('uses ranges in lists only where a plain list is too long', () => {
    const hours = '0,2-9,11-18,20-23';
    const short = told(`0,1,2,5 ${hours} * * *`);
    expect(short).toMatchObject({ expression: expect.stringContaining('0,1,2,5 0,2,3,4') });
    const long = told(`0-28,30-59 ${hours} 1-14,16-31 * *`);
    expect(long).toMatchObject({ expression: 'cron(0-28,30-59 0,2-9,11-18,20-23 1-14,16-31 * ? *)' });
  });

  it('is refused where it is longer than AWS takes, with a split that is not', () => {
    const years = Array.from({ length: 60 }, (_, index) => 2027 + Math.floor((index * 5) / 2)).join(',');
    const cron = `0 0 1 1 ? ${years}`;
    const answer = told(cron);
    expect(answer).toMatchObject({ ok: false, problem: expect.stringMatching(/has \d+ characters .* takes 256/) });
    const parts = answer.ok ? [] : [...answer.remedy.matchAll(/"([^"]+)"/g)].map(([, text = '']) => text);
    expect(parts.map((part) => told(part).ok)).toEqual([true, true]);
    const of = (text: string) => occurrences({ kind: 'cron', cron: text, timezone: 'UTC' }, 0, 100);
    expect(parts.flatMap(of).sort((left, right) => left - right)).toEqual(of(cron));
  });

  it('says why an expression that cannot be read has none', () => {
    expect(told('0 9 1 * MON')).toMatchObject({ ok: false, problem: expect.stringContaining('restricts both') });
  });

  it('writes the zone as the time zone database does', () => {
    expect(told('@daily', 'europe/berlin')).toMatchObject({ timezone: 'Europe/Berlin' });
    expect(told('@daily', 'Asia/Kolkata')).toMatchObject({ timezone: 'Asia/Kolkata' });
  });
});

describe('the AWS expression of every', () => {
  it.each([
    [60, 'rate(1 minute)'],
    [900, 'rate(15 minutes)'],
    [3600, 'rate(1 hour)'],
    [5400, 'rate(90 minutes)'],
    [7200, 'rate(2 hours)'],
    [86_400, 'rate(1 day)'],
    [604_800, 'rate(7 days)'],
  ])('%i seconds is %s', (seconds, expression) => {
    expect(every(seconds)).toEqual({ ok: true, expression, timezone: 'UTC' });
  });

  it('is refused where it is not a whole number of minutes, with its neighbours', () => {
    expect(every(90)).toMatchObject({
      ok: false,
      remedy: 'Use a whole number of minutes: rate(1 minute) or rate(2 minutes).',
    });
    expect(every(30)).toMatchObject({ ok: false, remedy: 'Use a whole number of minutes: rate(1 minute).' });
  });
});

describe('the AWS expression of at', () => {
  it.each([
    ['2027-01-31T09:00:00Z', undefined, 'at(2027-01-31T09:00:00)', 'UTC'],
    ['2027-01-31T09:00:05Z', 'Europe/Berlin', 'at(2027-01-31T10:00:05)', 'Europe/Berlin'],
    ['2027-07-01T00:00:00Z', 'America/New_York', 'at(2027-06-30T20:00:00)', 'America/New_York'],
    ['2027-03-28T01:00:00Z', 'Europe/Berlin', 'at(2027-03-28T03:00:00)', 'Europe/Berlin'],
  ])('%s in %s is %s', (time, timezone, expression, zone) => {
    expect(at(time, timezone)).toEqual({ ok: true, expression, timezone: zone });
  });

  it.each(['2027-10-31T00:30:00Z', '2027-10-31T01:30:00Z'])(
    'is in UTC for %s, whose local time in Berlin, 02:30, exists twice',
    (time) => {
      expect(at(time, 'Europe/Berlin')).toEqual({ ok: true, expression: `at(${time.slice(0, 19)})`, timezone: 'UTC' });
    },
  );
});
