import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOccurrence, nextOccurrence } from '../../../core/cadence/occurrences.ts';
import { isoSecond } from '../../../core/contract/common.ts';
import { acceptCadence } from '../../../core/schedules/cadenceRequest.ts';
import { withRevision } from '../../../core/schedules/change.ts';
import {
  firstUndecided,
  isExpected,
  nextExpected,
  nextOfAny,
  prunedRevisions,
  revisionAt,
  upcoming,
} from '../../../core/schedules/expected.ts';
import type { Cadence, Revision } from '../../../core/schedules/model.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const cron = (expression: string, timezone: string): Cadence => ({ kind: 'cron', cron: expression, timezone });
const at = (text: string): number => Date.parse(text);

function between(cadence: Cadence, from: number, to: number): readonly string[] {
  const found: string[] = [];
  for (
    let next = nextOccurrence(cadence, from - 1);
    next !== undefined && next < to;
    next = nextOccurrence(cadence, next)
  )
    found.push(isoSecond(next));
  return found;
}

/** The wall clock of a zone at an instant, read from the platform and from nothing that the core uses. */
const wallClocks = new Map<string, Intl.DateTimeFormat>();
function wall(timezone: string, instant: number): readonly [string, number, number, number, number, number] {
  let format = wallClocks.get(timezone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      weekday: 'short',
    });
    wallClocks.set(timezone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(instant).map((part) => [part.type, part.value]));
  const weekday = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(parts.weekday ?? '');
  const numbers = [parts.minute, parts.hour, parts.day, parts.month].map(Number) as [number, number, number, number];
  return [`${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}`, ...numbers, weekday];
}

/** Whether a field of plain numbers, lists, ranges, steps and stars names a value. */
function named(field: string, value: number): boolean {
  return field.split(',').some((part) => {
    const [range = '', step = '1'] = part.split('/');
    const [low = 0, high = range === '*' ? 99 : low] = range === '*' ? [] : range.split('-').map(Number);
    return value >= low && value <= high && (value - low) % Number(step) === 0;
  });
}

/** The rule, minute by minute: an instant whose wall clock matches and has not been shown before (EventBridge Scheduler). */
function oracle(expression: string, timezone: string, from: number, to: number): readonly string[] {
  const fields = expression.split(' ');
  const seen = new Set<string>();
  const found: string[] = [];
  for (let instant = from - 3 * HOUR; instant < to; instant += MINUTE) {
    const [shown, ...values] = wall(timezone, instant);
    const repeated = seen.has(shown);
    seen.add(shown);
    const matches = fields.every((field, index) => named(field, values[index] ?? -1));
    if (instant >= from && matches && !repeated) found.push(isoSecond(instant));
  }
  return found;
}

/** The days on which each zone moves its clock, in UTC; Lord Howe moves it by half an hour. */
const CHANGES = {
  'Europe/Berlin': { spring: '2027-03-28T00:00:00Z', autumn: '2027-10-31T00:00:00Z' },
  'America/New_York': { spring: '2027-03-14T00:00:00Z', autumn: '2027-11-07T00:00:00Z' },
  'Australia/Lord_Howe': { spring: '2027-10-02T00:00:00Z', autumn: '2027-04-03T00:00:00Z' },
  'Africa/Casablanca': { spring: '2027-03-14T00:00:00Z', autumn: '2027-02-07T00:00:00Z' },
  'Asia/Kolkata': { spring: '2027-03-28T00:00:00Z', autumn: '2027-10-31T00:00:00Z' },
} as const;
type Zone = keyof typeof CHANGES;
const ZONES = Object.keys(CHANGES) as readonly Zone[];

describe('a cron cadence where the clock is moved', () => {
  it('skips the times that do not exist in spring', () => {
    expect(
      between(cron('30 2 * * *', 'Europe/Berlin'), at('2027-03-27T00:00:00Z'), at('2027-03-30T00:00:00Z')),
    ).toEqual(['2027-03-27T01:30:00Z', '2027-03-29T00:30:00Z']);
    expect(
      between(cron('30 2 * * *', 'America/New_York'), at('2027-03-13T00:00:00Z'), at('2027-03-16T00:00:00Z')),
    ).toEqual(['2027-03-13T07:30:00Z', '2027-03-15T06:30:00Z']);
    expect(
      between(cron('15 2 * * *', 'Australia/Lord_Howe'), at('2027-10-01T00:00:00Z'), at('2027-10-04T00:00:00Z')),
    ).toEqual(['2027-10-01T15:45:00Z', '2027-10-03T15:15:00Z']);
  });

  it('fires once, the first time, where a time comes twice in autumn', () => {
    expect(
      between(cron('30 2 * * *', 'Europe/Berlin'), at('2027-10-30T12:00:00Z'), at('2027-11-01T12:00:00Z')),
    ).toEqual(['2027-10-31T00:30:00Z', '2027-11-01T01:30:00Z']);
    expect(
      between(cron('30 1 * * *', 'America/New_York'), at('2027-11-06T12:00:00Z'), at('2027-11-08T12:00:00Z')),
    ).toEqual(['2027-11-07T05:30:00Z', '2027-11-08T06:30:00Z']);
    expect(
      between(cron('45 1 * * *', 'Australia/Lord_Howe'), at('2027-04-03T06:00:00Z'), at('2027-04-05T06:00:00Z')),
    ).toEqual(['2027-04-03T14:45:00Z', '2027-04-04T15:15:00Z']);
  });

  it.each(
    ZONES.flatMap((zone) =>
      (['spring', 'autumn'] as const).flatMap((season) =>
        ['*/15 * * * *', '5,35 0-4 * * *', '0 2 * * 0', '30 1-3 * * *', '59 23 * * *'].map(
          (expression) => [zone, season, expression] as const,
        ),
      ),
    ),
  )('agrees with the wall clock in %s in %s for %s', (zone, season, expression) => {
    const from = at(CHANGES[zone][season]) - DAY;
    const to = from + 3 * DAY;
    expect(between(cron(expression, zone), from, to)).toEqual(oracle(expression, zone, from, to));
  });

  it('agrees with the wall clock for any field and any start', () => {
    const field = (max: number, min = 0) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min, max }).map(String),
        fc.uniqueArray(fc.integer({ min, max }), { minLength: 2, maxLength: 3 }).map((values) => values.join(',')),
        fc.integer({ min: 1, max: 20 }).map((step) => `*/${step}`),
      );
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.constantFrom('spring' as const, 'autumn' as const),
        field(59),
        field(23),
        fc.oneof(fc.constant('*'), fc.integer({ min: 0, max: 6 }).map(String)),
        fc.integer({ min: 0, max: 1440 }),
        (zone, season, minute, hour, weekday, offset) => {
          // A step over hours or minutes counts from 0, as both do.
          const expression = `${minute} ${hour} * * ${weekday}`;
          const from = at(CHANGES[zone][season]) - 6 * HOUR + offset * MINUTE;
          const to = from + DAY;
          expect(between(cron(expression, zone), from, to)).toEqual(oracle(expression, zone, from, to));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds a leap day years ahead, and says that an impossible date never comes', () => {
    expect(isoSecond(nextOccurrence(cron('0 12 29 2 *', 'UTC'), at('2027-03-01T00:00:00Z')) ?? 0)).toBe(
      '2028-02-29T12:00:00Z',
    );
    expect(nextOccurrence(cron('0 12 30 2 *', 'UTC'), at('2027-03-01T00:00:00Z'))).toBeUndefined();
  });
});

describe('an every cadence', () => {
  it('keeps its phase from its anchor, over changes of the clock too: a day has 24 hours', () => {
    const anchor = at('2027-03-27T08:00:00Z');
    const daily: Cadence = { kind: 'every', everySeconds: 86_400, startAt: anchor };
    expect(between(daily, anchor, anchor + 3 * DAY)).toEqual([0, 1, 2].map((day) => isoSecond(anchor + day * DAY)));
  });

  it('begins with its anchor, and never before it', () => {
    const startAt = at('2027-03-01T12:00:00Z');
    const cadence: Cadence = { kind: 'every', everySeconds: 900, startAt };
    expect(nextOccurrence(cadence, startAt - 10 * DAY)).toBe(startAt);
    expect(nextOccurrence(cadence, startAt - 1)).toBe(startAt);
    expect(nextOccurrence(cadence, startAt)).toBe(startAt + 15 * MINUTE);
    expect(isOccurrence(cadence, startAt)).toBe(true);
    expect(isOccurrence(cadence, startAt - 15 * MINUTE)).toBe(false);
  });

  it('has every later instant a whole number of intervals after its anchor, strictly after what was asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 366 * 86_400 }),
        fc.integer({ min: 0, max: 4_000_000_000 }),
        fc.integer({ min: 0, max: 4_000_000_000 }),
        (everySeconds, anchor, after) => {
          const cadence: Cadence = { kind: 'every', everySeconds, startAt: anchor * 1000 };
          const next = nextOccurrence(cadence, after * 1000) ?? 0;
          expect(next).toBeGreaterThan(after * 1000);
          expect((next - anchor * 1000) % (everySeconds * 1000)).toBe(0);
          expect(next - Math.max(after, anchor) * 1000).toBeLessThanOrEqual(everySeconds * 1000);
        },
      ),
    );
  });

  it('begins one interval from now where no start was sent', () => {
    const now = at('2027-03-01T12:00:00Z') + 700;
    expect(acceptCadence({ every: 900 }, undefined, now)).toEqual({
      kind: 'every',
      everySeconds: 900,
      startAt: at('2027-03-01T12:15:00Z'),
    });
  });
});

describe('an at cadence', () => {
  const once: Cadence = { kind: 'at', at: at('2027-03-01T12:00:00Z') };
  it('comes once', () => {
    expect(nextOccurrence(once, once.at - 1)).toBe(once.at);
    expect(nextOccurrence(once, once.at)).toBeUndefined();
  });

  it('must be in the future, and in its window', () => {
    expect(() => acceptCadence({ at: once.at }, undefined, once.at)).toThrow('cannot be kept');
    expect(() => acceptCadence({ at: once.at }, { endAt: once.at }, once.at - HOUR)).toThrow('cannot be kept');
    expect(() => acceptCadence({ at: once.at }, { startAt: once.at + 1000 }, once.at - HOUR)).toThrow('cannot be kept');
    expect(acceptCadence({ at: once.at }, { startAt: once.at }, once.at - HOUR)).toMatchObject({ at: once.at });
  });
});

const NOON = at('2027-03-01T12:00:00Z');
const every5: Cadence = { kind: 'every', everySeconds: 300, startAt: NOON };
const every7: Cadence = { kind: 'every', everySeconds: 420, startAt: NOON };
const revision = (from: number, more: Partial<Revision> = {}): Revision => ({
  specVersion: 1,
  from,
  active: true,
  cadence: every5,
  by: 'me',
  ...more,
});
/** Of whichever revision, those of a pause included. */
function withheldBefore(revisions: readonly Revision[], before: number): readonly number[] {
  const found: number[] = [];
  for (let at = nextOfAny({ revisions }, 0); at !== undefined && at < before; at = nextOfAny({ revisions }, at))
    found.push(at);
  return found;
}
const minutesOf = (times: readonly number[]) => times.map((time) => (time - NOON) / MINUTE);

describe('what is expected, over the revisions of a schedule', () => {
  it('follows the old cadence up to an edit and the new one from it on', () => {
    const revisions = [revision(NOON), revision(NOON + 12 * MINUTE, { cadence: every7 })];
    expect(minutesOf(upcoming({ revisions }, NOON - 1, 6))).toEqual([0, 5, 10, 14, 21, 28]);
  });

  it('belongs at the very instant of an edit to the new revision', () => {
    const edited = [revision(NOON), revision(NOON + 10 * MINUTE, { cadence: every7 })];
    expect(minutesOf(upcoming({ revisions: edited }, NOON, 3))).toEqual([5, 14, 21]);
    const same = [revision(NOON), revision(NOON + 10 * MINUTE)];
    expect(minutesOf(upcoming({ revisions: same }, NOON, 3))).toEqual([5, 10, 15]);
    expect(revisionAt({ revisions: same }, NOON + 10 * MINUTE)).toBe(same[1]);
    expect(revisionAt({ revisions: same }, NOON + 10 * MINUTE - 1)).toBe(same[0]);
    expect(revisionAt({ revisions: same }, NOON - 1)).toBeUndefined();
  });

  it('is nothing in a pause, from its first instant until the resume, and what it withheld is still named', () => {
    const revisions = [
      revision(NOON),
      revision(NOON + 10 * MINUTE, { active: false }),
      revision(NOON + 20 * MINUTE + 1),
    ];
    expect(minutesOf(upcoming({ revisions }, NOON, 3))).toEqual([5, 25, 30]);
    expect(nextOfAny({ revisions }, NOON + 5 * MINUTE)).toBe(NOON + 10 * MINUTE);
    expect(nextOfAny({ revisions }, NOON + 15 * MINUTE)).toBe(NOON + 20 * MINUTE);
    expect(nextOfAny({ revisions }, NOON + 20 * MINUTE)).toBe(NOON + 25 * MINUTE);
    expect(isExpected({ revisions }, NOON + 10 * MINUTE)).toBe(false);
  });

  it('is expected at the instant of a resume', () => {
    const revisions = [revision(NOON, { active: false }), revision(NOON + 10 * MINUTE)];
    expect(nextExpected({ revisions }, NOON)).toBe(NOON + 10 * MINUTE);
  });

  it('stays inside the window: from its start, up to but not at its end', () => {
    const window = { startAt: NOON + 10 * MINUTE, endAt: NOON + 20 * MINUTE };
    const revisions = [revision(NOON, { window })];
    expect(minutesOf(upcoming({ revisions }, NOON - 1, 9))).toEqual([10, 15]);
  });

  it('is never before the first revision, whatever the cadence’s anchor', () => {
    const revisions = [revision(NOON + 12 * MINUTE)];
    expect(minutesOf(upcoming({ revisions }, 0, 2))).toEqual([15, 20]);
  });

  it('is first unsettled right after what has been settled', () => {
    const revisions = [revision(NOON)];
    expect(firstUndecided({ revisions, decidedThrough: NOON })).toBe(NOON + 5 * MINUTE);
    expect(firstUndecided({ revisions, decidedThrough: NOON - 1 })).toBe(NOON);
  });

  const anyCadence = fc.oneof<fc.Arbitrary<Cadence>[]>(
    fc.record({
      kind: fc.constant('every' as const),
      everySeconds: fc.integer({ min: 60, max: 7200 }),
      startAt: fc.integer({ min: -600, max: 600 }).map((minutes) => NOON + minutes * MINUTE),
    }),
    fc.constantFrom('*/5 * * * *', '0 * * * *', '30 2 * * *', '15 9 * * 1').map((each) => cron(each, 'Europe/Berlin')),
    fc.integer({ min: -300, max: 3000 }).map((minutes): Cadence => ({ kind: 'at', at: NOON + minutes * MINUTE })),
  );
  const anyRevisions = fc
    .array(
      fc.record({
        gap: fc.integer({ min: 0, max: 900 }),
        active: fc.boolean(),
        cadence: anyCadence,
        end: fc.option(fc.integer({ min: 1, max: 2000 }), { nil: undefined, freq: 3 }),
      }),
      { minLength: 1, maxLength: 5 },
    )
    .map((parts) => {
      let from = NOON;
      return parts.map(({ gap, active, cadence, end }, index) => {
        from += gap * MINUTE + (index % 2) * 333;
        const window = end === undefined ? undefined : { endAt: from + end * MINUTE };
        return revision(from, { specVersion: index + 1, active, cadence, ...(window !== undefined && { window }) });
      });
    });

  it('comes in strictly rising order, each one expected, each by the revision in force at its time', () => {
    fc.assert(
      fc.property(anyRevisions, fc.integer({ min: -60, max: 1200 }), (revisions, start) => {
        const after = NOON + start * MINUTE;
        const times = upcoming({ revisions }, after, 12);
        for (const [index, time] of times.entries()) {
          expect(time).toBeGreaterThan(times[index - 1] ?? after);
          expect(isExpected({ revisions }, time)).toBe(true);
          const inForce = revisionAt({ revisions }, time);
          expect(inForce?.active).toBe(true);
          expect(inForce !== undefined && isOccurrence(inForce.cadence, time)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('forgets no expected occurrence between two answers, and withholds none that is expected', () => {
    fc.assert(
      fc.property(anyRevisions, (revisions) => {
        const expected = new Set(upcoming({ revisions }, NOON - 1, 40));
        const horizon = Math.max(NOON, ...expected);
        for (const each of revisions) {
          let time = nextOccurrence(each.cadence, NOON - 1);
          for (let count = 0; count < 40 && time !== undefined && time <= horizon; count++) {
            const mine = revisionAt({ revisions }, time) === each;
            const open = each.window?.endAt === undefined || time < each.window.endAt;
            if (mine && each.active && open) expect(expected.has(time)).toBe(true);
            if (mine && !each.active) expect(isExpected({ revisions }, time)).toBe(false);
            time = nextOccurrence(each.cadence, time);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('does not change, nor what a pause withheld, where an edit in the pause takes the place of the one before it', () => {
    fc.assert(
      fc.property(anyRevisions, (revisions) => {
        const [first, ...others] = revisions;
        const folded = others.reduce<readonly Revision[]>(withRevision, first === undefined ? [] : [first]);
        expect(upcoming({ revisions: folded }, NOON - 1, 30)).toEqual(upcoming({ revisions }, NOON - 1, 30));
        const [whole, merged] = [revisions, folded].map((each) => withheldBefore(each, NOON + DAY));
        expect(merged).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('does not change by pruning what has been settled', () => {
    fc.assert(
      fc.property(anyRevisions, fc.integer({ min: 0, max: 2000 }), (revisions, minutes) => {
        const settledThrough = NOON + minutes * MINUTE;
        const pruned = prunedRevisions(revisions, settledThrough);
        expect(upcoming({ revisions: pruned }, settledThrough, 8)).toEqual(upcoming({ revisions }, settledThrough, 8));
        expect(pruned.length).toBeGreaterThan(0);
      }),
      { numRuns: 100 },
    );
  });
});
