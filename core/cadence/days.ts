/** Which days of a month a cron expression names. */

/** Weekdays are 0 to 6, Sunday to Saturday. */
export type DayRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'dates'; readonly dates: readonly number[] }
  | { readonly kind: 'weekdays'; readonly weekdays: readonly number[] }
  /** `L`: the last day of the month. */
  | { readonly kind: 'lastDate' }
  /** `15W`: the Monday to Friday nearest to the date. */
  | { readonly kind: 'nearestWorkday'; readonly date: number }
  /** `6L`: the last Friday of the month. */
  | { readonly kind: 'lastWeekday'; readonly weekday: number }
  /** `6#3`: the third Friday of the month. */
  | { readonly kind: 'nthWeekday'; readonly weekday: number; readonly nth: number };

const DAY_MS = 86_400_000;
const SATURDAY = 6;
const SUNDAY = 0;

/** `month` is 1 to 12. */
export const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();

const weekdayOf = (year: number, month: number, day: number): number =>
  (Math.floor(Date.UTC(year, month - 1, day) / DAY_MS) + 4) % 7;

/** The days of the month that the rule names, as bits 1 to 31. */
export function daysNamed(rule: DayRule, year: number, month: number): number {
  const length = daysIn(year, month);
  const within = (day: number) => (day >= 1 && day <= length ? 1 << day : 0);
  switch (rule.kind) {
    case 'any':
      return allDays(length);
    case 'dates':
      return rule.dates.reduce((bits, day) => bits | within(day), 0);
    case 'weekdays':
      return rule.weekdays.reduce((bits, weekday) => bits | everyWeekday(year, month, weekday, length), 0);
    case 'lastDate':
      return 1 << length;
    case 'nearestWorkday':
      return rule.date > length ? 0 : 1 << nearestWorkday(year, month, rule.date, length);
    case 'lastWeekday':
      return 1 << (length - ((weekdayOf(year, month, length) - rule.weekday + 7) % 7));
    case 'nthWeekday':
      return within(firstOf(year, month, rule.weekday) + (rule.nth - 1) * 7);
  }
}

const allDays = (length: number) => (length === 31 ? ~1 : (1 << (length + 1)) - 2);

const firstOf = (year: number, month: number, weekday: number) => 1 + ((weekday - weekdayOf(year, month, 1) + 7) % 7);

function everyWeekday(year: number, month: number, weekday: number, length: number): number {
  let bits = 0;
  for (let day = firstOf(year, month, weekday); day <= length; day += 7) bits |= 1 << day;
  return bits;
}

/**
 * AWS says only that 3W is "the weekday closest to the third day of the month". Where it is silent we follow Quartz, whose
 * dialect it is: never over the edge of the month; a date that the month does not have has no nearest workday (*unverified
 * on AWS*).
 */
function nearestWorkday(year: number, month: number, date: number, length: number): number {
  const weekday = weekdayOf(year, month, date);
  if (weekday === SATURDAY) return date === 1 ? 3 : date - 1;
  if (weekday === SUNDAY) return date === length ? date - 2 : date + 1;
  return date;
}
