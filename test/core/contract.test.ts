import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoreConfig } from '../../core/config.ts';
import { AgentCreate, AgentPatch } from '../../core/contract/agents.ts';
import { formatDuration, Instant, isoSecond, Name, PageQuery, parseDuration } from '../../core/contract/common.ts';
import { nominalTime } from '../../core/contract/fire.ts';
import { HeartbeatRequest } from '../../core/contract/runner.ts';
import { Cadence, ScheduleCreate, SchedulePatch } from '../../core/contract/schedules.ts';

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** What is wrong with a key of a record. */
  readonly issues?: readonly Issue[];
}
interface Parsed {
  readonly success: boolean;
  readonly error?: { readonly issues: readonly object[] } | undefined;
}
/** `path: message` of each issue; a wrong key says itself what is wrong with it. */
const issues = (parsed: Parsed): readonly string[] =>
  ((parsed.error?.issues ?? []) as readonly Issue[]).map(
    (issue) => `${issue.path.join('/')}: ${(issue.issues ?? [issue]).map((each) => each.message).join('; ')}`,
  );

describe('durations', () => {
  it('come back as they went out', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 366 * 86_400 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds))).toBe(seconds);
      }),
    );
  });

  it.each([
    ['PT15M', 900],
    ['P1D', 86_400],
    ['P1DT1H1M1S', 90_061],
    ['P2W', 1_209_600],
    ['15m', 900],
    ['1 d', 86_400],
    ['90s', 90],
    ['PT0S', 0],
  ])('%s is %i seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each([
    '',
    'P',
    'PT',
    'P1DT',
    '15',
    'PT-5M',
    '-PT5M',
    'PT1.5H',
    'P1Y',
    'P1M',
    '1h30m',
    'pt15m',
    'PT15M PT1M',
    'PT1S1M',
  ])('%j is not a duration', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it('say their limits when they are beyond them, also when the number is absurd', () => {
    for (const runTimeout of ['PT0S', 'P31D', `${'9'.repeat(400)}d`])
      expect(issues(AgentCreate.safeParse({ name: 'a', command: ['x'], limits: { runTimeout } }))).toEqual([
        'limits/runTimeout: must be between PT1S and P30D',
      ]);
  });
});

describe('instants', () => {
  it('are epoch milliseconds to the second, with their offset applied', () => {
    expect(Instant.parse('2027-01-31T09:00:00.987+02:00')).toBe(Date.UTC(2027, 0, 31, 7, 0, 0));
    expect(isoSecond(Instant.parse('2027-01-31T09:00Z'))).toBe('2027-01-31T09:00:00Z');
  });

  it.each([
    '2027-01-31',
    '2027-01-31T09:00:00',
    'tomorrow',
    '2027-13-01T00:00:00Z',
    '2027-01-31T25:00:00Z',
    '',
    '1800000000',
  ])('are not %j', (text) => {
    expect(Instant.safeParse(text).success).toBe(false);
  });

  it.each(['2027-02-29T09:00:00Z', '2027-02-30T09:00:00Z', '2027-04-31T09:00:00+02:00'])(
    'are not %j: a date that does not exist is refused, never moved into the next month',
    (text) => {
      expect(Instant.safeParse(text).success).toBe(false);
    },
  );

  it('take the leap day of a leap year, and the first minutes of a day in another zone', () => {
    expect(isoSecond(Instant.parse('2028-02-29T00:30:00+02:00'))).toBe('2028-02-28T22:30:00Z');
  });
});

describe('a clock’s nominal time', () => {
  it('is absent where the placeholder was not filled in, or is no time', () => {
    expect(nominalTime(undefined)).toBeUndefined();
    expect(nominalTime('<aws.scheduler.scheduled-time>')).toBeUndefined();
    expect(nominalTime('never')).toBeUndefined();
    expect(nominalTime('2027-03-01T12:05:00.900Z')).toBe(Date.UTC(2027, 2, 1, 12, 5, 0));
  });
});

describe('a cadence', () => {
  it.each([
    [{}, 'must have exactly one of cron, every or at: it has none of them'],
    [{ timezone: 'UTC' }, 'must have exactly one of cron, every or at: it has none of them'],
    [{ cron: '* * * * *', every: 'PT5M' }, 'must have exactly one of cron, every or at: it has cron and every'],
    [
      { cron: '* * * * *', every: 'PT5M', at: '2027-01-01T00:00:00Z' },
      'must have exactly one of cron, every or at: it has cron and every and at',
    ],
  ])('%j is refused in words', (value, message) => {
    expect(issues(Cadence.safeParse(value))).toEqual([`: ${message}`]);
  });

  it('names the field that is wrong inside the kind that was chosen, and no field of another kind', () => {
    expect(issues(Cadence.safeParse({ cron: '* * * * *' }))).toHaveLength(1);
    expect(issues(Cadence.safeParse({ cron: '* * * * *' }))[0]).toMatch(/^timezone: /);
    expect(issues(Cadence.safeParse({ cron: '* * * * *', timezone: 'Mars/Olympus' }))).toEqual([
      'timezone: must be an IANA time zone such as Europe/Berlin or UTC',
    ]);
    expect(issues(Cadence.safeParse({ every: 'PT30S' }))).toEqual(['every: must be between PT1M and P366D']);
    expect(issues(Cadence.safeParse({ every: 'PT5M', timezone: 'UTC' }))[0]).toContain('timezone');
    expect(issues(Cadence.safeParse({ at: 'noon' }))[0]).toMatch(/^at: must be an ISO 8601 time/);
  });

  it('keeps its place in a schedule’s body', () => {
    const parsed = ScheduleCreate.safeParse({ name: 'n', cadence: { every: 'PT30S' } });
    expect(issues(parsed)).toEqual(['cadence/every: must be between PT1M and P366D']);
    expect(issues(ScheduleCreate.safeParse({ name: 'n', cadence: 'daily' }))).toEqual([
      'cadence: must be an object with exactly one of cron, every or at',
    ]);
  });

  it.each(['+01:00', '', '1', 'Europe', 'UTC+2'])('does not take %j for a time zone', (timezone) => {
    expect(Cadence.safeParse({ cron: '* * * * *', timezone }).success).toBe(false);
  });
});

describe('bodies', () => {
  it('refuse what they do not know, by name', () => {
    expect(issues(AgentCreate.safeParse({ name: 'a', command: ['x'], comand: ['y'] }))[0]).toContain('comand');
    expect(issues(ScheduleCreate.safeParse({ name: 'n', cadence: { every: 'PT5M' }, enabled: true }))[0]).toContain(
      'enabled',
    );
    expect(SchedulePatch.safeParse({ paused: true }).success).toBe(false);
    expect(AgentPatch.safeParse({ kind: 'oneshot' }).success).toBe(false);
  });

  it('refuse variables that Candor sets itself, and names that no shell can hold', () => {
    const withEnv = (env: Record<string, string>) => issues(AgentCreate.safeParse({ name: 'a', command: ['x'], env }));
    expect(withEnv({ CANDOR_URL: 'x' }).join()).toContain('must not begin with CANDOR_');
    expect(withEnv({ '1A': 'x' }).join()).toContain('variable name');
    expect(withEnv({ 'A B': 'x' }).join()).toContain('variable name');
    expect(withEnv({ A: 'x\0y' })).toHaveLength(1);
    expect(withEnv({ CANDOR: 'x', candor_url: 'y', PATH: 'z' })).toEqual([]);
  });

  it('refuse an empty command, a relative folder and a name of nothing but space', () => {
    for (const bad of [
      { name: 'a', command: [] },
      { name: 'a', command: [''] },
      { name: 'a', command: ['x'], workingDirectory: 'here' },
      { name: '   ', command: ['x'] },
      { name: 'a\u0000b', command: ['x'] },
      { name: 'a'.repeat(121), command: ['x'] },
    ])
      expect(AgentCreate.safeParse(bad).success).toBe(false);
    expect(Name.parse('  Nightly report ☂  ')).toBe('Nightly report ☂');
    // Of a plane that no Unicode has given a meaning yet: no control character.
    expect(Name.parse('\u{87d46}')).toBe('\u{87d46}');
  });

  it('refuse a name with any control or unseen character, and for no other character', () => {
    const hidden = (text: string) => /[\p{Cc}\p{Cf}]/u.test(text);
    for (let code = 0; code <= 0x10ffff; code += 1) {
      const name = `a${String.fromCodePoint(code)}b`;
      // All that is refused, and of the million others a part.
      if (!hidden(name) && code % 61 !== 0) continue;
      expect(issues(Name.safeParse(name))).toEqual(hidden(name) ? [': must not contain control characters'] : []);
    }
  });

  it('refuse a window that ends before it begins', () => {
    const window = { startAt: '2027-02-01T00:00:00Z', endAt: '2027-02-01T00:00:00Z' };
    expect(issues(ScheduleCreate.safeParse({ name: 'n', cadence: { every: 'PT5M' }, window }))).toEqual([
      'window/endAt: must be after startAt',
    ]);
  });

  it('take null in a patch for an optional field only', () => {
    expect(SchedulePatch.parse({ window: null, catchupWindow: null, overrides: null, metadata: null })).toEqual({
      window: null,
      catchupWindow: null,
      overrides: null,
      metadata: null,
    });
    expect(SchedulePatch.safeParse({ cadence: null }).success).toBe(false);
    expect(SchedulePatch.safeParse({ name: null }).success).toBe(false);
    expect(SchedulePatch.parse({})).toEqual({});
  });

  it('page between 1 and 100', () => {
    expect(PageQuery.parse({}).limit).toBe(25);
    expect(PageQuery.parse({ limit: '7' }).limit).toBe(7);
    for (const limit of ['0', '101', '1.5', 'x', '-1', 'Infinity'])
      expect(PageQuery.safeParse({ limit }).success).toBe(false);
  });
});

describe('a heartbeat', () => {
  const beat = (registry: readonly object[], more: object = {}) =>
    HeartbeatRequest.safeParse({ vmId: 'vm_x', generation: 1, seq: 1, registry, acks: 0, ...more });

  it('refuses durations and numbers that no clock can give', () => {
    expect(beat([{ runId: 'run_x', attempt: 1, state: 'running', startedAgoMs: 5 }]).success).toBe(true);
    for (const startedAgoMs of [-1, Number.POSITIVE_INFINITY, Number.NaN])
      expect(beat([{ runId: 'run_x', attempt: 1, state: 'running', startedAgoMs }]).success).toBe(false);
    expect(beat([{ runId: 'run_x', attempt: 0, state: 'running' }]).success).toBe(false);
    expect(beat([], { seq: 0 }).success).toBe(false);
    expect(beat([], { generation: 0 }).success).toBe(false);
    expect(beat([{ runId: 'run_x', attempt: 1, state: 'asleep' }]).success).toBe(false);
  });
});

describe('the configuration', () => {
  it('is valid as it stands', () => {
    expect(CoreConfig.parse({}).leaseSeconds).toBe(45);
  });

  it.each([
    [{ heartbeatIdleSeconds: 45 }, 'heartbeatIdleSeconds'],
    [{ heartbeatActiveSeconds: 20 }, 'heartbeatActiveSeconds'],
    [{ leaseSeconds: 120 }, 'leaseSeconds'],
    [{ overdueGraceSeconds: 60 }, 'clockPrecisionSeconds'],
    [{ cancelEscalateSeconds: 30 }, 'cancelResendSeconds'],
    [{ retentionDays: 1 }, 'retentionDays'],
    [{ checkShards: 65 }, 'checkShards'],
    [{ leaseSecond: 45 }, ''],
  ])('refuses %j as a whole', (override, field) => {
    const parsed = CoreConfig.safeParse(override);
    expect(parsed.success).toBe(false);
    expect(issues(parsed).join()).toContain(field);
  });
});
