/** `/v1/events`: the feed of everything that changes, to be followed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reach } from '../../../core/access/grants.ts';
import { FeedBody, FeedQuery } from '../../../core/contract/feed.ts';
import { readFeed } from '../../../core/feed/read.ts';
import type { Ports } from '../../../core/ports.ts';
import { json } from '../answers.ts';
import { answers } from '../declare.ts';
import { type Route, route } from '../route.ts';

/** Between two looks while a reader waits: at first it may come any moment; each look costs a read of every log. */
const POLL_MS_FIRST = 100;
const POLL_MS_MAX = 1000;

export const eventRoutes: readonly Route[] = [
  route({
    operation: 'listEvents',
    summary: 'Everything that changes, in order for each resource.',
    description:
      'At least once: the id of an event tells a repeat. With wait the answer is held back until there is something, or the time is over.',
    method: 'GET',
    path: '/v1/events',
    access: 'principal',
    answers: answers.json('What came after the cursor.', FeedBody),
    problems: ['cursor_expired'],
    query: FeedQuery,
    handle: async ({ ports, caller, request, query }) => json(await follow(ports, caller, query, request.signal)),
  }),
];

/** Waits until there is something, `wait` is over, or the reader has gone. */
async function follow(ports: Ports, caller: Reach, query: FeedQuery, reader: AbortSignal): Promise<FeedBody> {
  // A duration, so it is measured on the monotonic clock: the wall clock may be set meanwhile.
  const until = performance.now() + Math.min(query.wait, ports.config.maxWaitSeconds) * 1000;
  let after = query.after;
  for (let pauseMs = POLL_MS_FIRST; ; pauseMs = Math.min(pauseMs * 1.5, POLL_MS_MAX)) {
    const page = await readFeed(ports, caller, { ...query, after });
    const leftMs = until - performance.now();
    if (page.items.length > 0 || leftMs <= 0 || reader.aborted) return page;
    after = page.nextCursor;
    if (!page.caughtUp) continue;
    await sleep(Math.min(pauseMs, leftMs), undefined, { signal: reader }).catch((error: unknown) => {
      if (!reader.aborted) throw error;
    });
  }
}
