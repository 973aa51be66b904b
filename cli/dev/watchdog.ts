/** The watchdog's clock on one machine: one tick after the other, never two at once. */
import type { Ports } from '../../core/ports.ts';
import { tick } from '../../core/watchdog/tick.ts';

export class Watchdog {
  private readonly ports: Ports;
  private readonly owner: string;
  private readonly afterTick: () => Promise<void>;
  private timer: NodeJS.Timeout | undefined;
  private ticking: Promise<void> | undefined;
  private stopped = true;

  constructor(ports: Ports, owner: string, afterTick: () => Promise<void>) {
    this.ports = ports;
    this.owner = owner;
    this.afterTick = afterTick;
  }

  start(): void {
    this.stopped = false;
    this.arm(0);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.ticking;
  }

  private arm(waitMs: number): void {
    if (this.stopped) return;
    const intervalMs = this.ports.config.watchdogIntervalSeconds * 1000;
    this.timer = setTimeout(() => {
      this.ticking = tick(this.ports, { owner: this.owner, budgetMs: 5 * intervalMs })
        .then(() => this.afterTick())
        .catch((error: unknown) => this.ports.log.error('watchdog.tick_failed', { error: String(error) }))
        .then(() => this.arm(intervalMs));
    }, waitMs);
  }
}
