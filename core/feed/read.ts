/** Reading the feed: from a cursor on, each resource's events in order, resolved from the references that are kept. */
import { isAtLeast, isSeen, type Reach } from '../access/grants.ts';
import { isoTime } from '../contract/common.ts';
import type { FeedBody, FeedEventBody, FeedQuery } from '../contract/feed.ts';
import type { Ports } from '../ports.ts';
import type { EventRow } from '../runs/model.ts';
import { FEED_PREFIX, feedKeys, feedSort } from '../table/keys.ts';
import type { Item, Key } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { BEGINNING, type Cursor, decodeCursor, encodeCursor, type Place } from './cursor.ts';
import { eventId, FEED_GRACE_MS, FEED_SHARDS, type FeedRow, feedRetentionMs, isNote, keyOfRef } from './model.ts';

type ReadPorts = Pick<Ports, 'store' | 'time' | 'config'>;
type Filter = Pick<FeedQuery, 'type' | 'agentId' | 'scheduleId' | 'runId'>;

/** Of each log at a time. */
const BATCHES = 25;
const REFS_PER_PASS = 200;
/** Where a filter keeps little, an answer may come with little; its cursor has come further all the same. */
const PASSES_MAX = 5;

/**
 * At most `limit` events after the cursor.
 * @throws InvalidRequest for a cursor that is none, CandorError `cursor_expired`
 */
export async function readFeed(
  ports: ReadPorts,
  caller: Reach,
  query: Filter & Pick<FeedQuery, 'after' | 'limit'>,
): Promise<FeedBody> {
  const { tenantId } = caller;
  const items: FeedEventBody[] = [];
  let cursor = await startOf(ports, tenantId, query.after);
  let caughtUp = false;
  for (let pass = 0; pass < PASSES_MAX && !caughtUp && items.length < query.limit; pass++) {
    const ahead = await lookAhead(ports, tenantId, cursor.places);
    const found = await resolve(ports, caller, ahead.entries, query);
    let taken = 0;
    for (const event of found) {
      if (items.length === query.limit) break;
      if (event !== undefined) items.push(bodyOf(event));
      taken++;
    }
    cursor = ahead.after(taken);
    caughtUp = !ahead.more && taken === found.length;
  }
  const now = ports.time.now();
  return { items, nextCursor: encodeCursor(tenantId, cursor), caughtUp, asOf: isoTime(now) };
}

async function startOf(ports: ReadPorts, tenantId: string, after: string | undefined): Promise<Cursor> {
  const now = ports.time.now();
  if (after === undefined || after === 'earliest') return { places: BEGINNING, unreadSince: now };
  if (after !== 'latest') return decodeCursor(tenantId, after, now, feedRetentionMs(ports.config));
  const places = await Promise.all(
    BEGINNING.map(async (beginning, shard): Promise<Place> => {
      const { pk } = feedKeys.head(tenantId, shard);
      const page = await ports.store.query({ pk, prefix: FEED_PREFIX, descending: true, limit: 1 });
      const last = asRow<FeedRow>(page.items[0]);
      return last === undefined ? beginning : { position: last.position + 1, consumed: 0 };
    }),
  );
  return { places, unreadSince: now };
}

interface Entry {
  readonly shard: number;
  readonly row: FeedRow;
  /** Which of the batch's references it is. */
  readonly index: number;
  readonly key: Key;
}

interface Ahead {
  readonly entries: readonly Entry[];
  /** There is more than these. */
  readonly more: boolean;
  /** The cursor of who has read so many of the entries. */
  readonly after: (taken: number) => Cursor;
}

/** What comes next: each log in its own order, the logs among each other by the times of their batches. */
async function lookAhead(ports: ReadPorts, tenantId: string, places: readonly Place[]): Promise<Ahead> {
  // Before the logs are read: what is appended meanwhile is not thought to have been seen.
  const askedAt = ports.time.now();
  const logs = await Promise.all(
    places.map(async ({ position }, shard) => {
      const { pk } = feedKeys.head(tenantId, shard);
      const range = { pk, from: feedSort(position), to: feedSort(Number.MAX_SAFE_INTEGER), limit: BATCHES };
      const page = await ports.store.query(range);
      const rows = page.items.map((item) => asRow<FeedRow>(item)).filter((row) => row !== undefined);
      return { rows, more: page.next !== undefined };
    }),
  );
  const queues = logs.map(({ rows }, shard) =>
    rows.flatMap((row) => {
      const skipped = row.position === places[shard]?.position ? places[shard].consumed : 0;
      const refs = row.refs.map((ref, index): Entry => ({ shard, row, index, key: keyOfRef(ref) }));
      return refs.slice(skipped);
    }),
  );
  const all = merged(queues);
  const entries = all.slice(0, REFS_PER_PASS);
  return {
    entries,
    more: all.length > entries.length || logs.some((log) => log.more),
    after: (taken) => {
      // What is beyond those that were read was appended no earlier than the last one of them.
      const beyond = logs.filter((log) => log.more).map((log) => log.rows.at(-1)?.at ?? askedAt);
      const oldest = Math.min(askedAt, ...all.slice(taken).map(({ row }) => row.at), ...beyond);
      // Of what is past its time and only happens to be there still, nothing is promised.
      const promised = askedAt - feedRetentionMs(ports.config) + FEED_GRACE_MS;
      return { places: placesAfter(places, entries.slice(0, taken)), unreadSince: Math.max(oldest, promised) };
    },
  };
}

function placesAfter(places: readonly Place[], read: readonly Entry[]): readonly Place[] {
  const after = [...places];
  for (const { shard, row, index } of read) {
    const isWhole = index === row.refs.length - 1;
    after[shard] = isWhole
      ? { position: row.position + 1, consumed: 0 }
      : { position: row.position, consumed: index + 1 };
  }
  return after;
}

/** The oldest head first; within a queue the order stays. */
function merged(queues: readonly (readonly Entry[])[]): readonly Entry[] {
  const heads = queues.map(() => 0);
  const entries: Entry[] = [];
  for (;;) {
    let oldest: Entry | undefined;
    for (let shard = 0; shard < FEED_SHARDS; shard++) {
      const head = queues[shard]?.[heads[shard] ?? 0];
      if (head !== undefined && (oldest === undefined || head.row.at < oldest.row.at)) oldest = head;
    }
    if (oldest === undefined) return entries;
    entries.push(oldest);
    heads[oldest.shard] = (heads[oldest.shard] ?? 0) + 1;
  }
}

/** The events, in the order of the entries; undefined where the filter does not want one. */
async function resolve(
  ports: ReadPorts,
  caller: Reach,
  entries: readonly Entry[],
  filter: Filter,
): Promise<readonly (EventRow | undefined)[]> {
  const events = (await ports.store.getMany(entries.map(({ key }) => key))).map((item) => asRow<EventRow>(item));
  const keep = await filterOf(ports, caller, events, filter);
  return events.map((event) => (event !== undefined && keep(event) ? event : undefined));
}

async function filterOf(
  ports: ReadPorts,
  caller: Reach,
  events: readonly (EventRow | undefined)[],
  { type, agentId, scheduleId, runId }: Filter,
): Promise<(event: EventRow) => boolean> {
  const subjects = new Map<string, Item | undefined>();
  const { asked } = caller;
  // With a role over the whole tenant everything is seen: then nobody needs to know whose an event is.
  const byAgent = asked !== undefined && asked.role === undefined;
  if (agentId !== undefined || scheduleId !== undefined || byAgent) {
    const pks = [...new Set(events.flatMap((event) => (event === undefined ? [] : [event.pk])))];
    const rows = await ports.store.getMany(pks.map((pk) => ({ pk, sk: 'META' })));
    for (const [index, pk] of pks.entries()) subjects.set(pk, rows[index]);
  }
  return (event) => {
    const { subject, subjectId } = event;
    const row = subjects.get(event.pk);
    const isOf = (kind: EventRow['subject'], attribute: 'agentId' | 'scheduleId', id: string | undefined) =>
      id === undefined || (subject === kind && subjectId === id) || row?.[attribute] === id;
    if (subject === 'principal' && asked !== undefined && !isAtLeast(asked.role, 'admin')) return false;
    const owner = subject === 'agent' ? subjectId : row?.agentId;
    if (
      byAgent &&
      !isSeen(caller, { tenantId: event.tenantId, agentId: typeof owner === 'string' ? owner : undefined })
    )
      return false;
    return (
      (type === undefined || event.type.startsWith(type)) &&
      (runId === undefined || (subject === 'run' && subjectId === runId)) &&
      isOf('agent', 'agentId', agentId) &&
      isOf('schedule', 'scheduleId', scheduleId)
    );
  };
}

const bodyOf = (event: EventRow): FeedEventBody => ({
  id: eventId(event),
  type: event.type,
  at: isoTime(event.at),
  subject: { kind: event.subject, id: event.subjectId },
  ...(!isNote(event) && { sequence: event.sequence }),
  ...(event.status !== undefined && { status: event.status }),
  detail: event.detail,
});
