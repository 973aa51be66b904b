/** The guards of webhooks and of their deliveries: see `guards.test.ts`. */

import type { Ports } from '../../core/ports.ts';
import { sweepGarbage } from '../../core/table/garbage.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { redeliver } from '../../core/webhooks/deliveries.ts';
import { tellWebhooks } from '../../core/webhooks/fanOut.ts';
import { fareIll, fareWell } from '../../core/webhooks/health.ts';
import { sendDelivery } from '../../core/webhooks/send.ts';
import { createWebhook, deleteWebhook, getWebhook, listWebhooks, patchWebhook } from '../../core/webhooks/service.ts';
import type { World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { any, interleaved } from './support.ts';
import { deliveries, deliveryRow, eventOf, HOUR, MINUTE, told, turn, webhook, webhookRow } from './webhooks/support.ts';

const at = (id: string) => ({ id, url: 'https://example.com/hook' });

/** A webhook, and one delivery to it that waits. */
async function waiting(world: World) {
  const { id } = await webhook(world);
  await told(world);
  const [delivery] = await deliveries(world, id);
  return { id, deliveryId: delivery!.id };
}

/** One whose endpoint has failed. */
async function failing(world: World) {
  const { id } = await webhook(world);
  await fareIll(world.ports, at(id));
  return id;
}

export const WEBHOOK_RACES: readonly Race[] = [
  {
    without: ['webhook.countUnchanged'],
    when: 'another webhook is created between the look at their number and the write',
    breaks: 'I10: a tenant has more than the limit',
    held: async (world) => {
      const limited: Ports = { ...world.ports, config: { ...world.ports.config, maxWebhooksPerTenant: 1 } };
      const body = { url: 'https://example.com/', events: ['*'] };
      const rival = () => createWebhook(limited, world.caller, body);
      await tolerant(createWebhook({ ...limited, store: interleaved(world, rival).store }, world.caller, body));
      return (await listWebhooks(world.ports, world.caller)).items.length === 1;
    },
  },
  {
    without: ['webhook.unchanged', 'event.appendedOnce'],
    when: 'a webhook is deleted between the read and the write of a change',
    breaks: 'I8: a stale writer wins, and what was deleted is told of events again',
    held: async (world) => {
      const { id } = await webhook(world);
      const remove = () => deleteWebhook(world.ports, world.caller, id, any);
      const ports = interleaved(world, remove, keys.webhook(id));
      await tolerant(patchWebhook(ports, world.caller, id, { events: ['run.*'] }, any));
      return (await listWebhooks(world.ports, world.caller)).items.length === 0 && !(await listed(world, id));
    },
  },
  {
    without: ['webhook.deliveredOnce'],
    when: 'an event comes again after its delivery was taken',
    breaks: 'a delivery is sent for each time that its event is handled',
    held: async (world) => {
      await webhook(world);
      const event = eventOf(world);
      for (let time = 0; time < 2; time++) {
        await tellWebhooks(world.ports, event);
        await turn(world);
      }
      return world.sent.length === 1;
    },
  },
  {
    without: ['webhook.sameTry'],
    when: 'another sender tries a delivery between the read and the claim',
    breaks: 'two make the same try',
    held: async (world) => {
      const { deliveryId } = await waiting(world);
      world.answer = () => ({ kind: 'answered', status: 500, tookMs: 1 });
      const ports = interleaved(world, () => sendDelivery(world.ports, deliveryId), keys.delivery(deliveryId));
      await sendDelivery(ports, deliveryId);
      return world.sent.length === 1 && (await deliveryRow(world, deliveryId)).attemptCount === 1;
    },
  },
  {
    without: ['webhook.sameRound'],
    when: 'a delivery is asked for again between the read and the write of a sender that lets its endpoint rest',
    breaks: 'what was asked for again is put off',
    held: async (world) => {
      const { id, deliveryId } = await waiting(world);
      for (let failure = 0; failure < 4; failure++) await fareIll(world.ports, at(id));
      const again = () => redeliver(world.ports, world.caller, id, deliveryId);
      await sendDelivery(interleaved(world, again, keys.delivery(deliveryId)), deliveryId);
      const { urgent, checkAt } = await deliveryRow(world, deliveryId);
      return urgent === true && checkAt === world.now;
    },
  },
  {
    without: ['webhook.stillDue'],
    when: 'a delivery is asked for once more, with no try between, and its webhook is on again, while a sender cancels it',
    breaks: 'what was asked for again is cancelled for a switch of before',
    held: async (world) => {
      const { id, deliveryId } = await waiting(world);
      const again = () => redeliver(world.ports, world.caller, id, deliveryId);
      const turned = (status: 'active' | 'disabled') => patchWebhook(world.ports, world.caller, id, { status }, any);
      await again();
      await turned('disabled');
      world.now += MINUTE;
      const rival = async () => {
        await turned('active');
        await again();
      };
      await sendDelivery(interleaved(world, rival, keys.delivery(deliveryId)), deliveryId);
      return (await deliveryRow(world, deliveryId)).status === 'pending';
    },
  },
  {
    without: ['webhook.stillPending'],
    when: 'the webhook is deleted, and its deliveries are cancelled, between the read and the claim',
    breaks: 'something is sent to a webhook after it was deleted',
    held: async (world) => {
      const { id, deliveryId } = await waiting(world);
      const rival = async () => {
        await deleteWebhook(world.ports, world.caller, id, any);
        await turn(world);
      };
      await sendDelivery(interleaved(world, rival, keys.delivery(deliveryId)), deliveryId);
      return world.sent.length === 0;
    },
  },
  {
    without: ['webhook.failingSinceThen'],
    when: 'a delivery is taken between the read and the write that switches the webhook off',
    breaks: 'a webhook that works is switched off',
    held: async (world) => {
      const id = await failing(world);
      world.now += 96 * HOUR;
      await fareIll(
        interleaved(world, () => fareWell(world.ports, at(id)), keys.webhook(id)),
        at(id),
      );
      return (await getWebhook(world.ports, world.caller, id)).status === 'active';
    },
  },
  {
    without: ['webhook.faresAsRead'],
    when: 'two others fail between the read and the write of a failure',
    breaks: 'the count of failures goes back, and the endpoint is tried more often than it should be',
    held: async (world) => {
      const id = await failing(world);
      const rival = async () => {
        await fareIll(world.ports, at(id));
        await fareIll(world.ports, at(id));
      };
      await fareIll(interleaved(world, rival, keys.webhook(id)), at(id));
      return (await webhookRow(world, id)).failures === 3;
    },
  },
  {
    without: ['webhook.failingAsRead'],
    when: 'a delivery is taken, and another one fails, between the read and the write of a failure',
    breaks: 'a webhook counts as failing since before it worked',
    held: async (world) => {
      const id = await failing(world);
      world.now += HOUR;
      const rival = async () => {
        await fareWell(world.ports, at(id));
        await fareIll(world.ports, at(id));
      };
      await fareIll(interleaved(world, rival, keys.webhook(id)), at(id));
      return (await webhookRow(world, id)).failingSince === world.now;
    },
  },
  {
    without: ['webhook.sameAddress'],
    when: 'another address is set between the read and the write of a failure',
    breaks: 'an address fails that nobody has spoken with',
    held: async (world) => {
      const { id } = await webhook(world);
      const rival = () => patchWebhook(world.ports, world.caller, id, { url: 'https://example.com/other' }, any);
      await fareIll(interleaved(world, rival, keys.webhook(id)), at(id));
      return (await webhookRow(world, id)).failingSince === undefined;
    },
  },
  {
    without: ['garbage.expired'],
    when: 'a delivery is sent again between the sweep’s look and its delete',
    breaks: 'what somebody waits for is swept',
    held: async (world) => {
      const sweeping: Ports = { ...world.ports, config: { ...world.ports.config, sweepsGarbage: true } };
      const { id, deliveryId } = await waiting(world);
      await sendDelivery(sweeping, deliveryId);
      world.now += 31 * 24 * HOUR;
      const again = () => redeliver(sweeping, world.caller, id, deliveryId);
      await sweepGarbage({ ...sweeping, store: interleaved(world, again).store });
      return (await world.ports.store.get(keys.delivery(deliveryId))) !== undefined;
    },
  },
];

async function listed(world: World, id: string): Promise<boolean> {
  return (await world.ports.store.get(keys.webhookListed(world.caller.tenantId, id))) !== undefined;
}

export const WEBHOOK_GUARDS_COVERED: Readonly<Record<string, string>> = {
  'webhook.createdOnce': 'webhook.listedOnce and event.appendedOnce: both stand under its id',
  'webhook.listedOnce': 'webhook.createdOnce and event.appendedOnce: both stand under its id',
};
