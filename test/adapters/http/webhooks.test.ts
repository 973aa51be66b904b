/** `/v1/webhooks` over HTTP: what is answered, what is refused, and that a secret is shown once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DeliveryBody, NewSecretBody } from '../../../core/contract/webhooks.ts';
import { sendDue } from '../../../core/webhooks/due.ts';
import { createHttpWorld, type Engine, type HttpWorld, OTHER_TOKEN, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await createHttpWorld(engine);
});

const URL = 'https://example.com/hook';
const create = async (body: object = {}): Promise<NewSecretBody> => {
  const answer = await world.send('POST', '/v1/webhooks', { body: { url: URL, ...body } });
  expect(answer.status, answer.text).toBe(201);
  return answer.body as NewSecretBody;
};
const any = { 'if-match': '*' };

describe('a webhook', () => {
  it('is created with a secret that no other answer shows', async () => {
    const answer = await world.send('POST', '/v1/webhooks', {
      body: { url: URL, description: 'alerts', events: ['run.failed', 'schedule.*'] },
    });
    const { id, secret, ...body } = answer.body as NewSecretBody;
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`/v1/webhooks/${id}`);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(body).toMatchObject({
      url: URL,
      status: 'active',
      version: 1,
      secrets: [{ createdAt: expect.any(String) }],
    });
    const texts = [await world.send('GET', `/v1/webhooks/${id}`), await world.send('GET', '/v1/webhooks')].map(
      ({ text }) => text,
    );
    const all = [...texts, JSON.stringify(world.logged)].join('\n');
    expect(all).toContain(id);
    expect(all).not.toContain(secret);
    expect(all).not.toContain(secret.slice(6, 30));
  });

  it('is changed by its version, disabled, enabled and deleted', async () => {
    const { id } = await create();
    const path = `/v1/webhooks/${id}`;
    expect((await world.send('PATCH', path, { body: { events: ['run.*'] } })).status).toBe(428);
    expect(
      (await world.send('PATCH', path, { body: { events: ['run.*'] }, headers: { 'if-match': '"7"' } })).status,
    ).toBe(412);
    const patched = await world.send('PATCH', path, { body: { events: ['run.*'] }, headers: { 'if-match': '"1"' } });
    expect(patched.body).toMatchObject({ events: ['run.*'], version: 2 });
    expect(patched.headers.get('etag')).toBe('"2"');
    const off = await world.send('PATCH', path, { body: { status: 'disabled' }, headers: any });
    expect(off.body).toMatchObject({ status: 'disabled', disabled: { kind: 'user', by: 'usr_a' } });
    expect((await world.send('POST', `${path}/test`)).status).toBe(409);
    const on = await world.send('PATCH', path, { body: { status: 'active' }, headers: any });
    expect(on.body).not.toHaveProperty('disabled');
    expect((await world.send('DELETE', path, { headers: any })).status).toBe(204);
    expect((await world.send('GET', path)).status).toBe(404);
    expect((await world.send('GET', '/v1/webhooks')).body.items).toEqual([]);
  });

  it('of another tenant is absent, for every operation', async () => {
    const { id } = await create();
    const { body: test } = await world.send('POST', `/v1/webhooks/${id}/test`);
    const calls = [
      ['GET', ''],
      ['PATCH', '', { status: 'disabled' }],
      ['DELETE', ''],
      ['POST', '/rotate-secret', {}],
      ['POST', '/test'],
      ['GET', '/deliveries'],
      ['GET', `/deliveries/${test.id}`],
      ['POST', `/deliveries/${test.id}/redeliver`],
    ] as const;
    for (const [method, rest, body] of calls) {
      const answer = await world.send(method, `/v1/webhooks/${id}${rest}`, {
        token: OTHER_TOKEN,
        body,
        ...(['PATCH', 'DELETE'].includes(method) && { headers: any }),
      });
      expect([method, rest, answer.status]).toEqual([method, rest, 404]);
    }
    expect((await world.send('GET', '/v1/webhooks', { token: OTHER_TOKEN })).body.items).toEqual([]);
    const own = await world.send('POST', '/v1/webhooks', { token: OTHER_TOKEN, body: { url: URL } });
    const path = `/v1/webhooks/${own.body.id}/deliveries/${test.id}`;
    expect((await world.send('GET', path, { token: OTHER_TOKEN })).status).toBe(404);
  });

  it.each([
    [{ url: 'http://example.com/' }, '/url', 'must begin with https'],
    [{ url: 'https://169.254.169.254/latest/' }, '/url', 'not a public address (linkLocal)'],
    [{ url: 'https://2130706433/' }, '/url', '127.0.0.1'],
    [{ url: 'https://[::1]/' }, '/url', 'not a public address'],
    [{ url: 'not a url' }, '/url', 'must be an absolute URL'],
    [{ url: `https://example.com/${'x'.repeat(2048)}` }, '/url', 'at most 2048'],
    [{ url: URL, events: [] }, '/events', 'must name at least one'],
    [{ url: URL, events: ['runs.*'] }, '/events/0', 'must be *'],
    [{ url: URL, secret: 'whsec_mine' }, '/secret', ''],
  ])('is refused: %j', async (body, pointer, message) => {
    const answer = await world.send('POST', '/v1/webhooks', { body });
    expect(answer.status, answer.text).toBe(422);
    expect(answer.body.errors[0]).toMatchObject({ pointer, message: expect.stringContaining(message) });
    const { id } = await create();
    if ('url' in body && pointer === '/url')
      expect((await world.send('PATCH', `/v1/webhooks/${id}`, { body, headers: any })).status).toBe(422);
  });

  it('beyond the limit is refused, however many are created at once', async () => {
    const sent = Array.from({ length: 24 }, () => world.send('POST', '/v1/webhooks', { body: { url: URL } }));
    const statuses = (await Promise.all(sent)).map(({ status }) => status);
    const { items } = (await world.send('GET', '/v1/webhooks')).body;
    expect(items.length).toBeLessThanOrEqual(20);
    expect(statuses.filter((status) => status === 201)).toHaveLength(items.length);
    while ((await world.send('POST', '/v1/webhooks', { body: { url: URL } })).status === 201);
    const full = await world.send('POST', '/v1/webhooks', { body: { url: URL } });
    expect([full.status, full.body.detail]).toEqual([409, 'There are 20 webhooks, the limit is 20.']);
  });
});

describe('its secret', () => {
  it('is rotated with an overlap, and the new one is shown once', async () => {
    const { id, secret } = await create();
    const answer = await world.send('POST', `/v1/webhooks/${id}/rotate-secret`, { body: { overlap: 'PT1H' } });
    const rotated = answer.body as NewSecretBody;
    expect(answer.status).toBe(200);
    expect(rotated.secret).toMatch(/^whsec_/);
    expect(rotated.secret).not.toBe(secret);
    expect(rotated.secrets).toHaveLength(2);
    expect(Date.parse(rotated.secrets[1]!.endsAt!) - world.now.ms).toBe(3_600_000);
    expect((await world.send('POST', `/v1/webhooks/${id}/rotate-secret`)).body.secrets).toHaveLength(3);
    expect((await world.send('POST', `/v1/webhooks/${id}/rotate-secret`)).body.secrets).toHaveLength(3);
    expect((await world.send('POST', `/v1/webhooks/${id}/rotate-secret`, { body: { overlap: 'P8D' } })).status).toBe(
      422,
    );
  });
});

describe('deliveries', () => {
  it('are logged with each try, filtered by status, and can be sent again', async () => {
    const { id } = await create();
    const path = `/v1/webhooks/${id}`;
    const { status, body: test } = await world.send('POST', `${path}/test`);
    expect(status).toBe(202);
    expect(test).toMatchObject({ status: 'pending', eventType: 'webhook.test', attempts: [] });
    await sendDue(world.ports, { budgetMs: 1000 });
    const { items } = (await world.send('GET', `${path}/deliveries?status=pending`)).body as { items: DeliveryBody[] };
    expect(items.map(({ id, attempts }) => [id, attempts.map(({ outcome }) => outcome)])).toEqual([
      [test.id, ['failed']],
    ]);
    expect((await world.send('GET', `${path}/deliveries?status=delivered`)).body.items).toEqual([]);
    expect((await world.send('GET', `${path}/deliveries?status=lost`)).status).toBe(422);
    const one = await world.send('GET', `${path}/deliveries/${test.id}`);
    expect(JSON.parse(one.body.payload)).toMatchObject({ type: 'webhook.test' });
    const again = await world.send('POST', `${path}/deliveries/${test.id}/redeliver`);
    expect([again.status, again.body.nextAttemptAt]).toEqual([202, '2027-01-01T00:00:00.000Z']);
    expect((await world.send('POST', `${path}/deliveries/msg_nothing/redeliver`)).status).toBe(404);
  });
});
