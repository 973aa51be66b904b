/**
 * Items that count until a time and are garbage after it. Whoever reads one compares the times: when it is deleted decides
 * nothing. DynamoDB deletes them by their `ttl`; the engine of one machine never does, so there a sweep finds them by the
 * checks index.
 */
import type { CoreConfig } from '../config.ts';
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { checkPartition, shardOf } from './keys.ts';
import { guard } from './model.ts';

/** The attribute that DynamoDB's time to live looks at: epoch seconds. */
export const TTL_ATTRIBUTE = 'ttl';

/** @param expiresAt epoch milliseconds */
export const garbageAttributes = (config: CoreConfig, id: string, expiresAt: number) => ({
  expiresAt,
  [TTL_ATTRIBUTE]: Math.ceil(expiresAt / 1000),
  ...(config.sweepsGarbage && {
    checkIn: checkPartition('OLD', shardOf(id, config.checkShards)),
    checkAt: expiresAt,
  }),
});

/** So many at a time: a sweep comes again soon. */
const SWEEP_MAX = 200;

/** Deletes what has expired. Answers how many items it deleted. */
export async function sweepGarbage(ports: Pick<Ports, 'store' | 'time' | 'config'>): Promise<number> {
  let deleted = 0;
  for (let shard = 0; shard < ports.config.checkShards; shard++) {
    const now = ports.time.now();
    const partition = checkPartition('OLD', shard);
    const page = await ports.store.queryIndex({ index: 'checks', partition, to: now, limit: SWEEP_MAX });
    for (const { pk, sk } of page.items) {
      // The same key may have come into use again since the index was read.
      const guards = [guard('garbage.expired', { op: 'le', attribute: 'expiresAt', value: now })];
      const done = await ports.store.transact([{ kind: 'delete', key: { pk, sk }, guards }]).then(
        () => true,
        (error: unknown) => {
          if (error instanceof GuardFailed) return false;
          throw error;
        },
      );
      if (done) deleted++;
    }
  }
  return deleted;
}
