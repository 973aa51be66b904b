/** A run starts what whoever it goes back to may start, and no more: its token is no way around a role. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunRow } from '../../../core/runs/model.ts';
import { fire } from '../../../core/schedules/fire.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { asRow } from '../../../core/table/rows.ts';
import { atWork, running } from '../../support/httpRun.ts';
import { createHttpWorld, type Engine, type HttpWorld, makeAgent, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
let own: string;
let other: string;
beforeAll(async () => {
  engine = await startHttpEngine();
});
beforeEach(async () => {
  world = await createHttpWorld(engine);
  own = (await makeAgent(world)).id;
  other = (await makeAgent(world)).id;
});
afterAll(() => engine.stop());

async function account(grants: object, cut: object = {}) {
  const { id } = (await world.send('POST', '/v1/principals', { body: { name: 'ci', ...grants } })).body;
  const made = await world.send('POST', `/v1/principals/${id}/keys`, { body: { name: 'builds', ...cut } });
  return { id: id as string, keyId: made.body.id as string, key: made.body.key as string };
}
const starts = async (runToken: string, agentId: string) =>
  world.send('POST', `/v1/agents/${agentId}/runs`, { token: runToken, body: {} });
const statuses = async (runToken: string) => [
  (await starts(runToken, own)).status,
  (await starts(runToken, other)).status,
];
const change = (id: string, body: object) =>
  world.send('PATCH', `/v1/principals/${id}`, { body, headers: { 'if-match': '*' } });
const rowOf = async (id: string) => asRow<RunRow>(await world.ports.store.get(keys.run(id)));

test('a role over one agent starts runs of that agent, through a run’s token as well', async () => {
  const ci = await account({ agents: { [own]: 'operator' } });
  const parent = await running(world, own, { token: ci.key, body: {} });
  expect(await statuses(parent.runToken)).toEqual([202, 404]);
});

test('what is seen and may not be started is 403', async () => {
  const ci = await account({ role: 'viewer', agents: { [own]: 'operator' } });
  const parent = await running(world, own, { token: ci.key, body: {} });
  expect(await statuses(parent.runToken)).toEqual([202, 403]);
});

test('a key that was cut down stays so in its runs, after its end too', async () => {
  const ci = await account({ role: 'operator' }, { agents: [own] });
  const parent = await running(world, own, { token: ci.key, body: {} });
  await world.send('DELETE', `/v1/principals/${ci.id}/keys/${ci.keyId}`, { headers: { 'if-match': '*' } });
  expect(await statuses(parent.runToken)).toEqual([202, 404]);
});

test('a whole role starts runs of every agent, in every generation', async () => {
  const ci = await account({ role: 'operator' });
  const parent = await running(world, own, { token: ci.key, body: {} });
  const child = (await starts(parent.runToken, other)).body;
  expect(await rowOf(child.id)).toMatchObject({ principalId: ci.id, trigger: { kind: 'run', by: parent.id } });
  const grandchild = await atWork(world, child.id);
  expect(await statuses(grandchild.runToken)).toEqual([202, 202]);
  await change(ci.id, { role: 'viewer' });
  expect(await statuses(grandchild.runToken)).toEqual([403, 403]);
  await change(ci.id, { role: 'operator', status: 'revoked' });
  expect(await statuses(grandchild.runToken)).toEqual([403, 403]);
});

test('children of before this was written down go back to their oldest ancestor’s principal', async () => {
  const ci = await account({ role: 'viewer', agents: { [own]: 'operator' } });
  const parent = await running(world, own, { token: ci.key, body: {} });
  const child = (await starts(parent.runToken, own)).body;
  const set = { principalId: undefined };
  await world.ports.store.transact([{ kind: 'update', key: keys.run(child.id), set, guards: [] }]);
  const grandchild = await atWork(world, child.id);
  expect(await statuses(grandchild.runToken)).toEqual([202, 403]);
});

test.each([
  ['fires', (id: string) => fired(id)],
  ['is triggered', async (id: string, key: string) => posted(`/v1/schedules/${id}/trigger`, key)],
  ['is filled back', (id: string, key: string) => filledBack(id, key)],
])('a schedule made with a key that was cut down %s: its run starts no more than the key did', async (_how, runOf) => {
  const ci = await account({ role: 'editor' }, { agents: [own] });
  const body = { name: 's', cadence: { every: '15m', startAt: '2026-12-31T00:15:00Z' }, overlapPolicy: 'allow_all' };
  const made = await world.send('POST', `/v1/agents/${own}/schedules`, { token: ci.key, body });
  const parent = await atWork(world, await runOf(made.body.id, ci.key));
  expect(await statuses(parent.runToken)).toEqual([202, 404]);
});

test('a run that is done again has the authority of who asked for that', async () => {
  const ci = await account({ role: 'operator' }, { agents: [own] });
  const first = await running(world, own);
  await first.report([{ runId: first.id, attempt: 1, state: 'ended', exitCode: 0 }]);
  const again = await atWork(world, await posted(`/v1/runs/${first.id}/retry`, ci.key));
  expect(await statuses(again.runToken)).toEqual([202, 404]);
});

async function posted(path: string, key: string, body: object = {}): Promise<string> {
  const answer = await world.send('POST', path, { token: key, body });
  expect(answer.status, answer.text).toBe(202);
  return answer.body.id;
}

async function fired(scheduleId: string): Promise<string> {
  world.now.ms += 15 * 60_000;
  await fire(world.ports, { scheduleId, scheduledTime: world.now.ms });
  return (await world.send('GET', `/v1/runs?agentId=${own}`)).body.items[0].id;
}

async function filledBack(scheduleId: string, key: string): Promise<string> {
  const range = { from: '2026-12-31T23:15:00Z', to: '2026-12-31T23:15:00Z' };
  const answer = await world.send('POST', `/v1/schedules/${scheduleId}/backfill`, { token: key, body: range });
  expect(answer.status, answer.text).toBe(202);
  return (await world.send('GET', `/v1/runs?agentId=${own}`)).body.items[0].id;
}
