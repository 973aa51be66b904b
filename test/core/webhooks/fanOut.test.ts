/** From an event to deliveries: who is told, once each, and what. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { deliver } from '../../../core/notifications/deliver.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import { WEBHOOK_PREFIX } from '../../../core/table/prefixes.ts';
import { asItem } from '../../../core/table/rows.ts';
import { tellWebhooks } from '../../../core/webhooks/fanOut.ts';
import { wants } from '../../../core/webhooks/filter.ts';
import { deleteWebhook, patchWebhook } from '../../../core/webhooks/service.ts';
import { type TestEngine, testEngine } from '../../support/world.ts';
import { any, apiRun, eventsOf } from '../support.ts';
import { deliveries, eventOf, idsSent, told, turn, webhook } from './support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

test('an event that comes twice, and in two places at once, is one delivery', async () => {
  const world = await engine.world();
  const { id } = await webhook(world);
  const event = eventOf(world);
  await Promise.all([tellWebhooks(world.ports, event), tellWebhooks(world.ports, event)]);
  await turn(world);
  await tellWebhooks(world.ports, event);
  await turn(world);
  expect(world.sent).toHaveLength(1);
  expect((await deliveries(world, id)).map(({ status }) => status)).toEqual(['delivered']);
});

test('says what happened: type, time and data, with the number that orders the events of one thing', async () => {
  const world = await engine.world();
  await webhook(world);
  const event = await told(world);
  await turn(world);
  const [request] = world.sent;
  expect(request).toMatchObject({ url: 'https://example.com/hook', headers: { 'content-type': 'application/json' } });
  expect(JSON.parse(request!.body)).toEqual({
    type: 'run.succeeded',
    timestamp: '2027-03-01T12:00:00.000Z',
    data: {
      id: `${event.subjectId}.3`,
      subject: { kind: 'run', id: event.subjectId },
      sequence: 3,
      status: 'succeeded',
      detail: event.detail,
    },
  });
});

test('real events of a run reach it through fan-out', async () => {
  const world = await engine.world();
  const { id } = await webhook(world, { events: ['run.*'] });
  const run = await apiRun(world);
  for (const event of await eventsOf(world, `RUN#${run.id}`)) await handleEvent(world.ports, event);
  expect((await deliveries(world, id)).map(({ eventType }) => eventType)).toEqual(['run.queued']);
});

test('a batch of the stream reads each tenant’s webhooks once, however many events it has', async () => {
  const world = await engine.world();
  const { id } = await webhook(world, { events: ['run.*'] });
  const runs = [await apiRun(world), await apiRun(world), await apiRun(world)];
  const rows = (await Promise.all(runs.map(({ id }) => eventsOf(world, `RUN#${id}`)))).flat();
  const query = vi.spyOn(world.ports.store, 'query');
  const records = rows.map((row) => ({ number: row.sk, item: asItem(row) }));
  expect(await deliver(world.ports, records)).toBeUndefined();
  expect(query.mock.calls.filter(([{ prefix }]) => prefix === WEBHOOK_PREFIX)).toHaveLength(1);
  expect(await deliveries(world, id)).toHaveLength(rows.length);
});

test('each webhook gets what it asked for, and none of another tenant’s', async () => {
  const world = await engine.world();
  const all = await webhook(world);
  const failures = await webhook(world, { events: ['run.failed', 'schedule.*'] });
  const foreign = await webhook(world, {}, { tenantId: 'other', principalId: 'usr_other' });
  await told(world);
  await told(world, { type: 'run.failed' });
  await told(world, { type: 'schedule.paused', subject: 'schedule' });
  const types = async (id: string) => (await deliveries(world, id)).map(({ eventType }) => eventType).sort();
  expect(await types(all.id)).toEqual(['run.failed', 'run.succeeded', 'schedule.paused']);
  expect(await types(failures.id)).toEqual(['run.failed', 'schedule.paused']);
  await turn(world);
  expect(idsSent(world)).toHaveLength(5);
  expect((await world.ports.store.query({ pk: `WHK#${foreign.id}`, prefix: 'EVT#', limit: 9 })).items).toHaveLength(1);
  expect(world.sent.every(({ url }) => url === 'https://example.com/hook')).toBe(true);
});

test('what is disabled or deleted is told nothing; nobody outside is told who may what', async () => {
  const world = await engine.world();
  const one = await webhook(world);
  const two = await webhook(world);
  await patchWebhook(world.ports, world.caller, one.id, { status: 'disabled' }, any);
  await deleteWebhook(world.ports, world.caller, two.id, any);
  await told(world);
  const three = await webhook(world);
  await told(world, { subject: 'principal', type: 'key.created' });
  expect([await deliveries(world, one.id), await deliveries(world, three.id)]).toEqual([[], []]);
  await turn(world);
  expect(world.sent).toEqual([]);
});

test.each([
  ['*', 'vm.terminated', true],
  ['run.*', 'run.failed', true],
  ['run.*', 'runner.failed', false],
  ['run.failed', 'run.failed', true],
  ['run.failed', 'run.failed_again', false],
  ['watchdog.*', 'watchdog.place', true],
])('%s and %s', (filter, type, expected) => {
  expect(wants([filter], type)).toBe(expected);
});

test('Candor’s own follow-up comes first: what is wrong with a webhook does not keep it back', async () => {
  const world = await engine.world();
  await world.ports.store.transact([
    { kind: 'put', item: { pk: `TEN#${world.caller.tenantId}`, sk: 'WHK#newer', schemaVersion: 99, tenantId: 'x' } },
  ]);
  await expect(handleEvent(world.ports, eventOf(world))).rejects.toThrow('schema version 99');
  expect(world.measured).toContainEqual({ name: 'RunsEnded', value: 1, dimensions: { status: 'succeeded' } });
});
