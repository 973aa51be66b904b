/** Fan-out writes the feed: at least once, a batch of references at a time. */
import type { Ports } from '../ports.ts';
import type { EventRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import { garbageAttributes } from '../table/garbage.ts';
import { FEED_PREFIX, feedKeys } from '../table/keys.ts';
import { absent, eq, guard, type Write } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { type FeedHeadRow, type FeedRow, feedRetentionMs, feedShardOf, KEPT_LONGER_MS, refOf } from './model.ts';

export type FeedPorts = Pick<Ports, 'store' | 'ids' | 'time' | 'config'>;

/** Keeps an item small, also where many events come at once. */
const REFS_MAX = 100;

/** Appends events, which are given in the order in which they came; those of one subject are put in the order of their changes. */
export async function appendToFeed(ports: FeedPorts, events: readonly EventRow[]): Promise<void> {
  const logs = Map.groupBy(inOrder(events), (event) => `${feedShardOf(event.subjectId)}#${event.tenantId}`);
  const appended = [...logs.values()].map(async (own) => {
    for (let start = 0; start < own.length; start += REFS_MAX)
      await appendBatch(ports, own.slice(start, start + REFS_MAX));
  });
  await Promise.all(appended);
}

/** Each subject keeps its places, and its events stand at them in the order of their changes. */
export function inOrder(events: readonly EventRow[]): readonly EventRow[] {
  const waiting = Map.groupBy(events, (event) => event.subjectId);
  for (const own of waiting.values()) own.sort((left, right) => left.sequence - right.sequence || left.at - right.at);
  return events.map((event) => waiting.get(event.subjectId)?.shift() ?? event);
}

/**
 * A position is taken by a conditional put, and only by who has seen the one before it taken. So whoever has read up to a
 * position has missed nothing that could still come before it.
 */
async function appendBatch(ports: FeedPorts, events: readonly EventRow[]): Promise<void> {
  const [first] = events;
  if (first === undefined) return;
  const { tenantId } = first;
  const shard = feedShardOf(first.subjectId);
  await commit<void>(ports, async (writer) => {
    const { last, head } = await endOf(ports, tenantId, shard);
    // Delivered again because what came after it failed: most often that is the last batch, or part of it.
    const refs = events.map(refOf).filter((ref) => last?.refs.includes(ref) !== true);
    if (refs.length === 0) return { done: undefined };
    const now = ports.time.now();
    const beginning = head === undefined ? undefined : beginAgain({ tenantId, shard, last, head: head.row, now });
    const position = beginning?.position ?? (last?.position ?? 0) + 1;
    const batch = { tenantId, shard, position, refs, writer, now };
    const next = beginning?.passed;
    const passed = next === undefined ? [] : [batchWrite(ports, { ...batch, position: next, refs: [] })];
    return {
      writes: [batchWrite(ports, batch), ...passed, ...(beginning?.writes ?? [])],
      proof: feedKeys.batch(tenantId, shard, position),
      result: undefined,
    };
  });
}

interface End {
  readonly last: FeedRow | undefined;
  /** Where the log has been quiet for so long that it has to begin again: what its head says, if it has one. */
  readonly head?: { readonly row: FeedHeadRow | undefined };
}

/**
 * Before a log begins again its last batch is read once more, after the head: then the guard on the head proves that nobody
 * has begun since. A process that stood still between the two would else know a new head and an old end.
 */
async function endOf({ store, time, config }: FeedPorts, tenantId: string, shard: number): Promise<End> {
  const key = feedKeys.head(tenantId, shard);
  const lastBatch = async () => {
    const page = await store.query({ pk: key.pk, prefix: FEED_PREFIX, descending: true, limit: 1 });
    return asRow<FeedRow>(page.items[0]);
  };
  const isFresh = (row: FeedRow | undefined) => row !== undefined && time.now() - row.at < feedRetentionMs(config) / 2;
  const first = await lastBatch();
  if (isFresh(first)) return { last: first };
  const row = asRow<FeedHeadRow>(await store.get(key));
  const last = await lastBatch();
  return isFresh(last) ? { last } : { last, head: { row } };
}

interface Batch extends Pick<FeedRow, 'tenantId' | 'position' | 'refs' | 'writer'> {
  readonly shard: number;
  readonly now: number;
}

function batchWrite({ config }: FeedPorts, { tenantId, shard, position, refs, writer, now }: Batch): Write {
  const key = feedKeys.batch(tenantId, shard, position);
  const row: FeedRow = {
    ...key,
    schemaVersion: SCHEMA_VERSION,
    tenantId,
    position,
    at: now,
    refs,
    writer,
    ...garbageAttributes(config, key.pk, now + feedRetentionMs(config) + KEPT_LONGER_MS),
  };
  return { kind: 'put', item: asItem(row), guards: [guard('feed.positionFree', absent)] };
}

interface Quiet {
  readonly tenantId: string;
  readonly shard: number;
  readonly last: FeedRow | undefined;
  readonly head: FeedHeadRow | undefined;
  readonly now: number;
}

/**
 * Old batches are deleted, the last one too: then nobody can see what was taken. So a log that has been quiet for long
 * goes on at a position that no writer can have reached, the present time in milliseconds, and one writer alone decides it.
 * While the last batch is still seen, a writer whose clock is behind may go on after it by counting: that place is taken, too.
 */
function beginAgain({ tenantId, shard, last, head, now }: Quiet) {
  const key = feedKeys.head(tenantId, shard);
  const position = Math.max(now, (head?.floor ?? 0) + 1, (last?.position ?? 0) + 2);
  const row: FeedHeadRow = { ...key, schemaVersion: SCHEMA_VERSION, tenantId, floor: position };
  const stands = head === undefined ? absent : eq('floor', head.floor);
  const write: Write = { kind: 'put', item: asItem(row), guards: [guard('feed.beganOnce', stands)] };
  return { position, writes: [write], ...(last !== undefined && { passed: last.position + 1 }) };
}
