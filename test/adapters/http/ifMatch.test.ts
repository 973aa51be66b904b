/** If-Match is looked at, or refused: a precondition never seems to have been met by an operation that does not know it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROUTES } from '../../../adapters/http/app.ts';
import { createHttpWorld, type Engine, type HttpWorld, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const post = (path: string, options: object = {}) => world.send('POST', path, options);
const ZEROS = '0'.repeat(26);
const PREFIXES: Readonly<Record<string, string>> = {
  agentId: 'agt_',
  scheduleId: 'sch_',
  backfillId: 'bkf_',
  runId: 'run_',
  vmId: 'vm_',
  keyId: 'key_',
  webhookId: 'whk_',
  deliveryId: 'msg_',
  principalId: 'sac_',
};

/** Valid ones, where one is required. */
const BODIES: Readonly<Record<string, object>> = {
  createAgent: { name: 'a', command: ['true'] },
  createSchedule: { name: 's', cadence: { every: '1h' } },
  previewCadence: { cadence: { every: '1h' } },
  createWebhook: { url: 'https://hooks.example.com/candor' },
  createPrincipal: { name: 'ci' },
};

const deaf = ROUTES.filter(({ method, path, ifMatch }) => method !== 'GET' && path.startsWith('/v1/') && !ifMatch);

it.each(deaf.map(({ operation, method, path }) => [operation, method, path] as const))(
  '%s takes none, and says so',
  async (operation, method, path) => {
    const at = path.replaceAll(/:(\w+)/g, (_whole, name: string) => `${PREFIXES[name]}${ZEROS}`);
    const body = BODIES[operation];
    const answer = await world.send(method, at, { headers: { 'if-match': '*' }, ...(body && { body }) });
    expect([answer.status, answer.body.errors]).toEqual([
      422,
      [{ pointer: 'If-Match', message: expect.stringContaining('not looked at here') }],
    ]);
  },
);

it('what changes the version of a principal or a webhook beside it looks at it', async () => {
  const { id } = (await post('/v1/principals', { body: { name: 'ci' } })).body;
  const keys = `/v1/principals/${id}/keys`;
  const key = (await post(keys, { body: { name: 'first' } })).body;
  const hook = (await post('/v1/webhooks', { body: { url: 'https://hooks.example.com/candor' } })).body;
  const steps: readonly [string, string, string, number, number?][] = [
    ['POST', keys, `/v1/principals/${id}`, 2, 201],
    ['POST', `${keys}/${key.id}/rotate`, `/v1/principals/${id}`, 3, 201],
    ['DELETE', `${keys}/${key.id}`, `/v1/principals/${id}`, 4, 204],
    ['POST', `/v1/webhooks/${hook.id}/rotate-secret`, `/v1/webhooks/${hook.id}`, 1, 200],
  ];
  for (const [method, path, of, version, done] of steps) {
    const send = (at: number) =>
      world.send(method, path, {
        headers: { 'if-match': `"${at}"` },
        ...(method === 'POST' && { body: path === keys ? { name: 'k' } : {} }),
      });
    const stale = await send(version - 1);
    expect([stale.status, stale.body.currentVersion]).toEqual([412, version]);
    expect((await world.send('GET', of)).body.version).toBe(version);
    expect((await send(version)).status).toBe(done);
    expect((await world.send('GET', of)).body.version).toBe(version + 1);
  }
});
