/**
 * Metric data as CloudWatch keeps them: samples under a namespace, a name and exactly one set of dimensions, and data
 * points of a period and a statistic over them. Samples come from lines in the embedded metric format, or by hand.
 *
 * Source: CloudWatch user guide, "CloudWatch embedded metric format specification" and "Metrics concepts".
 */

export interface MetricId {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** Oldest first; `undefined` where a period has no sample. */
export type Series = readonly (number | undefined)[];

/** The periods of an evaluation: `count` of them, the last one ending at `end`. Times in milliseconds. */
export interface Periods {
  readonly end: number;
  readonly periodMs: number;
  readonly count: number;
}

const keyOf = ({ namespace, name, dimensions }: MetricId): string =>
  JSON.stringify([namespace, name, Object.entries(dimensions).sort(([left], [right]) => (left < right ? -1 : 1))]);

export class MetricData {
  readonly #samples = new Map<string, Sample[]>();

  put(id: MetricId, at: number, value: number): void {
    if (!Number.isFinite(value)) throw new Error(`${id.name} is ${value}`);
    const key = keyOf(id);
    this.#samples.set(key, [...(this.#samples.get(key) ?? []), { at, value }]);
  }

  /** Takes in what a function has written: lines that are no metrics change nothing. */
  take(line: string): void {
    for (const { id, at, value } of emfSamples(line)) this.put(id, at, value);
  }

  has(id: MetricId): boolean {
    return this.#samples.has(keyOf(id));
  }

  /** A data point for each period, by the samples from its beginning (included) to its end (not included). */
  series(id: MetricId, statistic: string, { end, periodMs, count }: Periods): Series {
    const samples = this.#samples.get(keyOf(id)) ?? [];
    return Array.from({ length: count }, (_, index) => {
      const to = end - (count - 1 - index) * periodMs;
      const values = samples.filter(({ at }) => at >= to - periodMs && at < to).map(({ value }) => value);
      return values.length === 0 ? undefined : statisticOf(statistic, values);
    });
  }
}

/** @throws for a statistic that CloudWatch has and nothing here needs */
export function statisticOf(statistic: string, values: readonly number[]): number {
  const sum = values.reduce((all, value) => all + value, 0);
  const percentile = /^p(\d{1,2}(?:\.\d+)?)$/.exec(statistic)?.[1];
  if (percentile !== undefined) {
    const sorted = [...values].sort((left, right) => left - right);
    return sorted[Math.max(0, Math.ceil((Number(percentile) / 100) * sorted.length) - 1)] as number;
  }
  switch (statistic) {
    case 'Sum':
      return sum;
    case 'Average':
      return sum / values.length;
    case 'Maximum':
      return Math.max(...values);
    case 'Minimum':
      return Math.min(...values);
    case 'SampleCount':
      return values.length;
    default:
      throw new Error(`statistic ${statistic} is not known here`);
  }
}

interface Directive {
  readonly Namespace?: unknown;
  readonly Dimensions?: unknown;
  readonly Metrics?: unknown;
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/**
 * What CloudWatch reads out of a line.
 * @throws for a line that asks for metrics and breaks the specification: CloudWatch would drop them
 */
export function emfSamples(
  line: string,
): readonly { readonly id: MetricId; readonly at: number; readonly value: number }[] {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return [];
  }
  const meta = event?._aws as { readonly Timestamp?: unknown; readonly CloudWatchMetrics?: unknown } | undefined;
  if (meta === undefined) return [];
  if (!Number.isInteger(meta.Timestamp) || Number(meta.Timestamp) < 1e12)
    throw new Error(`Timestamp must be milliseconds, not ${String(meta.Timestamp)}`);
  if (!Array.isArray(meta.CloudWatchMetrics)) throw new Error('CloudWatchMetrics must be a list');
  return (meta.CloudWatchMetrics as readonly Directive[]).flatMap((directive) =>
    directiveSamples(event, directive, Number(meta.Timestamp)),
  );
}

const METRICS_MAX = 100;
const DIMENSIONS_MAX = 30;
const VALUES_MAX = 100;

function directiveSamples(event: Record<string, unknown>, directive: Directive, at: number) {
  const { Namespace: namespace, Dimensions: sets, Metrics: metrics } = directive;
  if (!isText(namespace)) throw new Error('a directive needs a Namespace');
  if (!Array.isArray(sets) || !Array.isArray(metrics)) throw new Error('a directive needs Dimensions and Metrics');
  if (metrics.length > METRICS_MAX) throw new Error(`more than ${METRICS_MAX} metrics`);
  return (metrics as readonly { readonly Name?: unknown }[]).flatMap(({ Name: name }) => {
    if (!isText(name)) throw new Error('a metric needs a Name');
    const values = [event[name]].flat();
    if (values.length > VALUES_MAX || values.some((value) => typeof value !== 'number'))
      throw new Error(`${name} must be a number, or up to ${VALUES_MAX} of them`);
    return (sets as readonly (readonly string[])[]).flatMap((set) => {
      if (set.length > DIMENSIONS_MAX) throw new Error(`more than ${DIMENSIONS_MAX} dimensions`);
      const dimensions = Object.fromEntries(
        set.map((dimension) => {
          const value = event[dimension];
          if (!isText(value)) throw new Error(`dimension ${dimension} of ${name} has no text`);
          return [dimension, value];
        }),
      );
      return values.map((value) => ({ id: { namespace, name, dimensions }, at, value: value as number }));
    });
  });
}
