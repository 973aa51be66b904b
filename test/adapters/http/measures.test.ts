/** What is measured of each answer: its outcome, how long it took, and why a caller was refused. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../../adapters/http/app.ts';
import type { Identity } from '../../../core/access/principals.ts';
import type { Role } from '../../../core/contract/roles.ts';
import { METRICS } from '../../../core/metrics.ts';
import { createHttpWorld, type Engine, type HttpWorld, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const identity = (role: Role): Identity => ({
  kind: 'principal',
  tenantId: 'tenant_a',
  principalId: 'usr_a',
  grants: { role },
});

/** What one request puts, by name and dimensions. */
async function measured(path: string, token: string, options: { readonly tooMany?: true } = {}) {
  const put: string[] = [];
  const app = createApp({
    ports: {
      ...world.ports,
      metrics: {
        put: (name, _value, ...dimensions) => void put.push([name, ...Object.values(dimensions[0] ?? {})].join(' ')),
      },
    },
    authenticate: async (bearer) => (bearer === 'viewer' ? identity('viewer') : undefined),
    rates: { take: async () => (options.tooMany ? 7 : undefined) },
  });
  const { status } = await app.request(path, { headers: { authorization: `Bearer ${token}` } });
  return { status, put };
}

test('who is not known, who may not and who asks too often are told apart, and an answer is counted once', async () => {
  const took = 'ApiLatencyMilliseconds';
  expect(await measured('/v1/agents', 'viewer')).toEqual({ status: 200, put: ['ApiRequests 2xx', took] });
  expect(await measured('/v1/agents/agt_x', 'viewer')).toEqual({ status: 404, put: ['ApiRequests 4xx', took] });
  expect(await measured('/v1/agents', 'nobody')).toEqual({
    status: 401,
    put: ['ApiRequests 4xx', 'ApiRefusals 401', took],
  });
  expect(await measured('/v1/principals', 'viewer')).toEqual({
    status: 403,
    put: ['ApiRequests 4xx', 'ApiRefusals 403', took],
  });
  expect(await measured('/v1/agents', 'viewer', { tooMany: true })).toEqual({
    status: 429,
    put: ['ApiRequests 4xx', 'ApiRefusals 429', took],
  });
  for (const status of ['401', '403', '429']) expect(METRICS.ApiRefusals.meaning).toContain(`\`${status}\``);
});

test('a request that asks to be held back says nothing of how fast answers are', async () => {
  expect((await measured('/v1/events?wait=0', 'viewer')).put).toEqual(['ApiRequests 2xx']);
});
