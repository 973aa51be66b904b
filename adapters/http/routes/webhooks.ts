/** `/v1/webhooks`: who is told of events, what was sent to them, and how that went. */
import { ListBody } from '../../../core/contract/common.ts';
import {
  DeliveriesQuery,
  DeliveryBody,
  DeliveryDetailBody,
  NewSecretBody,
  SecretRotate,
  WebhookBody,
  WebhookCreate,
  WebhookPatch,
} from '../../../core/contract/webhooks.ts';
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
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Call, type Route, route } from '../route.ts';

const ONE = '/v1/webhooks/:webhookId';
const DELIVERY = `${ONE}/deliveries/:deliveryId`;

const LOST_SECRET = 'Rotate its secret, without a key or under a new one.';

/** As it was answered at first: without what is sent, which only the detail shows. */
async function onItsWay({ ports, caller, param }: PrincipalCall, deliveryId: string): Promise<Response> {
  const { payload: _, ...delivery } = await getDelivery(ports, caller, param('webhookId'), deliveryId);
  return json(delivery, 202);
}
type PrincipalCall = Pick<Call<'principal', unknown, unknown>, 'ports' | 'caller' | 'param'>;

const ofWebhooks: readonly Route[] = [
  route({
    operation: 'listWebhooks',
    summary: 'The webhooks.',
    method: 'GET',
    path: '/v1/webhooks',
    access: 'principal',
    answers: answers.json('All of them.', ListBody(WebhookBody)),
    handle: async ({ ports, caller }) => json(await listWebhooks(ports, caller)),
  }),
  route({
    operation: 'createWebhook',
    summary: 'Have an endpoint told of events.',
    description: 'Its secret is shown this once.',
    method: 'POST',
    path: '/v1/webhooks',
    access: 'principal',
    answers: answers.created(NewSecretBody),
    problems: ['illegal_transition'],
    body: { schema: WebhookCreate },
    handle: async ({ ports, caller, body }) => {
      const webhook = await createWebhook(ports, caller, body);
      return created(webhook, `/v1/webhooks/${webhook.id}`);
    },
    repeat: { secret: LOST_SECRET },
  }),
  route({
    operation: 'getWebhook',
    summary: 'One webhook.',
    method: 'GET',
    path: ONE,
    access: 'principal',
    answers: answers.resource(WebhookBody),
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getWebhook(ports, caller, param('webhookId'))),
  }),
  route({
    operation: 'updateWebhook',
    summary: 'Change a webhook, or switch it off or on.',
    description: 'What happens while it is off is not sent later.',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    ifMatch: 'required',
    answers: answers.changed(WebhookBody),
    body: { schema: WebhookPatch },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await patchWebhook(ports, caller, param('webhookId'), body, readIfMatch(request))),
  }),
  route({
    operation: 'deleteWebhook',
    summary: 'Delete a webhook; what waits to be sent is not sent.',
    method: 'DELETE',
    path: ONE,
    access: 'principal',
    ifMatch: 'required',
    answers: answers.none('It is deleted.'),
    handle: async ({ ports, caller, request, param }) => {
      await deleteWebhook(ports, caller, param('webhookId'), readIfMatch(request));
      return noContent();
    },
  }),
  route({
    operation: 'rotateWebhookSecret',
    summary: 'Make a new secret, which is shown this once.',
    description: 'Both sign for the overlap.',
    method: 'POST',
    path: `${ONE}/rotate-secret`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.changed(NewSecretBody),
    body: { schema: SecretRotate, optional: true },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await rotateSecret(ports, caller, param('webhookId'), body, readIfMatch(request))),
    repeat: { secret: LOST_SECRET },
  }),
  route({
    operation: 'testWebhook',
    summary: 'Send an event of the type webhook.test.',
    method: 'POST',
    path: `${ONE}/test`,
    access: 'principal',
    answers: answers.accepted('The delivery, which is on its way.', DeliveryBody, []),
    problems: ['illegal_transition'],
    handle: async ({ ports, caller, param }) => json(await testWebhook(ports, caller, param('webhookId')), 202),
    repeat: { created: onItsWay },
  }),
];

const ofDeliveries: readonly Route[] = [
  route({
    operation: 'listDeliveries',
    summary: 'What was sent to a webhook, newest first.',
    method: 'GET',
    path: `${ONE}/deliveries`,
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(DeliveryBody)),
    query: DeliveriesQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listDeliveries(ports, caller, param('webhookId'), query)),
  }),
  route({
    operation: 'getDelivery',
    summary: 'One delivery, with each try and what is sent.',
    method: 'GET',
    path: DELIVERY,
    access: 'principal',
    answers: answers.json('The delivery.', DeliveryDetailBody),
    handle: async ({ ports, caller, param }) =>
      json(await getDelivery(ports, caller, param('webhookId'), param('deliveryId'))),
  }),
  route({
    operation: 'redeliver',
    summary: 'Send a delivery again, under the same id.',
    method: 'POST',
    path: `${DELIVERY}/redeliver`,
    access: 'principal',
    answers: answers.accepted('The delivery, which is on its way.', DeliveryBody, []),
    problems: ['illegal_transition'],
    handle: async ({ ports, caller, param }) =>
      json(await redeliver(ports, caller, param('webhookId'), param('deliveryId')), 202),
    repeat: { done: (call) => onItsWay(call, call.param('deliveryId')) },
  }),
];

export const webhookRoutes: readonly Route[] = [...ofWebhooks, ...ofDeliveries];
