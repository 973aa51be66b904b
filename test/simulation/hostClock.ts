/** The clock of a host: off by some seconds, and set forth or back in the middle of a call now and then. */
import type { Simulation } from './world.ts';

export class HostClock {
  readonly #world: Simulation;
  #skewMs: number;
  #jump: { readonly at: number; readonly toMs: number } | undefined;

  constructor(world: Simulation) {
    this.#world = world;
    this.#skewMs = world.skewMs();
  }

  /** A call begins on it. */
  called(): void {
    const { random, time, weather } = this.#world;
    if (weather.clockJumps === 0 || !random.chance(weather.clockJumps)) return;
    this.#jump = { at: time.now + random.spread(5, 5000), toMs: this.#world.skewMs() };
  }

  now(): number {
    const { now } = this.#world.time;
    if (this.#jump !== undefined && now >= this.#jump.at) {
      this.#skewMs = this.#jump.toMs;
      this.#jump = undefined;
    }
    return now + this.#skewMs;
  }
}
