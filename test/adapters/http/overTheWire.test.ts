/** What only a real server and a real socket can show. */
import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Store } from '../../../core/ports.ts';
import {
  ADMIN_TOKEN,
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  startHttpEngine,
} from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
let server: ServerType;
let base: string;
let reads = 0;
const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };

beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine, {
    wrapStore: (store: Store): Store => ({
      get: (key) => {
        reads++;
        return store.get(key);
      },
      getMany: (keys) => store.getMany(keys),
      query: (range) => store.query(range),
      queryIndex: (range) => store.queryIndex(range),
      transact: (writes) => store.transact(writes),
    }),
  });
  await new Promise<void>((resolve) => {
    server = serve({ fetch: world.app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve());
  });
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await engine.stop();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('a reader who hangs up ends the wait for its log', async () => {
  const agent = await makeAgent(world);
  const run = (await world.send('POST', `/v1/agents/${agent.id}/runs`)).body;
  const answer = fetch(`${base}/v1/runs/${run.id}/logs?wait=20`, { headers, signal: AbortSignal.timeout(300) });
  await expect(answer).rejects.toThrow();
  await pause(400);
  const before = reads;
  await pause(700);
  expect(reads).toBe(before);
});

test('a body that is too large is refused, and the connection is not used again', async () => {
  const blank = new Uint8Array(64 * 1024).fill(0x20);
  let sent = 0;
  const streamed = new ReadableStream<Uint8Array>({
    pull: (controller) => (sent++ < 50 ? controller.enqueue(blank) : controller.close()),
  });
  for (const body of [JSON.stringify('x'.repeat(3_000_000)), streamed]) {
    const refused = await fetch(`${base}/v1/agents`, { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
    expect([refused.status, refused.headers.get('connection')]).toEqual([413, 'close']);
    expect(((await refused.json()) as { code: string }).code).toBe('payload_too_large');
    expect((await fetch(`${base}/v1/agents`, { headers })).status).toBe(200);
  }
});

test('actions take a request without a body, and HEAD answers without one', async () => {
  const agent = await makeAgent(world);
  const { authorization } = headers;
  const run = await fetch(`${base}/v1/agents/${agent.id}/runs`, { method: 'POST', headers: { authorization } });
  expect(run.status).toBe(202);
  const head = await fetch(`${base}${run.headers.get('location')}`, { method: 'HEAD', headers });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test('a path that is no valid text is 404', async () => {
  const answer = await fetch(`${base}/v1/agents/%E0%A4%A`, { headers });
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, 'not_found']);
});
