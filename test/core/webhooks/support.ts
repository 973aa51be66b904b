/** What tests of webhooks share. */
import type { PrincipalCaller } from '../../../core/agents/service.ts';
import { type WebhookCreate, WebhookCreate as WebhookCreateSchema } from '../../../core/contract/webhooks.ts';
import type { WebhookRequest } from '../../../core/ports.ts';
import { appendEvent } from '../../../core/runs/events.ts';
import type { EventRow } from '../../../core/runs/model.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { listDeliveries } from '../../../core/webhooks/deliveries.ts';
import { sendDue } from '../../../core/webhooks/due.ts';
import { tellWebhooks } from '../../../core/webhooks/fanOut.ts';
import type { DeliveryRow, WebhookRow } from '../../../core/webhooks/model.ts';
import { createWebhook } from '../../../core/webhooks/service.ts';
import type { World } from '../../support/world.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export const webhook = (world: World, more: Partial<WebhookCreate> = {}, caller: PrincipalCaller = world.caller) =>
  createWebhook(world.ports, caller, WebhookCreateSchema.parse({ url: 'https://example.com/hook', ...more }));

let count = 0;
/** An event that is not in the table: what is told of it does not read it there. */
export function eventOf(world: World, more: Partial<EventRow> = {}): EventRow {
  const number = ++count;
  const write = appendEvent(world.ports.config, {
    tenantId: world.caller.tenantId,
    subject: 'run',
    subjectId: `run_${String(number).padStart(26, '0')}`,
    sequence: 3,
    type: 'run.succeeded',
    at: world.now,
    status: 'succeeded',
    detail: { number },
    writer: 'test',
  });
  if (write.kind !== 'put') throw new Error('an event is put');
  return { ...(write.item as unknown as EventRow), ...more };
}

export async function told(world: World, more: Partial<EventRow> = {}): Promise<EventRow> {
  const event = eventOf(world, more);
  await tellWebhooks(world.ports, event);
  return event;
}

export const turn = (world: World) => sendDue(world.ports, { budgetMs: MINUTE });

export async function webhookRow(world: World, id: string): Promise<WebhookRow> {
  return (await world.ports.store.get(keys.webhook(id))) as unknown as WebhookRow;
}
export async function deliveryRow(world: World, id: string): Promise<DeliveryRow> {
  return (await world.ports.store.get(keys.delivery(id))) as unknown as DeliveryRow;
}

export const deliveries = async (world: World, webhookId: string) =>
  (await listDeliveries(world.ports, world.caller, webhookId, { limit: 100 })).items;

export const idOf = ({ headers }: WebhookRequest): string => headers['webhook-id'] ?? '';
export const idsSent = (world: World): readonly string[] => world.sent.map(idOf);
