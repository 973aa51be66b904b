/**
 * The exact expression for EventBridge Scheduler. Sources: its user guide, "Schedule types" (`cron(fields)`,
 * `rate(value unit)`, `at(yyyy-mm-ddThh:mm:ss)`), the EventBridge user guide, "Rate expressions reference" (a value of 1 has
 * a singular unit, any other a plural one), and the API reference of CreateSchedule (256 characters).
 *
 * Cron fields are not passed on as they were written but as the values that they name, in the plainest documented form: so
 * the numbering of weekdays, ranges that go over the end and steps within ranges cannot be read otherwise over there.
 */
import type { Cadence } from '../schedules/model.ts';
import type { DayRule } from './days.ts';
import { WEEKDAYS, YEAR_MAX, YEAR_MIN } from './fields.ts';
import { LAST_INSTANT } from './occurrences.ts';
import { type ParsedCron, parseCron } from './parse.ts';
import { isRepeated, offsetAt, wallText } from './zone.ts';

export type AwsExpression =
  | { readonly ok: true; readonly expression: string; readonly timezone: string }
  | { readonly ok: false; readonly problem: string; readonly remedy: string };

export const EXPRESSION_CHARACTERS_MAX = 256;

/** What the real clock is told, or why AWS cannot say it and what can be said instead. */
export function toAwsExpression(cadence: Cadence): AwsExpression {
  switch (cadence.kind) {
    case 'at':
      return atExpression(cadence.at, cadence.timezone ?? 'UTC');
    case 'every':
      return rateExpression(cadence.everySeconds);
    case 'cron': {
      const parsed = parseCron(cadence.cron);
      if (!parsed.ok) return { ok: false, problem: parsed.problem, remedy: 'Correct the expression.' };
      return cronExpression(parsed.cron, cadence.timezone);
    }
  }
}

/**
 * In the zone, unless the local time exists twice there: then in UTC, because AWS does not document which of the two it
 * takes. In UTC too where only the zone has begun a year of five digits.
 */
function atExpression(at: number, timezone: string): AwsExpression {
  const wall = at + offsetAt(timezone, at);
  return isRepeated(timezone, wall) || wall > LAST_INSTANT
    ? { ok: true, expression: `at(${wallText(at)})`, timezone: 'UTC' }
    : { ok: true, expression: `at(${wallText(wall)})`, timezone: zoneName(timezone) };
}

const UNITS = [
  { seconds: 86_400, name: 'day' },
  { seconds: 3600, name: 'hour' },
  { seconds: 60, name: 'minute' },
] as const;

const rate = (value: number, unit: string) => `rate(${value} ${unit}${value === 1 ? '' : 's'})`;

function rateExpression(everySeconds: number): AwsExpression {
  const unit = UNITS.find(({ seconds }) => everySeconds >= seconds && everySeconds % seconds === 0);
  if (unit !== undefined)
    return { ok: true, expression: rate(everySeconds / unit.seconds, unit.name), timezone: 'UTC' };
  const minutes = Math.floor(everySeconds / 60);
  const near = minutes < 1 ? rate(1, 'minute') : `${rate(minutes, 'minute')} or ${rate(minutes + 1, 'minute')}`;
  return {
    ok: false,
    problem: `an interval of ${everySeconds} seconds is not a whole number of minutes, the finest grain of EventBridge Scheduler`,
    remedy: `Use a whole number of minutes: ${near}.`,
  };
}

function cronExpression(cron: ParsedCron, timezone: string): AwsExpression {
  const plain = awsFields(cron, plainList);
  const fields = wrapped(plain).length <= EXPRESSION_CHARACTERS_MAX ? plain : awsFields(cron, rangeList);
  const expression = wrapped(fields);
  if (expression.length <= EXPRESSION_CHARACTERS_MAX) return { ok: true, expression, timezone: zoneName(timezone) };
  return {
    ok: false,
    problem: `the expression has ${expression.length} characters for EventBridge Scheduler, which takes ${EXPRESSION_CHARACTERS_MAX}`,
    remedy: splitRemedy(fields),
  };
}

const wrapped = (fields: readonly string[]) => `cron(${fields.join(' ')})`;

type ListText = (values: readonly number[]) => string;

/** The six fields in the grammar that AWS documents. */
function awsFields(cron: ParsedCron, list: ListText): readonly string[] {
  const [dayOfMonth, dayOfWeek] = dayFields(cron.days, list);
  return [
    fieldText(cron.minutes, 0, 59, list),
    fieldText(cron.hours, 0, 23, list),
    dayOfMonth,
    fieldText(cron.months, 1, 12, list),
    dayOfWeek,
    fieldText(cron.years, YEAR_MIN, YEAR_MAX, list),
  ];
}

function dayFields(rule: DayRule, list: ListText): readonly [dayOfMonth: string, dayOfWeek: string] {
  switch (rule.kind) {
    case 'any':
      return ['*', '?'];
    case 'dates':
      return [fieldText(rule.dates, 1, 31, list), '?'];
    case 'lastDate':
      return ['L', '?'];
    case 'nearestWorkday':
      return [`${rule.date}W`, '?'];
    case 'weekdays':
      return ['?', weekdaysText(rule.weekdays)];
    case 'lastWeekday':
      return ['?', `${rule.weekday + 1}L`];
    case 'nthWeekday':
      return ['?', `${rule.weekday + 1}#${rule.nth}`];
  }
}

/** Names, because the numbers of Unix and AWS differ. */
function weekdaysText(weekdays: readonly number[]): string {
  const names = weekdays.map((weekday) => WEEKDAYS[weekday] ?? '');
  return weekdays.length > 2 && isRun(weekdays) ? `${names[0]}-${names.at(-1)}` : names.join(',');
}

const isRun = (values: readonly number[]) =>
  values.every((value, index) => index === 0 || value === (values[index - 1] ?? 0) + 1);

function fieldText(values: readonly number[], min: number, max: number, list: ListText): string {
  const [first = min, second = min] = values;
  if (values.length === max - min + 1) return '*';
  if (values.length < 3) return values.join(',');
  if (isRun(values)) return `${first}-${values.at(-1)}`;
  const step = second - first;
  const isStepped = values.every((value, index) => value === first + index * step);
  return isStepped && (values.at(-1) ?? max) + step > max ? `${first}/${step}` : list(values);
}

const plainList: ListText = (values) => values.join(',');

/** Ranges within a list, as in AWS's answer `0/5 0-1,3-23 * * ? *`: only where a plain list is too long. */
const rangeList: ListText = (values) => {
  const runs: number[][] = [];
  for (const value of values) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === value - 1) run.push(value);
    else runs.push([value]);
  }
  return runs.map((run) => (run.length > 2 ? `${run[0]}-${run.at(-1)}` : run.join(','))).join(',');
};

/** The longest field is halved: two schedules with the halves fire together as the one would. */
function splitRemedy(fields: readonly string[]): string {
  const longest = fields.reduce((best, field, index) => (field.length > (fields[best] ?? '').length ? index : best), 0);
  const items = (fields[longest] ?? '').split(',');
  const half = Math.ceil(items.length / 2);
  const part = (some: readonly string[]) =>
    `"${fields.map((field, index) => (index === longest ? some.join(',') : field)).join(' ')}"`;
  return `Make two schedules, ${part(items.slice(0, half))} and ${part(items.slice(half))}.`;
}

/** As the time zone database writes it: a name is accepted here in any case, AWS wants the exact one. */
function zoneName(timezone: string): string {
  const resolved = new Intl.DateTimeFormat('en-US', { timeZone: timezone }).resolvedOptions().timeZone;
  return resolved.toLowerCase() === timezone.toLowerCase() ? resolved : timezone;
}
