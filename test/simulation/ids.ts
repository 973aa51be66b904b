/**
 * Random ids. A clone of a machine, or a snapshot that is started again, draws what was drawn before it was made; and until
 * its clock is set, it is the time that it was. So a whole id comes a second time.
 */
import { timeOrderedId } from '../../core/ids.ts';
import type { Simulation } from './world.ts';

export interface IdWeather {
  /** Of the ids that are drawn: so many were drawn before. */
  readonly repeats: number;
}

export const NEW_IDS: IdWeather = { repeats: 0 };

export class RandomIds {
  readonly #world: Simulation;
  readonly #drawn = new Map<string, string[]>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  next(prefix: string, nowMs: number): string {
    const { random, isCalm, weather } = this.#world;
    const { repeats } = weather.ids;
    if (repeats === 0) return timeOrderedId(prefix, nowMs, random.bytes(10));
    const drawn = this.#drawn.get(prefix) ?? [];
    if (!isCalm && drawn.length > 0 && random.chance(repeats)) return random.pick(drawn);
    const id = timeOrderedId(prefix, nowMs, random.bytes(10));
    this.#drawn.set(prefix, [...drawn, id]);
    return id;
  }
}
