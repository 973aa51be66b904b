/** Metrics of one machine: counted in memory since its start, shown on the status page. */
import type { Metrics, MetricTotal } from '../../core/metrics.ts';

export class LocalMetrics implements Metrics {
  readonly #totals = new Map<string, MetricTotal>();

  readonly put: Metrics['put'] = (name, value, ...[dimensions = {}]) => {
    const key = JSON.stringify([name, dimensions]);
    const before = this.#totals.get(key);
    this.#totals.set(key, {
      name,
      dimensions,
      count: (before?.count ?? 0) + 1,
      sum: (before?.sum ?? 0) + value,
      max: Math.max(before?.max ?? value, value),
    });
  };

  totals(): readonly MetricTotal[] {
    return [...this.#totals.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }
}
