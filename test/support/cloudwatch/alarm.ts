/**
 * A metric alarm's state by its data points, and a composite one's by those of others.
 *
 * Source: CloudWatch user guide, "Evaluating an alarm", "Configuring how CloudWatch alarms treat missing data" and "Create a
 * composite alarm". Every minute an alarm looks at a window that slides with it; it reads more periods than it evaluates, and
 * uses real data points before it fills in for missing ones.
 */
import type { Series } from './data.ts';

export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';
export type MissingData = 'breaching' | 'notBreaching' | 'ignore' | 'missing';

export interface Evaluation {
  /** N: so many data points are evaluated. */
  readonly evaluationPeriods: number;
  /** M: so many of them must breach. */
  readonly datapointsToAlarm: number;
  readonly missing: MissingData;
}

/**
 * How many periods more than N are read. AWS does not say; its example reads 5 where N is 3.
 */
export const EXTRA_PERIODS = 2;

/** @param points of the whole evaluation range, oldest first: whether each breaches, `undefined` where it is missing */
export function alarmState(
  points: readonly (boolean | undefined)[],
  { evaluationPeriods, datapointsToAlarm, missing }: Evaluation,
  current: AlarmState,
): AlarmState {
  const real = points.filter((point) => point !== undefined);
  const evaluated = real.slice(-evaluationPeriods);
  const breaching = evaluated.filter(Boolean).length;
  const stateOf = (count: number) => (count >= datapointsToAlarm ? 'ALARM' : 'OK');
  if (evaluated.length === evaluationPeriods) return stateOf(breaching);
  if (missing === 'breaching') return stateOf(breaching + evaluationPeriods - evaluated.length);
  if (missing === 'notBreaching') return stateOf(breaching);
  if (breaching >= datapointsToAlarm) return 'ALARM';
  if (breaching < real.length) return 'OK';
  if (missing === 'ignore') return current;
  // All that there is breaches: the alarm is raised when the oldest of it is as old as M, and not before.
  const oldest = points.findIndex((point) => point !== undefined);
  return oldest >= 0 && points.length - oldest >= datapointsToAlarm ? 'ALARM' : 'INSUFFICIENT_DATA';
}

const COMPARISONS: Readonly<Record<string, (value: number, threshold: number) => boolean>> = {
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  GreaterThanThreshold: (value, threshold) => value > threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

export function breaches(series: Series, operator: string, threshold: number): readonly (boolean | undefined)[] {
  const compare = COMPARISONS[operator];
  if (compare === undefined) throw new Error(`operator ${operator} is not known here`);
  return series.map((value) => (value === undefined ? undefined : compare(value, threshold)));
}

const RULE_TOKEN = /\s*(\(|\)|"[^"]*"|[^\s()"]+)/y;
const FUNCTIONS = new Set(['ALARM', 'OK', 'INSUFFICIENT_DATA']);

/** NOT binds closer than AND, and AND closer than OR. @throws for anything else that a rule may have */
export function compositeState(rule: string, stateOf: (alarm: string) => AlarmState): AlarmState {
  const tokens: string[] = [];
  RULE_TOKEN.lastIndex = 0;
  while (RULE_TOKEN.lastIndex < rule.trimEnd().length) {
    const found = RULE_TOKEN.exec(rule);
    if (found === null) throw new Error(`cannot read rule ${rule}`);
    tokens.push(found[1] as string);
  }
  let at = 0;
  const take = (token: string): boolean => {
    if (tokens[at] !== token) return false;
    at++;
    return true;
  };
  const expect = (token: string): void => {
    if (!take(token)) throw new Error(`${rule}: ${token} expected, not ${tokens[at] ?? 'the end'}`);
  };
  const or = (): boolean => {
    let value = and();
    while (take('OR')) value = and() || value;
    return value;
  };
  const and = (): boolean => {
    let value = not();
    while (take('AND')) value = not() && value;
    return value;
  };
  const not = (): boolean => (take('NOT') ? !not() : primary());
  const primary = (): boolean => {
    if (take('TRUE')) return true;
    if (take('FALSE')) return false;
    if (take('(')) {
      const value = or();
      expect(')');
      return value;
    }
    const state = tokens[at++] ?? '';
    if (!FUNCTIONS.has(state)) throw new Error(`${rule}: ${state || 'the end'} is not known here`);
    expect('(');
    const name = (tokens[at++] ?? '').replaceAll('"', '');
    expect(')');
    return stateOf(name) === state;
  };
  const value = or();
  if (at < tokens.length) throw new Error(`${rule}: unexpected ${tokens[at]}`);
  return value ? 'ALARM' : 'OK';
}
