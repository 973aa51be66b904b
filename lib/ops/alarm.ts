/** What an alarm is here, as data: CloudWatch's alarms, their texts, the runbooks' headings and the tests are made from it. */
import type { METRICS, MetricName } from '../../core/metrics.ts';
import type { DEAD_LETTERS } from '../control/deadLetters.ts';

export const SEVERITIES = ['page', 'ticket'] as const;
/** `page`: a symptom, which somebody feels now. `ticket`: a cause, which somebody will feel if nobody sees to it. */
export type Severity = (typeof SEVERITIES)[number];

export type Statistic = 'Sum' | 'Maximum' | 'Minimum' | 'p99';

type DimensionsOf<Name extends MetricName> = (typeof METRICS)[Name]['dimensions'][number];

/** A metric of Candor's own catalogue; with its dimensions it is those values', without it is the total. */
export type OwnMetric = {
  [Name in MetricName]: {
    readonly from: 'candor';
    readonly metric: Name;
    readonly dimensions?: Readonly<Record<DimensionsOf<Name>, string>>;
    readonly statistic: Statistic;
  };
}[MetricName];

/** What AWS says of the parts that Candor stands on. */
export type AwsMetric =
  | {
      readonly from: 'function';
      readonly function: string;
      readonly metric: 'Errors' | 'IteratorAge';
      readonly statistic: Statistic;
    }
  | {
      readonly from: 'queue';
      readonly queue: (typeof DEAD_LETTERS)[number];
      readonly metric: 'ApproximateNumberOfMessagesVisible';
      readonly statistic: Statistic;
    }
  | {
      readonly from: 'stateMachine';
      readonly metric: 'ExecutionsFailed' | 'ExecutionsTimedOut';
      readonly statistic: Statistic;
    }
  | { readonly from: 'api'; readonly metric: 'Count' | '5xx'; readonly statistic: Statistic }
  | {
      readonly from: 'scheduler';
      readonly metric: 'InvocationDroppedCount' | 'InvocationsFailedToBeSentToDeadLetterCount';
      readonly statistic: Statistic;
    };

export type OneMetric = OwnMetric | AwsMetric;

/**
 * Several metrics in one formula. Where one of them has no data at all the formula has none either, `FILL` or not: so only
 * metrics stand in one formula that are written together, or whose absence means what the alarm's `missing` says.
 */
export interface Formula {
  readonly from: 'formula';
  readonly formula: string;
  readonly label: string;
  readonly metrics: Readonly<Record<string, OneMetric>>;
}

export type Measure = OneMetric | Formula;

export interface AlarmSpec {
  /** Its name is `<installation>-<name>`, its runbook `docs/runbooks/<name>.md`. */
  readonly name: string;
  readonly severity: Severity;
  /** One sentence: what it means for those who rely on Candor. */
  readonly impact: string;
  /** What to paste first; it changes nothing. `{id}` stands for the installation's id. */
  readonly firstCommand: string;
  readonly measure: Measure;
  readonly periodSeconds: number;
  readonly breaches: 'at_least' | 'less_than';
  readonly threshold: number;
  /** So many of the last so many periods. */
  readonly points: { readonly breaching: number; readonly of: number };
  /**
   * `breaching`: a sign of life. `notBreaching`: a count of what went wrong, and nothing did. `ignore`: what was said last
   * stands until something else is said, because no news is no proof that it is over.
   */
  readonly missing: 'breaching' | 'notBreaching' | 'ignore';
  /** When it goes back to OK by itself. */
  readonly clears: string;
}

/** As CloudWatch has it: a comparison, and an alarm's own name. */
export const alarmNameOf = (installationId: string, name: string): string => `${installationId}-${name}`;

/** The namespace of an installation's metrics: several installations share accounts. */
export const metricsNamespaceOf = (installationId: string): string => `Candor/${installationId}`;

export const metricsOf = (measure: Measure): readonly OneMetric[] =>
  measure.from === 'formula' ? Object.values(measure.metrics) : [measure];

/** A metric of a minute may come minutes late; of five minutes' worth, it then lacks little. */
const FILLED_SECONDS_MIN = 300;

/**
 * What an alarm is evaluated on. CloudWatch reads more periods than an alarm evaluates, and takes whatever real data points it
 * finds there, however old, before it treats any as missing: a sign of life would be believed for two periods more after its
 * end, and what went wrong once would stand for as long. Filled with zeros, no data means zero in its own period.
 *
 * Not where the last minute alone decides: its data may not have come yet, and the zero in its place would hide it for ever.
 */
export function evaluatedOn({ measure, missing, breaches, periodSeconds }: AlarmSpec): Measure {
  if (measure.from === 'formula') return measure;
  const zeroIsWell = missing === 'notBreaching' && breaches === 'at_least' && periodSeconds >= FILLED_SECONDS_MIN;
  const zeroIsDeath = missing === 'breaching' && breaches === 'less_than';
  if (!zeroIsWell && !zeroIsDeath) return measure;
  return { from: 'formula', formula: 'FILL(measured, 0)', label: measure.metric, metrics: { measured: measure } };
}
