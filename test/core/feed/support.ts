/** Events as use cases append them, and readers of the feed as clients are: with nothing but their last cursor. */
import type { FeedEventBody, FeedQuery } from '../../../core/contract/feed.ts';
import { readFeed } from '../../../core/feed/read.ts';
import type { Ports } from '../../../core/ports.ts';
import { appendEvent, type EventFacts } from '../../../core/runs/events.ts';
import type { EventRow } from '../../../core/runs/model.ts';
import type { World } from '../../support/world.ts';

/** Stores one event of a run, and answers it as fan-out gets it. */
export async function emit(
  world: World,
  facts: Partial<EventFacts> & { readonly sequence: number },
): Promise<EventRow> {
  const write = appendEvent(world.ports.config, {
    tenantId: world.caller.tenantId,
    subject: 'run',
    subjectId: 'run_one',
    type: 'run.changed',
    at: world.now,
    writer: 'test',
    ...facts,
  });
  await world.ports.store.transact([write]);
  if (write.kind !== 'put') throw new Error('an event is put');
  return write.item as unknown as EventRow;
}

export interface Reader {
  cursor: string | undefined;
  readonly seen: FeedEventBody[];
}

export const newReader = (cursor?: string): Reader => ({ cursor, seen: [] });

/** One request. Answers whether the reader has caught up. */
export async function readOnce(
  ports: Ports,
  tenantId: string,
  reader: Reader,
  query: Partial<FeedQuery> = {},
): Promise<boolean> {
  const page = await readFeed(ports, { tenantId }, { limit: 100, after: reader.cursor, ...query });
  reader.cursor = page.nextCursor;
  reader.seen.push(...page.items);
  return page.caughtUp;
}

export async function readAll(
  world: World,
  reader: Reader = newReader(),
  query: Partial<FeedQuery> = {},
): Promise<Reader> {
  while (!(await readOnce(world.ports, world.caller.tenantId, reader, { ...query, after: reader.cursor })));
  return reader;
}

export const idsOf = (reader: Reader): readonly string[] => reader.seen.map(({ id }) => id);

/** What a client keeps that knows an event by its id: each where it came first. */
export const distinct = (reader: Reader): readonly FeedEventBody[] => [
  ...new Map(reader.seen.map((event) => [event.id, event])).values(),
];
