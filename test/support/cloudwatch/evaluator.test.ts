/** The evaluator, held against the tables and sentences of AWS's documentation. */
import { describe, expect, it } from 'vitest';
import { emfMetrics } from '../../../adapters/aws/metrics.ts';
import { alarmState, breaches, compositeState, type MissingData } from './alarm.ts';
import { emfSamples, MetricData, type Series, statisticOf } from './data.ts';
import { metricMath } from './math.ts';

const point = (sign: string) => ({ '0': false, X: true, '-': undefined })[sign];
const TREATMENTS: readonly MissingData[] = ['missing', 'ignore', 'breaching', 'notBreaching'];
const KEPT = 'retain';
type Row = readonly [string, string, string, string, string];

/**
 * "Configuring how CloudWatch alarms treat missing data", both tables with the rows of all versions of the page: data points,
 * then the state for missing, ignore, breaching and notBreaching.
 */
const THREE_OF_THREE: readonly Row[] = [
  ['0 - X - X', 'OK', 'OK', 'OK', 'OK'],
  ['0 - - - -', 'OK', 'OK', 'OK', 'OK'],
  ['- - - - -', 'INSUFFICIENT_DATA', KEPT, 'ALARM', 'OK'],
  ['0 X X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  ['- - X - -', 'ALARM', KEPT, 'ALARM', 'OK'],
  ['- - - - X', 'INSUFFICIENT_DATA', KEPT, 'ALARM', 'OK'],
  ['X - - - -', 'ALARM', KEPT, 'ALARM', 'OK'],
];
const TWO_OF_THREE: readonly Row[] = [
  ['0 - X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  ['0 0 X 0 X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  ['0 - X - -', 'OK', 'OK', 'ALARM', 'OK'],
  ['- - - - 0', 'OK', 'OK', 'ALARM', 'OK'],
  ['- - - X -', 'ALARM', KEPT, 'ALARM', 'OK'],
  ['- - - - X', 'INSUFFICIENT_DATA', KEPT, 'ALARM', 'OK'],
];

describe.each([
  [3, THREE_OF_THREE],
  [2, TWO_OF_THREE],
] as const)('%i out of 3', (datapointsToAlarm, rows) => {
  it.each(rows)('%s', (text, ...states) => {
    const points = text.split(' ').map(point);
    for (const [index, missing] of TREATMENTS.entries())
      for (const current of ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const) {
        const expected = states[index] === KEPT ? current : states[index];
        const evaluation = { evaluationPeriods: 3, datapointsToAlarm, missing };
        expect([missing, alarmState(points, evaluation, current)]).toEqual([missing, expected]);
      }
  });
});

describe('data points', () => {
  const id = { namespace: 'N', name: 'M', dimensions: {} };

  it('are made of the samples from the beginning of a period to its end, which belongs to the next one', () => {
    const data = new MetricData();
    for (const [at, value] of [
      [0, 1],
      [59_999, 2],
      [60_000, 4],
      [179_999, 8],
      [180_000, 16],
    ] as const)
      data.put(id, at, value);
    expect(data.series(id, 'Sum', { end: 180_000, periodMs: 60_000, count: 3 })).toEqual([3, 4, 8]);
    // It slides: a minute later each window has moved by a minute, whatever the period.
    expect(data.series(id, 'Sum', { end: 240_000, periodMs: 120_000, count: 2 })).toEqual([7, 24]);
    expect(data.series(id, 'Sum', { end: 600_000, periodMs: 60_000, count: 2 })).toEqual([undefined, undefined]);
  });

  it('of one set of dimensions are no data points of another', () => {
    const data = new MetricData();
    data.put({ ...id, dimensions: { a: '1', b: '2' } }, 0, 1);
    const periods = { end: 60_000, periodMs: 60_000, count: 1 };
    expect(data.series({ ...id, dimensions: { b: '2', a: '1' } }, 'Sum', periods)).toEqual([1]);
    for (const dimensions of [{}, { a: '1' }, { a: '1', b: '3' }, { a: '1', b: '2', c: '3' }])
      expect(data.series({ ...id, dimensions }, 'Sum', periods)).toEqual([undefined]);
    expect(data.series({ ...id, namespace: 'Other', dimensions: { a: '1', b: '2' } }, 'Sum', periods)).toEqual([
      undefined,
    ]);
  });

  it.each([
    ['Sum', 10],
    ['Average', 2.5],
    ['Maximum', 4],
    ['Minimum', 1],
    ['SampleCount', 4],
    ['p99', 4],
    ['p50', 2],
    ['p99.9', 4],
  ])('%s of 4, 1, 3, 2 is %d', (statistic, expected) => {
    expect(statisticOf(statistic, [4, 1, 3, 2])).toBe(expected);
  });

  it('of a statistic that nothing uses are an error', () => {
    expect(() => statisticOf('TM(5%:95%)', [1])).toThrow('not known here');
  });

  it('compare with the threshold as the operator says', () => {
    const series = [1, 2, 3, undefined];
    expect(breaches(series, 'GreaterThanThreshold', 2)).toEqual([false, false, true, undefined]);
    expect(breaches(series, 'GreaterThanOrEqualToThreshold', 2)).toEqual([false, true, true, undefined]);
    expect(breaches(series, 'LessThanThreshold', 2)).toEqual([true, false, false, undefined]);
    expect(breaches(series, 'LessThanOrEqualToThreshold', 2)).toEqual([true, true, false, undefined]);
    expect(() => breaches(series, 'LessThanLowerThreshold', 2)).toThrow('not known here');
  });
});

describe('lines of the embedded metric format', () => {
  const at = 1_700_000_000_000;

  it('as our adapter writes them give the total and one metric for each value of their dimension', () => {
    const lines: string[] = [];
    const metrics = emfMetrics({ namespace: 'Candor/dev', now: () => at, write: (line) => lines.push(line) });
    metrics.put('Recoveries', 2, { rule: 'vm_dead' });
    metrics.put('WatchdogTicks', 1);
    expect(lines.flatMap((line) => emfSamples(line))).toEqual([
      { id: { namespace: 'Candor/dev', name: 'Recoveries', dimensions: {} }, at, value: 2 },
      { id: { namespace: 'Candor/dev', name: 'Recoveries', dimensions: { rule: 'vm_dead' } }, at, value: 2 },
      { id: { namespace: 'Candor/dev', name: 'WatchdogTicks', dimensions: {} }, at, value: 1 },
    ]);
  });

  it('with several values are as many samples, and a line that is none is no metric', () => {
    const event = { _aws: { Timestamp: at, CloudWatchMetrics: [directive({})] }, M: [1, 2] };
    expect(emfSamples(JSON.stringify(event)).map(({ value }) => value)).toEqual([1, 2]);
    expect(emfSamples('REPORT RequestId: 1')).toEqual([]);
    expect(emfSamples('{"message":"hello"}')).toEqual([]);
  });

  const directive = (more: object) => ({ Namespace: 'N', Dimensions: [[]], Metrics: [{ Name: 'M' }], ...more });
  it.each([
    ['seconds for milliseconds', { _aws: { Timestamp: 1_700_000_000, CloudWatchMetrics: [directive({})] }, M: 1 }],
    ['no namespace', { _aws: { Timestamp: at, CloudWatchMetrics: [directive({ Namespace: '' })] }, M: 1 }],
    ['text for a number', { _aws: { Timestamp: at, CloudWatchMetrics: [directive({})] }, M: '1' }],
    ['no value at all', { _aws: { Timestamp: at, CloudWatchMetrics: [directive({})] } }],
    [
      'a dimension without a value',
      { _aws: { Timestamp: at, CloudWatchMetrics: [directive({ Dimensions: [['d']] })] }, M: 1 },
    ],
    [
      'a number for a dimension',
      { _aws: { Timestamp: at, CloudWatchMetrics: [directive({ Dimensions: [['d']] })] }, M: 1, d: 1 },
    ],
  ])('with %s are an error, as CloudWatch would drop them', (_what, event) => {
    expect(() => emfSamples(JSON.stringify(event))).toThrow();
  });
});

describe('metric math', () => {
  const none = undefined;
  const math = (expression: string, named: Readonly<Record<string, Series>>) =>
    metricMath(expression, new Map(Object.entries(named)));

  it('compares as in the documentation: a missing value is 0 where the other side has one', () => {
    const named = { metric1: [30, 20, 0, 0], metric2: [20, none, 20, none] };
    expect(math('(metric1 < metric2)', named)).toEqual([0, 0, 1, 0]);
    expect(math('(metric1 >= 30)', named)).toEqual([1, 0, 0, 0]);
    expect(math('(metric1 > 15 AND metric2 > 15)', named)).toEqual([1, 0, 0, 0]);
  });

  it('chooses as in the documentation', () => {
    const metric1 = [1, 1, 0, 0, none];
    const metric2 = [30, none, 0, 0, 30];
    const metric3 = [0, 0, 20, none, 20];
    expect(math('IF(metric1, metric2, metric3)', { metric1, metric2, metric3 })).toEqual([30, 0, 20, none, none]);
    expect(math('IF(metric1, 5, metric3)', { metric1, metric3 })).toEqual([5, 5, 20, none, none]);
    expect(math('IF(metric1, metric2, 5)', { metric1, metric2 })).toEqual([30, 0, 5, 5, none]);
    expect(math('IF(metric1, metric2)', { metric1, metric2 })).toEqual([30, 0, none, none, none]);
  });

  it('fills, adds, subtracts, multiplies, and drops what would be divided by zero', () => {
    const named = { a: [1, none, 3, none], b: [none, 2, 0, none] };
    expect(math('FILL(a, 0)', named)).toEqual([1, 0, 3, 0]);
    expect(math('a + b', named)).toEqual([1, 2, 3, none]);
    expect(math('FILL(a, 0) - FILL(b, 0)', named)).toEqual([1, -2, 3, 0]);
    expect(math('100 * a / (a + b)', named)).toEqual([100, 0, 100, none]);
    expect(math('a / b', named)).toEqual([none, 0, none, none]);
    expect(math('-a * 2 + 1', named)).toEqual([-1, none, -5, none]);
    expect(math('MAX([a, b])', named)).toEqual([1, 2, 3, none]);
    expect(math('SUM([a, b])', named)).toEqual([1, 2, 3, none]);
  });

  it.each([
    ['RATE(a)', /RATE is not known/],
    ['MAX(a)', /takes a list/],
    ['FILL(a, REPEAT)', /nothing has the id REPEAT/],
    ['a + c', /nothing has the id c/],
    ['a b', /unexpected b/],
    ['a ^ 2', /cannot be read/],
    ['1 + 1', /is a number/],
    ['[a]', /several series/],
    ['(a', /unexpected end/],
  ])('refuses %s', (expression, fault) => {
    expect(() => math(expression, { a: [1] })).toThrow(fault);
  });
});

describe('a composite rule', () => {
  const states = { up: 'OK', down: 'ALARM', mute: 'INSUFFICIENT_DATA' } as const;
  const stateOf = (name: string) => states[name as keyof typeof states];

  it.each([
    ['ALARM(down)', 'ALARM'],
    ['ALARM("up")', 'OK'],
    ['OK(up) AND INSUFFICIENT_DATA("mute")', 'ALARM'],
    ['ALARM(up) OR ALARM(mute) OR ALARM(down)', 'ALARM'],
    ['ALARM(down) AND NOT ALARM(up)', 'ALARM'],
    ['NOT ALARM(down) OR ALARM(up)', 'OK'],
    ['TRUE OR TRUE AND FALSE', 'ALARM'],
    ['(TRUE OR TRUE) AND FALSE', 'OK'],
    ['(ALARM("down") AND (OK("up") OR ALARM("mute")))', 'ALARM'],
  ] as const)('%s is %s', (rule, expected) => {
    expect(compositeState(rule, stateOf)).toBe(expected);
  });

  it.each(['AT_LEAST(2, ALARM, (up, down))', 'ALARM(down', 'ALARM(down) ALARM(up)', ''])('refuses "%s"', (rule) => {
    expect(() => compositeState(rule, stateOf)).toThrow();
  });
});
