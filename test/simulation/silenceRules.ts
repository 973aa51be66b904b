/**
 * Where nobody is heard, or nobody was until a moment ago, the silence of one VM proves nothing (I9): by the world's own time,
 * from when on heartbeats are noted without a break.
 */
import * as keys from '../../core/table/itemKeys.ts';
import type { Commit } from './invariants.ts';
import type { Simulation } from './world.ts';

const HEARTBEATS = keys.system('heartbeats');

export class SilenceRules {
  readonly #world: Simulation;
  /** At the latest. */
  #notedAt = Number.NEGATIVE_INFINITY;
  /** At the earliest. */
  #since = Number.NEGATIVE_INFINITY;

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed({ inc, find }: Commit): void {
    const noted = find(HEARTBEATS.pk, HEARTBEATS.sk);
    if (noted === undefined) return;
    const { before, after } = noted;
    if (Number(after?.at) < Number(before?.at) || Number(after?.since) < Number(before?.since))
      this.#world.broken('I8', `${inc.kind}: when any VM was heard goes back, to ${after?.at} since ${after?.since}`);
    this.#notedAt = this.#world.time.now;
    if (before?.since !== after?.since) this.#since = inc.startedAt;
  }

  /** @returns whether a VM that was last heard then is to be spared by this watchdog, whichever clock that is allowed it has */
  spares({ inc }: Commit, heardAt: number): boolean {
    const { time, config } = this.#world;
    const leaseMs = config.leaseSeconds * 1000;
    if (inc.carriesOn || time.now >= heardAt + leaseMs + config.silentFleetSeconds * 1000) return false;
    // It may have read the note before that.
    if (this.#notedAt >= inc.startedAt) return false;
    const breakMs = leaseMs + leaseMs / 3;
    const nobodyMs = breakMs + 2 * config.maxClockSkewSeconds * 1000;
    return inc.startedAt - this.#notedAt > nobodyMs || time.now - this.#since < leaseMs;
  }
}
