/**
 * The event feed as it is kept: a few logs for each tenant, in which batches of references to events stand at numbered
 * positions. A resource's events are all in one of them, so that they stay in order; and no partition key gathers what a
 * whole tenant does (docs/adr/0017-event-feed.md).
 */
import type { EventRow } from '../runs/model.ts';
import { EVENT_PREFIX, NOTE_PREFIX, shardOf } from '../table/keys.ts';
import type { Key } from '../table/model.ts';
import type { RowBase } from '../table/rows.ts';

/** Cursors have a position for each: another number would make those of before worthless. */
export const FEED_SHARDS = 4;
export const feedShardOf = (subjectId: string): number => shardOf(subjectId, FEED_SHARDS);

export interface FeedRow extends RowBase {
  readonly position: number;
  /** When it was appended. */
  readonly at: number;
  /** Keys of events, see {@link refOf}. None: the place is taken so that nothing comes to stand there. */
  readonly refs: readonly string[];
  readonly writer: string;
  readonly expiresAt: number;
}

export interface FeedHeadRow extends RowBase {
  /** The first position since the last time that the log began again. */
  readonly floor: number;
}

/** No key contains a space. */
export const refOf = ({ pk, sk }: Key): string => `${pk} ${sk}`;

export function keyOfRef(ref: string): Key {
  const [pk = '', sk = ''] = ref.split(' ');
  return { pk, sk };
}

export const isNote = ({ sk }: Key): boolean => sk.startsWith(NOTE_PREFIX);

/** Which event it is, however often it is delivered. */
export const eventId = (event: EventRow): string =>
  isNote(event)
    ? `${event.subjectId}.${event.sk.slice(NOTE_PREFIX.length)}`
    : `${event.subjectId}.${Number(event.sk.slice(EVENT_PREFIX.length))}`;

/** A reader that comes to the oldest batches has so long to go on to the next page. */
export const FEED_GRACE_MS = 3_600_000;
/** Batches are kept so much longer than the retention: the grace, and whatever the writers' clocks may differ. */
export const KEPT_LONGER_MS = 2 * FEED_GRACE_MS;

const DAY_MS = 86_400_000;
export const feedRetentionMs = (config: { readonly feedRetentionDays: number }): number =>
  config.feedRetentionDays * DAY_MS;
