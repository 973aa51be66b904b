/**
 * One field of a cron expression becomes the set of values that it names. Sources: crontab(5) for the Unix form; the table
 * of fields, values and wildcards in the EventBridge Scheduler user guide, "Schedule types", for the form of AWS.
 */

/** A refusal in words, for the person who wrote the expression. Never leaves this folder. */
export class FieldProblem extends Error {
  override readonly name = 'FieldProblem';
}

export interface FieldSpec {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** The last value of `*` where it is not `max`: the day-of-week 7 of Unix is Sunday again. */
  readonly last?: number;
  readonly names?: readonly string[];
  /** The value of the first name. */
  readonly firstName?: number;
  /** The signs that this field may have, as they are told to people. */
  readonly signs: string;
  /** The forms in which L, W, # or ? fill the field, as they are told to people. */
  readonly alone?: string;
  /** `5/10` is 5, 15, 25 …: documented by AWS, not by crontab(5). */
  readonly stepsFromValue?: true;
  /** `20-2` is 20 … 23, 0, 1, 2: AWS documents such an example (`0/30 20-2 ? * MON-FRI *`). */
  readonly wraps?: true;
  /** AWS documents no increments for day-of-week. */
  readonly noSteps?: true;
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
export const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] as const;
export const YEAR_MIN = 1970;
export const YEAR_MAX = 2199;

const months = { name: 'month', min: 1, max: 12, names: MONTHS, firstName: 1 };
const unix = { signs: ', - * /' } as const;
const aws = { signs: ', - * /', stepsFromValue: true, wraps: true } as const;

export const UNIX_FIELDS = {
  minute: { name: 'minute', min: 0, max: 59, ...unix },
  hour: { name: 'hour', min: 0, max: 23, ...unix },
  dayOfMonth: { name: 'day-of-month', min: 1, max: 31, ...unix },
  month: { ...months, ...unix },
  dayOfWeek: { name: 'day-of-week', min: 0, max: 7, last: 6, names: WEEKDAYS, firstName: 0, ...unix },
} as const satisfies Record<string, FieldSpec>;

export const AWS_FIELDS = {
  minute: { name: 'minute', min: 0, max: 59, ...aws },
  hour: { name: 'hour', min: 0, max: 23, ...aws },
  dayOfMonth: { name: 'day-of-month', min: 1, max: 31, ...aws, signs: ', - * / ? L W', alone: '?, L or 15W' },
  month: { ...months, ...aws },
  dayOfWeek: {
    name: 'day-of-week',
    min: 1,
    max: 7,
    names: WEEKDAYS,
    firstName: 1,
    signs: ', - * ? L #',
    alone: '?, L, 6L or 6#3',
    wraps: true,
    noSteps: true,
  },
  year: { name: 'year', min: YEAR_MIN, max: YEAR_MAX, signs: ', - * /', stepsFromValue: true },
} as const satisfies Record<string, FieldSpec>;

/**
 * The values that the field names, sorted, each once.
 * @throws FieldProblem naming the field, the value, the limit and the remedy
 */
export function parseField(text: string, spec: FieldSpec): readonly number[] {
  const values = new Set(text.split(',').flatMap((item) => parseItem(item, text, spec)));
  return [...values].sort((left, right) => left - right);
}

function parseItem(item: string, text: string, spec: FieldSpec): readonly number[] {
  if (item === '') throw new FieldProblem(`${spec.name} "${text}" has an empty item in its list: remove the comma`);
  const parts = /^(\*|[^-/*]+)(?:-([^-/*]+))?(?:\/(.*))?$/.exec(item);
  const [, first = '', to, step] = parts ?? [];
  if (parts === null || (first === '*' && to !== undefined)) throw unreadable(item, spec);
  const stride = step === undefined ? 1 : parseStep(item, step, spec);
  const highest = spec.last ?? spec.max;
  if (first === '*') return sequence(spec.min, highest, stride);
  const start = parseValue(first, spec);
  if (to !== undefined)
    return parseRange(item, start, parseRangeEnd(to, start, spec), stride, spec).map(sundayIsZero(spec));
  if (step === undefined) return [start].map(sundayIsZero(spec));
  if (spec.stepsFromValue !== true)
    throw new FieldProblem(
      `${spec.name} "${item}" steps from a single value, which Unix cron does not know: write ${start}-${highest}/${stride}, or */${stride} to begin at ${spec.min}`,
    );
  return sequence(start, highest, stride);
}

/** In the day-of-week of Unix 7 is a second name of 0. */
const sundayIsZero = (spec: FieldSpec) => (value: number) =>
  spec.last !== undefined && value > spec.last ? spec.min : value;

function parseRange(item: string, from: number, to: number, stride: number, spec: FieldSpec): readonly number[] {
  if (from <= to) return sequence(from, to, stride);
  const split = `${from}-${spec.max},${spec.min}-${to}`;
  if (spec.wraps !== true)
    throw new FieldProblem(
      `${spec.name} "${item}" runs backwards, from ${from} to ${to}: ${spec.name === 'year' ? 'put the earlier year first' : `write ${split} to go over the end`}`,
    );
  const size = spec.max - spec.min + 1;
  return sequence(from, to + size, stride).map((value) => (value > spec.max ? value - size : value));
}

const sequence = (from: number, to: number, stride: number): readonly number[] =>
  Array.from({ length: Math.floor((to - from) / stride) + 1 }, (_, index) => from + index * stride);

/** A name at the end of a Unix range may be Sunday as the last day of the week: FRI-SUN is 5-7. */
function parseRangeEnd(text: string, start: number, spec: FieldSpec): number {
  const isLastSunday = spec.last !== undefined && text === 'SUN' && start > 0;
  return isLastSunday ? spec.max : parseValue(text, spec);
}

function parseValue(text: string, spec: FieldSpec): number {
  const named = spec.names?.indexOf(text) ?? -1;
  if (named >= 0) return named + (spec.firstName ?? 0);
  if (!/^\d+$/.test(text)) throw unreadable(text, spec);
  const value = Number(text);
  if (value < spec.min || value > spec.max)
    throw new FieldProblem(
      `${spec.name} ${text} is ${value < spec.min ? `below the lowest value, ${spec.min}` : `above the highest value, ${spec.max}`}: ${rangeRemedy(spec)}`,
    );
  return value;
}

/** A step up to the whole cycle means "once per cycle"; a larger one cannot mean what its author hopes. */
function parseStep(item: string, text: string, spec: FieldSpec): number {
  if (spec.noSteps === true)
    throw new FieldProblem(
      `${spec.name} "${item}" has a step, which EventBridge Scheduler does not document for this field: list the days, such as MON,WED,FRI`,
    );
  const size = (spec.last ?? spec.max) - spec.min + 1;
  if (!/^\d+$/.test(text))
    throw new FieldProblem(`${spec.name} "${item}" needs a whole number from 1 to ${size} after the /`);
  const step = Number(text);
  if (step < 1) throw new FieldProblem(`${spec.name} "${item}" has the step ${text}: the smallest step is 1`);
  if (step > size)
    throw new FieldProblem(
      `${spec.name} "${item}" has the step ${text}, but the field begins anew after ${size}: use a step from 1 to ${size}, or the cadence "every" for an interval that goes over the end`,
    );
  return step;
}

function unreadable(text: string, spec: FieldSpec): FieldProblem {
  const special = /^[\d?LW#-]+$/.test(text) ? /[?LW#]/.exec(text)?.[0] : undefined;
  if (special === undefined)
    return new FieldProblem(
      `${spec.name} "${text}" cannot be read: ${rangeRemedy(spec)}, with the signs ${spec.signs}`,
    );
  if (spec.alone !== undefined && spec.signs.includes(special))
    return new FieldProblem(
      `${spec.name} "${text}" has ${special}, which is known there only alone, as in ${spec.alone}: make a second schedule for further days`,
    );
  const remedy = special === '?' ? 'write *' : spec.alone === undefined && spec.signs === unix.signs ? SIX_FIELDS : '';
  return new FieldProblem(
    `${spec.name} "${text}" has ${special}, but there it may have only ${spec.signs}${remedy === '' ? '' : `: ${remedy}`}`,
  );
}

const SIX_FIELDS =
  'L, W and # stand in the day fields of the 6-field form (minute hour day-of-month month day-of-week year)';

function rangeRemedy({ min, max, names }: FieldSpec): string {
  const named = names === undefined ? '' : ` or ${names[0]} to ${names.at(-1)}`;
  return `use ${min} to ${max}${named}`;
}
