/** A batch of the table's stream: its events are handled in order, and written to the feed as far as that came. */
import { appendToFeed } from '../feed/append.ts';
import type { Ports } from '../ports.ts';
import type { EventRow } from '../runs/model.ts';
import { EVENT_PREFIX, NOTE_PREFIX } from '../table/keys.ts';
import type { Item } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { readOnce } from '../webhooks/fanOut.ts';
import { handleEvent } from './fanOut.ts';

export interface Delivered {
  /** The stream's own number of the record. */
  readonly number: string;
  readonly item: Item;
}

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? String(error)) : String(error));

/** Notes are handled like events, though they are no change of state and have no number. */
const isTold = ({ sk }: Item): boolean => sk.startsWith(EVENT_PREFIX) || sk.startsWith(NOTE_PREFIX);

/**
 * Answers the number of the record that failed: it and all after it are to be delivered again, because order per shard
 * matters. The feed has the one that failed all the same.
 */
export async function deliver(ports: Ports, records: readonly Delivered[]): Promise<string | undefined> {
  const told: EventRow[] = [];
  const webhooksOf = readOnce(ports);
  let failed: string | undefined;
  for (const { number, item } of records.filter((record) => isTold(record.item))) {
    try {
      const event = asRow<EventRow>(item);
      if (event === undefined) continue;
      told.push(event);
      await handleEvent(ports, event, webhooksOf);
    } catch (error) {
      ports.log.error('events.record_failed', { sequenceNumber: number, error: describe(error) });
      failed = number;
      break;
    }
  }
  await appendToFeed(ports, told);
  return failed;
}
