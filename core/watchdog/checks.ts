/** Moving a check: not a change of state, so no version and no event; a row that changed meanwhile is left alone. */
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { eq, type Guard, guard, type Item, type Key, type Value } from '../table/model.ts';
import type { VmRow } from '../vms/model.ts';

type Checked = Key & { readonly version: number };

/**
 * @returns whether it was set
 * @throws what the store throws, but not that the row has changed: then somebody else knows better
 */
async function setUnlessChanged(
  ports: Pick<Ports, 'store'>,
  { pk, sk }: Key,
  set: Readonly<Record<string, Value | undefined>>,
  guards: readonly Guard[],
): Promise<boolean> {
  try {
    await ports.store.transact([{ kind: 'update', key: { pk, sk }, set, guards }]);
    return true;
  } catch (error) {
    if (error instanceof GuardFailed) return false;
    throw error;
  }
}

export const moveCheck = (ports: Pick<Ports, 'store'>, row: Checked, checkAt: number): Promise<boolean> =>
  setUnlessChanged(ports, row, { checkAt }, [
    guard('check.rowUnchanged', eq('version', row.version)),
    guard('check.stillDue', { op: 'has', attribute: 'checkAt' }),
  ]);

/** Takes a check away from a row that is at rest. */
export const dropCheck = (ports: Pick<Ports, 'store'>, row: Checked): Promise<boolean> =>
  setUnlessChanged(ports, row, { checkIn: undefined, checkAt: undefined }, [
    guard('check.rowUnchanged', eq('version', row.version)),
  ]);

/** However often it has failed, it is looked at again after so many ticks. */
const POSTPONED_INTERVALS_MAX = 15;

/**
 * What cannot be looked at goes behind what can, the longer the more often it has failed: a shard full of it must not hide
 * the rest at every tick. It may be anything, so only its check time says whether it is as it was seen.
 */
export function postpone(ports: Pick<Ports, 'store' | 'config'>, item: Item, now: number): Promise<boolean> {
  const failures = (typeof item.checkFailures === 'number' ? item.checkFailures : 0) + 1;
  const intervals = Math.min(2 ** Math.min(failures - 1, 20), POSTPONED_INTERVALS_MAX);
  const waitMs = 1000 * ports.config.watchdogIntervalSeconds * intervals;
  // An index that lags may lead to what has moved on: that is in nobody's way, and its own time comes sooner.
  if (typeof item.checkAt !== 'number' || item.checkAt > now) return Promise.resolve(false);
  return setUnlessChanged(ports, item, { checkAt: now + waitMs, checkFailures: failures }, [
    guard('postpone.checkUnmoved', eq('checkAt', item.checkAt)),
  ]);
}

/** It could be looked at again: the next failure waits no longer than a first one. */
export const forgetFailures = (ports: Pick<Ports, 'store'>, item: Item): Promise<boolean> =>
  typeof item.checkFailures !== 'number'
    ? Promise.resolve(false)
    : setUnlessChanged(ports, item, { checkFailures: undefined }, [
        guard('postpone.sameFailures', eq('checkFailures', item.checkFailures)),
      ]);

/** Whether this is the first time that a VM's end was ordered: it is asked for again and again, and told once. */
export const isFirstOrder = (ports: Pick<Ports, 'store'>, vm: VmRow, now: number): Promise<boolean> =>
  vm.endOrderedAt !== undefined
    ? Promise.resolve(false)
    : setUnlessChanged(ports, vm, { endOrderedAt: now }, [
        guard('order.isFirst', { op: 'hasNot', attribute: 'endOrderedAt' }),
      ]);
