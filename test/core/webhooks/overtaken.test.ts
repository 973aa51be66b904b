/** Deliveries and endpoints that somebody else has changed between a sender's read and its write. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ports } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { redeliver } from '../../../core/webhooks/deliveries.ts';
import { sendDelivery } from '../../../core/webhooks/send.ts';
import { patchWebhook, testWebhook } from '../../../core/webhooks/service.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, interleaved, storeWith } from '../support.ts';
import { deliveries, deliveryRow, MINUTE, told, webhook } from './support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const only = async (world: World, id: string) => (await deliveries(world, id))[0]!;

test('whoever has read before does not cancel what was asked for again since', async () => {
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
