/** Sends what is due, the longest due first in each part of the index, several side by side, while there is time. */
import type { Ports } from '../ports.ts';
import { checkPartition, DELIVERY_PREFIX } from '../table/keys.ts';
import { type Sent, sendDelivery } from './send.ts';

export interface DueReport {
  readonly counts: Readonly<Partial<Record<Sent | 'error', number>>>;
  /** More was due than there was time for. */
  readonly leftOver: boolean;
}

const PAGE = 100;

export async function sendDue(ports: Ports, { budgetMs }: { readonly budgetMs: number }): Promise<DueReport> {
  const until = ports.time.now() + budgetMs;
  const counts: Partial<Record<Sent | 'error', number>> = {};
  let leftOver = false;
  for (let shard = 0; shard < ports.config.checkShards; shard++) {
    const partition = checkPartition('DLV', shard);
    const to = ports.time.now();
    for (let after: string | undefined; ; ) {
      const page = await ports.store.queryIndex({
        index: 'checks',
        partition,
        to,
        limit: PAGE,
        ...(after && { after }),
      });
      leftOver =
        (await sendAll(
          ports,
          page.items.map(({ pk }) => idOf(pk)),
          until,
          counts,
        )) || leftOver;
      after = page.next;
      if (after === undefined || leftOver) break;
    }
  }
  return { counts, leftOver };
}

export const idOf = (pk: string): string => pk.slice(DELIVERY_PREFIX.length);

/** One that fails for our own reasons is due still, and costs the others nothing. Answers whether some were not begun. */
export async function sendAll(
  ports: Ports,
  ids: readonly string[],
  until: number,
  counts: Partial<Record<Sent | 'error', number>> = {},
): Promise<boolean> {
  const waiting = [...ids];
  const lane = async () => {
    for (let id = next(); id !== undefined; id = next()) {
      const sent = await sendDelivery(ports, id).catch((error: unknown) => {
        ports.log.error('webhook.delivery_failed', { deliveryId: id, error: String(error) });
        return 'error' as const;
      });
      counts[sent] = (counts[sent] ?? 0) + 1;
    }
  };
  const next = () => (ports.time.now() > until ? undefined : waiting.shift());
  await Promise.all(Array.from({ length: ports.config.webhookLanes }, lane));
  return waiting.length > 0;
}
