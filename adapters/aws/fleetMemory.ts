/**
 * What all functions of the installation know of EC2 between their calls, in the table: which pools had no room a moment
 * ago, and how fast launches may go. Items here are hints with an end: each says until when it counts, whoever reads it
 * checks that, and nothing breaks where one is missing.
 */

import type { Market } from '../../core/contract/agentParts.ts';
import { Contended, GuardFailed } from '../../core/errors.ts';
import type { LaunchPool, Store, Time } from '../../core/ports.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { UNAVAILABLE_PREFIX } from '../../core/table/keys.ts';
import { absent, eq, guard } from '../../core/table/model.ts';
import { SCHEMA_VERSION } from '../../core/table/rows.ts';

const POOL_MS = 180_000;
const SPOT_MS = 300_000;
/** More pools than one installation can have. */
const REMEMBERED_MAX = 1000;
const PACE_TRIES = 6;

/** What is known to have no room, and what EC2 had said. */
export interface Unavailable {
  pool(pool: Pick<LaunchPool, 'type' | 'availabilityZone' | 'subnetId'>, market: Market): string | undefined;
}

export interface FleetMemoryOptions {
  readonly store: Store;
  readonly time: Pick<Time, 'now' | 'sleep'>;
  /** EC2 refills an account's launches at about two a second. */
  readonly launchesPerSecond: number;
  /** So many at once after a quiet while. */
  readonly launchBurst: number;
}

const poolName = (type: string, availabilityZone: string, market: Market) =>
  `pool#${type}#${availabilityZone}#${market}`;
const subnetName = (subnetId: string) => `subnet#${subnetId}`;
const SPOT = 'market#spot';

export class FleetMemory {
  readonly #options: FleetMemoryOptions;

  constructor(options: FleetMemoryOptions) {
    this.#options = options;
  }

  async unavailable(): Promise<Unavailable> {
    const { store, time } = this.#options;
    const { pk } = keys.unavailable('');
    const page = await store.query({ pk, prefix: UNAVAILABLE_PREFIX, limit: REMEMBERED_MAX });
    const now = time.now();
    const codes = new Map(
      page.items
        .filter((item) => Number(item.until) > now)
        .map((item) => [item.sk.slice(UNAVAILABLE_PREFIX.length), String(item.code)]),
    );
    return {
      pool: ({ type, availabilityZone, subnetId }, market) =>
        codes.get(poolName(type, availabilityZone, market)) ??
        codes.get(subnetName(subnetId)) ??
        (market === 'spot' ? codes.get(SPOT) : undefined),
    };
  }

  rememberPool({ type, availabilityZone }: LaunchPool, market: Market, code: string): Promise<void> {
    return this.#remember(poolName(type, availabilityZone, market), code, POOL_MS);
  }

  rememberSubnet(subnetId: string, code: string): Promise<void> {
    return this.#remember(subnetName(subnetId), code, POOL_MS);
  }

  rememberSpot(code: string): Promise<void> {
    return this.#remember(SPOT, code, SPOT_MS);
  }

  #remember(name: string, code: string, forMs: number): Promise<void> {
    const { store, time } = this.#options;
    const item = { ...keys.unavailable(name), schemaVersion: SCHEMA_VERSION, code, until: time.now() + forMs };
    return store.transact([{ kind: 'put', item }]);
  }

  /**
   * Takes one launch out of what the rate allows. One item holds the time at which the bucket will be full again (the
   * generic cell rate algorithm), so that it says everything in one number.
   * @returns undefined where it was granted, otherwise how many milliseconds until there is one again
   */
  async takeLaunch(): Promise<number | undefined> {
    const { store, time, launchesPerSecond, launchBurst } = this.#options;
    const intervalMs = 1000 / launchesPerSecond;
    const key = keys.launchPace();
    for (let tries = 0; tries < PACE_TRIES; tries++) {
      const item = await store.get(key);
      const now = time.now();
      const fullAt = Math.max(Number(item?.fullAt ?? 0), now);
      const waitMs = fullAt + intervalMs - (now + launchBurst * intervalMs);
      if (waitMs > 0) return Math.ceil(waitMs);
      const unchanged = guard('pace.unchanged', item === undefined ? absent : eq('fullAt', Number(item.fullAt)));
      const next = { ...key, schemaVersion: SCHEMA_VERSION, fullAt: fullAt + intervalMs };
      try {
        await store.transact([{ kind: 'put', item: next, guards: [unchanged] }]);
        return undefined;
      } catch (error) {
        if (!(error instanceof GuardFailed || error instanceof Contended)) throw error;
      }
    }
    // So many are at it at once that this one had better come later.
    return intervalMs * PACE_TRIES;
  }
}
