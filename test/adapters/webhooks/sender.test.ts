/** Sending to servers that mean no good: real sockets, on loopback. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { HttpWebhookSender, type SenderOptions } from '../../../adapters/webhooks/sender.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  }
});

async function listening(server: Server, host = '127.0.0.1', port = 0): Promise<number> {
  servers.push(server);
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function recorder(answer: http.RequestListener = (_, response) => void response.end()) {
  const seen: Seen[] = [];
  const listener: http.RequestListener = async (request, response) => {
    let body = '';
    for await (const part of request) body += String(part);
    seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
    answer(request, response);
  };
  return { seen, listener };
}

const request = (url: string, more: object = {}) => ({
  url,
  headers: { 'content-type': 'application/json', 'webhook-id': 'msg_1' },
  body: '{"ü":1}',
  timeoutMs: 3000,
  ...more,
});
const dev = new HttpWebhookSender({ allowPrivate: true });
/** As deployed, but that these very addresses count as public. */
const strict = (allowed: readonly string[], options: SenderOptions = {}) =>
  new HttpWebhookSender({
    ...options,
    refusalOf: (address) => (allowed.includes(address) ? undefined : `${address} is not a public address`),
  });

test('posts the body to the byte, with the headers given', async () => {
  const { seen, listener } = recorder((_, response) => response.writeHead(202).end('thanks'));
  const port = await listening(http.createServer(listener));
  const answer = await dev.send(request(`http://127.0.0.1:${port}/a/b?c=d`));
  expect(answer).toMatchObject({ kind: 'answered', status: 202 });
  expect(seen).toEqual([
    expect.objectContaining({
      method: 'POST',
      url: '/a/b?c=d',
      body: '{"ü":1}',
      headers: expect.objectContaining({
        'content-type': 'application/json',
        'webhook-id': 'msg_1',
        'content-length': '8',
        'user-agent': 'Candor-Webhooks/1',
      }),
    }),
  ]);
});

test('follows no redirect', async () => {
  const inner = recorder();
  const innerPort = await listening(http.createServer(inner.listener));
  for (const status of [301, 302, 303, 307, 308]) {
    const { listener } = recorder((_, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${innerPort}/latest/meta-data` }).end(),
    );
    const port = await listening(http.createServer(listener));
    expect(await dev.send(request(`http://127.0.0.1:${port}/`))).toMatchObject({ kind: 'answered', status });
  }
  expect(inner.seen).toEqual([]);
});

test('as deployed it sends to no private address: neither written nor looked up, and no socket is opened', async () => {
  const { seen, listener } = recorder();
  const port = await listening(http.createServer(listener));
  const sender = new HttpWebhookSender({ lookup: async () => [{ address: '127.0.0.1', family: 4 }] });
  expect(await sender.send(request(`https://127.0.0.1:${port}/`))).toMatchObject({ kind: 'not_allowed' });
  expect(await sender.send(request(`http://example.com:${port}/`))).toMatchObject({ kind: 'not_allowed' });
  expect(await sender.send(request(`https://example.com:${port}/`))).toEqual({
    kind: 'not_allowed',
    detail: 'example.com leads to 127.0.0.1 is not a public address (loopback)',
  });
  expect(seen).toEqual([]);
});

test('one private address among public ones is enough to refuse the name', async () => {
  const sender = new HttpWebhookSender({
    lookup: async () => [
      { address: '1.1.1.1', family: 4 },
      { address: '::ffff:10.0.0.1', family: 6 },
    ],
  });
  expect(await sender.send(request('https://example.com/'))).toMatchObject({ kind: 'not_allowed' });
});

test('DNS rebinding: the address that was checked is the one that is connected to, and each try checks anew', async () => {
  const good = createServer((socket) => void socket.destroy());
  const port = await listening(good, '127.0.0.1');
  const evil = createServer((socket) => void socket.destroy());
  await listening(evil, '127.0.0.2', port);
  let reached = { good: 0, evil: 0 };
  good.on('connection', () => (reached = { ...reached, good: reached.good + 1 }));
  evil.on('connection', () => (reached = { ...reached, evil: reached.evil + 1 }));
  let lookups = 0;
  const sender = strict(['127.0.0.1'], {
    lookup: async () => [{ address: lookups++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 }],
  });
  const url = `https://rebinding.example:${port}/`;
  expect((await sender.send(request(url))).kind).toBe('failed');
  expect({ reached, lookups }).toEqual({ reached: { good: 1, evil: 0 }, lookups: 1 });
  expect(await sender.send(request(url))).toMatchObject({ kind: 'not_allowed' });
  expect({ reached, lookups }).toEqual({ reached: { good: 1, evil: 0 }, lookups: 2 });
});

test('an answer without end is cut short: its status is what counts', async () => {
  let wrote = 0;
  const { listener } = recorder((_, response) => {
    response.writeHead(200);
    const chunk = Buffer.alloc(16 * 1024);
    const more = () => {
      while (!response.destroyed && response.write(chunk)) wrote += chunk.length;
    };
    response.on('drain', more);
    more();
  });
  const port = await listening(http.createServer(listener));
  expect(await dev.send(request(`http://127.0.0.1:${port}/`))).toMatchObject({ kind: 'answered', status: 200 });
  expect(wrote).toBeLessThan(16 * 1024 * 1024);
});

test.each([
  ['says nothing', () => undefined],
  [
    'drips its headers',
    (socket: { write(text: string): void }) => void setInterval(() => socket.write('X: y\r\n'), 50),
  ],
  [
    'drips its body',
    (socket: { write(text: string): void }) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      setInterval(() => socket.write('1\r\nx\r\n'), 50).unref();
    },
  ],
])('one that %s is given up when the time is over', async (what, talk) => {
  const port = await listening(
    createServer((socket) => {
      socket.on('error', () => undefined);
      if (what === 'drips its headers') socket.write('HTTP/1.1 200 OK\r\n');
      talk({ write: (text) => void (socket.destroyed || socket.write(text)) });
    }),
  );
  const startedAt = performance.now();
  const answer = await dev.send(request(`http://127.0.0.1:${port}/`, { timeoutMs: 400 }));
  expect(answer).toMatchObject({ kind: 'timed_out', detail: 'no answer within 0.4 s' });
  expect(performance.now() - startedAt).toBeLessThan(5000);
});

test('a name that is never found, and a look-up that never ends', async () => {
  const unknown = strict([], { lookup: () => Promise.reject(new Error('getaddrinfo ENOTFOUND nowhere.example')) });
  expect(await unknown.send(request('https://nowhere.example/'))).toMatchObject({
    kind: 'failed',
    detail: 'getaddrinfo ENOTFOUND nowhere.example',
  });
  const endless = strict([], { lookup: () => new Promise(() => undefined) });
  const answer = await endless.send(request('https://slow.example/', { timeoutMs: 200 }));
  expect(answer.kind).toBe('timed_out');
});

test('headers without end, and an answer that is no HTTP', async () => {
  const huge = await listening(
    createServer(
      (socket) => void socket.on('error', () => undefined).write(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(99_999)}\r\n\r\n`),
    ),
  );
  expect((await dev.send(request(`http://127.0.0.1:${huge}/`))).kind).toBe('failed');
  const strange = await listening(
    createServer((socket) => void socket.on('error', () => undefined).end('SSH-2.0-x\r\n')),
  );
  expect((await dev.send(request(`http://127.0.0.1:${strange}/`))).kind).toBe('failed');
});

test('reads how long an endpoint asks to be left alone', async () => {
  const { listener } = recorder((_, response) => response.writeHead(429, { 'retry-after': '120' }).end());
  const port = await listening(http.createServer(listener));
  expect(await dev.send(request(`http://127.0.0.1:${port}/`))).toMatchObject({ status: 429, retryAfterSeconds: 120 });
});

let folder: string;
let certificate: { readonly key: string; readonly cert: string };
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'candor-tls-'));
  const file = (name: string) => path.join(folder, name);
  const subject = ['-subj', '/CN=hooks.example', '-addext', 'subjectAltName=DNS:hooks.example'];
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', file('key'), '-out', file('cert')];
  execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...made, ...subject], { stdio: 'ignore' });
  certificate = { key: readFileSync(file('key'), 'utf8'), cert: readFileSync(file('cert'), 'utf8') };
});
afterAll(() => rmSync(folder, { recursive: true }));

test('over https the name is proven although the address is pinned', async () => {
  const { seen, listener } = recorder();
  const port = await listening(https.createServer(certificate, listener));
  const lookup = async () => [{ address: '127.0.0.1', family: 4 }];
  const trusting = strict(['127.0.0.1'], { lookup, ca: certificate.cert });
  expect(await trusting.send(request(`https://hooks.example:${port}/`))).toMatchObject({
    kind: 'answered',
    status: 200,
  });
  expect(seen.map(({ headers }) => headers.host)).toEqual([`hooks.example:${port}`]);
  // The same server under a name that its certificate does not have; and a certificate that nobody vouches for.
  expect((await trusting.send(request(`https://other.example:${port}/`))).kind).toBe('failed');
  expect((await strict(['127.0.0.1'], { lookup }).send(request(`https://hooks.example:${port}/`))).kind).toBe('failed');
  expect(seen).toHaveLength(1);
});
