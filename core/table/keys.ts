/** Where every item lives. The access patterns, with the cost of each, are in `docs/data-model.md`. */
import type { Key } from './model.ts';

export {
  AGENT_NAME_PREFIX,
  API_KEY_PREFIX,
  CHILD_PREFIX,
  DELIVERY_PREFIX,
  EVENT_PREFIX,
  freeVmPrefix,
  LIMIT_HOLDER_PREFIX,
  LIMIT_WAITER_PREFIX,
  NOTE_PREFIX,
  OCCURRENCE_PREFIX,
  occurrenceSort,
  REVISION_PREFIX,
  SCHEDULE_NAME_PREFIX,
  SCHEDULE_RUN_PREFIX,
  STRAY_INSTANCES,
  UNAVAILABLE_PREFIX,
  WEBHOOK_PREFIX,
  wantingPrefix,
} from './prefixes.ts';

export const feedKeys = {
  /** One batch of a tenant's event feed. */
  batch: (tenantId: string, shard: number, position: number): Key => ({
    ...feedKeys.head(tenantId, shard),
    sk: feedSort(position),
  }),
  /** Where a shard of the feed began again after it had been quiet for long. */
  head: (tenantId: string, shard: number): Key => ({ pk: `FEED#${tenantId}#${shard}`, sk: 'HEAD' }),
} as const;
export const FEED_PREFIX = 'B#';
export const feedSort = (position: number): string => `${FEED_PREFIX}${String(position).padStart(16, '0')}`;

/** Partitions of `byParent`. A tenant's list is spread so that no index partition gathers all its creations. */
export const LIST_SHARDS = 4;
export const lists = {
  schedules: (tenantId: string, shard: number) => `TEN#${tenantId}#SCH#${shard}`,
  runs: (tenantId: string, shard: number) => `TEN#${tenantId}#RUN#${shard}`,
  vms: (tenantId: string, shard: number) => `TEN#${tenantId}#VM#${shard}`,
  /** Few, and seldom written: one partition. */
  principals: (tenantId: string) => `TEN#${tenantId}#PRN`,
  deliveries: (webhookId: string, shard: number) => `WHK#${webhookId}#${shard}`,
} as const;

/** `OLD`: what counts until a time and is swept after it. */
export type CheckKind = 'RUN' | 'VM' | 'SCH' | 'EVT' | 'DLV' | 'OLD';
export const checkPartition = (kind: CheckKind, shard: number): string => `${kind}#${shard}`;

/** A stable spread of ids over shards (FNV-1a). */
export function shardOf(id: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) {
    hash ^= id.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % shards;
}
