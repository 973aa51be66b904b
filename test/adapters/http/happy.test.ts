import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  makeSchedule,
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

/** All rows of a list, page by page, and how many pages it took. */
async function readAll(path: string, limit: number) {
  const ids: string[] = [];
  let cursor: string | undefined;
  for (let pages = 1; pages < 100; pages++) {
    const joint = path.includes('?') ? '&' : '?';
    const from = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await world.send('GET', `${path}${joint}limit=${limit}${from}`);
    expect(answer.status).toBe(200);
    expect(answer.body.items.length).toBeLessThanOrEqual(limit);
    ids.push(...answer.body.items.map((item: { id?: string; sequence?: number }) => item.id ?? item.sequence));
    cursor = answer.body.nextCursor;
    if (cursor === undefined) return { ids, pages };
  }
  throw new Error('the list has no end');
}

describe('agents', () => {
  test('are created with their location and version, read, listed, changed and deleted', async () => {
    const created = await world.send('POST', '/v1/agents', {
      body: {
        name: ' Reporter ',
        command: ['/bin/echo', 'hi'],
        limits: { runTimeout: '15m' },
        metadata: { team: 'x' },
      },
    });
    expect(created.status).toBe(201);
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.headers.get('location')).toBe(`/v1/agents/${created.body.id}`);
    expect(created.body).toMatchObject({
      name: 'Reporter',
      kind: 'oneshot',
      limits: { runTimeout: 'PT15M' },
      version: 1,
    });

    const path = `/v1/agents/${created.body.id}`;
    expect((await world.send('GET', path)).body.name).toBe('Reporter');
    expect((await world.send('GET', '/v1/agents')).body.items).toHaveLength(1);

    const changed = await world.send('PATCH', path, {
      headers: { 'if-match': '"1"' },
      body: { name: 'Writer', limits: null },
    });
    expect(changed.status).toBe(200);
    expect(changed.headers.get('etag')).toBe('"2"');
    expect(changed.body).toMatchObject({ name: 'Writer', version: 2 });
    expect(changed.body.limits).toBeUndefined();

    const deleted = await world.send('DELETE', path, { headers: { 'if-match': '*' } });
    expect([deleted.status, deleted.text]).toEqual([204, '']);
    expect((await world.send('GET', path)).status).toBe(404);
  });

  test('are deleted together with their live runs when that is asked for', async () => {
    const agent = await makeAgent(world);
    const run = await world.send('POST', `/v1/agents/${agent.id}/runs`);
    const deleted = await world.send('DELETE', `/v1/agents/${agent.id}?cancelRuns=true`, {
      headers: { 'if-match': '"1"' },
    });
    expect(deleted.status).toBe(204);
    expect((await world.send('GET', `/v1/runs/${run.body.id}`)).body.status).toBe('cancelled');
  });
});

describe('schedules', () => {
  test('are created, paused, resumed, triggered and deleted while a run is live', async () => {
    const agent = await makeAgent(world);
    const created = await world.send('POST', `/v1/agents/${agent.id}/schedules`, {
      body: {
        name: 'nightly',
        cadence: { cron: '0 3 * * *', timezone: 'Europe/Berlin' },
        input: { a: [1, null, 'x'] },
      },
    });
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe(`/v1/schedules/${created.body.id}`);
    expect(created.body).toMatchObject({ status: 'active', input: { a: [1, null, 'x'] }, overdue: false });
    const path = `/v1/schedules/${created.body.id}`;
    expect(world.clocks.at(-1)?.scheduleId).toBe(created.body.id);
    expect((await world.send('GET', '/v1/schedules')).body.items.map((each: { id: string }) => each.id)).toEqual([
      created.body.id,
    ]);
    expect((await world.send('GET', `/v1/agents/${agent.id}/schedules`)).body.items).toHaveLength(1);

    const patched = await world.send('PATCH', path, {
      headers: { 'if-match': created.headers.get('etag')! },
      body: { cadence: { every: 'PT5M' } },
    });
    expect(patched.status).toBe(200);
    expect(patched.body.cadence.every).toBe('PT5M');

    const paused = await world.send('POST', `${path}/pause`, { body: { reason: 'holiday' } });
    expect([paused.status, paused.body.status, paused.body.pause.reason]).toEqual([200, 'paused', 'holiday']);
    const again = await world.send('POST', `${path}/pause`);
    expect([again.status, again.body.version]).toEqual([200, paused.body.version]);
    expect((await world.send('GET', `${path}/upcoming`)).body.items).toEqual([]);
    const resumed = await world.send('POST', `${path}/resume`, {
      headers: { 'if-match': paused.headers.get('etag')! },
    });
    expect([resumed.status, resumed.body.status]).toEqual([200, 'active']);
    expect((await world.send('GET', `${path}/upcoming?count=3`)).body.items).toHaveLength(3);
    expect((await world.send('GET', `${path}/upcoming`)).body.items).toHaveLength(10);

    const run = await world.send('POST', `${path}/trigger`, { body: { input: 'by hand' } });
    expect(run.status).toBe(202);
    expect(run.headers.get('location')).toBe(`/v1/runs/${run.body.id}`);
    expect(run.body).toMatchObject({
      status: 'queued',
      input: 'by hand',
      scheduleId: created.body.id,
      trigger: { kind: 'trigger', by: 'usr_a' },
    });
    expect((await world.send('GET', `${path}/runs`)).body.items).toHaveLength(1);
    expect((await world.send('GET', `${path}/occurrences`)).body.items).toEqual([]);
    expect((await world.send('GET', path)).body.liveRuns).toEqual([run.body.id]);

    const deleting = await world.send('DELETE', `${path}?cancelRuns=true`, { headers: { 'if-match': '*' } });
    expect(deleting.status).toBe(202);
    expect(['deleting', 'deleted']).toContain(deleting.body.status);
    expect((await world.send('GET', `/v1/runs/${run.body.id}`)).body.status).toBe('cancelled');
    expect((await world.send('GET', path)).body.status).toBe('deleted');
    expect((await world.send('GET', '/v1/schedules')).body.items).toEqual([]);
  });

  test('without live runs are deleted at once', async () => {
    const schedule = await makeSchedule(world, (await makeAgent(world)).id);
    const deleted = await world.send('DELETE', `/v1/schedules/${schedule.id}`, { headers: { 'if-match': '"1"' } });
    expect([deleted.status, deleted.text]).toEqual([204, '']);
  });
});

describe('runs', () => {
  test('are accepted, listed by status and agent, followed and cancelled', async () => {
    const agent = await makeAgent(world);
    const accepted = await world.send('POST', `/v1/agents/${agent.id}/runs`, {
      body: { input: { deep: [{ er: true }] } },
    });
    expect(accepted.status).toBe(202);
    expect(accepted.headers.get('location')).toBe(`/v1/runs/${accepted.body.id}`);
    expect(accepted.headers.get('etag')).toBe(`"${accepted.body.version}"`);
    expect(world.executions).toHaveLength(1);
    const path = `/v1/runs/${accepted.body.id}`;
    const live = await world.send('GET', `/v1/runs?status=live&agentId=${agent.id}`);
    expect(live.body.items.map((each: { id: string }) => each.id)).toEqual([accepted.body.id]);
    expect((await world.send('GET', '/v1/runs?status=succeeded')).body.items).toEqual([]);

    const cancelled = await world.send('POST', `${path}/cancel`, { body: { reason: 'not needed' } });
    expect([cancelled.status, cancelled.body.status]).toEqual([202, 'cancelled']);
    expect(cancelled.body.cancel).toMatchObject({ requestedBy: 'usr_a', reason: 'not needed' });
    const events = await world.send('GET', `${path}/events`);
    expect(events.body.items.map((each: { sequence: number }) => each.sequence)).toEqual([1, 2]);
    expect((await world.send('GET', `${path}/logs`)).body).toMatchObject({
      items: [],
      nextCursor: '0',
      complete: true,
    });
  });

  test('wait for new output as long as they were asked to, and no longer', async () => {
    const agent = await makeAgent(world);
    const { body: run } = await world.send('POST', `/v1/agents/${agent.id}/runs`);
    const logs = `/v1/runs/${run.id}/logs`;
    const started = performance.now();
    const nothing = await world.send('GET', `${logs}?wait=0.5`);
    expect(nothing.body.items).toEqual([]);
    expect(performance.now() - started).toBeGreaterThanOrEqual(490);

    const waiting = world.send('GET', `${logs}?wait=10`);
    await world.ports.logs.putChunk({ tenantId: 'tenant_a', runId: run.id, attempt: 1 }, 0, [
      { atMs: 1, stream: 'stdout', text: 'hello\n' },
    ]);
    const something = await waiting;
    expect(something.body).toMatchObject({ items: [{ text: 'hello\n' }], nextCursor: '1', complete: false });
  });

  test('stop waiting when the reader has gone', async () => {
    const agent = await makeAgent(world);
    const { body: run } = await world.send('POST', `/v1/agents/${agent.id}/runs`);
    const started = performance.now();
    const gone = new AbortController();
    setTimeout(() => gone.abort(), 100);
    await world.app.request(
      new Request(`http://localhost/v1/runs/${run.id}/logs?wait=20`, {
        headers: { authorization: 'Bearer the-admin-token-of-tenant-a' },
        signal: gone.signal,
      }),
    );
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('are cancelled only at the version that If-Match names', async () => {
    const agent = await makeAgent(world);
    const { body: run } = await world.send('POST', `/v1/agents/${agent.id}/runs`);
    const stale = await world.send('POST', `/v1/runs/${run.id}/cancel`, { headers: { 'if-match': '"7"' } });
    expect([stale.status, stale.body.currentVersion]).toEqual([412, 1]);
    const cancelled = await world.send('POST', `/v1/runs/${run.id}/cancel`, { headers: { 'if-match': '"1"' } });
    expect(cancelled.status).toBe(202);
  });
});

describe('lists', () => {
  test('give every row once, over as many pages as it takes', async () => {
    const agent = await makeAgent(world, { name: 'the first' });
    const schedule = await makeSchedule(world, agent.id, { overlapPolicy: 'allow_all' });
    const agents = [agent.id];
    const schedules = [schedule.id];
    const runs: string[] = [];
    const triggered: string[] = [];
    for (let index = 0; index < 7; index++) {
      // Two rows of a kind share each millisecond: an order by time alone would lose some of them.
      if (index % 2 === 0) world.now.ms += 1;
      agents.push((await makeAgent(world)).id);
      schedules.push((await makeSchedule(world, agent.id)).id);
      runs.push((await world.send('POST', `/v1/agents/${agent.id}/runs`)).body.id);
      triggered.push((await world.send('POST', `/v1/schedules/${schedule.id}/trigger`)).body.id);
    }
    const sorted = (ids: readonly unknown[]) => [...ids].sort();
    for (const [path, expected] of [
      ['/v1/agents', agents],
      ['/v1/schedules', schedules],
      [`/v1/agents/${agent.id}/schedules`, schedules],
      ['/v1/runs', [...runs, ...triggered]],
      [`/v1/runs?agentId=${agent.id}&status=live`, [...runs, ...triggered]],
      [`/v1/schedules/${schedule.id}/runs`, triggered],
    ] as const) {
      const all = await readAll(path, 3);
      expect(sorted(all.ids), path).toEqual(sorted(expected));
      expect(all.pages, path).toBeGreaterThan(2);
    }
    const newestFirst = (await readAll('/v1/runs', 4)).ids;
    expect(newestFirst).toEqual([...newestFirst].sort().reverse());
  });

  test('of events keep the order of their sequence', async () => {
    const agent = await makeAgent(world);
    const { body: run } = await world.send('POST', `/v1/agents/${agent.id}/runs`);
    await world.send('POST', `/v1/runs/${run.id}/cancel`);
    const all = await readAll(`/v1/runs/${run.id}/events`, 1);
    expect(all.ids).toEqual([1, 2]);
  });
});

describe('every answer', () => {
  test('says who it was and is not stored', async () => {
    for (const [method, path, token] of [
      ['GET', '/v1/health', null],
      ['GET', '/v1/agents', undefined],
      ['GET', '/v1/agents', null],
      ['GET', '/nowhere', undefined],
      ['DELETE', '/v1/agents', undefined],
    ] as const) {
      const answer = await world.send(method, path, token === undefined ? {} : { token });
      expect(answer.headers.get('x-request-id'), path).toMatch(/^[\w-]{8,}$/);
      expect(answer.headers.get('cache-control'), path).toBe('no-store');
      expect(answer.headers.get('x-content-type-options'), path).toBe('nosniff');
    }
  });

  test('is 304 when the reader has the version already', async () => {
    const agent = await makeAgent(world);
    const schedule = await makeSchedule(world, agent.id);
    const run = (await world.send('POST', `/v1/agents/${agent.id}/runs`)).body;
    for (const path of [`/v1/agents/${agent.id}`, `/v1/schedules/${schedule.id}`, `/v1/runs/${run.id}`]) {
      const first = await world.send('GET', path);
      const tag = first.headers.get('etag')!;
      expect(tag).toBe(`"${first.body.version}"`);
      for (const header of [tag, `W/${tag}`, `"99", ${tag}`, '*']) {
        const same = await world.send('GET', path, { headers: { 'if-none-match': header } });
        expect([same.status, same.text, same.headers.get('etag')]).toEqual([304, '', tag]);
      }
      expect((await world.send('GET', path, { headers: { 'if-none-match': '"99"' } })).status).toBe(200);
    }
  });

  test('to HEAD is that to GET without its body', async () => {
    const agent = await makeAgent(world);
    const head = await world.send('HEAD', `/v1/agents/${agent.id}`);
    expect([head.status, head.text, head.headers.get('etag')]).toEqual([200, '', '"1"']);
    expect((await world.send('HEAD', '/v1/agents/agt_unknown')).status).toBe(404);
  });

  test('of health needs no credential, of system says what each part published', async () => {
    const health = await world.send('GET', '/v1/health', { token: null });
    expect([health.status, health.body]).toEqual([200, { status: 'ok', asOf: '2027-01-01T00:00:00.000Z' }]);
    const system = await world.send('GET', '/v1/system');
    expect(system.body.parts.map((part: { name: string }) => part.name)).toContain('watchdog');
  });
});
