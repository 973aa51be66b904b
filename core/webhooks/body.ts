/** Webhooks and deliveries as the API shows them. A secret is in neither. */
import { isoTime } from '../contract/common.ts';
import type { DeliveryBody, WebhookBody } from '../contract/webhooks.ts';
import type { DeliveryRow, WebhookRow } from './model.ts';
import { standing } from './secrets.ts';

export const webhookBody = (row: WebhookRow, now: number): WebhookBody => ({
  id: row.id,
  url: row.url,
  ...(row.description !== undefined && { description: row.description }),
  events: [...row.events],
  status: row.status === 'active' ? 'active' : 'disabled',
  ...(row.disabled !== undefined && { disabled: { ...row.disabled, at: isoTime(row.disabled.at) } }),
  secrets: standing(row.secrets, now).map(({ createdAt, endsAt }) => ({
    createdAt: isoTime(createdAt),
    ...(endsAt !== undefined && { endsAt: isoTime(endsAt) }),
  })),
  ...(row.failingSince !== undefined && { failingSince: isoTime(row.failingSince) }),
  version: row.version,
  createdBy: row.createdBy,
  createdAt: isoTime(row.createdAt),
  updatedAt: isoTime(row.updatedAt),
  asOf: isoTime(now),
});

export const deliveryBody = (row: DeliveryRow, now: number): DeliveryBody => ({
  id: row.id,
  webhookId: row.webhookId,
  eventType: row.eventType,
  eventId: row.eventId,
  status: row.status,
  ...(row.reason !== undefined && { reason: row.reason }),
  attemptCount: row.attemptCount,
  attempts: row.attempts.map(({ at, ...rest }) => ({ ...rest, at: isoTime(at) })),
  // Of one that is being tried this is when it would be tried again, if nobody came to say how it went.
  ...(row.status === 'pending' && row.checkAt !== undefined && { nextAttemptAt: isoTime(row.checkAt) }),
  createdAt: isoTime(row.createdAt),
  ...(row.settledAt !== undefined && { settledAt: isoTime(row.settledAt) }),
  asOf: isoTime(now),
});
