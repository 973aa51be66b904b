/** `candor webhooks …`: what is sent to the API, and what a person is shown. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DeliveryDetailBody, WebhookBody } from '../../core/contract/webhooks.ts';
import { candor } from './candor.ts';
import { AS_OF, FakeApi, TOKEN } from './fakeApi.ts';

const webhook: WebhookBody = {
  id: 'whk_1',
  url: 'https://example.com/hook\u001b[31m',
  events: ['run.failed', 'schedule.*'],
  status: 'disabled',
  disabled: { kind: 'auto', reason: 'it has taken nothing for 3 days', at: AS_OF, by: 'candor' },
  secrets: [{ createdAt: AS_OF }, { createdAt: AS_OF, endsAt: AS_OF }],
  failingSince: AS_OF,
  version: 4,
  createdBy: 'usr_admin',
  createdAt: AS_OF,
  updatedAt: AS_OF,
  asOf: AS_OF,
};
const delivery: DeliveryDetailBody = {
  id: 'msg_1',
  webhookId: 'whk_1',
  eventType: 'run.failed',
  eventId: 'run_1.7',
  status: 'pending',
  attemptCount: 1,
  attempts: [{ number: 1, at: AS_OF, outcome: 'refused', status: 503, tookMs: 12, detail: 'it answered 503' }],
  nextAttemptAt: AS_OF,
  createdAt: AS_OF,
  asOf: AS_OF,
  payload: '{"type":"run.failed"}',
};

let api: FakeApi;
let asked: { method: string; path: string; body: unknown }[];
beforeEach(async () => {
  api = await new FakeApi().listen();
  asked = [];
  api.override = ({ method, path, body }) => {
    asked.push({ method, path, body });
    if (path.endsWith('/deliveries')) return { body: { items: [delivery], asOf: AS_OF } };
    if (path.includes('/deliveries/') || path.endsWith('/test')) return { body: delivery };
    if (path.endsWith('/rotate-secret') || method === 'POST') return { body: { ...webhook, secret: 'whsec_shown' } };
    if (path === '/v1/webhooks') return { body: { items: [webhook], asOf: AS_OF } };
    return { body: webhook };
  };
});
afterEach(() => api.close());

const call = (...args: readonly string[]) =>
  candor(['webhooks', ...args], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });

test('create sends what is named, and shows the secret with the word that it is the only time', async () => {
  const { code, stdout, stderr } = await call('create', '--url', 'https://example.com/', '--event', 'run.*');
  expect([code, asked]).toEqual([
    0,
    [{ method: 'POST', path: '/v1/webhooks', body: { url: 'https://example.com/', events: ['run.*'] } }],
  ]);
  expect(stdout).toMatch(/\nwhsec_shown\n$/);
  expect(stderr).toContain('it is not shown again');
  expect((await call('create')).code).toBe(2);
});

test('list and get show how it is, and no control character of a URL', async () => {
  const list = await call('list');
  expect(list.stdout).toMatch(/^whk_1 +disabled +run\.failed schedule\.\* +.*https:\/\/example\.com\/hook\\x1b\[31m$/m);
  const { stdout } = await call('get', 'whk_1');
  expect(stdout).toMatch(/disabled +it has taken nothing for 3 days, by candor/);
  expect(stdout).toMatch(/secrets +of .*\n +of .*, signs until /);
  expect(`${list.stdout}${stdout}`).not.toContain('\u001b');
});

test('update changes the version that it has read', async () => {
  expect((await call('update', 'whk_1', '--enable', '--description', 'none')).code).toBe(0);
  expect(asked).toEqual([
    { method: 'GET', path: '/v1/webhooks/whk_1', body: undefined },
    { method: 'PATCH', path: '/v1/webhooks/whk_1', body: { description: null, status: 'active' } },
  ]);
  for (const args of [[], ['--enable', '--disable']]) expect((await call('update', 'whk_1', ...args)).code).toBe(2);
});

test('rotate-secret takes a duration and nothing else', async () => {
  expect((await call('rotate-secret', 'whk_1', '--overlap', '1h')).stdout).toContain('whsec_shown');
  expect(asked.at(-1)).toMatchObject({ path: '/v1/webhooks/whk_1/rotate-secret', body: { overlap: '1h' } });
  expect((await call('rotate-secret', 'whk_1', '--overlap', 'soon')).code).toBe(2);
});

test('deliveries, one of them with its tries, and sending it again', async () => {
  expect((await call('deliveries', 'whk_1')).stdout).toMatch(/^msg_1 +pending +run\.failed +1 +it answered 503/m);
  const one = await call('delivery', 'whk_1', 'msg_1');
  expect(one.stdout).toMatch(/^1 +.* refused +503 +12 ms +it answered 503$/m);
  expect(one.stdout).toContain('{"type":"run.failed"}');
  const again = await call('redeliver', 'whk_1', 'msg_1');
  expect([again.code, again.stdout]).toEqual([0, 'msg_1\n']);
  expect(asked.at(-1)).toMatchObject({ method: 'POST', path: '/v1/webhooks/whk_1/deliveries/msg_1/redeliver' });
});
