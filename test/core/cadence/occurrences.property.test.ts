/** The iterator against the brute-force evaluator, around every distinct change of any zone's clock from 2020 to 2035. */
import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextOccurrence, occurrences } from '../../../core/cadence/occurrences.ts';
import { parseCron } from '../../../core/cadence/parse.ts';
import { type Change, changesOf, type LocalMinute, localMinutes, MINUTE, matcher } from './bruteForce.ts';
import { anyExpression, type Near, unixExpression } from './expressions.ts';

const HOUR = 60 * MINUTE;
const FROM = Date.UTC(2020, 0, 1);
const TO = Date.UTC(2036, 0, 1);
const NAMED = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Pacific/Chatham',
  'Pacific/Apia',
  'America/Havana',
  'Antarctica/Troll',
  'Africa/Casablanca',
];
const RUNS_PER_NAMED_CHANGE = 25;
const RUNS_PER_OTHER_CHANGE = 3;

const named = NAMED.flatMap((timezone) => changesOf(timezone, FROM, TO));
const keyOf = ({ at, before, after }: Change) => `${at} ${before} ${after}`;
const others = [
  ...new Map(
    Intl.supportedValuesOf('timeZone')
      .flatMap((timezone) => changesOf(timezone, FROM, TO))
      .map((change) => [keyOf(change), change]),
  ).values(),
].filter((change) => !named.some((other) => keyOf(other) === keyOf(change)));
const historic = [
  ...changesOf('Pacific/Apia', Date.UTC(2011, 11, 1), Date.UTC(2012, 0, 20)),
  ...changesOf('America/Caracas', Date.UTC(2007, 11, 1), Date.UTC(2008, 0, 1)),
  ...changesOf('Asia/Pyongyang', Date.UTC(2018, 3, 1), Date.UTC(2018, 6, 1)),
  ...changesOf('Pacific/Kwajalein', Date.UTC(1993, 7, 1), Date.UTC(1993, 9, 1)),
];

function nearOf({ at, after, before }: Change): Near {
  const local = new Date(at + Math.min(before, after));
  return {
    year: local.getUTCFullYear(),
    month: local.getUTCMonth() + 1,
    day: local.getUTCDate(),
    hour: local.getUTCHours(),
  };
}

/** Compares every occurrence after a random instant, up to the end of the window. */
function agrees(
  timezone: string,
  expression: string,
  minutes: readonly LocalMinute[],
  after: number,
  to: number,
): number {
  const matches = matcher(expression);
  const expected = minutes.filter((local) => local.at > after && matches(local)).map(({ at }) => at);
  expect(parseCron(expression), expression).toMatchObject({ ok: true });
  const found = occurrences({ kind: 'cron', cron: expression, timezone }, after, 5000, to - 1);
  // Comparing as text first: the matcher of vitest takes a millisecond for a thousand numbers.
  if (found.join() === expected.join()) return expected.length;
  expect(found, `${expression} in ${timezone} after ${new Date(after).toISOString()}`).toEqual(expected);
  return expected.length;
}

function checkAround(change: Change, numRuns: number, hours: number): { cases: number; fired: number } {
  const [from, to] = [change.at - hours * HOUR, change.at + (hours + 8) * HOUR];
  const minutes = localMinutes(change.timezone, from, to);
  let [cases, fired] = [0, 0];
  fc.assert(
    fc.property(
      anyExpression(nearOf(change)),
      // Mostly close to the change, where `after` itself may lie in a repeated hour.
      fc.oneof(fc.integer({ min: -4 * 3600, max: 4 * 3600 }), fc.integer({ min: -hours * 3600, max: hours * 3600 })),
      (expression, seconds) => {
        cases += 1;
        fired += agrees(change.timezone, expression, minutes, Math.max(from, change.at + seconds * 1000), to);
      },
    ),
    { numRuns },
  );
  return { cases, fired };
}

function checkAll(changes: readonly Change[], numRuns: number, label: string, hours = 20): void {
  const results = changes.map((change) => checkAround(change, numRuns, hours));
  const total = (key: 'cases' | 'fired') => results.reduce((sum, result) => sum + result[key], 0);
  process.stdout.write(
    `cadence: ${label}: ${total('cases')} cases around ${changes.length} changes of ${new Set(changes.map(({ timezone }) => timezone)).size} zones, ${total('fired')} occurrences, all equal\n`,
  );
}

describe('occurrences of a cron cadence', () => {
  it.each(NAMED)('are what the brute-force evaluator finds around every change of %s from 2020 to 2035', (timezone) => {
    const changes = named.filter((change) => change.timezone === timezone);
    expect(changes.length).toBeGreaterThan(0);
    checkAll(changes, RUNS_PER_NAMED_CHANGE, timezone);
  });

  it('are what it finds around every further distinct change of any zone', { timeout: 120_000 }, () => {
    expect(others.length).toBeGreaterThan(300);
    checkAll(others, RUNS_PER_OTHER_CHANGE, 'all other zones', 5);
  });

  it('are what it finds around a missing day and odd jumps of the past', () => {
    expect(historic.map(({ before, after }) => (after - before) / HOUR)).toEqual([24, -0.5, 0.5, 24]);
    checkAll(historic, 200, 'history');
  });

  it('are what croner finds in UTC, over any distance', () => {
    let cases = 0;
    // croner does not know Sunday as the end of a range, and lets only a plain * restrict nothing.
    const isKnown = (text: string) =>
      !/-sun/i.test(text) &&
      text
        .split(' ')
        .filter((_, index) => index % 2 === 0)
        .slice(1)
        .includes('*');
    const near = { year: 2028, month: 2, day: 29, hour: 12 };
    const starts = fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2090, 0) });
    fc.assert(
      fc.property(unixExpression(near).filter(isKnown), starts, (cron, after) => {
        cases += 1;
        const found = nextOccurrence({ kind: 'cron', cron, timezone: 'UTC' }, after);
        const second = new Cron(`0 ${cron}`, { timezone: 'UTC' }).nextRun(new Date(after));
        expect(found, `${cron} after ${new Date(after).toISOString()}`).toBe(second?.getTime());
      }),
      { numRuns: 3000 },
    );
    process.stdout.write(`cadence: ${cases} cases against croner in UTC, all equal\n`);
  });
});
