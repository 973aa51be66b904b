/**
 * A world whose measurements go out as lines of the embedded metric format and come back as CloudWatch would read them, with
 * the watchdog ticking at each half minute and all alarms of the template evaluated at each full one.
 */
import { emfMetrics } from '../../../adapters/aws/metrics.ts';
import { auditSlice } from '../../../core/audit/slice.ts';
import type { Ports } from '../../../core/ports.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { firedInTime } from '../../../core/schedules/ledger.ts';
import { publishProof } from '../../../core/system.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import type { AlarmState } from '../../support/cloudwatch/alarm.ts';
import { MetricData } from '../../support/cloudwatch/data.ts';
import { EMPTY_METRICS, Monitor } from '../../support/cloudwatch/monitor.ts';
import type { World } from '../../support/world.ts';
import type { Definitions } from './definitions.ts';

const MINUTE = 60_000;
const QUARTER = 15 * MINUTE;

export interface PlayOptions {
  readonly installation: string;
  readonly namespace: string;
  readonly definitions: Definitions;
}

export class Play {
  readonly world: World;
  readonly data = new MetricData();
  /** One for each way in which AWS may read a metric without data. */
  readonly #monitors: readonly Monitor[];
  readonly #installation: string;
  /** How long a tick may take; a function that is given less leaves more to the next one. */
  budgetMs = 50_000;

  constructor(world: World, { installation, namespace, definitions }: PlayOptions) {
    this.world = world;
    this.#installation = installation;
    const { alarms, composites } = definitions;
    this.#monitors = EMPTY_METRICS.map((reading) => new Monitor(alarms, composites, this.data, reading));
    const write = (line: string) => this.data.take(line);
    Object.assign(world.ports.metrics, emfMetrics({ namespace, now: () => world.now, write }));
  }

  get ports(): Ports {
    return this.world.ports;
  }

  /** @throws where it depends on what AWS does not document */
  state(alarm: string): AlarmState {
    const [state, ...others] = this.#monitors.map((monitor) => monitor.stateOf(`${this.#installation}-${alarm}`));
    if (state === undefined || others.some((other) => other !== state))
      throw new Error(`${alarm} is ${state} or ${others.join()}, by how a metric without data is read`);
    return state;
  }

  #evaluate(): void {
    for (const monitor of this.#monitors) monitor.evaluate(this.world.now);
  }

  /** What AWS itself measures, by hand. */
  aws(namespace: string, name: string, dimensions: Readonly<Record<string, string>>, value: number): void {
    this.data.put({ namespace, name, dimensions }, this.world.now, value);
  }

  /** @param each what happens at the beginning of each minute */
  async minutes(count: number, each: () => unknown = () => {}, ticks = true): Promise<void> {
    for (let minute = 0; minute < count; minute++) {
      const start = this.world.now;
      await each();
      this.world.now = start + MINUTE / 2;
      // A tick that fails is one that did not take place: the next one comes all the same.
      if (ticks) await tick(this.ports, { owner: 'test', budgetMs: this.budgetMs });
      this.world.now = start + MINUTE;
      this.#evaluate();
    }
  }

  /** Hours, quarter by quarter; the watchdog's ticks, which nothing depends on here, are left out. */
  async hours(count: number, each: () => unknown): Promise<void> {
    for (let quarter = 0; quarter < count * 4; quarter++) {
      await each();
      this.world.now += QUARTER;
      this.#evaluate();
    }
  }

  /** As the function does it every quarter of an hour. */
  async audit(): Promise<void> {
    const options = { owner: 'test', budgetMs: 600_000 };
    while ((await auditSlice(this.ports, options)) === 'going_on');
  }

  /** The clock delivers what is due now, and the stream sees that it did. */
  async fires(scheduleId: string): Promise<void> {
    await fire(this.ports, { scheduleId, scheduledTime: this.world.now });
    const range = { pk: keys.schedule(scheduleId).pk, prefix: 'OCC#', limit: 1000 };
    const { items } = await this.ports.store.query(range);
    const times = items.flatMap((item) => firedInTime(this.ports.config, item) ?? []);
    if (times.length === 0) return;
    await publishProof(this.ports, 'clock', { owner: 'EventBridge Scheduler', detail: {}, at: Math.max(...times) });
  }
}
