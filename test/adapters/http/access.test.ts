import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROUTES } from '../../../adapters/http/app.ts';
import { composeAuthenticate } from '../../../adapters/http/authenticate.ts';
import { StoreUnavailable } from '../../../core/errors.ts';
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
let agentId: string;
let runId: string;
let otherRunId: string;
let runToken: string;

beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
  agentId = (await makeAgent(world)).id;
  runId = (await world.send('POST', `/v1/agents/${agentId}/runs`)).body.id;
  otherRunId = (await world.send('POST', `/v1/agents/${agentId}/runs`)).body.id;
  runToken = await world.ports.tokens.sign(
    { kind: 'run', tenantId: 'tenant_a', vmId: 'vm_x', runId, attempt: 1 },
    world.now.ms + 1000,
  );
});
afterAll(() => engine.stop());

const sample = (path: string) =>
  path
    .replace(':agentId', agentId)
    .replace(':runId', runId)
    .replace(':scheduleId', `sch_${'0'.repeat(26)}`)
    .replace(':backfillId', `bkf_${'0'.repeat(26)}`)
    .replace(':vmId', `vm_${'0'.repeat(26)}`)
    .replace(':attempt', '1')
    .replace(':chunk', '0');

describe('without a valid credential', () => {
  const open = ROUTES.filter((route) => route.access === 'public').map((route) => route.path);
  test('only health and the document answer', () =>
    expect(open.toSorted()).toEqual(['/v1/health', '/v1/openapi.json', '/v1/reference']));

  test.each(ROUTES.filter((route) => route.access !== 'public').map(({ method, path }) => ({ method, path })))(
    '$method $path is 401',
    async ({ method, path }) => {
      const wrong = [null, 'wrong', 'the-admin-token-of-tenant', `${runToken}x`];
      for (const token of wrong) {
        const answer = await world.send(method, sample(path), { token });
        expect([answer.status, answer.body.code, answer.headers.get('www-authenticate')]).toEqual([
          401,
          'unauthenticated',
          'Bearer',
        ]);
        expect(answer.body.remedy).toMatch(/Authorization/);
      }
    },
  );

  test.each(['Basic dXNlcjpwdw==', 'Bearer', 'Bearer ', 'Bearer a b', 'the-admin-token-of-tenant-a'])(
    '"%s" is 401',
    async (authorization) => {
      const answer = await world.send('GET', '/v1/agents', { token: null, headers: { authorization } });
      expect(answer.status).toBe(401);
    },
  );

  test('an empty admin token is refused when the program starts', () => {
    expect(() =>
      composeAuthenticate({ ports: world.ports, adminToken: '', admin: { tenantId: 't', principalId: 'p' } }),
    ).toThrow(RangeError);
  });
});

describe('the token of a run', () => {
  test('reads its own run, its events and its logs', async () => {
    for (const rest of ['', '/events', '/logs']) {
      const answer = await world.send('GET', `/v1/runs/${runId}${rest}`, { token: runToken });
      expect(answer.status).toBe(200);
    }
  });

  test('finds no other run', async () => {
    for (const rest of ['', '/events', '/logs']) {
      const answer = await world.send('GET', `/v1/runs/${otherRunId}${rest}`, { token: runToken });
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    }
  });

  test.each(ROUTES.filter((route) => route.access === 'principal').map(({ method, path }) => ({ method, path })))(
    'is forbidden $method $path',
    async ({ method, path }) => {
      const answer = await world.send(method, sample(path), { token: runToken });
      expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    },
  );

  test('changes nothing: its run is as it was', async () => {
    expect((await world.send('GET', `/v1/runs/${runId}`)).body).toMatchObject({ status: 'queued', version: 1 });
  });

  test('opens nothing of the runner, nor does a runner’s token open the API', async () => {
    const vmToken = await world.ports.tokens.sign(
      { kind: 'vm', tenantId: 'tenant_a', vmId: 'vm_x', generation: 1 },
      world.now.ms + 1000,
    );
    const key = await world.ports.tokens.sign(
      { kind: 'registration', tenantId: 'tenant_a', vmId: 'vm_x' },
      world.now.ms + 1000,
    );
    for (const token of [runToken, key, 'the-admin-token-of-tenant-a'])
      expect((await world.send('POST', '/runner/v1/heartbeat', { token, body: {} })).status).toBe(401);
    for (const token of [runToken, vmToken])
      expect((await world.send('POST', '/runner/v1/register', { token, body: {} })).status).toBe(401);
    for (const token of [vmToken, key]) expect((await world.send('GET', '/v1/agents', { token })).status).toBe(401);
  });

  test('is worth nothing once it has expired', async () => {
    world.now.ms += 2000;
    expect((await world.send('GET', `/v1/runs/${runId}`, { token: runToken })).status).toBe(401);
    world.now.ms -= 2000;
  });
});

test('a tenant’s lists hold nothing of another tenant', async () => {
  for (const path of ['/v1/agents', '/v1/schedules', '/v1/runs', '/v1/vms', `/v1/runs?agentId=${agentId}`])
    expect((await world.send('GET', path, { token: OTHER_TOKEN })).body.items).toEqual([]);
});

describe('when the table fails', () => {
  const failing = (error: Error) =>
    createHttpWorld(engine, {
      wrapStore: (store) =>
        new Proxy(store, {
          get: (target, name) => (name === 'get' ? () => Promise.reject(error) : Reflect.get(target, name)),
        }),
      requestId: () => 'request-1',
    });

  test('a programming error is a 500 that tells nothing but the request id', async () => {
    const broken = await failing(new Error('SECRET at /home/x/store.ts'));
    const answer = await broken.send('GET', `/v1/runs/${runId}?`);
    expect(answer.status).toBe(500);
    expect(answer.headers.get('x-request-id')).toBe('request-1');
    expect(answer.body).toMatchObject({ code: 'internal_error', requestId: 'request-1', retryable: true });
    expect(answer.text).not.toMatch(/SECRET|\.ts|\bat /);
    expect(broken.logged).toHaveLength(1);
    expect(broken.logged[0]).toMatchObject({
      level: 'error',
      event: 'http.internal_error',
      facts: { requestId: 'request-1', method: 'GET' },
    });
    expect(String(broken.logged[0]?.facts.error)).toContain('SECRET');
    expect(JSON.stringify(broken.logged)).not.toContain('the-admin-token');
  });

  test('a throttled table is a 503 with Retry-After', async () => {
    const throttled = await failing(new StoreUnavailable(new Error('SECRET')));
    const answer = await throttled.send('GET', `/v1/runs/${runId}`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(answer.body).toMatchObject({ code: 'store_unavailable', retryable: true });
    expect(answer.text).not.toContain('SECRET');
    expect(throttled.logged[0]).toMatchObject({ level: 'warn' });
  });

  test('an id without the form of an id is 404 without a look at the table', async () => {
    const broken = await failing(new Error('the table was asked'));
    expect((await broken.send('GET', '/v1/runs/run_1')).status).toBe(404);
    expect((await broken.send('GET', `/v1/agents/${'x'.repeat(5000)}`)).body.detail.length).toBeLessThan(100);
  });
});
