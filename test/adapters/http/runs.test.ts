/** Runs over HTTP: doing one again, runs that runs start, artifacts, explanations, and draining their VMs. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createApp } from '../../../adapters/http/app.ts';
import { FileArtifactStore } from '../../../adapters/local/artifactStore.ts';
import type { ArtifactStore } from '../../../core/ports.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { heldToDocument } from '../../support/documented.ts';
import { running as runningRun } from '../../support/httpRun.ts';
import {
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  OTHER_TOKEN,
  startHttpEngine,
} from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
});
beforeEach(async () => {
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const TENANT = 'tenant_a';
const start = async (agentId: string, body: object = {}) =>
  (await world.send('POST', `/v1/agents/${agentId}/runs`, { body })).body;

const running = (agentId: string, body: object = {}) => runningRun(world, agentId, { body });

const fail = (id: string) =>
  finishRun(
    world.ports,
    id,
    {
      status: 'failed',
      reason: 'exit_code',
      exitCode: 3,
      evidence: { source: 't', observedAt: '2027-01-01T00:00:00.000Z', detail: 'it ended' },
    },
    { attempt: 1 },
  );

describe('POST …/retry', () => {
  test('is 202 with the new run and where it is; If-Match is honoured; a live run is 409', async () => {
    const agent = await makeAgent(world);
    const run = await start(agent.id, { input: 'first' });
    const live = await world.send('POST', `/v1/runs/${run.id}/retry`);
    expect([live.status, live.body.code, live.body.remedy]).toEqual([
      409,
      'run_live',
      'Wait until it has ended, or cancel it first.',
    ]);
    await fail(run.id);
    const stale = await world.send('POST', `/v1/runs/${run.id}/retry`, { headers: { 'if-match': '"1"' } });
    expect(stale.status).toBe(412);
    const again = await world.send('POST', `/v1/runs/${run.id}/retry`, { body: { input: { second: true } } });
    expect([again.status, again.headers.get('location')]).toEqual([202, `/v1/runs/${again.body.id}`]);
    expect(again.body).toMatchObject({ retryOf: run.id, input: { second: true }, trigger: { kind: 'retry' } });
    expect((await world.send('POST', `/v1/runs/${run.id}/retry`)).body.input).toBe('first');
    expect((await world.send('POST', `/v1/runs/${run.id}/retry`, { token: OTHER_TOKEN })).status).toBe(404);
    const unknown = await world.send('POST', `/v1/runs/${run.id}/retry`, { body: { inputs: 1 } });
    expect([unknown.status, unknown.body.errors[0].pointer]).toEqual([422, '/inputs']);
  });
});

describe('runs that a run starts', () => {
  test('are its children: started and sealed with its token, listed for everybody of its tenant', async () => {
    const agent = await makeAgent(world);
    const parent = await running(agent.id);
    const token = parent.runToken;
    const child = await world.send('POST', `/v1/agents/${agent.id}/runs`, { token, body: { input: 1 } });
    expect([child.status, child.body.parentRunId]).toEqual([202, parent.id]);
    const sealed = await world.send('POST', `/v1/runs/${parent.id}/children/seal`, { token });
    expect(sealed.body).toMatchObject({ created: 1, pending: 1, sealed: true });
    const late = await world.send('POST', `/v1/agents/${agent.id}/runs`, { token, body: {} });
    expect([late.status, late.body.code]).toEqual([409, 'illegal_transition']);
    await fail(child.body.id);
    const list = await world.send('GET', `/v1/runs/${parent.id}/children`);
    expect(list.body).toMatchObject({ items: [{ id: child.body.id, status: 'failed' }], pending: 0 });
    expect(list.body.completedAt).toBeDefined();
    expect((await world.send('GET', `/v1/runs/${parent.id}/children`, { token: OTHER_TOKEN })).status).toBe(404);
  });

  test('are not for an agent of another tenant, nor for a run that has ended', async () => {
    const agent = await makeAgent(world);
    const foreign = await makeAgent(world, {}, OTHER_TOKEN);
    const parent = await running(agent.id);
    const elsewhere = await world.send('POST', `/v1/agents/${foreign.id}/runs`, { token: parent.runToken, body: {} });
    expect(elsewhere.status).toBe(404);
    await parent.report([{ runId: parent.id, attempt: 1, state: 'ended', exitCode: 0 }]);
    const late = await world.send('POST', `/v1/agents/${agent.id}/runs`, { token: parent.runToken, body: {} });
    expect([late.status, late.body.code]).toEqual([409, 'run_ended']);
  });
});

test('a run’s token opens nothing once its attempt has ended', async () => {
  const agent = await makeAgent(world, { retry: { afterStart: true, backoff: 'PT0S', maxAttempts: 2 } });
  const parent = await running(agent.id);
  const paths = ['', '/events', '/logs', '/children', '/explain'].map((part) => `/v1/runs/${parent.id}${part}`);
  const statuses = async () => {
    const asked = paths.map((path) => world.send('GET', path, { token: parent.runToken }));
    const seal = world.send('POST', `/v1/runs/${parent.id}/children/seal`, { token: parent.runToken });
    return new Set((await Promise.all([...asked, seal])).map(({ status }) => status));
  };
  expect((await world.send('GET', `/v1/runs/${parent.id}`, { token: parent.runToken })).status).toBe(200);
  const next = { kind: 'update', key: keys.run(parent.id), set: { attempt: 2 }, guards: [] } as const;
  await world.ports.store.transact([next]);
  expect(await statuses()).toEqual(new Set([403]));
  await world.ports.store.transact([{ ...next, set: { attempt: 1 } }]);
  await fail(parent.id);
  expect(await statuses()).toEqual(new Set([403]));
});

describe('artifacts', () => {
  const bytes = Buffer.from('<script>alert(1)</script>');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  let folder: string;
  /** Where the store wants its artifacts. */
  let elsewhere: string | undefined;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'candor-artifacts-'));
    elsewhere = undefined;
    const files = new FileArtifactStore({ dataDir: folder, time: world.ports.time });
    const artifacts: ArtifactStore = {
      get: (...of) => files.get(...of),
      put: async (...of) => (elsewhere === undefined ? files.put(...of) : { kind: 'elsewhere', url: elsewhere }),
    };
    const ports = { ...world.ports, artifacts };
    const app = heldToDocument(
      createApp({
        ports,
        authenticate: async () => ({
          kind: 'principal',
          tenantId: TENANT,
          principalId: 'u',
          grants: { role: 'admin' },
        }),
        rates: { take: async () => undefined },
      }),
    );
    send = (method, url, body, token = 'x') =>
      Promise.resolve(
        app.request(url, {
          method,
          headers: { authorization: `Bearer ${token}` },
          ...(body !== undefined && { body }),
        }),
      );
    return () => rmSync(folder, { recursive: true });
  });
  let send: (method: string, url: string, body?: Buffer<ArrayBuffer>, token?: string) => Promise<Response>;
  const put = (at: { id: string; vmToken: string }, query: string, body = bytes, attempt = 1) =>
    send('PUT', `/runner/v1/runs/${at.id}/attempts/${attempt}/artifacts?${query}`, body, at.vmToken);

  test('are stored by the VM that has the run, and served as files to keep, never as pages', async () => {
    const agent = await makeAgent(world);
    const run = await running(agent.id);
    const query = `path=out/a%20b.html&bytes=${bytes.length}&sha256=${sha256}`;
    expect((await put(run, query)).status).toBe(204);
    expect((await put(run, query)).status).toBe(204);
    const artifact = { path: 'out/a b.html', bytes: bytes.length, sha256 };
    await run.report([{ runId: run.id, attempt: 1, state: 'ended', exitCode: 0, artifacts: [artifact] }]);
    expect((await world.send('GET', `/v1/runs/${run.id}`)).body.artifacts).toEqual([artifact]);
    const content = await send('GET', `/v1/runs/${run.id}/artifacts/content?path=out/a%20b.html`);
    expect(await content.text()).toBe(bytes.toString());
    expect(content.headers.get('content-type')).toBe('application/octet-stream');
    expect(content.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''a%20b.html");
    expect(content.headers.get('etag')).toBe(`"${sha256}"`);
    expect((await send('GET', `/v1/runs/${run.id}/artifacts/content?path=out/other`)).status).toBe(404);
    expect((await send('GET', `/v1/runs/${run.id}/artifacts/content?path=../../etc/passwd`)).status).toBe(404);
  });

  test('that are not what was announced leave nothing behind', async () => {
    const run = await running((await makeAgent(world)).id);
    for (const query of [
      `path=a&bytes=${bytes.length + 1}&sha256=${sha256}`,
      `path=a&bytes=${bytes.length - 1}&sha256=${sha256}`,
      `path=a&bytes=${bytes.length}&sha256=${'0'.repeat(64)}`,
      `path=a&bytes=-1&sha256=${sha256}`,
      `path=a&bytes=1&sha256=nonsense`,
    ])
      expect((await put(run, query)).status).toBe(422);
    expect((await put(run, `path=a&bytes=${2 ** 40}&sha256=${sha256}`)).status).toBe(413);
  });

  test('are asked about first where they are large: they are wanted here, or elsewhere', async () => {
    const run = await running((await makeAgent(world)).id);
    const query = `path=a&bytes=${bytes.length}&sha256=${sha256}`;
    const here = await put(run, `${query}&ask=true`, Buffer.alloc(0));
    expect([here.status, await here.json()]).toEqual([200, { send: 'here' }]);
    elsewhere = 'https://store/a?b';
    for (const [question, body] of [
      [`${query}&ask=true`, Buffer.alloc(0)],
      [query, bytes],
    ] as const) {
      const there = await put(run, question, body);
      expect([there.status, there.headers.get('location'), await there.text()]).toEqual([307, elsewhere, '']);
    }
    const refused = async (question: string, at = run) => (await put(at, question, Buffer.alloc(0))).status;
    expect(await refused(`path=a&bytes=${2 ** 40}&sha256=${sha256}&ask=true`)).toBe(413);
    expect(await refused(`${query}&ask=perhaps`)).toBe(422);
    expect(await refused(`${query}&ask=true`, { ...run, vmToken: run.runToken })).toBe(401);
    await run.report([{ runId: run.id, attempt: 1, state: 'ended', exitCode: 0 }]);
    expect(await refused(`${query}&ask=true`)).toBe(409);
  });

  test('are taken from nobody else (I7, I12)', async () => {
    const agent = await makeAgent(world);
    const [one, two] = [await running(agent.id), await running(agent.id)];
    const query = `path=a&bytes=${bytes.length}&sha256=${sha256}`;
    expect((await put({ id: one.id, vmToken: two.vmToken }, query)).status).toBe(404);
    expect((await put({ id: one.id, vmToken: two.vmToken }, `${query}&ask=true`)).status).toBe(404);
    expect((await put(one, query, bytes, 2)).status).toBe(404);
    expect((await put({ id: one.id, vmToken: one.runToken }, query)).status).toBe(401);
  });
});

describe('GET …/explain', () => {
  test('says why a run ended as it did, with evidence and a remedy', async () => {
    const run = await running((await makeAgent(world)).id);
    await run.report([{ runId: run.id, attempt: 1, state: 'ended', exitCode: 3, pid: 7 }]);
    const { body } = await world.send('GET', `/v1/runs/${run.id}/explain`);
    expect(body).toMatchObject({
      runId: run.id,
      status: 'failed',
      summary: 'Its process ended by itself with exit code 3.',
      remedy: expect.stringContaining('logs'),
    });
    expect(body.facts[0]).toMatchObject({ about: 'run', evidence: { source: `runner ${run.vmId}` } });
    expect((await world.send('GET', `/v1/runs/${run.id}/explain`, { token: OTHER_TOKEN })).status).toBe(404);
  });

  test('says why a run is not running: the limit, the place in the queue, and who holds it', async () => {
    const agent = await makeAgent(world, { limits: { maxConcurrentRuns: 1 } });
    const first = await start(agent.id);
    const second = await start(agent.id);
    const { body } = await world.send('GET', `/v1/runs/${second.id}/explain`);
    expect(body.summary).toBe('It waits for a place: agent_limit is 1, and it is number 1 in the queue.');
    expect(body.facts.map((fact: { text: string }) => fact.text)).toContain(`${first.id} holds a place.`);
    const held = await world.send('GET', `/v1/runs/${first.id}/explain`);
    expect(held.body.summary).toMatch(/^It has been queued and is about to be given a VM\. It must have moved on by /);
  });
});

describe('POST /v1/vms/…/drain', () => {
  test('lets the work on it go on, takes no more, and ends with it', async () => {
    const agent = await makeAgent(world, { warmFor: '10m' });
    const run = await running(agent.id);
    const drained = await world.send('POST', `/v1/vms/${run.vmId}/drain`);
    expect([drained.status, drained.body.status]).toEqual([202, 'draining']);
    expect(drained.body.drain).toMatchObject({ requestedBy: 'usr_a' });
    expect((await world.send('POST', `/v1/vms/${run.vmId}/drain`)).body.version).toBe(drained.body.version);
    const answer = await run.report([{ runId: run.id, attempt: 1, state: 'ended', exitCode: 0 }]);
    expect(answer.commands.map((command) => command.kind)).toEqual(['stop-vm']);
    expect((await world.send('GET', `/v1/runs/${run.id}`)).body.status).toBe('succeeded');
    expect((await world.send('POST', `/v1/vms/${run.vmId}/drain`, { token: OTHER_TOKEN })).status).toBe(404);
  });
});
