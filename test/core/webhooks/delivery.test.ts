/** Sending: at least once, never for ever, and nobody's endpoint holds up another's. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Ports, WebhookAnswer } from '../../../core/ports.ts';
import { getDelivery, redeliver } from '../../../core/webhooks/deliveries.ts';
import { RETRY_AFTER_SECONDS } from '../../../core/webhooks/retry.ts';
import { sendDelivery } from '../../../core/webhooks/send.ts';
import { deleteWebhook, getWebhook, patchWebhook, rotateSecret, testWebhook } from '../../../core/webhooks/service.ts';
import { signatureHeaders } from '../../../core/webhooks/sign.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, eventsOf } from '../support.ts';
import { deliveries, deliveryRow, HOUR, idOf, idsSent, MINUTE, told, turn, webhook, webhookRow } from './support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const answered = (status: number, more: object = {}): WebhookAnswer => ({
  kind: 'answered',
  status,
  tookMs: 5,
  ...more,
});
const only = async (world: World, id: string) => (await deliveries(world, id))[0]!;

describe('a delivery', () => {
  test('is signed with the time of its try, and at rest once it was taken', async () => {
    const world = await engine.world();
    const { id, secret } = await webhook(world);
    await told(world);
    await turn(world);
    const [request] = world.sent;
    const expected = signatureHeaders([secret], { id: idOf(request!), at: world.now, payload: request!.body });
    expect(request!.headers).toMatchObject(expected);
    const delivery = await only(world, id);
    expect(delivery).toMatchObject({
      id: idOf(request!),
      status: 'delivered',
      attemptCount: 1,
      attempts: [{ number: 1, outcome: 'delivered', status: 200, tookMs: 1, at: '2027-03-01T12:00:00.000Z' }],
    });
    expect(delivery).not.toHaveProperty('nextAttemptAt');
    const row = await deliveryRow(world, delivery.id);
    expect(row).not.toHaveProperty('checkIn');
    expect(row.ttl).toBe(Math.ceil((world.now + 30 * 24 * HOUR) / 1000));
    world.now += 48 * HOUR;
    await turn(world);
    expect(world.sent).toHaveLength(1);
  });

  test('is tried again for more than a day, always under the same id, and then given up', async () => {
    const world = await engine.world({ webhookDisableAfterSeconds: 30 * 24 * 3600 });
    const { id } = await webhook(world);
    world.answer = () => answered(500);
    await told(world);
    const begun = world.now;
    const times: number[] = [];
    for (let minute = 0; minute < 27 * 60; minute++) {
      const before = world.sent.length;
      await turn(world);
      if (world.sent.length > before) times.push((world.now - begun) / MINUTE);
      if ((await only(world, id)).status !== 'pending') break;
      const due = (await deliveryRow(world, (await only(world, id)).id)).checkAt!;
      world.now = Math.max(due, world.now + 1000);
    }
    const delivery = await only(world, id);
    expect(delivery).toMatchObject({
      status: 'failed',
      attemptCount: RETRY_AFTER_SECONDS.length + 1,
      reason: 'given up after 8 tries: it answered 500',
    });
    expect(new Set(idsSent(world))).toEqual(new Set([delivery.id]));
    expect(new Set(world.sent.map(({ body }) => body)).size).toBe(1);
    expect(times.at(-1)).toBeGreaterThan(24 * 60);
    expect(times.at(-1)).toBeLessThan(28 * 60);
    expect(world.measured).toContainEqual({ name: 'WebhooksGivenUp', value: 1, dimensions: {} });
  });

  test.each([
    ['a redirect', answered(302), { outcome: 'refused', status: 302, detail: expect.stringContaining('not followed') }],
    [
      'silence',
      { kind: 'timed_out', detail: 'no answer within 15 s', tookMs: 15_000 } as const,
      { outcome: 'timed_out' },
    ],
    ['a closed port', { kind: 'failed', detail: 'ECONNREFUSED', tookMs: 1 } as const, { outcome: 'failed' }],
    ['a bad address', { kind: 'not_allowed', detail: 'leads to 10.0.0.1' } as const, { outcome: 'not_allowed' }],
  ])('that meets %s stays pending, and says so', async (_, answer, attempt) => {
    const world = await engine.world();
    const { id } = await webhook(world);
    world.answer = () => answer;
    await told(world);
    await turn(world);
    expect(await only(world, id)).toMatchObject({ status: 'pending', attempts: [attempt] });
    world.answer = () => answered(204);
    world.now += MINUTE;
    await turn(world);
    expect(await only(world, id)).toMatchObject({ status: 'delivered', attemptCount: 2 });
    expect(await webhookRow(world, id)).not.toHaveProperty('failingSince');
  });

  test('waits as long as the endpoint asks for, within reason', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    for (const [asked, waits] of [
      [600, 600],
      [999_999, 3600],
    ] as const) {
      world.answer = () => answered(429, { retryAfterSeconds: asked });
      await told(world);
      await turn(world);
      const delivery = await only(world, id);
      expect(Date.parse(delivery.nextAttemptAt!) - world.now).toBe(waits * 1000);
      world.now += 2 * HOUR;
      world.answer = () => answered(200);
      await turn(world);
    }
  });
});

describe('a crash', () => {
  /** The ports of a process that dies at its next write behind a request. */
  const dyingAfterSend = (world: World): Ports => {
    let sent = false;
    return {
      ...world.ports,
      webhooks: {
        ...world.ports.webhooks,
        send: async (request) => {
          const answer = await world.ports.webhooks.send(request);
          sent = true;
          return answer;
        },
      },
      store: {
        ...bound(world.ports.store),
        transact: async (writes) => {
          if (sent) throw new StoreUnavailable();
          await world.ports.store.transact(writes);
        },
      },
    };
  };

  test('after the request and before it was told of: sent again, under the same id', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const { id: deliveryId } = await only(world, id);
    await expect(sendDelivery(dyingAfterSend(world), deliveryId)).rejects.toThrow();
    expect(await deliveryRow(world, deliveryId)).toMatchObject({ status: 'pending', attemptCount: 1, attempts: [] });
    await turn(world);
    expect(world.sent).toHaveLength(1);
    world.now += MINUTE;
    await turn(world);
    expect(idsSent(world)).toEqual([deliveryId, deliveryId]);
    const delivery = await only(world, id);
    expect(delivery.status).toBe('delivered');
    expect(delivery.attempts.map(({ outcome }) => outcome)).toEqual(['unknown', 'delivered']);
  });

  test('at every try ends too', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const { id: deliveryId } = await only(world, id);
    for (let crash = 0; crash < 20; crash++) {
      await sendDelivery(dyingAfterSend(world), deliveryId).catch(() => undefined);
      world.now += MINUTE;
    }
    await turn(world);
    expect(await only(world, id)).toMatchObject({ status: 'failed', reason: expect.stringContaining('never told of') });
    expect(world.sent).toHaveLength(8);
  });

  test('a late word of a try that was taken over changes nothing', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const { id: deliveryId } = await only(world, id);
    const { promise, resolve } = Promise.withResolvers<WebhookAnswer>();
    world.answer = () => promise;
    const slow = sendDelivery(world.ports, deliveryId);
    while (world.sent.length === 0) await new Promise((done) => setTimeout(done, 1));
    world.now += MINUTE;
    world.answer = () => answered(200);
    await turn(world);
    expect((await only(world, id)).status).toBe('delivered');
    resolve(answered(500));
    await slow;
    expect(await only(world, id)).toMatchObject({ status: 'delivered', attemptCount: 2 });
  });
});

test('two that send at once make one request', async () => {
  const world = await engine.world();
  const { id } = await webhook(world);
  for (let number = 0; number < 10; number++) await told(world);
  await Promise.all([turn(world), turn(world), turn(world)]);
  expect(world.sent).toHaveLength(10);
  expect((await deliveries(world, id)).every(({ status }) => status === 'delivered')).toBe(true);
});

test('the longest due goes first, and one that fails holds up none behind it', async () => {
  const world = await engine.world({ webhookLanes: 1, checkShards: 1 });
  const { id } = await webhook(world);
  for (let number = 0; number < 5; number++) {
    await told(world);
    world.now += 1000;
  }
  const inOrder = (await deliveries(world, id)).map((each) => each.id).reverse();
  world.answer = (request) => answered(idOf(request) === inOrder[1] ? 503 : 200);
  await turn(world);
  expect(idsSent(world)).toEqual(inOrder);
  world.now += 6000;
  await turn(world);
  expect(idsSent(world).slice(5)).toEqual([inOrder[1]]);
});

test('an endpoint that does not answer is tried less and less, whatever comes in, and others are not kept waiting', async () => {
  const world = await engine.world({ webhookLanes: 2 });
  const dead = await webhook(world, { url: 'https://dead.example/' });
  const live = await webhook(world, { url: 'https://live.example/' });
  world.answer = ({ url }) => answered(url.includes('dead') ? 500 : 200);
  const tries = () => world.sent.filter(({ url }) => url.includes('dead')).length;
  const perMinute: number[] = [];
  for (let minute = 0; minute < 12; minute++) {
    for (let number = 0; number < 6; number++) await told(world);
    const before = tries();
    await turn(world);
    perMinute.push(tries() - before);
    world.now += MINUTE;
  }
  expect((await deliveries(world, live.id)).every(({ status }) => status === 'delivered')).toBe(true);
  // 72 deliveries of its own, each of which would be tried at once and again after seconds.
  expect(tries()).toBeLessThan(36);
  expect(perMinute.filter((count) => count === 0).length).toBeGreaterThan(4);
  expect(await webhookRow(world, dead.id)).toMatchObject({ holdUntil: expect.any(Number) });
});

describe('an endpoint that takes nothing', () => {
  test('is switched off after days, with notice, and what waits for it is cancelled', async () => {
    const world = await engine.world();
    const { id } = await webhook(world, { events: ['run.*'] });
    const other = await webhook(world, { url: 'https://other.example/', events: ['webhook.disabled'] });
    world.answer = ({ url }) => answered(url.includes('other') ? 200 : 500);
    for (let hours = 0; hours < 80; hours += 4) {
      await told(world);
      await turn(world);
      world.now += 4 * HOUR;
    }
    const body = await getWebhook(world.ports, world.caller, id);
    expect(body).toMatchObject({
      status: 'disabled',
      disabled: { kind: 'auto', reason: 'it has taken nothing for 3 days' },
    });
    const notice = (await eventsOf(world, `WHK#${id}`)).at(-1)!;
    expect(notice).toMatchObject({ type: 'webhook.disabled', status: 'disabled', detail: { host: 'example.com' } });
    expect(JSON.stringify(notice)).not.toContain('/hook');
    expect(world.measured).toContainEqual({ name: 'WebhooksDisabled', value: 1, dimensions: {} });
    await turn(world);
    world.now += 24 * HOUR;
    await turn(world);
    expect((await deliveries(world, id)).some(({ status }) => status === 'pending')).toBe(false);
    expect((await deliveries(world, other.id)).length).toBe(0);
    await patchWebhook(world.ports, world.caller, id, { status: 'active' }, any);
    expect(await getWebhook(world.ports, world.caller, id)).not.toHaveProperty('disabled');
  });

  test('is left alone where it took something in between', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    for (let hours = 0; hours < 120; hours += 4) {
      world.answer = () => answered(hours === 48 ? 200 : 500);
      await told(world);
      await turn(world);
      world.now += 4 * HOUR;
    }
    expect((await getWebhook(world.ports, world.caller, id)).status).toBe('active');
  });

  test('says that it is gone: switched off at once', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    world.answer = () => answered(410);
    await told(world);
    await turn(world);
    expect(await getWebhook(world.ports, world.caller, id)).toMatchObject({
      status: 'disabled',
      disabled: { reason: 'it answered 410: it is gone' },
    });
  });
});

test('what waited when a webhook was switched off is not sent once it is on again, unless somebody asks for it', async () => {
  const world = await engine.world();
  const { id } = await webhook(world);
  const set = (status: 'active' | 'disabled') => patchWebhook(world.ports, world.caller, id, { status }, any);
  world.answer = () => answered(500);
  await told(world);
  await turn(world);
  world.now += 1000;
  await set('disabled');
  await set('active');
  world.now += 1000;
  world.answer = () => answered(200);
  await told(world);
  const before = world.sent.length;
  world.now += HOUR;
  await turn(world);
  expect(world.sent.length).toBe(before + 1);
  const all = await deliveries(world, id);
  expect(all.map(({ status }) => status).sort()).toEqual(['cancelled', 'delivered']);
  const cancelled = all.find(({ status }) => status === 'cancelled')!;
  expect(cancelled).toMatchObject({ reason: 'the webhook was switched off' });
  await redeliver(world.ports, world.caller, id, cancelled.id);
  await turn(world);
  expect((await deliveryRow(world, cancelled.id)).status).toBe('delivered');
});

test('an address that has been given up for another one says nothing of that one', async () => {
  const world = await engine.world();
  const moves = (id: string) =>
    patchWebhook(world.ports, world.caller, id, { url: 'https://new.example/hook' }, any).then(() => undefined);
  const { id } = await webhook(world);
  world.answer = async () => {
    await moves(id);
    return answered(410);
  };
  await told(world);
  await turn(world);
  const after = await webhookRow(world, id);
  expect(after).toMatchObject({ status: 'active', url: 'https://new.example/hook' });
  expect(after.failures).toBeUndefined();
});

describe('by hand', () => {
  test('sent again under the same id, with a day of tries of its own', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    await turn(world);
    const { id: deliveryId } = await only(world, id);
    expect(await redeliver(world.ports, world.caller, id, deliveryId)).toMatchObject({ status: 'pending' });
    world.answer = () => answered(500);
    await turn(world);
    expect(await only(world, id)).toMatchObject({ status: 'pending', attemptCount: 2 });
    expect(idsSent(world)).toEqual([deliveryId, deliveryId]);
    const row = await deliveryRow(world, deliveryId);
    expect(row).not.toHaveProperty('ttl');
    // The first of seven pauses again.
    expect(row.checkAt! - world.now).toBeLessThan(6000);
  });

  test('twice is once, and one that is under way is left to itself', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const { id: deliveryId } = await only(world, id);
    const { promise, resolve } = Promise.withResolvers<WebhookAnswer>();
    world.answer = () => promise;
    const sending = turn(world);
    while (world.sent.length === 0) await new Promise((done) => setTimeout(done, 1));
    await redeliver(world.ports, world.caller, id, deliveryId);
    resolve(answered(200));
    await sending;
    await turn(world);
    expect(world.sent).toHaveLength(1);
    await Promise.all([1, 2].map(() => redeliver(world.ports, world.caller, id, deliveryId)));
    await turn(world);
    expect(world.sent).toHaveLength(2);
  });

  test('a test goes out although its endpoint is held', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    world.answer = () => answered(500);
    for (let number = 0; number < 3; number++) {
      await told(world);
      await turn(world);
    }
    expect((await webhookRow(world, id)).holdUntil).toBeGreaterThan(world.now);
    const { id: deliveryId } = await testWebhook(world.ports, world.caller, id);
    await turn(world);
    expect(idsSent(world).at(-1)).toBe(deliveryId);
    expect(JSON.parse(world.sent.at(-1)!.body)).toMatchObject({ type: 'webhook.test', data: { subject: { id } } });
    const { payload } = await getDelivery(world.ports, world.caller, id, deliveryId);
    expect(payload).toBe(world.sent.at(-1)!.body);
  });
});

describe('secrets', () => {
  const signatures = (world: World) => world.sent.at(-1)!.headers['webhook-signature']!.split(' ');

  test('after a rotation both sign, until the overlap is over', async () => {
    const world = await engine.world();
    const { id, secret: older } = await webhook(world);
    const { secret: newer } = await rotateSecret(world.ports, world.caller, id, { overlap: 3600 }, { kind: 'none' });
    const signed = (...secrets: string[]) => {
      const { headers, body } = world.sent.at(-1)!;
      const at = Number(headers['webhook-timestamp']) * 1000;
      return signatureHeaders(secrets, { id: idOf(world.sent.at(-1)!), at, payload: body })['webhook-signature'];
    };
    await told(world);
    await turn(world);
    expect(signatures(world).join(' ')).toBe(signed(newer, older));
    world.now += HOUR;
    await told(world);
    await turn(world);
    expect(signatures(world).join(' ')).toBe(signed(newer));
    const { secret: newest } = await rotateSecret(world.ports, world.caller, id, { overlap: 0 }, { kind: 'none' });
    await told(world);
    await turn(world);
    expect(signatures(world).join(' ')).toBe(signed(newest));
  });

  test('are in no row as they are, in no event, and gone with the webhook', async () => {
    const world = await engine.world();
    const { id, secret } = await webhook(world);
    const { secret: newer } = await rotateSecret(world.ports, world.caller, id, { overlap: 3600 }, { kind: 'none' });
    await told(world);
    await turn(world);
    const rows = [await webhookRow(world, id), ...(await eventsOf(world, `WHK#${id}`)), await deliveries(world, id)];
    for (const text of [secret, newer, secret.slice(6), newer.slice(6)])
      expect(JSON.stringify(rows)).not.toContain(text);
    await deleteWebhook(world.ports, world.caller, id, any);
    expect((await webhookRow(world, id)).secrets).toEqual([]);
  });

  test('one that cannot be opened is a failed try, not an endless one', async () => {
    const world = await engine.world();
    const { id } = await webhook(world);
    await told(world);
    const seals = { ...world.ports.seals, open: () => Promise.reject(new Error('another key')) };
    const { id: deliveryId } = await only(world, id);
    await sendDelivery({ ...world.ports, seals }, deliveryId);
    expect(world.sent).toEqual([]);
    expect(await only(world, id)).toMatchObject({
      status: 'pending',
      attempts: [{ outcome: 'failed', detail: expect.stringContaining('cannot be opened') }],
    });
    // Nobody has asked the endpoint: it does not fare ill for that.
    const row = await webhookRow(world, id);
    expect([row.failingSince, row.holdUntil]).toEqual([undefined, undefined]);
  });
});

test('a webhook that was deleted meanwhile gets nothing that was waiting', async () => {
  const world = await engine.world();
  const { id } = await webhook(world);
  await told(world);
  const { id: deliveryId } = await only(world, id);
  await deleteWebhook(world.ports, world.caller, id, any);
  await turn(world);
  expect(world.sent).toEqual([]);
  expect(await deliveryRow(world, deliveryId)).toMatchObject({ status: 'cancelled', reason: 'the webhook is deleted' });
});

function bound<T extends object>(store: T): T {
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
    ownKeys: () => ['get', 'getMany', 'query', 'queryIndex', 'transact'],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  });
}
