/** What the benchmarks share: a store that counts its calls, and ports that answer at once. */
import { randomIds } from '../adapters/system/ids.ts';
import { CoreConfig } from '../core/config.ts';
import type { Log, Ports, Store, Time } from '../core/ports.ts';

export const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };

export interface CountedStore {
  readonly store: Store;
  readonly calls: () => number;
}

export function countedStore(inner: Store): CountedStore {
  let calls = 0;
  const counting =
    <Args extends unknown[], Result>(method: (...args: Args) => Promise<Result>) =>
    (...args: Args): Promise<Result> => {
      calls++;
      return method.apply(inner, args);
    };
  const store: Store = {
    get: counting(inner.get),
    getMany: counting(inner.getMany),
    query: counting(inner.query),
    queryIndex: counting(inner.queryIndex),
    transact: counting(inner.transact),
  };
  return { store, calls: () => calls };
}

export function benchPorts(store: Store, time: Time): Ports {
  const unused = () => Promise.reject(new Error('the bench does not get this far'));
  return {
    store,
    config: CoreConfig.parse({ checkShards: 1 }),
    log: quiet,
    ids: randomIds,
    time,
    clock: { put: async () => {}, delete: async () => {}, look: unused, list: unused },
    // Placement is another system's time: here it answers at once, on both sides.
    workflow: { start: async () => 'started', stop: unused, describe: unused, signal: unused },
    metrics: { put: () => {} },
    fleet: {
      plan: async () => ({ pools: [] }),
      launch: unused,
      observe: unused,
      terminate: unused,
      list: unused,
      terminateInstance: unused,
    },
    logs: { putChunk: unused, read: unused },
    artifacts: { put: unused, get: unused },
    secrets: { read: unused },
    seals: { seal: async (text) => text, open: async (sealed) => sealed },
    webhooks: {
      refusal: () => undefined,
      send: async () => ({ kind: 'failed', detail: 'no network here', tookMs: 0 }),
    },
    tokens: { sign: unused, verify: unused },
  };
}
