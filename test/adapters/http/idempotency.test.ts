/** `Idempotency-Key`: one effect and one answer, whoever sends it how often and whoever dies in between. */
import { type AttributeValue, ScanCommand, type ScanCommandOutput } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unmarshallItem } from '../../../adapters/aws/marshall.ts';
import { ROUTES } from '../../../adapters/http/app.ts';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Store } from '../../../core/ports.ts';
import { ClockRejected } from '../../../core/ports.ts';
import { sweepGarbage } from '../../../core/table/garbage.ts';
import type { Write } from '../../../core/table/model.ts';
import {
  type Answer,
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  makeSchedule,
  OTHER_TOKEN,
  startHttpEngine,
} from '../../support/httpWorld.ts';
import { KEYED_POSTS } from './keyedPosts.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());

const KEY = { 'idempotency-key': 'a-key' };
const REQUEST_MS = 31_000;
const DAY_MS = 86_400_000;

const keyOf = (write: Write): string => (write.kind === 'put' ? write.item.pk : write.key.pk);
const isRecord = (write: Write) => keyOf(write).startsWith('IDEM#');
/** The last step of a keyed request: its answer is stored on its record. */
const isAnswer = (writes: readonly Write[]) => writes.length === 1 && writes.every(isRecord);
const takesRecord = (writes: readonly Write[]) => writes.length > 1 && writes.some(isRecord);

type Content = Readonly<Record<string, unknown>>;

/** Everything in the table but the records of keys. */
const contentOf = (world: HttpWorld): Promise<Content> => scanned(world, (pk) => !pk.startsWith('IDEM#'));
const recordsOf = (world: HttpWorld): Promise<Content> => scanned(world, (pk) => pk.startsWith('IDEM#'));

async function scanned(world: HttpWorld, wanted: (pk: string) => boolean): Promise<Content> {
  const content: Record<string, unknown> = {};
  let from: Record<string, AttributeValue> | undefined;
  do {
    const page: ScanCommandOutput = await engine.client.send(
      new ScanCommand({ TableName: world.tableName, ConsistentRead: true, ExclusiveStartKey: from }),
    );
    for (const item of (page.Items ?? []).map(unmarshallItem))
      if (wanted(item.pk)) content[`${item.pk} ${item.sk}`] = item;
    from = page.LastEvaluatedKey;
  } while (from !== undefined);
  return content;
}

const answerOf = ({ status, headers, text }: Answer) => ({
  status,
  etag: headers.get('etag'),
  location: headers.get('location'),
  type: headers.get('content-type'),
  text,
});
const isReplay = ({ headers }: Answer) => headers.get('idempotency-replayed') === 'true';

/** A world whose transactions pass by `watch`, which may throw, before or after they are applied. */
async function watchedWorld(watch: {
  before?: (writes: readonly Write[]) => Promise<void> | void;
  after?: (writes: readonly Write[]) => Promise<void> | void;
}): Promise<HttpWorld> {
  return createHttpWorld(engine, {
    wrapStore: (store: Store): Store => ({
      get: (key) => store.get(key),
      getMany: (keys) => store.getMany(keys),
      query: (range) => store.query(range),
      queryIndex: (range) => store.queryIndex(range),
      transact: async (writes) => {
        await watch.before?.(writes);
        await store.transact(writes);
        await watch.after?.(writes);
      },
    }),
  });
}

test('every POST of the API that has an effect of its own is in the list', () => {
  const posts = ROUTES.filter(({ method, path }) => method === 'POST' && path.startsWith('/v1/'));
  const operations = posts.map(({ operation }) => operation).filter((each) => each !== 'previewCadence');
  expect(KEYED_POSTS.map(({ operation }) => operation).sort()).toEqual(operations.sort());
});

const SECRETS = KEYED_POSTS.filter(({ secret }) => secret !== undefined);

describe.each(SECRETS)('$operation, which shows a secret', ({ status, prepare, secret = '' }) => {
  test('shows it once: a repeat has no effect and learns what to do, and nothing of it is kept', async () => {
    const world = await createHttpWorld(engine);
    const { path, body } = await prepare(world);
    const request = { headers: KEY, ...(body && { body }) };
    const first = await world.send('POST', path, request);
    expect([first.status, typeof first.body[secret]], first.text).toEqual([status, 'string']);
    const stands = await contentOf(world);
    for (let times = 0; times < 2; times++) {
      const again = await world.send('POST', path, request);
      expect([again.status, again.body.code, isReplay(again)], again.text).toEqual([409, 'shown_once', true]);
      if (status === 201) expect(again.body.id).toBe(first.body.id);
      expect(again.text).not.toContain(first.body[secret]);
    }
    expect(await contentOf(world)).toEqual(stands);
    expect(JSON.stringify(await recordsOf(world))).not.toContain(first.body[secret].slice(-20));
  });
});

const takesIfMatch = (operation: string) => ROUTES.find((each) => each.operation === operation)?.ifMatch !== undefined;

describe.each(KEYED_POSTS)('$operation', ({ operation, status, prepare, other, secret }) => {
  test.skipIf(secret)('has one effect and one answer, however often it is sent', async () => {
    const world = await createHttpWorld(engine);
    const { path, body } = await prepare(world);
    const request = { headers: KEY, ...(body && { body }) };
    const before = await contentOf(world);
    const first = await world.send('POST', path, request);
    expect([first.status, isReplay(first)], first.text).toEqual([status, false]);
    const stands = await contentOf(world);
    expect(stands).not.toEqual(before);
    world.now.ms += 60_000;
    for (let times = 0; times < 2; times++) {
      const again = await world.send('POST', path, request);
      expect([answerOf(again), isReplay(again)]).toEqual([answerOf(first), true]);
    }
    expect(await contentOf(world)).toEqual(stands);
  });

  test('is answered again from what stands when its process died before it could answer', async () => {
    let alive = true;
    const world = await watchedWorld({
      before: (writes) => {
        if (!alive && isAnswer(writes)) throw new StoreUnavailable();
      },
      after: (writes) => {
        if (alive || !takesRecord(writes)) return;
        throw new Error('killed here');
      },
    });
    const { path, body } = await prepare(world);
    const request = { headers: KEY, ...(body && { body }) };
    alive = false;
    expect((await world.send('POST', path, request)).status).toBe(500);
    alive = true;
    const stands = await contentOf(world);
    const early = await world.send('POST', path, request);
    expect([early.status, early.body.code, early.headers.get('retry-after')]).toEqual([
      409,
      'idempotency_in_flight',
      '1',
    ]);
    world.now.ms += REQUEST_MS;
    const late = await world.send('POST', path, request);
    expect([late.status, isReplay(late)], late.text).toEqual([secret === undefined ? status : 409, true]);
    expect(await contentOf(world)).toEqual(stands);
    world.now.ms += 60_000;
    expect(answerOf(await world.send('POST', path, request))).toEqual(answerOf(late));
    expect(await contentOf(world)).toEqual(stands);
  });

  // Without a body and without If-Match there is no other request of it.
  const isOnlyOne = other === undefined && !takesIfMatch(operation);
  test.skipIf(isOnlyOne)('is refused under a key that has been sent with another request', async () => {
    const world = await createHttpWorld(engine);
    const { path, body } = await prepare(world);
    await world.send('POST', path, { headers: KEY, ...(body && { body }) });
    const stands = await contentOf(world);
    const requests = takesIfMatch(operation) ? [{ headers: { ...KEY, 'if-match': '"7"' }, ...(body && { body }) }] : [];
    if (other !== undefined) requests.push({ headers: KEY as never, body: other });
    for (const request of requests) {
      const refused = await world.send('POST', path, request);
      expect([refused.status, refused.body.code]).toEqual([422, 'idempotency_key_reused']);
    }
    expect(await contentOf(world)).toEqual(stands);
  });
});

describe('a key', () => {
  let world: HttpWorld;
  beforeEach(async () => {
    world = await createHttpWorld(engine);
  });

  const agents = async (token?: string) =>
    (await world.send('GET', '/v1/agents', token === undefined ? {} : { token })).body.items.length;
  const post = (name: string, headers: Record<string, string> = KEY, token?: string) =>
    world.send('POST', '/v1/agents', {
      headers,
      body: { name, command: ['/bin/true'] },
      ...(token !== undefined && { token }),
    });

  test('is 1 to 255 visible ASCII characters', async () => {
    for (const bad of ['', ' ', 'with space', 'é', 'x'.repeat(256)]) {
      const refused = await post('bad', { 'idempotency-key': bad });
      expect([bad, refused.status, refused.body.errors?.[0]?.pointer]).toEqual([bad, 422, 'Idempotency-Key']);
      expect(refused.body.errors[0].message).toMatch(/1 to 255 visible ASCII/);
    }
    for (const good of ['!', '~', 'x'.repeat(255)])
      expect((await post(good, { 'idempotency-key': good })).status).toBe(good.length > 120 ? 422 : 201);
  });

  test('of another principal, another operation or another path is another key', async () => {
    expect((await post('one')).status).toBe(201);
    const foreign = await post('one', KEY, OTHER_TOKEN);
    expect([foreign.status, isReplay(foreign), await agents(OTHER_TOKEN)]).toEqual([201, false, 1]);
    const [one, two] = [await makeAgent(world), await makeAgent(world)];
    const runs = [];
    for (const agent of [one, two])
      runs.push(await world.send('POST', `/v1/agents/${agent.id}/runs`, { headers: KEY }));
    expect(runs.map((each) => [each.status, isReplay(each)])).toEqual([
      [202, false],
      [202, false],
    ]);
    const schedule = await makeSchedule(world, one.id);
    const paused = await world.send('POST', `/v1/schedules/${schedule.id}/pause`, { headers: KEY });
    const resumed = await world.send('POST', `/v1/schedules/${schedule.id}/resume`, { headers: KEY });
    expect([paused.body.status, resumed.body.status]).toEqual(['paused', 'active']);
  });

  test('gives no answer of before to who may not ask for it now', async () => {
    const [mine, yours] = [await makeAgent(world), await makeAgent(world)];
    const agents = { [mine.id]: 'operator', [yours.id]: 'operator' };
    const { id } = (await world.send('POST', '/v1/principals', { body: { name: 'two', agents } })).body;
    const keyFor = async (agent: string) => {
      const body = { name: agent, agents: [agent] };
      return (await world.send('POST', `/v1/principals/${id}/keys`, { body })).body.key;
    };
    const start = (token: string) => world.send('POST', `/v1/agents/${mine.id}/runs`, { headers: KEY, token });
    const [mayAsk, mayNot] = [await keyFor(mine.id), await keyFor(yours.id)];
    const first = await start(mayAsk);
    expect([first.status, answerOf(await start(mayAsk))]).toEqual([202, answerOf(first)]);
    const refused = await start(mayNot);
    expect([refused.status, refused.body.code]).toEqual([422, 'idempotency_key_reused']);
    expect(refused.text).not.toContain(first.body.id);
  });

  test('stands for the same request whatever the order of its fields and the space between them', async () => {
    const agent = await makeAgent(world);
    const path = `/v1/agents/${agent.id}/runs`;
    const first = await world.send('POST', path, { headers: KEY, rawBody: '{"input":{"a":[1,2],"b":{"c":1,"d":2}}}' });
    const again = await world.send('POST', path, {
      headers: KEY,
      rawBody: '{ "input": {"b":{"d":2,"c":1}, "a":[1,2]} }',
    });
    expect([answerOf(again), isReplay(again)]).toEqual([answerOf(first), true]);
    const swapped = await world.send('POST', path, {
      headers: KEY,
      rawBody: '{"input":{"a":[2,1],"b":{"c":1,"d":2}}}',
    });
    expect(swapped.status).toBe(422);
  });

  test('is free again when its time is over, and its record is swept', async () => {
    world = await createHttpWorld(engine, { config: { sweepsGarbage: true } });
    const agent = await makeAgent(world);
    const path = `/v1/agents/${agent.id}/runs`;
    const first = await world.send('POST', path, { headers: KEY });
    world.now.ms += DAY_MS - 1000;
    expect(isReplay(await world.send('POST', path, { headers: KEY }))).toBe(true);
    expect(await sweepGarbage(world.ports)).toBe(0);
    world.now.ms += 1000;
    const later = await world.send('POST', path, { headers: KEY, body: { input: 'another one' } });
    expect([later.status, isReplay(later)]).toEqual([202, false]);
    expect(later.body.id).not.toBe(first.body.id);
    // It is in use again: the sweep of what the index said of its first life lets it be.
    expect(await sweepGarbage(world.ports)).toBe(0);
    world.now.ms += DAY_MS;
    expect([await sweepGarbage(world.ports), await sweepGarbage(world.ports)]).toEqual([1, 0]);
  });

  test('of a run is the run’s own, over its attempts', async () => {
    const agent = await makeAgent(world);
    const parent = (await world.send('POST', `/v1/agents/${agent.id}/runs`, { headers: KEY })).body;
    const claims = { kind: 'run', tenantId: 'tenant_a', vmId: 'vm_x', runId: parent.id, attempt: 1 } as const;
    const token = await world.ports.tokens.sign(claims, world.now.ms + 1000);
    const start = (bearer: string) =>
      world.send('POST', `/v1/agents/${agent.id}/runs`, { headers: KEY, token: bearer });
    const child = await start(token);
    expect([child.status, isReplay(child), child.body.parentRunId]).toEqual([202, false, parent.id]);
    expect(answerOf(await start(token))).toEqual(answerOf(child));
    const second = await world.ports.tokens.sign({ ...claims, attempt: 2 }, world.now.ms + 1000);
    expect(answerOf(await start(second))).toEqual(answerOf(child));
    expect((await world.send('GET', `/v1/runs/${parent.id}/children`)).body.created).toBe(1);
  });

  test('of a request that changed nothing can be sent again, and with another body', async () => {
    expect((await post('')).status).toBe(422);
    await post('taken', {});
    expect((await post('taken')).body.code).toBe('name_taken');
    expect((await post('free')).status).toBe(201);
    const missing = await world.send('POST', `/v1/agents/agt_${'0'.repeat(26)}/runs`, { headers: KEY });
    expect(missing.status).toBe(404);
  });

  test('is said in the document and in the status of the system', async () => {
    expect((await world.send('GET', '/v1/system')).body.limits.idempotencyKeyRetention).toBe('P1D');
  });
});

describe('a problem', () => {
  test('after an effect is what the repeat hears too: the clock refused the schedule, which is taken back', async () => {
    const world = await createHttpWorld(engine);
    const agent = await makeAgent(world);
    let puts = 0;
    world.ports.clock.put = async () => {
      puts++;
      throw new ClockRejected('it will not have this');
    };
    const request = { headers: KEY, body: { name: 'refused', cadence: { every: '1h' } } };
    const path = `/v1/agents/${agent.id}/schedules`;
    const first = await world.send('POST', path, request);
    expect([first.status, first.body.code]).toEqual([422, 'invalid_request']);
    const again = await world.send('POST', path, request);
    expect([answerOf(again), isReplay(again), puts]).toEqual([answerOf(first), true, 1]);
    expect(again.headers.get('content-type')).toBe('application/problem+json');
  });

  test('that passes is not kept: the repeat learns what became of the effect, at once', async () => {
    let fail = true;
    const world = await watchedWorld({
      after: (writes) => {
        // Applied, and then the table does not answer any more: not even to say whether it was.
        if (fail && writes.some((write) => write.kind === 'put' && write.item.type === 'schedule.paused'))
          throw new StoreUnavailable();
      },
    });
    const get = world.ports.store.get.bind(world.ports.store);
    const agent = await makeAgent(world);
    const schedule = await makeSchedule(world, agent.id);
    (world.ports.store as { get: Store['get'] }).get = async (key) => {
      if (fail && key.sk.startsWith('EVT#')) throw new StoreUnavailable();
      return get(key);
    };
    const path = `/v1/schedules/${schedule.id}/pause`;
    expect((await world.send('POST', path, { headers: KEY })).status).toBe(503);
    fail = false;
    const again = await world.send('POST', path, { headers: KEY });
    expect([again.status, isReplay(again), again.body.status, again.body.version]).toEqual([200, true, 'paused', 2]);
  });
});

describe('twins', () => {
  test('one that comes while the first is at work is told to wait', async () => {
    const early: Answer[] = [];
    const world = await watchedWorld({
      before: async (writes) => {
        if (isAnswer(writes)) early.push(await world.send('POST', path, { headers: KEY }));
      },
    });
    const agent = await makeAgent(world);
    const path = `/v1/agents/${agent.id}/runs`;
    const first = await world.send('POST', path, { headers: KEY });
    expect(early.map(({ status, body }) => [status, body.code, body.retryable])).toEqual([
      [409, 'idempotency_in_flight', true],
    ]);
    expect(answerOf(await world.send('POST', path, { headers: KEY }))).toEqual(answerOf(first));
  });

  test('one whose twin gets ahead between its decision and its write has no effect, and gets the twin’s answer', async () => {
    let twin: Answer | undefined;
    let played = false;
    const world = await watchedWorld({
      before: async (writes) => {
        if (played || !takesRecord(writes)) return;
        played = true;
        twin = await world.send('POST', '/v1/agents', request);
      },
    });
    const request = { headers: KEY, body: { name: 'twin', command: ['/bin/true'] } };
    const answer = await world.send('POST', '/v1/agents', request);
    expect(twin?.status).toBe(201);
    expect([answerOf(answer), isReplay(answer)]).toEqual([answerOf(twin as Answer), true]);
    expect((await world.send('GET', '/v1/agents')).body.items).toHaveLength(1);
  });

  test('one that is refused only because its twin got ahead gets the twin’s answer, not the refusal', async () => {
    let twin: Answer | undefined;
    let played = false;
    const world = await createHttpWorld(engine, {
      wrapStore: (store) => ({
        get: async (key) => {
          // After it has looked for a record, before it looks for the name.
          if (!played && key.sk.startsWith('AGTNAME#')) {
            played = true;
            twin = await world.send('POST', '/v1/agents', request);
          }
          return store.get(key);
        },
        getMany: (keys) => store.getMany(keys),
        query: (range) => store.query(range),
        queryIndex: (range) => store.queryIndex(range),
        transact: (writes) => store.transact(writes),
      }),
    });
    const request = { headers: KEY, body: { name: 'twin', command: ['/bin/true'] } };
    const answer = await world.send('POST', '/v1/agents', request);
    expect(twin?.status).toBe(201);
    expect([answerOf(answer), isReplay(answer)]).toEqual([answerOf(twin as Answer), true]);
  });

  test.each(['/v1/agents', 'runs', 'trigger'])('fifty at once have one effect and one answer: %s', async (what) => {
    const world = await createHttpWorld(engine);
    const agent = await makeAgent(world);
    const schedule = await makeSchedule(world, agent.id, { overlapPolicy: 'allow_all' });
    const path = { runs: `/v1/agents/${agent.id}/runs`, trigger: `/v1/schedules/${schedule.id}/trigger` }[what] ?? what;
    const body = what === '/v1/agents' ? { name: 'fifty', command: ['/bin/true'] } : { input: 'x' };
    const persistent = async (): Promise<Answer> => {
      for (;;) {
        const answer = await world.send('POST', path, { headers: KEY, body });
        if (answer.body.code !== 'idempotency_in_flight') return answer;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const answers = await Promise.all(Array.from({ length: 50 }, persistent));
    expect(new Set(answers.map((each) => JSON.stringify(answerOf(each)))).size).toBe(1);
    expect(answers.filter((each) => !isReplay(each))).toHaveLength(1);
    const runs = (await world.send('GET', '/v1/runs')).body.items.length;
    const agents = (await world.send('GET', '/v1/agents')).body.items.length;
    expect([agents, runs]).toEqual(what === '/v1/agents' ? [2, 0] : [1, 1]);
  });
});
