/** The log of deliveries, and sending one of them again. */
import type { Reach } from '../access/grants.ts';
import type { PrincipalCaller } from '../agents/service.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import type { DeliveriesQuery, DeliveryBody, DeliveryDetailBody } from '../contract/webhooks.ts';
import { GuardFailed, NotFound } from '../errors.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { LIST_SHARDS, lists } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow, asValues } from '../table/rows.ts';
import { deliveryBody } from './body.ts';
import type { DeliveryRow } from './model.ts';
import { sentAnew } from './send.ts';
import { loadWebhook, requireActive } from './service.ts';

/** Newest first. */
export async function listDeliveries(
  ports: Ports,
  caller: Reach,
  webhookId: string,
  { status, ...page }: DeliveriesQuery,
): Promise<ListBody<DeliveryBody>> {
  await loadWebhook(ports, caller, webhookId);
  const partitions = Array.from({ length: LIST_SHARDS }, (_, shard) => lists.deliveries(webhookId, shard));
  const keep = (row: DeliveryRow) => status === undefined || row.status === status;
  const found = await mergedPage<DeliveryRow>(ports, partitions, page, keep);
  const now = ports.time.now();
  return {
    items: found.rows.map((row) => deliveryBody(row, now)),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(now),
  };
}

async function loadDelivery(ports: Ports, caller: Reach, webhookId: string, id: string): Promise<DeliveryRow> {
  const row = asRow<DeliveryRow>(await ports.store.get(keys.delivery(id)));
  if (row === undefined || row.tenantId !== caller.tenantId || row.webhookId !== webhookId)
    throw new NotFound(
      'delivery',
      id,
      'List the deliveries of the webhook to find its id; they are kept for a while only.',
    );
  return row;
}

export async function getDelivery(
  ports: Ports,
  caller: Reach,
  webhookId: string,
  id: string,
): Promise<DeliveryDetailBody> {
  await loadWebhook(ports, caller, webhookId);
  const row = await loadDelivery(ports, caller, webhookId, id);
  return { ...deliveryBody(row, ports.time.now()), payload: row.payload };
}

/**
 * Under the same id, so that whoever has had it knows. One that is on its way already is left to itself; one that waits for
 * its next try is tried now.
 */
export async function redeliver(
  ports: Ports,
  caller: PrincipalCaller,
  webhookId: string,
  id: string,
): Promise<DeliveryBody> {
  requireActive(await loadWebhook(ports, caller, webhookId));
  const row = await loadDelivery(ports, caller, webhookId, id);
  const now = ports.time.now();
  if (row.claimedAt !== undefined) return deliveryBody(row, now);
  const set = sentAnew(ports, row, now);
  try {
    // Whoever takes it up meanwhile raises the number.
    const guards = [guard('webhook.sameTry', eq('attemptCount', row.attemptCount))];
    await ports.store.transact([{ kind: 'update', key: keys.delivery(id), set: asValues(set), guards }]);
  } catch (error) {
    // It has just been taken up.
    if (!(error instanceof GuardFailed)) throw error;
    return deliveryBody(await loadDelivery(ports, caller, webhookId, id), now);
  }
  return deliveryBody({ ...row, ...set } as unknown as DeliveryRow, now);
}
