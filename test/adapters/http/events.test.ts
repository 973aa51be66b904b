import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appendToFeed } from '../../../core/feed/append.ts';
import type { EventRow } from '../../../core/runs/model.ts';
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
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await createHttpWorld(engine);
});

/** What fan-out would do with the agent's events. */
async function fanOut(agentId: string): Promise<void> {
  const { items } = await world.ports.store.query({ pk: `AGT#${agentId}`, prefix: 'EVT#', limit: 100 });
  await appendToFeed(world.ports, items as unknown as readonly EventRow[]);
}

const events = (query = '', token?: string) =>
  world.send('GET', `/v1/events${query}`, token === undefined ? {} : { token });

describe('GET /v1/events', () => {
  it('tells a tenant of its own changes, and of no other', async () => {
    const mine = await makeAgent(world);
    const theirs = await makeAgent(world, {}, OTHER_TOKEN);
    await fanOut(mine.id);
    await fanOut(theirs.id);
    const { status, body } = await events();
    expect(status).toBe(200);
    expect(body.items).toMatchObject([
      { id: `${mine.id}.1`, type: 'agent.created', subject: { kind: 'agent', id: mine.id }, sequence: 1 },
    ]);
    expect(body).toMatchObject({ caughtUp: true, asOf: '2027-01-01T00:00:00.000Z' });
    expect((await events('', OTHER_TOKEN)).body.items).toMatchObject([{ id: `${theirs.id}.1` }]);
    const foreign = await events(`?after=${body.nextCursor}`, OTHER_TOKEN);
    expect(foreign).toMatchObject({ status: 422, body: { errors: [{ pointer: 'after' }] } });
  });

  it('goes on from the cursor of the answer before', async () => {
    const [one, two] = [await makeAgent(world), await makeAgent(world)];
    await fanOut(one.id);
    const first = (await events()).body;
    await fanOut(two.id);
    const second = (await events(`?after=${first.nextCursor}`)).body;
    expect(second.items).toMatchObject([{ subject: { id: two.id } }]);
    expect((await events(`?after=${second.nextCursor}`)).body.items).toEqual([]);
  });

  it('waits for an event, and answers as soon as it is there', async () => {
    const agent = await makeAgent(world);
    const askedAt = performance.now();
    const waiting = events('?after=latest&wait=20');
    await sleep(300);
    await fanOut(agent.id);
    const { body } = await waiting;
    expect(body.items).toHaveLength(1);
    // Not a measurement: it has not waited to the end.
    expect(performance.now() - askedAt).toBeLessThan(15_000);
  });

  it('answers with nothing, and a cursor, when the wait is over', async () => {
    const agent = await makeAgent(world);
    const { body } = await events('?after=latest&wait=0.3');
    expect(body).toMatchObject({ items: [], caughtUp: true });
    await fanOut(agent.id);
    expect((await events(`?after=${body.nextCursor}`)).body.items).toHaveLength(1);
  });

  it('stops waiting when the reader has gone', async () => {
    const reader = new AbortController();
    const request = new Request('http://candor/v1/events?wait=20', {
      headers: { authorization: 'Bearer the-admin-token-of-tenant-a' },
      signal: reader.signal,
    });
    const answer = world.app.request(request);
    await sleep(200);
    reader.abort();
    expect((await answer).status).toBe(200);
  });

  it('chooses by type', async () => {
    const agent = await makeAgent(world);
    await world.send('PATCH', `/v1/agents/${agent.id}`, { body: { name: 'other' }, headers: { 'if-match': '*' } });
    await fanOut(agent.id);
    const types = async (query: string) =>
      (await events(query)).body.items.map(({ type }: { readonly type: string }) => type);
    expect(await types('?type=agent.')).toEqual(['agent.created', 'agent.changed']);
    expect(await types('?type=agent.changed')).toEqual(['agent.changed']);
    expect(await types('?type=run.')).toEqual([]);
  });

  it('says with 410 that the cursor is too old, and what to do', async () => {
    const { body } = await events();
    world.now.ms += 7 * 86_400_000 + 1;
    const answer = await events(`?after=${body.nextCursor}`);
    expect(answer).toMatchObject({ status: 410, body: { code: 'cursor_expired', retentionDays: 7, retryable: false } });
    expect(answer.body.remedy).toContain('?after=latest');
  });

  it.each([
    ['?wait=21', 'wait', 'must be at most 20'],
    ['?wait=-1', 'wait', 'must be at least 0'],
    ['?limit=0', 'limit', 'must be at least 1'],
    ['?limit=101', 'limit', 'must be at most 100'],
    ['?after=', 'after', 'must not be empty'],
    ['?after=MTIz', 'after', 'must be the nextCursor'],
    ['?type=%00', 'type', 'must be the beginning of a type'],
    ['?cursor=x', 'cursor', 'not'],
  ])('refuses %s', async (query, pointer, message) => {
    const { status, body } = await events(query);
    expect(status).toBe(422);
    expect(body.errors).toMatchObject([{ pointer, message: expect.stringContaining(message) }]);
  });
});
