/** `/v1/webhooks`: who is told of events, what was sent to them, and how that went. */
import { DeliveriesQuery, SecretRotate, WebhookCreate, WebhookPatch } from '../../../core/contract/webhooks.ts';
import { getDelivery, listDeliveries, redeliver } from '../../../core/webhooks/deliveries.ts';
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listWebhooks,
  patchWebhook,
  rotateSecret,
  testWebhook,
} from '../../../core/webhooks/service.ts';
import { changed, created, json, noContent, resource } from '../answers.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';

const ONE = '/v1/webhooks/:webhookId';
const DELIVERY = `${ONE}/deliveries/:deliveryId`;

const LOST_SECRET = 'Rotate its secret, without a key or under a new one.';

const ofWebhooks: readonly Route[] = [
  route({
    operation: 'listWebhooks',
    method: 'GET',
    path: '/v1/webhooks',
    access: 'principal',
    handle: async ({ ports, caller }) => json(await listWebhooks(ports, caller)),
  }),
  route({
    operation: 'createWebhook',
    method: 'POST',
    path: '/v1/webhooks',
    access: 'principal',
    body: { schema: WebhookCreate },
    handle: async ({ ports, caller, body }) => {
      const webhook = await createWebhook(ports, caller, body);
      return created(webhook, `/v1/webhooks/${webhook.id}`);
    },
    repeat: { secret: LOST_SECRET },
  }),
  route({
    operation: 'getWebhook',
    method: 'GET',
    path: ONE,
    access: 'principal',
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getWebhook(ports, caller, param('webhookId'))),
  }),
  route({
    operation: 'updateWebhook',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    body: { schema: WebhookPatch },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await patchWebhook(ports, caller, param('webhookId'), body, readIfMatch(request))),
  }),
  route({
    operation: 'deleteWebhook',
    method: 'DELETE',
    path: ONE,
    access: 'principal',
    handle: async ({ ports, caller, request, param }) => {
      await deleteWebhook(ports, caller, param('webhookId'), readIfMatch(request));
      return noContent();
    },
  }),
  route({
    operation: 'rotateWebhookSecret',
    method: 'POST',
    path: `${ONE}/rotate-secret`,
    access: 'principal',
    body: { schema: SecretRotate, optional: true },
    handle: async ({ ports, caller, param, body }) =>
      changed(await rotateSecret(ports, caller, param('webhookId'), body)),
    repeat: { secret: LOST_SECRET },
  }),
  route({
    operation: 'testWebhook',
    method: 'POST',
    path: `${ONE}/test`,
    access: 'principal',
    handle: async ({ ports, caller, param }) => json(await testWebhook(ports, caller, param('webhookId')), 202),
    repeat: {
      created: async ({ ports, caller, param }, id) =>
        json(await getDelivery(ports, caller, param('webhookId'), id), 202),
    },
  }),
];

const ofDeliveries: readonly Route[] = [
  route({
    operation: 'listDeliveries',
    method: 'GET',
    path: `${ONE}/deliveries`,
    access: 'principal',
    query: DeliveriesQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listDeliveries(ports, caller, param('webhookId'), query)),
  }),
  route({
    operation: 'getDelivery',
    method: 'GET',
    path: DELIVERY,
    access: 'principal',
    handle: async ({ ports, caller, param }) =>
      json(await getDelivery(ports, caller, param('webhookId'), param('deliveryId'))),
  }),
  route({
    operation: 'redeliver',
    method: 'POST',
    path: `${DELIVERY}/redeliver`,
    access: 'principal',
    handle: async ({ ports, caller, param }) =>
      json(await redeliver(ports, caller, param('webhookId'), param('deliveryId')), 202),
    repeat: {
      done: async ({ ports, caller, param }) =>
        json(await getDelivery(ports, caller, param('webhookId'), param('deliveryId')), 202),
    },
  }),
];

export const webhookRoutes: readonly Route[] = [...ofWebhooks, ...ofDeliveries];
