/** Random valid cron expressions of both forms, biased towards a local date so that many of them fire near it. */
import fc from 'fast-check';

const MONTHS = 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ');
const DAYS = 'SUN MON TUE WED THU FRI SAT'.split(' ');

interface Field {
  readonly min: number;
  readonly max: number;
  readonly form: 'unix' | 'aws';
  readonly steps?: boolean;
  readonly wraps?: boolean;
  readonly stepMax?: number;
}

const between = (min: number, max: number) => fc.integer({ min, max });

function item({
  min,
  max,
  form,
  steps = true,
  wraps = form === 'aws',
  stepMax = Math.min(max - min + 1, 30),
}: Field): fc.Arbitrary<string> {
  const value = between(min, max);
  const step = between(1, stepMax);
  const range = fc.tuple(value, value).map(([left, right]) => {
    const [from, to] = wraps || left <= right ? [left, right] : [right, left];
    return `${from}-${to}`;
  });
  return fc.oneof(
    { weight: 4, arbitrary: value.map(String) },
    { weight: 2, arbitrary: range },
    ...(steps
      ? [
          { weight: 2, arbitrary: step.map((stride) => `*/${stride}`) },
          { weight: 2, arbitrary: fc.tuple(range, step).map(([from, stride]) => `${from}/${stride}`) },
        ]
      : []),
    ...(steps && form === 'aws'
      ? [{ weight: 2, arbitrary: fc.tuple(value, step).map(([from, stride]) => `${from}/${stride}`) }]
      : []),
  );
}

const field = (spec: Field, starWeight: number) =>
  fc.oneof(
    { weight: starWeight, arbitrary: fc.constant('*') },
    { weight: 4, arbitrary: item(spec) },
    { weight: 2, arbitrary: fc.array(item(spec), { minLength: 2, maxLength: 4 }).map((items) => items.join(',')) },
  );

/** Sometimes names instead of numbers, in any case. */
const named = (texts: fc.Arbitrary<string>, names: readonly string[], first: number) =>
  fc.tuple(texts, fc.constantFrom('number', 'upper', 'lower')).map(([text, style]) => {
    if (style === 'number' || text.includes('/')) return text;
    const replaced = text.replace(/\d+/g, (digits) => names[Number(digits) - first] ?? digits);
    return style === 'lower' ? replaced.toLowerCase() : replaced;
  });

const months = (form: 'unix' | 'aws', near: number) =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant('*') },
    { weight: 2, arbitrary: fc.constantFrom(String(near), MONTHS[near - 1] ?? '*') },
    { weight: 1, arbitrary: named(field({ min: 1, max: 12, form }, 0), MONTHS, 1) },
  );

const dates = (form: 'unix' | 'aws', near: number) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(String(near)) },
    { weight: 3, arbitrary: field({ min: 1, max: 31, form }, 0) },
  );

export interface Near {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
}

const hours = (form: 'unix' | 'aws', near: number) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(near, (near + 1) % 24, (near + 23) % 24).map(String) },
    { weight: 5, arbitrary: field({ min: 0, max: 23, form }, 5) },
  );

/** Each names all days; those that begin with `*` make Unix want both fields to match, the others either of them. */
const ALL_DATES = ['*', '*/1', '1-31', '1-31/1', '1-15,16-31', '5,1-31', '*,5'];
const ALL_WEEKDAYS = ['*', '*/1', '0-6', '1-7', '0-7', 'sun-sat', 'MON-SUN', '1-5,6,0', '*,MON'];

/** Both day fields are written, and yet EventBridge Scheduler can say it, because one of them names all days. */
const needlessDays = (texts: readonly string[], restricted: fc.Arbitrary<string>, all: readonly string[]) =>
  fc
    .tuple(
      fc.constantFrom(...texts),
      fc.oneof({ weight: 3, arbitrary: restricted }, { weight: 1, arbitrary: fc.constantFrom('*/2', '*/3', ...all) }),
    )
    .map(([full, other]) => [full, other] as const);

export function unixExpression(near: Near): fc.Arbitrary<string> {
  const weekdayField = field({ min: 0, max: 7, form: 'unix', stepMax: 7 }, 0);
  const weekdays = named(weekdayField, [...DAYS, 'SUN'], 0);
  const days = fc.oneof(
    { weight: 6, arbitrary: fc.constant(['*', '*'] as const) },
    { weight: 3, arbitrary: dates('unix', near.day).map((text) => [text, '*'] as const) },
    { weight: 3, arbitrary: weekdays.map((text) => ['*', text] as const) },
    { weight: 2, arbitrary: needlessDays(ALL_DATES, weekdays, ALL_WEEKDAYS) },
    {
      weight: 2,
      arbitrary: needlessDays(ALL_WEEKDAYS, dates('unix', near.day), ALL_DATES).map(
        ([weekday, date]) => [date, weekday] as const,
      ),
    },
  );
  return fc
    .tuple(field({ min: 0, max: 59, form: 'unix' }, 2), hours('unix', near.hour), days, months('unix', near.month))
    .map(([minute, hour, [date, weekday], month]) => `${minute} ${hour} ${date} ${month} ${weekday}`);
}

export function awsExpression(near: Near): fc.Arbitrary<string> {
  const specialDates = fc.oneof(
    fc.constant('L'),
    between(1, 31).map((date) => `${date}W`),
    fc.constantFrom(near.day, Math.max(1, near.day - 1), Math.min(31, near.day + 1)).map((date) => `${date}W`),
  );
  const specialWeekdays = fc.oneof(
    fc.constant('L'),
    fc.tuple(fc.constantFrom('1', '2', '7', 'SUN', 'sat'), between(1, 5)).map(([day, nth]) => `${day}#${nth}`),
    fc.constantFrom('1L', 'SUNL', '7L', '5L', 'friL'),
  );
  const weekdays = named(field({ min: 1, max: 7, form: 'aws', steps: false }, 1), DAYS, 1);
  const days = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(['*', '?'] as const, ['?', '*'] as const) },
    { weight: 2, arbitrary: dates('aws', near.day).map((text) => [text, '?'] as const) },
    { weight: 2, arbitrary: specialDates.map((text) => [text, '?'] as const) },
    { weight: 2, arbitrary: weekdays.map((text) => ['?', text] as const) },
    { weight: 2, arbitrary: specialWeekdays.map((text) => ['?', text] as const) },
  );
  const years = fc.oneof(
    { weight: 5, arbitrary: fc.constant('*') },
    { weight: 1, arbitrary: fc.constantFrom(String(near.year), `${near.year - 1}-${near.year}`, '2020/2', '*/3') },
  );
  return fc
    .tuple(field({ min: 0, max: 59, form: 'aws' }, 2), hours('aws', near.hour), days, months('aws', near.month), years)
    .map(([minute, hour, [date, weekday], month, year]) => `${minute} ${hour} ${date} ${month} ${weekday} ${year}`);
}

export const anyExpression = (near: Near): fc.Arbitrary<string> => fc.oneof(unixExpression(near), awsExpression(near));
