/** Deliveries and endpoints that somebody else has changed between a sender's read and its write. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ports } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { redeliver } from '../../../core/webhooks/deliveries.ts';
import { fareIll, fareWell } from '../../../core/webhooks/health.ts';
import { sendDelivery } from '../../../core/webhooks/send.ts';
import { patchWebhook, testWebhook } from '../../../core/webhooks/service.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { interleaved, storeWith } from '../support.ts';
import { deliveries, deliveryRow, HOUR, MINUTE, told, webhook, webhookRow } from './support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const any = { kind: 'any' } as const;
const only = async (world: World, id: string) => (await deliveries(world, id))[0]!;

describe('whoever has read before', () => {
  const at = (id: string, url = 'https://example.com/hook') => ({ id, url });

  test('does not put off what was asked for again since', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const delivery = await only(world, id);
    for (let failure = 0; failure < 4; failure++) await fareIll(world.ports, at(id));
    const again = () => redeliver(world.ports, world.caller, id, delivery.id);
    const held = interleaved(world, again, keys.delivery(delivery.id));
    await sendDelivery(held, delivery.id);
    const { urgent, checkAt } = await deliveryRow(world, delivery.id);
    expect({ urgent, checkAt }).toEqual({ urgent: true, checkAt: world.now });
  });

  test('does not cancel what was asked for again since', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const delivery = await only(world, id);
    world.now += MINUTE;
    for (const status of ['disabled', 'active'] as const)
      await patchWebhook(world.ports, world.caller, id, { status }, any);
    const again = () => redeliver(world.ports, world.caller, id, delivery.id);
    await sendDelivery(interleaved(world, again, keys.delivery(delivery.id)), delivery.id);
    expect((await deliveryRow(world, delivery.id)).status).toBe('pending');
  });

  test('does not cancel what was asked for once more since, with no try between', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const delivery = await only(world, id);
    const again = () => redeliver(world.ports, world.caller, id, delivery.id);
    await again();
    await patchWebhook(world.ports, world.caller, id, { status: 'disabled' }, any);
    world.now += MINUTE;
    const rival = async () => {
      await patchWebhook(world.ports, world.caller, id, { status: 'active' }, any);
      await again();
    };
    await sendDelivery(interleaved(world, rival, keys.delivery(delivery.id)), delivery.id);
    expect((await deliveryRow(world, delivery.id)).status).toBe('pending');
  });

  test('does not count an endpoint as failing since before it worked, though it has failed as often again', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await fareIll(world.ports, at(id));
    world.now += HOUR;
    const workedAt = world.now;
    const rival = async () => {
      await fareWell(world.ports, at(id));
      await fareIll(world.ports, at(id));
    };
    await fareIll(interleaved(world, rival, keys.webhook(id)), at(id));
    expect((await webhookRow(world, id)).failingSince).toBe(workedAt);
  });

  test('says nothing of an address that was set since', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    const rival = () => patchWebhook(world.ports, world.caller, id, { url: 'https://example.com/other' }, any);
    await fareIll(interleaved(world, rival, keys.webhook(id)), at(id));
    expect((await webhookRow(world, id)).failingSince).toBeUndefined();
  });
});

test('a test delivery whose request is sent twice by the SDK is there, and said to be', async () => {
  const world = await engine.world();
  const { id } = await webhook(world);
  const store: Ports['store'] = storeWith(world.ports.store, {
    transact: async (writes) => {
      await world.ports.store.transact(writes);
      return world.ports.store.transact(writes);
    },
  });
  const sent = await testWebhook({ ...world.ports, store }, world.caller, id);
  expect((await deliveries(world, id)).map((each) => each.id)).toEqual([sent.id]);
});
