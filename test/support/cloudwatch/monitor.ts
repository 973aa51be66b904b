/** All alarms of an installation over its metric data, evaluated minute by minute as CloudWatch does it. */
import {
  type AlarmState,
  alarmState,
  breaches,
  compositeState,
  type Evaluation,
  EXTRA_PERIODS,
  type MissingData,
} from './alarm.ts';
import type { MetricData, MetricId, Series } from './data.ts';
import { metricMath } from './math.ts';

export interface MetricQuery {
  readonly metric: MetricId;
  readonly statistic: string;
}

/** One metric, or an expression over several that it names. */
export type Watched =
  | ({ readonly kind: 'metric' } & MetricQuery)
  | { readonly kind: 'math'; readonly expression: string; readonly metrics: Readonly<Record<string, MetricQuery>> };

export interface MetricAlarm extends Evaluation {
  readonly name: string;
  readonly watched: Watched;
  readonly periodSeconds: number;
  readonly operator: string;
  readonly threshold: number;
  readonly missing: MissingData;
}

export interface CompositeAlarm {
  readonly name: string;
  readonly rule: string;
}

/**
 * What an expression is worth while one of its metrics has no data point at all in the whole range. AWS does not say whether
 * such a metric counts as a series of missing values or makes the whole expression empty: so both are played.
 */
export const EMPTY_METRICS = ['is missing values', 'empties the expression'] as const;
export type EmptyMetric = (typeof EMPTY_METRICS)[number];

export class Monitor {
  readonly #alarms: readonly MetricAlarm[];
  readonly #composites: readonly CompositeAlarm[];
  readonly #data: MetricData;
  readonly #emptyMetric: EmptyMetric;
  readonly #states = new Map<string, AlarmState>();

  constructor(
    alarms: readonly MetricAlarm[],
    composites: readonly CompositeAlarm[],
    data: MetricData,
    emptyMetric: EmptyMetric,
  ) {
    this.#alarms = alarms;
    this.#composites = composites;
    this.#data = data;
    this.#emptyMetric = emptyMetric;
    for (const { name } of [...alarms, ...composites]) this.#states.set(name, 'INSUFFICIENT_DATA');
  }

  /** @throws for an alarm that does not exist */
  stateOf(name: string): AlarmState {
    const state = this.#states.get(name);
    if (state === undefined) throw new Error(`there is no alarm ${name}`);
    return state;
  }

  /** @param end a full minute, in milliseconds: data points of that very moment belong to the next evaluation */
  evaluate(end: number): void {
    if (end % 60_000 !== 0) throw new Error('alarms are evaluated at full minutes');
    for (const alarm of this.#alarms) {
      const points = breaches(this.#series(alarm, end), alarm.operator, alarm.threshold);
      this.#states.set(alarm.name, alarmState(points, alarm, this.stateOf(alarm.name)));
    }
    for (const { name, rule } of this.#composites)
      this.#states.set(
        name,
        compositeState(rule, (each) => this.stateOf(each)),
      );
  }

  #series({ watched, periodSeconds, evaluationPeriods }: MetricAlarm, end: number): Series {
    const periods = { end, periodMs: periodSeconds * 1000, count: evaluationPeriods + EXTRA_PERIODS };
    const read = ({ metric, statistic }: MetricQuery) => this.#data.series(metric, statistic, periods);
    if (watched.kind === 'metric') return read(watched);
    const named = new Map(Object.entries(watched.metrics).map(([id, query]) => [id, read(query)]));
    const isEmpty = (series: Series) => series.every((value) => value === undefined);
    if (this.#emptyMetric === 'empties the expression' && [...named.values()].some(isEmpty))
      return Array.from({ length: periods.count }, () => undefined);
    return metricMath(watched.expression, named);
  }
}
