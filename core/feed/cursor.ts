/** How far a reader of the feed has come: a position in each of its logs. Opaque to clients. */
import { CandorError, InvalidRequest } from '../errors.ts';
import { shardOf } from '../table/keys.ts';
import { FEED_SHARDS } from './model.ts';

/** The next thing to read: this batch, without so many of its first events. */
export interface Place {
  readonly position: number;
  readonly consumed: number;
}

export interface Cursor {
  readonly places: readonly Place[];
  /** Everything that it has not read was appended after this time. */
  readonly unreadSince: number;
}

export const BEGINNING: readonly Place[] = Array.from({ length: FEED_SHARDS }, () => ({ position: 0, consumed: 0 }));

const VERSION = 1;
/** Tells a cursor of another tenant by its looks: it could do no harm, but would mean nothing. */
const markOf = (tenantId: string): number => shardOf(`feed ${tenantId}`, 2 ** 31);

export function encodeCursor(tenantId: string, { places, unreadSince }: Cursor): string {
  const numbers = [VERSION, markOf(tenantId), unreadSince, ...places.flatMap((each) => [each.position, each.consumed])];
  return Buffer.from(numbers.map((each) => each.toString(36)).join('.')).toString('base64url');
}

/** @throws InvalidRequest for anything that this feed has not given out, CandorError `cursor_expired` */
export function decodeCursor(tenantId: string, text: string, now: number, retentionMs: number): Cursor {
  const parts = Buffer.from(text, 'base64url').toString('utf8').split('.');
  const numbers = parts.map((part) => (/^[0-9a-z]{1,11}$/.test(part) ? Number.parseInt(part, 36) : Number.NaN));
  const [version, mark, unreadSince = 0, ...places] = numbers;
  const isOurs = version === VERSION && mark === markOf(tenantId) && places.length === 2 * FEED_SHARDS;
  if (!isOurs || !numbers.every(Number.isSafeInteger))
    throw new InvalidRequest('The cursor is not one of ours.', [
      { pointer: 'after', message: 'must be the nextCursor of an answer before, or earliest, or latest' },
    ]);
  if (unreadSince + retentionMs < now)
    throw new CandorError('cursor_expired', 'What comes after this cursor is not kept any more.', {
      remedy: 'Read the resources as they stand, then follow from ?after=latest.',
      facts: { unreadSince: new Date(unreadSince).toISOString(), retentionDays: retentionMs / 86_400_000 },
    });
  return {
    places: BEGINNING.map((_, shard) => ({
      position: places[2 * shard] ?? 0,
      consumed: places[2 * shard + 1] ?? 0,
    })),
    unreadSince,
  };
}
