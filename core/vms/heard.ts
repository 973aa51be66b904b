/**
 * Whether any VM at all is heard. One that is silent while others report has a fault of its own; where nobody is heard, it
 * may as well be the door that is shut (a bad deploy of the API, a throttle), and the silence proves nothing about any VM.
 */
import type { CoreConfig } from '../config.ts';
import { GuardFailed } from '../errors.ts';
import type { Ports, Store } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, eq, guard } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import type { VmRow } from './model.ts';

type Paces = Pick<CoreConfig, 'leaseSeconds' | 'maxClockSkewSeconds' | 'silentFleetSeconds'>;

export interface Heard {
  /** When a heartbeat was last said to have been taken. */
  readonly at: number;
  /** Since when that has gone on without a break. */
  readonly since: number;
}

type HeardRow = RowBase & Heard;

/** A process says it this often at most: proof, not a stream of writes. */
const sayEveryMs = ({ leaseSeconds }: Paces): number => (leaseSeconds * 1000) / 3;
/** A VM that is well reports at least once in a lease, so among those that are well there is no longer break than this. */
const breakMs = (paces: Paces): number => paces.leaseSeconds * 1000 + sayEveryMs(paces);

/** When this process has last said it, for each table that it writes to. */
const said = new WeakMap<Store, number>();

/** A heartbeat has been taken. That this cannot be said costs the heartbeat nothing. */
export async function noteHeard(ports: Pick<Ports, 'store' | 'time' | 'config' | 'log'>): Promise<void> {
  const { store, config, log } = ports;
  const now = ports.time.now();
  const last = said.get(store);
  if (last !== undefined && Math.abs(now - last) < sayEveryMs(config)) return;
  said.set(store, now);
  try {
    const key = keys.system('heartbeats');
    const before = asRow<HeardRow>(await store.get(key));
    const goesOn = before !== undefined && now - before.at <= breakMs(config);
    const row: HeardRow = {
      ...key,
      schemaVersion: SCHEMA_VERSION,
      tenantId: 'system',
      at: Math.max(now, before?.at ?? 0),
      since: goesOn ? before.since : now,
    };
    // Or what others have said since is taken back, which would seem to be a break.
    const asRead = before === undefined ? absent : eq('at', before.at);
    await store.transact([{ kind: 'put', item: asItem(row), guards: [guard('heard.unchanged', asRead)] }]);
  } catch (error) {
    // Another has said it meanwhile.
    if (error instanceof GuardFailed) return;
    said.delete(store);
    log.warn('heartbeat.not_noted', { error: String(error) });
  }
}

/** Pure: whether silence proves nothing now: nobody is heard, or not yet for a lease, in which each has had its turn. */
export function nobodyHeard(heard: Heard | undefined, paces: Paces, now: number): boolean {
  if (heard === undefined) return true;
  // fence: skew.heard
  const skewMs = paces.maxClockSkewSeconds * 1000;
  return now - heard.at > breakMs(paces) + skewMs || now - heard.since < paces.leaseSeconds * 1000 + skewMs;
}

/**
 * Pure: whether a silent VM is spared for that, now. There is an end to it, for it may be the only VM there is: by then one
 * that is as cut off as it looks has ended its work and powered itself off, so nothing that is well is left to be ended.
 */
export const isSpared = (
  vm: Pick<VmRow, 'leaseUntil'>,
  { now, config, heard }: { readonly now: number; readonly config: Paces; readonly heard: Heard | undefined },
): boolean =>
  // fence: skew.silentFleet
  now < (vm.leaseUntil ?? 0) + (config.silentFleetSeconds + config.maxClockSkewSeconds) * 1000 &&
  nobodyHeard(heard, config, now);
