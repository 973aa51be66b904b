/** An event becomes one delivery for each webhook that wants it. The same event again makes no other: its id says which it is. */
import { GuardFailed } from '../errors.ts';
import { eventId } from '../feed/model.ts';
import { derivedId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import type { EventRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, LIST_SHARDS, lists, shardOf, WEBHOOK_PREFIX } from '../table/keys.ts';
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { isTold, payloadOf, wants } from './filter.ts';
import type { DeliveryRow, ListedWebhookRow } from './model.ts';

/** More than a tenant may have. */
const WEBHOOKS_READ_MAX = 100;

export async function tellWebhooks(ports: Ports, event: EventRow): Promise<void> {
  if (!isTold(event)) return;
  const { pk } = keys.webhookListed(event.tenantId, '');
  const page = await ports.store.query({ pk, prefix: WEBHOOK_PREFIX, limit: WEBHOOKS_READ_MAX });
  const rows = page.items.map((item) => asRow<ListedWebhookRow>(item)).filter((row) => row !== undefined);
  const told = rows.filter((row) => row.active && wants(row.events, event.type));
  await Promise.all(
    told.map(({ id: webhookId }) =>
      ports.store.transact([putDelivery(ports, deliveryOf(event, webhookId))]).catch(unlessThere),
    ),
  );
}

/** It was made when the event came the first time; by now it may have been sent. */
function unlessThere(error: unknown): void {
  if (!(error instanceof GuardFailed && error.guard === 'webhook.deliveredOnce')) throw error;
}

export type NewDelivery = Pick<
  DeliveryRow,
  'tenantId' | 'id' | 'webhookId' | 'eventType' | 'eventId' | 'payload' | 'createdAt' | 'urgent'
>;

function deliveryOf(event: EventRow, webhookId: string): NewDelivery {
  const { tenantId, type: eventType, at: createdAt } = event;
  const id = derivedId('msg_', createdAt, 'delivery', webhookId, event.pk, event.sk);
  return { tenantId, id, webhookId, eventType, eventId: eventId(event), payload: payloadOf(event), createdAt };
}

export function putDelivery({ config }: Pick<Ports, 'config'>, delivery: NewDelivery): Write {
  const { id, webhookId, createdAt, urgent } = delivery;
  const row: DeliveryRow = {
    ...keys.delivery(id),
    schemaVersion: SCHEMA_VERSION,
    ...delivery,
    ...(urgent === true && { urgent }),
    status: 'pending',
    attemptCount: 0,
    attempts: [],
    listIn: lists.deliveries(webhookId, shardOf(id, LIST_SHARDS)),
    listAt: id,
    checkIn: checkPartition('DLV', shardOf(id, config.checkShards)),
    checkAt: createdAt,
  };
  return { kind: 'put', item: asItem(row), guards: [guard('webhook.deliveredOnce', absent)] };
}
