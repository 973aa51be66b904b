/** Webhooks and their deliveries as text. */
import type { DeliveryBody, DeliveryDetailBody, WebhookBody } from '../../core/contract/webhooks.ts';
import { type Cell, type Colour, fields, inline, type Paint, span, statusPainted, table, when } from '../text.ts';

type Listed<T> = { readonly items: readonly T[]; readonly asOf?: string };

export const webhookTable = (paint: Paint, { items, asOf }: Listed<WebhookBody>): string =>
  table(
    paint,
    ['ID', 'STATUS', 'EVENTS', 'FAILING', 'URL'],
    items.map(({ id, status, events, failingSince, url }) => [
      id,
      { text: status, colour: status === 'active' ? 'green' : 'yellow' },
      events.join(' '),
      failingSince === undefined ? undefined : span(Date.parse(asOf ?? failingSince) - Date.parse(failingSince)),
      url,
    ]),
  );

export const webhookDetail = (paint: Paint, webhook: WebhookBody): string => {
  const { disabled, asOf } = webhook;
  const at = (time: string | undefined) => time && when(time, asOf);
  return fields(paint, [
    ['id', webhook.id],
    ['url', inline(webhook.url)],
    ['description', webhook.description && inline(webhook.description)],
    ['events', inline(webhook.events.join(' '))],
    ['status', statusPainted(paint, webhook.status === 'active' ? 'active' : 'paused', webhook.status)],
    ['disabled', disabled && `${inline(disabled.reason)}, by ${inline(disabled.by)}, ${when(disabled.at, asOf)}`],
    ['failing since', at(webhook.failingSince)],
    [
      'secrets',
      webhook.secrets
        .map(
          ({ createdAt, endsAt }) =>
            `of ${when(createdAt, asOf)}${endsAt ? `, signs until ${when(endsAt, asOf)}` : ''}`,
        )
        .join('\n'),
    ],
    ['created', `${when(webhook.createdAt, asOf)} by ${inline(webhook.createdBy)}`],
    ['version', String(webhook.version)],
  ]);
};

const COLOURS: Readonly<Record<DeliveryBody['status'], Colour>> = {
  pending: 'yellow',
  delivered: 'green',
  failed: 'red',
  cancelled: 'dim',
};

const statusCell = (status: DeliveryBody['status']): Cell => ({ text: status, colour: COLOURS[status] });

export const deliveryTable = (paint: Paint, { items, asOf }: Listed<DeliveryBody>): string =>
  table(
    paint,
    ['ID', 'STATUS', 'EVENT', 'TRIES', 'LAST', 'NEXT', 'CREATED'],
    items.map((delivery) => [
      delivery.id,
      statusCell(delivery.status),
      delivery.eventType,
      String(delivery.attemptCount),
      delivery.attempts.at(-1)?.detail ?? delivery.reason,
      delivery.nextAttemptAt && when(delivery.nextAttemptAt, asOf),
      when(delivery.createdAt, asOf),
    ]),
  );

export function deliveryDetail(paint: Paint, delivery: DeliveryDetailBody): string {
  const { asOf } = delivery;
  const head = fields(paint, [
    ['id', delivery.id],
    ['webhook', delivery.webhookId],
    ['event', `${inline(delivery.eventType)} ${inline(delivery.eventId)}`],
    ['status', paint(COLOURS[delivery.status], delivery.status)],
    ['reason', delivery.reason && inline(delivery.reason)],
    ['next try', delivery.nextAttemptAt && when(delivery.nextAttemptAt, asOf)],
    ['created', when(delivery.createdAt, asOf)],
    ['settled', delivery.settledAt && when(delivery.settledAt, asOf)],
    ['payload', inline(delivery.payload)],
  ]);
  if (delivery.attempts.length === 0) return head;
  const rows = delivery.attempts.map(({ number, at, outcome, status, tookMs, detail }) => [
    String(number),
    when(at, asOf),
    outcome,
    status === undefined ? undefined : String(status),
    tookMs === undefined ? undefined : `${tookMs} ms`,
    detail,
  ]);
  return `${head}\n\n${table(paint, ['TRY', 'AT', 'OUTCOME', 'HTTP', 'TOOK', 'DETAIL'], rows)}`;
}
