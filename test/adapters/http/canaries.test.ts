/** Whatever a caller puts where, it comes back in no problem and stands in no log and no measurement. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emfMetrics } from '../../../adapters/aws/metrics.ts';
import { createApp, ROUTES } from '../../../adapters/http/app.ts';
import { createLog } from '../../../adapters/local/log.ts';
import type { Ports } from '../../../core/ports.ts';
import { ADMIN_TOKEN, createHttpWorld, type Engine, type HttpWorld, startHttpEngine } from '../../support/httpWorld.ts';

const CANARY = 'cAnArY-4711-0815';
const ID_LENGTH = 26;

let engine: Engine;
let world: HttpWorld;
const written: string[] = [];
beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

/** The world's server, with a log and measurements that are kept as the text that would be written. */
function listened(over: Partial<Ports> = {}) {
  const write = (line: string) => void written.push(line);
  const ports: Ports = {
    ...world.ports,
    log: createLog({ level: 'info', write }),
    metrics: emfMetrics({ namespace: 'Candor', now: () => 0, write }),
    ...over,
  };
  const caller = { kind: 'principal', tenantId: 'tenant_a', principalId: 'usr_a', grants: { role: 'admin' } } as const;
  return createApp({
    ports,
    rates: { take: async () => undefined },
    authenticate: async (bearer) => (bearer === ADMIN_TOKEN ? caller : undefined),
  });
}

/** A path with ids that could be. */
const pathOf = (path: string) =>
  path.replaceAll(/:(\w+)/g, (_, name: string) => {
    const prefix = { agentId: 'agt_', scheduleId: 'sch_', backfillId: 'bkf_', runId: 'run_', vmId: 'vm_' }[name];
    return prefix === undefined ? '1' : `${prefix}${'0'.repeat(ID_LENGTH)}`;
  });

interface Sent {
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const PLACES: Readonly<Record<string, Sent>> = {
  'the Authorization header': { headers: { authorization: `Bearer ${CANARY}` } },
  'an Authorization header of another kind': { headers: { authorization: `Basic ${CANARY}` } },
  'an API key header': { headers: { 'x-api-key': CANARY, cookie: `session=${CANARY}` } },
  'a parameter that is not known': { query: `?token=${CANARY}&access_token=${CANARY}` },
  'a parameter that is known': {
    query: `?cursor=${CANARY}&after=${CANARY}&wait=${CANARY}&limit=${CANARY}&path=${CANARY}`,
  },
  'If-Match': { headers: { 'if-match': CANARY } },
  'a body that is no JSON': { body: `{"env": ${CANARY}` },
  'a body that is a text': { body: JSON.stringify(CANARY) },
  'fields that are not known, or wrong': {
    body: JSON.stringify({
      password: CANARY,
      name: { it: CANARY },
      env: { 'not a name': CANARY, TOKEN: { secret: `${CANARY}/../x` }, OTHER: [CANARY] },
      repository: { url: `https://user:${CANARY}@host/x.git`, ref: `-${CANARY}`, secret: `/${CANARY}` },
      cadence: { cron: CANARY, timezone: CANARY },
      occurrence: CANARY,
      limits: { runTimeout: CANARY },
    }),
  },
};

describe.each(Object.entries(PLACES))('a secret in %s', (_, sent) => {
  it.each(ROUTES.map((route) => [route.method, route.path] as const))('is not told by %s %s', async (method, path) => {
    written.length = 0;
    const withBody = method !== 'GET' && method !== 'DELETE';
    const answer = await listened().request(`${pathOf(path)}${sent.query ?? ''}`, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_TOKEN}`,
        ...(withBody && { 'content-type': 'application/json' }),
        ...sent.headers,
      },
      ...(withBody && { body: sent.body ?? '{}' }),
    });
    const told = [await answer.text(), ...[...answer.headers].flat(), ...written].join('\n');
    expect(told).not.toContain(CANARY);
    expect(told).not.toContain(ADMIN_TOKEN);
    expect(written.length).toBeGreaterThan(0);
  });
});

describe('a token in a URL', () => {
  it.each(['token', 'access_token', 'api_key', 'authorization'])(
    'is refused as ?%s= and opens nothing',
    async (name) => {
      for (const path of ['/v1/agents', '/v1/events', '/v1/health', '/v1/openapi.json']) {
        const bare = await listened().request(`${path}?${name}=${ADMIN_TOKEN}`);
        expect(bare.status).toBe(path === '/v1/agents' || path === '/v1/events' ? 401 : 422);
        const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
        const known = await listened().request(`${path}?${name}=${ADMIN_TOKEN}`, { headers });
        expect(known.status).toBe(422);
        const text = await known.text();
        expect(JSON.parse(text)).toMatchObject({ errors: [{ pointer: name, message: 'is not a known parameter' }] });
        expect(text).not.toContain(ADMIN_TOKEN);
      }
      expect(written.join('')).not.toContain(ADMIN_TOKEN);
    },
  );
});

describe('an error of the program', () => {
  it('that quotes what was sent is answered without its text, and logged without the credentials in it', async () => {
    written.length = 0;
    const token = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(CANARY).toString('base64url')}.c2lnbmF0dXJl`;
    const said = [
      `Authorization: Bearer ${CANARY}`,
      `https://somebody:${CANARY}@host/x.git`,
      `GET /v1/agents?token=${CANARY}&limit=1`,
      `"password":"${CANARY}"`,
      token,
    ].join(' then ');
    const cause = Object.assign(new Error(said), { config: { headers: { authorization: CANARY } } });
    const failing = { ...world.ports.store, query: () => Promise.reject(new TypeError(said, { cause })) };
    const answer = await listened({ store: failing }).request('/v1/agents', {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('then');
    const log = written.join('');
    expect(log).toContain('TypeError');
    expect(log).toContain('limit=1');
    expect(log).not.toContain(CANARY);
    expect(log).not.toContain(token);
  });
});

describe('every answer', () => {
  const HEADERS = {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'x-frame-options': 'DENY',
  };

  it.each([
    ['GET', '/v1/health', 200],
    ['GET', '/v1/agents', 200],
    ['GET', '/v1/nothing', 404],
    ['PUT', '/v1/agents', 405],
    ['POST', '/v1/agents', 400],
    ['OPTIONS', '/v1/agents', 405],
    ['HEAD', '/v1/health', 200],
  ])('has the security headers: %s %s', async (method, path, status) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
    const answer = await listened().request(path, { method, headers, ...(method === 'POST' && { body: '{' }) });
    expect(answer.status).toBe(status);
    expect(Object.fromEntries(answer.headers)).toMatchObject(HEADERS);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    expect(answer.headers.get('server')).toBeNull();
    expect(answer.headers.get('strict-transport-security')).toBeNull();
  });

  it('asks for https for good where it came by https', async () => {
    const answer = await listened().request('https://candor.example.org/v1/health');
    expect(answer.headers.get('strict-transport-security')).toBe('max-age=63072000; includeSubDomains');
  });
});
