/** What a lost write of an older Candor, or a hand in the table, has left: a place that nobody holds, a counter that says one too many. */
import * as keys from '../../core/table/itemKeys.ts';
import type { Simulation } from './world.ts';

export interface Leak {
  /** After the beginning, milliseconds. */
  readonly at: number;
  readonly what: 'place' | 'counter';
}

export class Leaks {
  readonly #world: Simulation;
  readonly #places = new Map<string, string[]>();
  readonly #tooMany = new Map<string, number>();
  #count = 0;

  constructor(world: Simulation) {
    this.#world = world;
  }

  /** At some limit of an agent's runs, if there is one yet. */
  plant(what: Leak['what']): void {
    const { table, random, time } = this.#world;
    const limits = [...table.scan('LIM#agent#')].filter(({ sk }) => sk === 'META');
    if (limits.length === 0) return;
    const limitId = random.pick(limits).pk.slice('LIM#'.length);
    const key = keys.limit(limitId);
    this.#world.note(`a ${what} of ${limitId} leaks`);
    if (what === 'counter') {
      this.#tooMany.set(limitId, (this.#tooMany.get(limitId) ?? 0) + 1);
      table.transact([{ kind: 'update', key, add: { used: 1 }, guards: [] }]);
      return;
    }
    const runId = `run_leaked_${++this.#count}`;
    this.#places.set(limitId, [...(this.#places.get(limitId) ?? []), runId]);
    table.transact([
      { kind: 'update', key, add: { used: 1, moves: 1 }, guards: [] },
      { kind: 'put', item: { ...keys.limitHolder(limitId, runId), schemaVersion: 1, runId, since: time.now } },
    ]);
  }

  /** The counter was set to what is held. */
  corrected(limitId: string): void {
    this.#tooMany.delete(limitId);
  }

  /** What of it is still there. */
  at(limitId: string): { readonly places: readonly string[]; readonly tooMany: number } {
    const planted = this.#places.get(limitId) ?? [];
    const places = planted.filter((id) => this.#world.table.get(keys.limitHolder(limitId, id)) !== undefined);
    return { places, tooMany: this.#tooMany.get(limitId) ?? 0 };
  }
}
