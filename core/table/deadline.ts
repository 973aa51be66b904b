/** A promise and the look that keeps it, as attributes of an update: set together, taken away together. */
import type { CoreConfig } from '../config.ts';
import { type CheckKind, checkPartition, shardOf } from './keys.ts';
import type { Value } from './model.ts';

/** @param deadlineAt epoch milliseconds; `null` takes promise and look away, `undefined` leaves both as they stand */
export function deadlineAttributes(
  config: CoreConfig,
  kind: CheckKind,
  id: string,
  deadlineAt: number | null | undefined,
): Readonly<Record<string, Value | undefined>> {
  if (deadlineAt === undefined) return {};
  if (deadlineAt === null) return { deadlineAt: undefined, checkIn: undefined, checkAt: undefined };
  return { deadlineAt, checkIn: checkPartition(kind, shardOf(id, config.checkShards)), checkAt: deadlineAt };
}

/**
 * The look that stands, where it comes no later than the one that is wanted: moving it would cost two writes of the index,
 * and whoever looks too early moves it on. Rows that are soon left again are thus never moved in the index at all.
 */
export const soonerLook = (standing: number | undefined, wanted: number): number =>
  Math.min(standing ?? Number.POSITIVE_INFINITY, wanted);
