/**
 * A cron expression in the 5-field form of Unix or the 6-field form of EventBridge Scheduler becomes sets of values.
 *
 * Sources: crontab(5) for the Unix form and its `@daily` words; for the form of AWS the EventBridge Scheduler user guide,
 * "Schedule types" (fields, values, wildcards, limitations) and the table of examples of the EventBridge user guide, "Cron
 * expressions reference". Accepted is what these document, and nothing more: `LW`, `L-3` and lists with L, W or # are not.
 */
import type { DayRule } from './days.ts';
import { AWS_FIELDS, FieldProblem, parseField, UNIX_FIELDS, YEAR_MAX, YEAR_MIN } from './fields.ts';

export interface ParsedCron {
  readonly form: 'unix' | 'aws';
  /** The expression with single spaces and capitals. */
  readonly text: string;
  /** All values sorted. */
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: DayRule;
  /** 1 to 12. */
  readonly months: readonly number[];
  /** 1970 to 2199: the Unix form, which has no year, ends where that of AWS ends. */
  readonly years: readonly number[];
}

export type CronResult =
  | { readonly ok: true; readonly cron: ParsedCron }
  /** Names the field, the value, the limit and the remedy. */
  | { readonly ok: false; readonly problem: string };

const ALL_YEARS = Array.from({ length: YEAR_MAX - YEAR_MIN + 1 }, (_, index) => YEAR_MIN + index);

const WORDS: Readonly<Record<string, string>> = {
  '@YEARLY': '0 0 1 1 *',
  '@ANNUALLY': '0 0 1 1 *',
  '@MONTHLY': '0 0 1 * *',
  '@WEEKLY': '0 0 * * 0',
  '@DAILY': '0 0 * * *',
  '@MIDNIGHT': '0 0 * * *',
  '@HOURLY': '0 * * * *',
};

const CACHE_LIMIT = 2000;
const cache = new Map<string, CronResult>();

/** The expression as sets of values, or what is wrong with it in words. Remembers what it has read. */
export function parseCron(text: string): CronResult {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const result = parsed(text);
  if (cache.size >= CACHE_LIMIT) cache.delete(cache.keys().next().value ?? '');
  cache.set(text, result);
  return result;
}

function parsed(text: string): CronResult {
  try {
    return { ok: true, cron: parseText(text.trim().toUpperCase()) };
  } catch (error) {
    if (error instanceof FieldProblem) return { ok: false, problem: error.message };
    throw error;
  }
}

function parseText(text: string): ParsedCron {
  if (text.startsWith('@')) return parseFields(fieldsOfWord(text));
  const wrapped = /^(CRON|RATE|AT)\s*\(/.exec(text)?.[1];
  if (wrapped === 'CRON') throw new FieldProblem('must be the bare fields: leave out "cron(" and ")"');
  if (wrapped === 'RATE') throw new FieldProblem('is a rate: use the cadence "every", such as {"every": "15m"}');
  if (wrapped === 'AT') throw new FieldProblem('is a single time: use the cadence "at"');
  return parseFields(text);
}

function fieldsOfWord(word: string): string {
  const fields = WORDS[word];
  if (fields !== undefined) return fields;
  if (word === '@REBOOT') throw new FieldProblem('@reboot names no time, and there is no machine that boots');
  if (word.startsWith('@EVERY')) throw new FieldProblem('@every is an interval: use the cadence "every"');
  const known = Object.keys(WORDS).join(', ').toLowerCase();
  throw new FieldProblem(`${word.toLowerCase()} is not known: use one of ${known}`);
}

function parseFields(text: string): ParsedCron {
  const fields = text.split(/\s+/).filter((field) => field !== '');
  if (fields.length === 5) return parseUnix(fields);
  if (fields.length === 6) return parseAws(fields);
  const seconds = fields.length === 7 ? ': leave out the seconds, the minute is the finest grain' : '';
  throw new FieldProblem(
    `must have 5 fields (minute hour day-of-month month day-of-week) or the 6 of EventBridge Scheduler (… year), it has ${fields.length}${seconds}`,
  );
}

function parseUnix(fields: readonly string[]): ParsedCron {
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] = fields;
  return {
    form: 'unix',
    text: fields.join(' '),
    minutes: parseField(minute, UNIX_FIELDS.minute),
    hours: parseField(hour, UNIX_FIELDS.hour),
    months: parseField(month, UNIX_FIELDS.month),
    days: unixDays(fields, dayOfMonth, dayOfWeek),
    years: ALL_YEARS,
  };
}

/**
 * crontab(5): if neither day field begins with `*`, the command runs when *either* matches; if one begins with `*`, both must
 * match. So a field that names all days decides alone in the first case, and says nothing in the second. What is left with
 * two real restrictions EventBridge Scheduler can say in neither case: it is refused here, where the remedy can be given.
 */
function unixDays(fields: readonly string[], dayOfMonth: string, dayOfWeek: string): DayRule {
  const dates = parseField(dayOfMonth, UNIX_FIELDS.dayOfMonth);
  const weekdays = parseField(dayOfWeek, UNIX_FIELDS.dayOfWeek);
  const everyDate = dates.length === 31;
  const everyWeekday = weekdays.length === 7;
  const eitherSuffices = !dayOfMonth.startsWith('*') && !dayOfWeek.startsWith('*');
  if (eitherSuffices ? everyDate || everyWeekday : everyDate && everyWeekday) return { kind: 'any' };
  const both = `restricts both day-of-month (${dayOfMonth}) and day-of-week (${dayOfWeek}).`;
  if (eitherSuffices) {
    const [byDate, byWeekday] = [withField(fields, 4, '*'), withField(fields, 2, '*')];
    throw new FieldProblem(
      `${both} In Unix cron either one suffices; EventBridge Scheduler allows only one of them. Make two schedules, "${byDate}" and "${byWeekday}" (a day that matches both then fires twice)`,
    );
  }
  if (everyWeekday) return { kind: 'dates', dates };
  if (everyDate) return { kind: 'weekdays', weekdays };
  throw new FieldProblem(
    `${both} Because one of them begins with *, Unix cron wants both to match, which EventBridge Scheduler cannot say: write * in one of the two`,
  );
}

const withField = (fields: readonly string[], index: number, value: string): string =>
  fields.map((field, at) => (at === index ? value : field)).join(' ');

function parseAws(fields: readonly string[]): ParsedCron {
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = '', year = ''] = fields;
  return {
    form: 'aws',
    text: fields.join(' '),
    minutes: parseField(minute, AWS_FIELDS.minute),
    hours: parseField(hour, AWS_FIELDS.hour),
    months: parseField(month, AWS_FIELDS.month),
    days: awsDays(fields, dayOfMonth, dayOfWeek),
    years: year === '*' ? ALL_YEARS : parseField(year, AWS_FIELDS.year),
  };
}

/** "If you specify a value or a * in one of the fields, you must use a ? in the other." (Limitations) */
function awsDays(fields: readonly string[], dayOfMonth: string, dayOfWeek: string): DayRule {
  if (dayOfMonth === '?' && dayOfWeek === '?')
    throw new FieldProblem(`has ? in both day fields: write * in one of them, such as "${withField(fields, 2, '*')}"`);
  const dates = dayOfMonth === '?' ? undefined : dateRule(dayOfMonth);
  const weekdays = dayOfWeek === '?' ? undefined : weekdayRule(dayOfWeek);
  if (dates === undefined) return weekdays ?? { kind: 'any' };
  if (weekdays === undefined) return dates;
  const [byDate, byWeekday] = [withField(fields, 4, '?'), withField(fields, 2, '?')];
  const remedy =
    dates.kind === 'any'
      ? `write "${byWeekday}"`
      : weekdays.kind === 'any'
        ? `write "${byDate}"`
        : `make two schedules, "${byDate}" and "${byWeekday}" (a day that matches both then fires twice)`;
  throw new FieldProblem(
    `has day-of-month ${dayOfMonth} and day-of-week ${dayOfWeek}, but one of the two must be ?: ${remedy}`,
  );
}

function dateRule(text: string): DayRule {
  if (text === 'L') return { kind: 'lastDate' };
  if (text === 'LW')
    throw new FieldProblem(
      'day-of-month LW (the last workday) is not documented for EventBridge Scheduler: use L, or a date such as 28W',
    );
  if (/^L-\d+W?$/.test(text))
    throw new FieldProblem(
      `day-of-month ${text} (days before the last) is not documented for EventBridge Scheduler: use L`,
    );
  const workday = /^(\d+)W$/.exec(text)?.[1];
  if (workday !== undefined)
    return { kind: 'nearestWorkday', date: parseField(workday, AWS_FIELDS.dayOfMonth)[0] ?? 1 };
  const dates = parseField(text, AWS_FIELDS.dayOfMonth);
  return dates.length === 31 ? { kind: 'any' } : { kind: 'dates', dates };
}

/** `L` alone is "the last day of the week", Saturday; `6L` the last Friday of the month; `3#2` its second Tuesday. */
function weekdayRule(text: string): DayRule {
  if (text === 'L') return { kind: 'weekdays', weekdays: [6] };
  const one = (day: string) => (parseField(day, AWS_FIELDS.dayOfWeek)[0] ?? 1) - 1;
  const last = /^(\d+|[A-Z]{3})L$/.exec(text)?.[1];
  if (last !== undefined) return { kind: 'lastWeekday', weekday: one(last) };
  const [, day, nth] = /^(\d+|[A-Z]{3})#(\d+)$/.exec(text) ?? [];
  if (day !== undefined && nth !== undefined) {
    const instance = Number(nth);
    if (instance < 1 || instance > 5)
      throw new FieldProblem(`day-of-week "${text}" names instance ${nth}, but a month has only 1 to 5 of a weekday`);
    return { kind: 'nthWeekday', weekday: one(day), nth: instance };
  }
  const weekdays = parseField(text, AWS_FIELDS.dayOfWeek).map((value) => value - 1);
  return weekdays.length === 7 ? { kind: 'any' } : { kind: 'weekdays', weekdays };
}
