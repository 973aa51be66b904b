/**
 * The documented rules, evaluated slowly and obviously: every minute of UTC is turned into local time by `Intl`, each field
 * of the expression is compared as text, and a local minute counts only the first time that it is shown. Shares no code
 * with `core/cadence`.
 */
export const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export interface LocalMinute {
  readonly at: number;
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  readonly month: number;
  readonly year: number;
  /** 0 to 6, Sunday to Saturday. */
  readonly weekday: number;
  /** The days of its month. */
  readonly length: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function localFields(timezone: string, at: number): readonly number[] {
  let format = formats.get(timezone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formats.set(timezone, format);
  }
  // 03/28/2027, 03:30:00
  const text = format.format(at);
  return [
    text.slice(0, 2),
    text.slice(3, 5),
    text.slice(6, 10),
    text.slice(12, 14),
    text.slice(15, 17),
    text.slice(18),
  ].map(Number);
}

/** How far the zone is ahead of UTC, from its clock's reading. */
export function readOffset(timezone: string, at: number): number {
  const [month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = localFields(timezone, at);
  return Date.UTC(year, month - 1, day, hour, minute, second) - at;
}

/** Nothing is repeated after more than a day and two hours, the longest repetition being a whole day. */
const LOOK_BACK = 26 * HOUR;

/** Each local minute in the order of time, the first time that it is shown; `from` is a whole minute. */
export function localMinutes(timezone: string, from: number, to: number): readonly LocalMinute[] {
  const seen = new Set<number>();
  const found: LocalMinute[] = [];
  for (let at = from - LOOK_BACK; at < to; at += MINUTE) {
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0] = localFields(timezone, at);
    const label = Date.UTC(year, month - 1, day, hour, minute);
    if (seen.has(label)) continue;
    seen.add(label);
    if (at < from) continue;
    const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay();
    const length = new Date(Date.UTC(year, month, 0)).getUTCDate();
    found.push({ at, minute, hour, day, month, year, weekday, length });
  }
  return found;
}

const MONTHS = 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ');
const DAYS = 'SUN MON TUE WED THU FRI SAT'.split(' ');

const numbered = (text: string, names: readonly string[], first: number) =>
  names.reduce((result, name, index) => result.replaceAll(name, String(index + first)), text.toUpperCase());

function listed(text: string, value: number, min: number, max: number): boolean {
  return text.split(',').some((item) => {
    const [range = '', step = '1'] = item.split('/');
    const stepped = item.includes('/');
    const [from, to] =
      range === '*'
        ? [min, max]
        : range.includes('-')
          ? range.split('-').map(Number)
          : [Number(range), stepped ? max : Number(range)];
    const size = max - min + 1;
    const length = ((to ?? 0) - (from ?? 0) + size) % size;
    const position = (value - (from ?? 0) + size) % size;
    return position <= length && position % Number(step) === 0;
  });
}

/** Monday to Friday of this month with the smallest distance. */
function isNearestWorkday(local: LocalMinute, date: number): boolean {
  if (date > local.length) return false;
  const workdays = Array.from({ length: local.length }, (_, index) => index + 1).filter((day) => {
    const weekday = (local.weekday + (day - local.day) + 70) % 7;
    return weekday >= 1 && weekday <= 5;
  });
  const distance = Math.min(...workdays.map((day) => Math.abs(day - date)));
  return workdays.includes(local.day) && Math.abs(local.day - date) === distance;
}

function dayOfMonthMatches(text: string, local: LocalMinute): boolean {
  if (text === '?') return true;
  if (text === 'L') return local.day === local.length;
  if (text.endsWith('W')) return isNearestWorkday(local, Number.parseInt(text, 10));
  return listed(text, local.day, 1, 31);
}

function awsWeekdayMatches(text: string, local: LocalMinute): boolean {
  const day = numbered(text, DAYS, 1);
  const today = local.weekday + 1;
  if (day === '?') return true;
  if (day === 'L') return today === 7;
  if (day.endsWith('L')) return today === Number.parseInt(day, 10) && local.day + 7 > local.length;
  if (day.includes('#')) return `${today}#${Math.ceil(local.day / 7)}` === day;
  return listed(day, today, 1, 7);
}

function unixWeekdayMatches(text: string, local: LocalMinute): boolean {
  // SUN at the end of a range is the last day of the week, unless the range is only it.
  const day = numbered(text.toUpperCase().replaceAll(/(?<!SUN)-SUN/g, '-7'), DAYS, 0);
  return day.split(',').some((item) => {
    if (item.startsWith('*')) return listed(item, local.weekday, 0, 6);
    // 0 and 7 are both Sunday.
    return listed(item, local.weekday, 0, 7) || (local.weekday === 0 && listed(item, 7, 0, 7));
  });
}

/**
 * Whether a local minute is named by the expression, in the Unix or the AWS form by the number of its fields. What a field
 * says about a value is found once for each value, not once for each minute.
 */
export function matcher(expression: string): (local: LocalMinute) => boolean {
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = '', year = '*'] = expression.split(' ');
  const isUnix = expression.split(' ').length === 5;
  const minutes = Array.from({ length: 60 }, (_, value) => listed(minute, value, 0, 59));
  const hours = Array.from({ length: 24 }, (_, value) => listed(hour, value, 0, 23));
  const days = new Map<number, boolean>();
  // crontab(5): where neither field begins with *, either of them suffices.
  const isEither = isUnix && !dayOfMonth.startsWith('*') && !dayOfWeek.startsWith('*');
  const dayMatchesBoth = (local: LocalMinute) => {
    const ofMonth = dayOfMonthMatches(dayOfMonth.toUpperCase(), local);
    const ofWeek = isUnix ? unixWeekdayMatches(dayOfWeek, local) : awsWeekdayMatches(dayOfWeek, local);
    return isEither ? ofMonth || ofWeek : ofMonth && ofWeek;
  };
  const dayMatches = (local: LocalMinute) =>
    listed(numbered(month, MONTHS, 1), local.month, 1, 12) &&
    dayMatchesBoth(local) &&
    listed(year, local.year, 1970, 2199);
  return (local) => {
    if (minutes[local.minute] !== true || hours[local.hour] !== true) return false;
    const day = (local.year * 12 + local.month) * 31 + local.day;
    if (!days.has(day)) days.set(day, dayMatches(local));
    return days.get(day) === true;
  };
}

export interface Change {
  readonly timezone: string;
  /** The first minute with the new offset. */
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

const STEP = 6 * 24 * HOUR;

/** Every change of the zone's offset, found by reading its clock every six days. */
export function changesOf(timezone: string, from: number, to: number): readonly Change[] {
  const found: Change[] = [];
  let before = readOffset(timezone, from);
  for (let at = from; at < to; at += STEP) {
    const after = readOffset(timezone, at + STEP);
    if (after === before) continue;
    let [old, changed] = [at, at + STEP];
    while (changed - old > MINUTE) {
      const middle = old + Math.floor((changed - old) / 2 / MINUTE) * MINUTE;
      if (readOffset(timezone, middle) === before) old = middle;
      else changed = middle;
    }
    found.push({ timezone, at: changed, before, after });
    before = after;
  }
  return found;
}
