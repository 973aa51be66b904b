/** How much a caller may ask, counted in the table: the API's functions are many, and none knows of the others. */
import type { CoreConfig } from '../../core/config.ts';
import { GuardFailed } from '../../core/errors.ts';
import type { Rates, Store, Time } from '../../core/ports.ts';
import { garbageAttributes } from '../../core/table/garbage.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { guard } from '../../core/table/model.ts';
import { SCHEMA_VERSION } from '../../core/table/rows.ts';

export interface TableRatesOptions {
  readonly store: Pick<Store, 'transact'>;
  readonly time: Pick<Time, 'now'>;
  readonly config: CoreConfig;
}

const WINDOW_MS = 60_000;

/**
 * One conditional update per request, of an item per caller and minute. A window that begins anew lets through what two
 * windows may in the seconds around their border: it bounds a flood, and no more is promised.
 */
export class TableRates implements Rates {
  readonly #options: TableRatesOptions;
  /** Who has used up the window that stands: asked again, the table would say the same. */
  #over: { readonly window: number; readonly callers: Set<string> } = { window: 0, callers: new Set() };

  constructor(options: TableRatesOptions) {
    this.#options = options;
  }

  async take(caller: string): Promise<number | undefined> {
    const { store, time, config } = this.#options;
    const now = time.now();
    const window = Math.floor(now / WINDOW_MS) * WINDOW_MS;
    if (this.#over.window !== window) this.#over = { window, callers: new Set() };
    const wait = Math.ceil((window + WINDOW_MS - now) / 1000);
    if (this.#over.callers.has(caller)) return wait;
    const isBelow = { op: 'lt', attribute: 'requests', value: config.maxRequestsPerMinute } as const;
    try {
      await store.transact([
        {
          kind: 'update',
          key: keys.rate(caller, window),
          set: { schemaVersion: SCHEMA_VERSION, ...garbageAttributes(config, caller, window + 2 * WINDOW_MS) },
          add: { requests: 1 },
          guards: [guard('rate.below', { op: 'or', any: [{ op: 'hasNot', attribute: 'requests' }, isBelow] })],
        },
      ]);
      return undefined;
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      this.#over.callers.add(caller);
      return wait;
    }
  }
}
