/** Service accounts and their keys, over HTTP: shown once, cut down, replaced without a gap, revoked at once. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { identityOfSigner } from '../../../core/access/credentials.ts';
import { ensurePrincipal, LOCAL_ADMIN } from '../../../core/access/principals.ts';
import type { EventRow } from '../../../core/runs/model.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { asRow } from '../../../core/table/rows.ts';
import {
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  makeSchedule,
  OTHER_TOKEN,
  startHttpEngine,
} from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const account = async (body: object = { role: 'editor' }) =>
  (await world.send('POST', '/v1/principals', { body: { name: 'ci', ...body } })).body;
const keyOf = async (id: string, body: object = {}) =>
  (await world.send('POST', `/v1/principals/${id}/keys`, { body: { name: 'builds', ...body } })).body;
const status = async (token: string, path = '/v1/agents') => (await world.send('GET', path, { token })).status;
const any = { 'if-match': '*' };

it('a key is shown once, and kept as a hash', async () => {
  const { id } = await account();
  const made = await keyOf(id);
  expect(made.key).toMatch(/^candor_[0-9a-z]{26}_[0-9a-z]{26}_[\w-]{43}$/);
  expect(await status(made.key)).toBe(200);
  const secret = made.key.split('_').slice(3).join('_');
  expect((await world.send('GET', `/v1/principals/${id}/keys`)).text).not.toContain(secret);
  expect(JSON.stringify(await world.ports.store.get(keys.apiKey(id, made.id)))).not.toContain(secret);
});

it('says who it is and what it opens, and when it was last used', async () => {
  const { id } = await account({ role: 'editor' });
  const made = await keyOf(id, { role: 'operator' });
  const me = await world.send('GET', '/v1/me', { token: made.key });
  expect(me.body).toMatchObject({
    principalId: id,
    credentialId: made.id,
    kind: 'service_account',
    name: 'ci',
    role: 'operator',
  });
  const [listed] = (await world.send('GET', `/v1/principals/${id}/keys`)).body.items;
  expect(listed).toMatchObject({ status: 'active', lastUsedAt: new Date(world.now.ms).toISOString() });
});

it('is worth nothing with another secret, under another account, or as another key', async () => {
  const [one, other] = [await account(), await account()];
  const [made, second] = [await keyOf(one.id), await keyOf(one.id)];
  const [, accountPart, keyPart, ...secret] = made.key.split('_');
  const wrong = [
    `candor_${accountPart}_${keyPart}_${'A'.repeat(43)}`,
    `candor_${other.id.slice(4)}_${keyPart}_${secret.join('_')}`,
    `candor_${accountPart}_${second.id.slice(4)}_${secret.join('_')}`,
    `${made.key}x`,
    made.key.slice(0, -1),
  ];
  for (const token of wrong) expect(await status(token)).toBe(401);
});

it('expires', async () => {
  const { id } = await account();
  const { key } = await keyOf(id, { expiresIn: 'PT1H' });
  world.now.ms += 3600_000 - 1;
  expect(await status(key)).toBe(200);
  world.now.ms += 1;
  expect(await status(key)).toBe(401);
});

it('is revoked at once, and twice is the same', async () => {
  const { id } = await account();
  const made = await keyOf(id);
  for (let time = 0; time < 2; time++)
    expect((await world.send('DELETE', `/v1/principals/${id}/keys/${made.id}`)).status).toBe(204);
  expect(await status(made.key)).toBe(401);
  expect((await world.send('DELETE', `/v1/principals/${id}/keys/key_${'0'.repeat(26)}`)).status).toBe(404);
});

it('is replaced without a gap: both work for the overlap, then the new one alone; it is rotated once', async () => {
  const { id } = await account();
  const old = await keyOf(id, { role: 'viewer' });
  const rotate = () => world.send('POST', `/v1/principals/${id}/keys/${old.id}/rotate`, { body: { overlap: 'PT10M' } });
  const fresh = (await rotate()).body;
  expect([await status(old.key), await status(fresh.key)]).toEqual([200, 200]);
  expect(fresh.role).toBe('viewer');
  expect((await rotate()).status).toBe(409);
  world.now.ms += 600_000;
  expect([await status(old.key), await status(fresh.key)]).toEqual([401, 200]);
});

it('opens single agents only, where it names them: others are not there', async () => {
  const [mine, other] = [await makeAgent(world), await makeAgent(world)];
  const { id } = await account();
  const { key } = await keyOf(id, { agents: [mine.id] });
  expect(await status(key, `/v1/agents/${mine.id}`)).toBe(200);
  expect(await status(key, `/v1/agents/${other.id}`)).toBe(404);
  const listed = await world.send('GET', '/v1/agents', { token: key });
  expect(listed.body.items.map((each: { id: string }) => each.id)).toEqual([mine.id]);
  expect((await world.send('POST', '/v1/agents', { token: key, body: { name: 'x', command: ['y'] } })).status).toBe(
    403,
  );
});

it('pages of single agents end at one of them, and no cursor tells of others', async () => {
  const few = await createHttpWorld(engine);
  const named = async (name: string) => (await makeAgent(few, { name })).id;
  const ids = { b: await named('b-mine'), d: await named('d-mine'), f: await named('f-mine') };
  for (const name of ['a-hidden', 'c-hidden', 'e-hidden', 'g-hidden']) await named(name);
  const { id } = (await few.send('POST', '/v1/principals', { body: { name: 'ci', role: 'viewer' } })).body;
  const body = { name: 'k', agents: Object.values(ids) };
  const { key } = (await few.send('POST', `/v1/principals/${id}/keys`, { body })).body;
  const seen: string[] = [];
  let cursor = '';
  for (let page = 0; page < 3; page++) {
    const answer = await few.send('GET', `/v1/agents?limit=1${cursor}`, { token: key });
    seen.push(...answer.body.items.map((agent: { id: string }) => agent.id));
    expect(Buffer.from(answer.body.nextCursor ?? '', 'base64url').toString()).not.toContain('hidden');
    expect(answer.body.nextCursor === undefined).toBe(page === 2);
    cursor = `&cursor=${answer.body.nextCursor}`;
  }
  expect(seen).toEqual([ids.b, ids.d, ids.f]);
  const foreign = await few.send('GET', '/v1/agents?cursor=Zm9yZWlnbg', { token: key });
  expect([foreign.status, foreign.body.errors[0].pointer]).toEqual([422, 'cursor']);
});

it('who waits for runs of agents that it does not see is not told of them', async () => {
  const full = await createHttpWorld(engine, { config: { maxConcurrentRunsPerTenant: 1 } });
  const [mine, other] = [await makeAgent(full), await makeAgent(full)];
  const { id } = (await full.send('POST', '/v1/principals', { body: { name: 'ci', role: 'operator' } })).body;
  const { key } = (await full.send('POST', `/v1/principals/${id}/keys`, { body: { name: 'k', agents: [mine.id] } }))
    .body;
  const holder = (await full.send('POST', `/v1/agents/${other.id}/runs`)).body;
  const run = (await full.send('POST', `/v1/agents/${mine.id}/runs`, { token: key })).body;
  const read = async (rest: string, token?: string) =>
    full.send('GET', `/v1/runs/${run.id}${rest}`, token === undefined ? {} : { token });
  expect((await read('')).body.waiting.blockedBy).toEqual([holder.id]);
  expect((await read('', key)).body.waiting).toMatchObject({ position: 1, blockedBy: [] });
  expect((await read('/explain')).text).toContain(holder.id);
  expect((await read('/explain', key)).text).not.toContain(holder.id);
});

it('what takes the role from an account takes it from its keys', async () => {
  const { id } = await account({ role: 'editor' });
  const { key } = await keyOf(id);
  const patch = (body: object) => world.send('PATCH', `/v1/principals/${id}`, { headers: any, body });
  expect((await patch({ role: null })).status).toBe(200);
  expect(await status(key)).toBe(403);
  await patch({ role: 'viewer', status: 'revoked' });
  expect(await status(key)).toBe(401);
  await patch({ status: 'active' });
  expect(await status(key)).toBe(200);
});

it('a schedule of a revoked account does not fire any more, and says why', async () => {
  const agent = await makeAgent(world);
  const { id } = await account({ role: 'editor' });
  const { key } = await keyOf(id);
  const schedule = await makeSchedule(world, agent.id, {}, key);
  expect(schedule.createdBy).toBe(id);
  await world.send('PATCH', `/v1/principals/${id}`, { headers: any, body: { role: 'viewer' } });
  const { fire } = await import('../../../core/schedules/fire.ts');
  const [next] = schedule.nextOccurrences;
  world.now.ms = Date.parse(next);
  await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now.ms });
  const [occurrence] = (await world.send('GET', `/v1/schedules/${schedule.id}/occurrences`)).body.items;
  expect(occurrence).toMatchObject({ disposition: 'skipped', reason: 'unauthorized' });
});

it('administrators cannot lock themselves out', async () => {
  for (const body of [{ status: 'revoked' }, { role: 'editor' }, { role: null }]) {
    const answer = await world.send('PATCH', '/v1/principals/usr_a', { headers: any, body });
    expect([answer.status, answer.body.code]).toEqual([409, 'illegal_transition']);
  }
});

it('an AWS identity is one tenant’s until that tenant has revoked it', async () => {
  const arn = 'arn:aws:iam::111122223333:role/deploy';
  const enter = (token?: string) =>
    world.send('POST', '/v1/principals', { body: { name: 'deploy', arn, role: 'viewer' }, ...(token && { token }) });
  const first = await enter();
  const at = `/v1/principals/${first.body.id}`;
  for (const token of [undefined, OTHER_TOKEN]) expect((await enter(token)).status).toBe(409);
  expect((await world.send('PATCH', at, { headers: any, body: { status: 'revoked' } })).status).toBe(200);
  const rivals = await Promise.all([enter(OTHER_TOKEN), enter(OTHER_TOKEN), enter(OTHER_TOKEN)]);
  expect(rivals.map((answer) => answer.status).sort()).toEqual([201, 409, 409]);
  const taken = rivals.find((answer) => answer.status === 201)!;
  expect(taken.body).toMatchObject({ id: first.body.id, version: 3, status: 'active' });
  expect((await world.send('GET', at)).status).toBe(404);
  expect(await identityOfSigner(world.ports, arn)).toMatchObject({ tenantId: 'tenant_b', grants: { role: 'viewer' } });
  expect(await world.ports.store.get(keys.principalEvent(first.body.id, 3))).toMatchObject({ tenantId: 'tenant_b' });
});

it('the installation’s administrator is not changed here, where it would change nothing; its name is', async () => {
  await ensurePrincipal(world.ports.store, 'tenant_a', LOCAL_ADMIN, 'Administrator');
  const patch = (body: object) => world.send('PATCH', `/v1/principals/${LOCAL_ADMIN}`, { headers: any, body });
  for (const body of [{ status: 'revoked' }, { role: 'viewer' }, { role: null }, { agents: {} }]) {
    const answer = await patch(body);
    expect([answer.status, answer.body.code]).toEqual([409, 'illegal_transition']);
    expect(answer.body.remedy).toContain('Rotate the token where it is kept');
  }
  expect((await patch({ name: 'root' })).body).toMatchObject({ name: 'root', role: 'admin', status: 'active' });
});

it('bad input names the field, the limit and the remedy', async () => {
  const { id } = await account();
  const refused: readonly [string, string, object, string][] = [
    ['POST', '/v1/principals', { name: '' }, '/name'],
    ['POST', '/v1/principals', { name: 'x', role: 'root' }, '/role'],
    ['POST', '/v1/principals', { name: 'x', agents: { agt_1: 'viewer' } }, '/agents/agt_1'],
    ['POST', `/v1/principals/${id}/keys`, { name: 'x', expiresIn: 'P3Y' }, '/expiresIn'],
    ['POST', `/v1/principals/${id}/keys`, { name: 'x', agents: [] }, '/agents'],
    ['PATCH', `/v1/principals/${id}`, {}, ''],
  ];
  for (const [method, path, body, pointer] of refused) {
    const answer = await world.send(method, path, { ...(method === 'PATCH' && { headers: any }), body });
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([422, pointer]);
  }
  expect((await world.send('PATCH', `/v1/principals/${id}`, { body: { name: 'y' } })).status).toBe(428);
  const stale = await world.send('PATCH', `/v1/principals/${id}`, {
    headers: { 'if-match': '"9"' },
    body: { name: 'y' },
  });
  expect([stale.status, stale.body.currentVersion]).toEqual([412, 1]);
  expect((await world.send('POST', '/v1/principals/usr_a/keys', { body: { name: 'x' } })).status).toBe(409);
  expect((await world.send('DELETE', `/v1/principals/${id}`)).body.detail).toContain('revoked');
});

it('one account has at most 20 keys that stand', async () => {
  const { id } = await account();
  for (let count = 0; count < 20; count++) expect((await keyOf(id)).id).toBeDefined();
  const answer = await world.send('POST', `/v1/principals/${id}/keys`, { body: { name: 'one more' } });
  expect([answer.status, answer.body.detail]).toEqual([409, `${id} has 20 keys, the limit is 20.`]);
});

it('follows the feed of its agents only; who may what is told to administrators only', async () => {
  const { appendToFeed } = await import('../../../core/feed/append.ts');
  const fed = await createHttpWorld(engine);
  const make = async (path: string, body: object) => (await fed.send('POST', path, { body })).body;
  const [mine, other] = [await makeAgent(fed), await makeAgent(fed)];
  const run = await make(`/v1/agents/${mine.id}/runs`, {});
  const foreign = await make(`/v1/agents/${other.id}/runs`, {});
  const { id } = await make('/v1/principals', { name: 'ci', role: 'editor' });
  const scoped = await make(`/v1/principals/${id}/keys`, { name: 'one', agents: [mine.id] });
  const whole = await make(`/v1/principals/${id}/keys`, { name: 'all' });
  const events = [
    ...[mine, other].map((agent) => keys.agentEvent(agent.id, 1)),
    ...[run, foreign].map((each) => keys.runEvent(each.id, 1)),
    keys.principalEvent(id, 1),
  ];
  const rows = (await fed.ports.store.getMany(events)).map((item) => asRow<EventRow>(item)!);
  await appendToFeed(fed.ports, rows);
  const subjects = async (token?: string) => {
    const { body } = await fed.send('GET', '/v1/events', token === undefined ? {} : { token });
    return [...new Set(body.items.map((each: { subject: { id: string } }) => each.subject.id))].sort();
  };
  expect(await subjects(scoped.key)).toEqual([mine.id, run.id].sort());
  expect(await subjects(whole.key)).not.toContain(id);
  expect(await subjects()).toContain(id);
});
