import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApp, ROUTES } from '../../../adapters/http/app.ts';
import { isChange, recorded } from '../../../core/auditLog/record.ts';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Store } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Write } from '../../../core/table/model.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import {
  ADMIN_TOKEN,
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  makeSchedule,
  OTHER_TOKEN,
  type SendOptions,
  startHttpEngine,
} from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await createHttpWorld(engine);
});

interface Entry {
  readonly requestId: string;
  readonly operation: string;
  readonly changes: readonly { readonly id: string; readonly before?: number; readonly after?: number }[];
}
const entries = async (query = '', token = ADMIN_TOKEN): Promise<readonly Entry[]> =>
  (await world.send('GET', `/v1/audit-log${query}`, { token })).body.items;
const any = { headers: { 'if-match': '*' } } as const;

describe('the log of changes', () => {
  it('says who changed what, from where, when, and which version became which', async () => {
    const agent = await makeAgent(world);
    // Entries of one millisecond stand in no order.
    world.now.ms += 1000;
    const request = { method: 'PATCH', headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'if-match': '"1"' } };
    const headers = { ...request.headers, 'content-type': 'application/json', 'user-agent': 'a browser é' };
    const answer = await world.app.request(
      `/v1/agents/${agent.id}`,
      { ...request, headers: { ...headers, 'x-forwarded-for': '6.6.6.6' }, body: '{"name":"other"}' },
      { requestContext: { http: { sourceIp: '192.0.2.7' } } },
    );
    expect(answer.status).toBe(200);
    const [changed, created, ...others] = await entries();
    expect(others).toEqual([]);
    expect(changed).toEqual({
      requestId: answer.headers.get('x-request-id'),
      at: '2027-01-01T00:00:01.000Z',
      operation: 'updateAgent',
      by: { kind: 'principal', id: 'usr_a', credentialId: 'admin_token' },
      from: { ip: '192.0.2.7', userAgent: 'a browser ?' },
      changes: [{ id: agent.id, type: 'agent.changed', before: 1, after: 2 }],
    });
    expect(created).toMatchObject({ operation: 'createAgent', changes: [{ id: agent.id, after: 1 }] });
    expect(created?.changes[0]).not.toHaveProperty('before');
  });

  it('says which key was made, replaced or revoked, and finds it; which role was given, and nothing of one that was not', async () => {
    const agent = await makeAgent(world);
    const sent = async (method: string, path: string, body?: object) => {
      world.now.ms += 1000;
      return (await world.send(method, `/v1/principals${path}`, { ...(method === 'PATCH' && any), body })).body;
    };
    const { id } = await sent('POST', '', { name: 'ci', agents: { [agent.id]: 'viewer' } });
    const first = await sent('POST', `/${id}/keys`, { name: 'k' });
    const second = await sent('POST', `/${id}/keys/${first.id}/rotate`);
    await sent('DELETE', `/${id}/keys/${second.id}`);
    await sent('PATCH', `/${id}`, { role: 'operator', agents: {} });
    await sent('PATCH', `/${id}`, { name: 'builds' });
    await sent('PATCH', `/${id}`, { role: null, status: 'revoked' });
    const changes = async (resource: string) =>
      (await entries(`?resource=${resource}`)).map(({ changes: [change] }) => change).reverse();
    expect(await changes(first.id)).toMatchObject([{ id, type: 'key.created', keyId: first.id }]);
    expect(await changes(second.id)).toMatchObject([
      { id, type: 'key.rotated', keyId: second.id },
      { id, type: 'key.revoked', keyId: second.id },
    ]);
    const [made, , , , promoted, renamed, revoked] = await changes(id);
    const changed = { id, type: 'principal.changed' };
    expect(made).toEqual({ id, type: 'principal.created', after: 1, agents: { [agent.id]: 'viewer' } });
    expect(promoted).toEqual({ ...changed, before: 4, after: 5, role: 'operator', agents: {} });
    expect(renamed).toEqual({ ...changed, before: 5, after: 6 });
    expect(revoked).toEqual({ ...changed, before: 6, after: 7, role: null, status: 'revoked' });
    const event = await world.ports.store.get(keys.principalEvent(id, 6));
    expect(event?.detail).toEqual({ by: 'usr_a', name: 'builds' });
  });

  it('has no entry of a pause that changes nothing, where a clock that had failed is put meanwhile', async () => {
    const agent = await makeAgent(world);
    const schedule = await makeSchedule(world, agent.id);
    const pause = () => world.send('POST', `/v1/schedules/${schedule.id}/pause`);
    await pause();
    const set = { clock: { status: 'pending', specVersion: 1 } };
    await world.ports.store.transact([{ kind: 'update', key: keys.schedule(schedule.id), set, guards: [] }]);
    expect((await pause()).body.clock.status).toBe('synced');
    expect(await entries('?operation=pauseSchedule')).toHaveLength(1);
  });

  it('has one entry of every operation that changes something', async () => {
    const told = new Map<string, readonly Entry[]>();
    let seen = 0;
    /** Moves time, so that entries are in order, and notes what the request left. */
    const does = async (operation: string, method: string, path: string, options: SendOptions = {}) => {
      world.now.ms += 1000;
      const answer = await world.send(method, path, options);
      expect(answer.status, `${operation}: ${answer.text}`).toBeLessThan(300);
      const all = await entries('?limit=100');
      told.set(operation, all.slice(0, all.length - seen));
      seen = all.length;
      return answer.body;
    };
    const agent = await does('createAgent', 'POST', '/v1/agents', { body: { name: 'a', command: ['true'] } });
    await does('updateAgent', 'PATCH', `/v1/agents/${agent.id}`, { ...any, body: { name: 'b' } });
    const body = { name: 's', cadence: { cron: '0 * * * *', timezone: 'UTC' }, overlapPolicy: 'allow_all' };
    const schedule = await does('createSchedule', 'POST', `/v1/agents/${agent.id}/schedules`, { body });
    const at = `/v1/schedules/${schedule.id}`;
    await does('updateSchedule', 'PATCH', at, { ...any, body: { name: 't' } });
    await does('pauseSchedule', 'POST', `${at}/pause`);
    await does('resumeSchedule', 'POST', `${at}/resume`);
    const occurrence = '2027-01-01T05:00:00Z';
    await does('skipOccurrence', 'POST', `${at}/skip`, { body: { occurrence } });
    await does('unskipOccurrence', 'POST', `${at}/unskip`, { body: { occurrence } });
    const range = { from: '2026-12-31T00:00:00Z', to: '2026-12-31T02:00:00Z' };
    const backfill = await does('startBackfill', 'POST', `${at}/backfill`, { body: range });
    await does('cancelBackfill', 'POST', `${at}/backfills/${backfill.backfillId}/cancel`);
    const triggered = await does('triggerSchedule', 'POST', `${at}/trigger`);
    const run = await does('createRun', 'POST', `/v1/agents/${agent.id}/runs`);
    const { vmId } = await launchVm(world.ports, { tenantId: 'tenant_a', runId: run.id, attempt: 1 });
    await does('drainVm', 'POST', `/v1/vms/${vmId}/drain`);
    await does('sealChildren', 'POST', `/v1/runs/${triggered.id}/children/seal`);
    await does('cancelRun', 'POST', `/v1/runs/${triggered.id}/cancel`);
    await does('retryRun', 'POST', `/v1/runs/${triggered.id}/retry`);
    await does('deleteSchedule', 'DELETE', `${at}?cancelRuns=true`, any);
    const other = await makeAgent(world);
    seen++;
    await does('deleteAgent', 'DELETE', `/v1/agents/${other.id}`, any);

    const account = await does('createPrincipal', 'POST', '/v1/principals', { body: { name: 'ci' } });
    const who = `/v1/principals/${account.id}`;
    await does('updatePrincipal', 'PATCH', who, { ...any, body: { role: 'viewer' } });
    const key = await does('createKey', 'POST', `${who}/keys`, { body: { name: 'k' } });
    const fresh = await does('rotateKey', 'POST', `${who}/keys/${key.id}/rotate`);
    await does('revokeKey', 'DELETE', `${who}/keys/${fresh.id}`);
    const hook = await does('createWebhook', 'POST', '/v1/webhooks', { body: { url: 'https://hooks.invalid/' } });
    const webhook = `/v1/webhooks/${hook.id}`;
    await does('updateWebhook', 'PATCH', webhook, { ...any, body: { description: 'x' } });
    await does('rotateWebhookSecret', 'POST', `${webhook}/rotate-secret`);
    const delivery = await does('testWebhook', 'POST', `${webhook}/test`);
    await does('redeliver', 'POST', `${webhook}/deliveries/${delivery.id}/redeliver`);
    await does('deleteWebhook', 'DELETE', webhook, any);

    const changing = ROUTES.filter(({ operation, method }) => isChange(operation) && method !== 'GET');
    expect([...told.keys()].toSorted()).toEqual(changing.map(({ operation }) => operation).toSorted());
    for (const [operation, own] of told) {
      expect(own.map((entry) => entry.operation)).toEqual([operation]);
      expect(own[0]?.changes.length, operation).toBeGreaterThan(0);
    }
  });

  it('has nothing of what was refused, read, or changed nothing', async () => {
    const agent = await makeAgent(world);
    const schedule = await makeSchedule(world, agent.id);
    await world.send('POST', `/v1/schedules/${schedule.id}/pause`);
    const before = await entries();
    await world.send('POST', `/v1/schedules/${schedule.id}/pause`);
    await world.send('GET', '/v1/agents');
    await world.send('POST', '/v1/agents', { token: null, body: { name: 'x', command: ['true'] } });
    await world.send('POST', '/v1/agents', { token: 'wrong', body: { name: 'x', command: ['true'] } });
    await world.send('POST', '/v1/agents', { body: { name: agent.name, command: ['true'] } });
    await world.send('PATCH', `/v1/agents/${agent.id}`, { body: { name: 'x' }, headers: { 'if-match': '"7"' } });
    await world.send('PATCH', `/v1/agents/${agent.id}`, { ...any, body: { name: 4 } });
    await world.send('DELETE', `/v1/agents/${agent.id}`, any);
    await world.send('DELETE', `/v1/agents/${agent.id}`, { ...any, token: OTHER_TOKEN });
    expect(await entries()).toEqual(before);
    expect(before.map(({ operation }) => operation).toSorted()).toEqual([
      'createAgent',
      'createSchedule',
      'pauseSchedule',
    ]);
  });

  it('tells what a run has started, by the run', async () => {
    const agent = await makeAgent(world);
    const run = (await world.send('POST', `/v1/agents/${agent.id}/runs`)).body;
    const { vmId } = await launchVm(world.ports, { tenantId: 'tenant_a', runId: run.id, attempt: 1 });
    await world.ports.store.transact([
      {
        kind: 'update',
        key: { pk: `RUN#${run.id}`, sk: 'META' },
        set: { status: 'running', vmId },
        guards: [],
      },
    ]);
    const claims = { kind: 'run', tenantId: 'tenant_a', vmId, runId: run.id, attempt: 1 } as const;
    const token = await world.ports.tokens.sign(claims, world.now.ms + 60_000);
    const child = await world.send('POST', `/v1/agents/${agent.id}/runs`, { token });
    expect(child.status, child.text).toBe(202);
    const [entry] = await entries(`?by=${run.id}`);
    expect(entry).toMatchObject({ operation: 'createRun', by: { kind: 'run', id: run.id } });
    expect(entry?.changes).toContainEqual({ id: child.body.id, type: 'run.queued', after: 1 });
    expect(await world.send('GET', '/v1/audit-log', { token })).toMatchObject({ status: 403 });
  });

  it('is filtered and paged, and another tenant sees its own', async () => {
    const agents = [];
    for (let count = 0; count < 5; count++) {
      world.now.ms += 1000;
      agents.push(await makeAgent(world));
    }
    await makeAgent(world, {}, OTHER_TOKEN);
    expect(await entries(`?resource=${agents[2].id}`)).toHaveLength(1);
    expect(await entries('?operation=createAgent')).toHaveLength(5);
    expect(await entries('?operation=deleteAgent')).toHaveLength(0);
    expect(await entries('?by=usr_b')).toHaveLength(0);
    expect(await entries('', OTHER_TOKEN)).toMatchObject([{ by: { id: 'usr_b' } }]);
    const first = (await world.send('GET', '/v1/audit-log?limit=3')).body;
    const second = (await world.send('GET', `/v1/audit-log?limit=3&cursor=${first.nextCursor}`)).body;
    const ids = [...first.items, ...second.items].map((entry: Entry) => entry.changes[0]?.id);
    expect(ids).toEqual(agents.map(({ id }) => id).toReversed());
  });

  it('cannot be written', async () => {
    const answer = await world.send('DELETE', '/v1/audit-log');
    expect(answer).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } });
    expect(answer.body.detail).toContain('read only');
  });
});

describe('the log of changes, where the table does not answer', () => {
  /** A server whose transactions fail as they are told to, one after the other. */
  function failing(...faults: readonly ('before' | 'after' | 'not')[]) {
    const left = [...faults];
    const { store } = world.ports;
    const faulty: Store = {
      get: (key) => store.get(key),
      getMany: (keys) => store.getMany(keys),
      query: (range) => store.query(range),
      queryIndex: (range) => store.queryIndex(range),
      transact: async (writes) => {
        const fault = left.shift() ?? 'not';
        if (fault === 'before') throw new StoreUnavailable();
        await store.transact(writes);
        if (fault === 'after') throw new StoreUnavailable();
      },
    };
    const caller = {
      kind: 'principal',
      tenantId: 'tenant_a',
      principalId: 'usr_a',
      grants: { role: 'admin' },
    } as const;
    return createApp({
      ports: { ...world.ports, store: faulty },
      authenticate: async () => caller,
      rates: { take: async () => undefined },
    });
  }
  const post = (app: ReturnType<typeof failing>, path: string, body = {}) =>
    app.request(path, {
      method: 'POST',
      headers: { authorization: 'Bearer x', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  it('tells nothing of a change that was not made', async () => {
    const answer = await post(failing('before'), '/v1/agents', { name: 'a', command: ['true'] });
    expect(answer.status).toBe(503);
    expect(await entries()).toEqual([]);
    expect((await world.send('GET', '/v1/agents')).body.items).toEqual([]);
  });

  it('makes no change that is too large to be told of', async () => {
    const caller = { kind: 'principal', tenantId: 'tenant_a', principalId: 'usr_a' } as const;
    const request = { requestId: 'large', operation: 'updateAgent', caller, from: {} } as const;
    const writes = (count: number) =>
      Array.from({ length: count }, (_, index): Write => {
        const item = { pk: 'TEST', sk: String(index), tenantId: 'tenant_a', id: `thing ${index}` };
        return { kind: 'put', item };
      });
    const written = async () => (await world.ports.store.query({ pk: 'TEST', limit: 100 })).items.length;
    await expect(recorded(world.ports, request).store.transact(writes(99))).rejects.toThrow('99 items');
    expect(await written()).toBe(0);
    await recorded(world.ports, request).store.transact(writes(98));
    expect(await written()).toBe(98);
    expect(await entries()).toMatchObject([{ requestId: 'large' }]);
  });

  it('tells of a change that was made although its answer was lost, and of the same change', async () => {
    const agent = await makeAgent(world);
    world.now.ms += 1000;
    // The run's creation is applied and its answer lost; what follows in the same request is another transaction.
    const answer = await post(failing('after'), `/v1/agents/${agent.id}/runs`);
    expect(answer.status).toBe(202);
    const { id } = (await answer.json()) as { readonly id: string };
    const [entry, ...others] = await entries();
    expect(others).toHaveLength(1);
    expect(entry).toMatchObject({ operation: 'createRun', changes: [{ id, type: 'run.queued', after: 1 }] });
  });
});
