/** Webhooks of a real `candor dev`, to a real server on this machine; by the real command. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ListBody } from '../../core/contract/common.ts';
import type { DeliveryBody, NewSecretBody, WebhookBody } from '../../core/contract/webhooks.ts';
import { candor } from '../cli/candor.ts';
import { Machine, until } from './support.ts';

interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

let received: Received[];
let answer: (response: http.ServerResponse) => void;
let server: http.Server;
let url: string;
beforeEach(async () => {
  received = [];
  answer = (response) => response.end();
  server = http.createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += String(part);
    received.push({ headers: request.headers as Record<string, string>, body });
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const ALLOWED = { args: ['--allow-private-webhooks'] };
const types = () => received.map(({ body }) => (JSON.parse(body) as { type: string }).type);
const idOf = ({ headers }: Received) => headers['webhook-id'];

async function command<T>(machine: Machine, ...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await candor(['webhooks', ...args, '--json', '--data-dir', machine.dataDir]);
  expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
  return (stdout === '' ? undefined : JSON.parse(stdout)) as T;
}

test('a run’s events arrive, each signed; a rotation signs with both; nothing comes after a delete', async () => {
  const machine = new Machine();
  await machine.start(ALLOWED);
  const { id, secret } = await command<NewSecretBody>(machine, 'create', '--url', url, '--event', 'run.*');
  const orders = machine.orders();
  const run = await machine.run(await machine.worker(), orders);
  await until('the end of the run', () => types().includes('run.succeeded'));
  const own = received.map(({ body }) => JSON.parse(body) as { data: { subject: object; sequence: number } });
  expect(own.every(({ data }) => JSON.stringify(data.subject) === JSON.stringify({ kind: 'run', id: run.id }))).toBe(
    true,
  );
  expect(own.map(({ data }) => data.sequence).toSorted((a, b) => a - b)).toEqual(own.map((_, index) => index + 1));
  expect(new Set(received.map(idOf)).size).toBe(received.length);
  for (const { headers, body } of received) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));

  const rotated = await command<NewSecretBody>(machine, 'rotate-secret', id, '--overlap', '1h');
  const { id: testId } = await command<DeliveryBody>(machine, 'test', id);
  await until('the test', () => received.some((each) => idOf(each) === testId));
  const { headers, body } = received.at(-1)!;
  for (const each of [secret, rotated.secret]) new Webhook(each).verify(body, headers);

  const log = await until('the log says so', async () => {
    const { items } = await command<ListBody<DeliveryBody>>(machine, 'deliveries', id, '--all');
    return items.every(({ status }) => status === 'delivered') && items;
  });
  expect(log.map(({ id }) => id).toSorted()).toEqual(received.map(idOf).toSorted());
  await command(machine, 'redeliver', id, testId);
  await until('it comes again, under the same id', () => received.filter((each) => idOf(each) === testId).length === 2);
  const shown = JSON.stringify([log, await command<WebhookBody>(machine, 'get', id)]);
  expect(`${shown}${machine.dev.stderr()}`).not.toContain(secret);

  await command(machine, 'delete', id);
  const before = received.length;
  await machine.run(await machine.worker(), machine.orders());
  await new Promise((resolve) => setTimeout(resolve, 2000));
  expect(received).toHaveLength(before);
});

test('kill -9 after the request left and before its answer came: it comes again, under the same id', async () => {
  const machine = new Machine();
  const config = { webhookTimeoutSeconds: 1 };
  await machine.start({ ...ALLOWED, config });
  const { id } = await machine.post<NewSecretBody>('/v1/webhooks', { url, events: ['webhook.*'] });
  await until('the first event', () => received.length === 1);
  answer = () => undefined;
  const { id: testId } = await machine.post<DeliveryBody>(`/v1/webhooks/${id}/test`);
  await until('the test is under way', () => received.length === 2);
  await machine.killDev();
  answer = (response) => response.end();
  await machine.start({ ...ALLOWED, config });
  await until('it comes again', () => received.length === 3);
  expect(received.slice(1).map(idOf)).toEqual([testId, testId]);
  expect(new Set(received.slice(1).map(({ body }) => body)).size).toBe(1);
  const delivery = await until('it is told of', async () => {
    const body = await machine.get<DeliveryBody>(`/v1/webhooks/${id}/deliveries/${testId}`);
    return body.status === 'delivered' && body;
  });
  expect(delivery.attempts.map(({ outcome }) => outcome)).toEqual(['unknown', 'delivered']);
});

test('without the flag nothing is sent to this machine: not created, and not tried where it was created before', async () => {
  const machine = new Machine();
  await machine.start(ALLOWED);
  const { id } = await machine.post<NewSecretBody>('/v1/webhooks', { url, events: ['run.*'] });
  await machine.killDev();
  await machine.start();
  const refused = await machine.request<{ code: string }>('POST', '/v1/webhooks', { url });
  expect([refused.status, refused.body.code]).toEqual([422, 'invalid_request']);
  const { id: testId } = await machine.post<DeliveryBody>(`/v1/webhooks/${id}/test`);
  const delivery = await until('its first try', async () => {
    const body = await machine.get<DeliveryBody>(`/v1/webhooks/${id}/deliveries/${testId}`);
    return body.attempts.length > 0 && body;
  });
  expect(delivery.attempts[0]).toMatchObject({ outcome: 'not_allowed' });
  expect(received).toEqual([]);
});
