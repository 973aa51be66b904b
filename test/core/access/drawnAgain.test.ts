/** Ids that are drawn a second time, as a clone of a machine does: nothing is written over, and the caller may ask again. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKey, listKeys, rotateKey } from '../../../core/access/keys.ts';
import { createPrincipal } from '../../../core/access/service.ts';
import { createAgent, getAgent } from '../../../core/agents/service.ts';
import { AgentCreate } from '../../../core/contract/agents.ts';
import type { Ports } from '../../../core/ports.ts';
import { createWebhook, getWebhook, testWebhook } from '../../../core/webhooks/service.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any } from '../support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const again = { code: 'contended', retryable: true };
const drawing = ({ ports }: World, id: string): Ports => ({ ...ports, ids: { ...ports.ids, next: () => id } });

test('an agent stays what it is', async () => {
  const world = await engine.world();
  const request = (name: string) => AgentCreate.parse({ name, command: ['work'] });
  const { id } = await createAgent(world.ports, world.caller, request('first'));
  await expect(createAgent(drawing(world, id), world.caller, request('second'))).rejects.toMatchObject(again);
  expect((await getAgent(world.ports, world.caller, id)).name).toBe('first');
});

test('a key stays what it is, whether another is made or it is replaced', async () => {
  const world = await engine.world();
  const { caller } = world;
  const { id: principalId } = await createPrincipal(world.ports, caller, { name: 'robot', role: 'operator' });
  const request = { name: 'first', expiresIn: 3600 };
  const { id: keyId } = await createKey(world.ports, caller, principalId, request, any);
  const ports = drawing(world, keyId);
  await expect(createKey(ports, caller, principalId, { ...request, name: 'second' }, any)).rejects.toMatchObject(again);
  const rotation = { overlap: 0, expiresIn: 3600 };
  await expect(rotateKey(ports, caller, { principalId, keyId }, rotation, any)).rejects.toMatchObject(again);
  const { items } = await listKeys(world.ports, caller, principalId);
  expect(items.map(({ name, status }) => [name, status])).toEqual([['first', 'active']]);
});

test('a webhook stays what it is, and so does what was sent to it', async () => {
  const world = await engine.world();
  const { caller } = world;
  const request = (url: string) => ({ url, events: ['*'] });
  const { id } = await createWebhook(world.ports, caller, request('https://example.com/first'));
  const second = createWebhook(drawing(world, id), caller, request('https://example.com/second'));
  await expect(second).rejects.toMatchObject(again);
  expect((await getWebhook(world.ports, caller, id)).url).toBe('https://example.com/first');
  const { id: deliveryId } = await testWebhook(world.ports, caller, id);
  world.now += 1000;
  await expect(testWebhook(drawing(world, deliveryId), caller, id)).rejects.toMatchObject(again);
});
