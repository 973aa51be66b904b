/**
 * Metrics as CloudWatch's embedded metric format: one JSON line each on standard output, which Lambda hands to CloudWatch
 * Logs, and CloudWatch reads the numbers out of it. No call is made, nobody waits.
 *
 * Source: "Specification: Embedded metric format" of the CloudWatch user guide. Each line asks for the total (the empty set
 * of dimensions) and, where there are dimensions, for each of their values.
 */
import { type Metrics, unitOf } from '../../core/metrics.ts';

export interface EmfOptions {
  readonly namespace: string;
  readonly now: () => number;
  readonly write: (line: string) => void;
}

export const emfMetrics = ({ namespace, now, write }: EmfOptions): Metrics => ({
  put: (name, value, ...[dimensions = {}]) => {
    const names = Object.keys(dimensions);
    const directive = {
      Namespace: namespace,
      Dimensions: names.length === 0 ? [[]] : [[], names],
      Metrics: [{ Name: name, Unit: unitOf(name) }],
    };
    write(JSON.stringify({ _aws: { Timestamp: now(), CloudWatchMetrics: [directive] }, ...dimensions, [name]: value }));
  },
});
