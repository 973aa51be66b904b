/** An event becomes one delivery for each webhook that wants it. The same event again makes no other: its id says which it is. */
import { GuardFailed } from '../errors.ts';
import { eventId } from '../feed/model.ts';
import { derivedId } from '../ids.ts';
import type { Ports, Store } from '../ports.ts';
import type { EventRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, LIST_SHARDS, lists, shardOf, WEBHOOK_PREFIX } from '../table/keys.ts';
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { isTold, payloadOf, wants } from './filter.ts';
import type { DeliveryRow, ListedWebhookRow } from './model.ts';

/** More than a tenant may have. */
const WEBHOOKS_READ_MAX = 100;

/** A tenant's webhooks, as they stand now. */
export type WebhooksOf = (tenantId: string) => Promise<readonly ListedWebhookRow[]>;

/** Each tenant's are read once: for events that have all been committed before, which is when a webhook must have been there. */
export function readOnce({ store }: Pick<Ports, 'store'>): WebhooksOf {
  const read = new Map<string, Promise<readonly ListedWebhookRow[]>>();
  return (tenantId) => {
    const found = read.get(tenantId) ?? listed(store, tenantId);
    read.set(tenantId, found);
    return found;
  };
}

async function listed(store: Store, tenantId: string): Promise<readonly ListedWebhookRow[]> {
  const { pk } = keys.webhookListed(tenantId, '');
  const page = await store.query({ pk, prefix: WEBHOOK_PREFIX, limit: WEBHOOKS_READ_MAX });
  return page.items.map((item) => asRow<ListedWebhookRow>(item)).filter((row) => row !== undefined);
}

export async function tellWebhooks(ports: Ports, event: EventRow, webhooksOf = readOnce(ports)): Promise<void> {
  if (!isTold(event)) return;
  const rows = await webhooksOf(event.tenantId);
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
