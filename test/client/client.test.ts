/** The client against the API itself (over a real store), and against servers that misbehave. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Aborted,
  Candor,
  type ClientOptions,
  NoAnswer,
  ProblemError,
  StrangeAnswer,
  UnfitParameter,
} from '../../client/src/index.ts';
import { ADMIN_TOKEN, createHttpWorld, type Engine, type HttpWorld, startHttpEngine } from '../support/httpWorld.ts';

const ENDPOINT = { url: 'http://candor.test/', token: ADMIN_TOKEN };
const agentIdOf = (character: string) => `agt_${character.repeat(26)}`;

describe('against the API', () => {
  let engine: Engine;
  let world: HttpWorld;
  let candor: Candor;
  beforeAll(async () => {
    engine = await startHttpEngine();
  });
  afterAll(() => engine.stop());
  beforeEach(async () => {
    world = await createHttpWorld(engine);
    candor = new Candor({
      endpoint: ENDPOINT,
      fetch: async (input, init) => world.app.request(new Request(input as URL, init)),
    });
  });
  const agent = (name: string) => candor.call('createAgent', { body: { name, command: ['/bin/true'] } });

  it('creates, reads, changes on the condition of the version, and deletes', async () => {
    const created = await candor.send('createAgent', { body: { name: 'a', command: ['/bin/true'] } });
    const { id } = created.body;
    expect(created).toMatchObject({ status: 201, version: '1', location: `/v1/agents/${id}` });
    expect(created.requestId).toMatch(/^[\w-]{8,}$/);
    const path = { agentId: id };
    const changed = await candor.call('updateAgent', { path, ifMatch: created.version ?? 1, body: { name: 'b' } });
    expect([changed.name, changed.version]).toEqual(['b', 2]);
    const stale = candor.call('updateAgent', { path, ifMatch: 1, body: { name: 'c' } });
    await expect(stale).rejects.toMatchObject({ status: 412, code: 'version_conflict', version: '2' });
    expect(await candor.call('deleteAgent', { path, ifMatch: '"2"' })).toBeUndefined();
    const gone = await candor.call('getAgent', { path }).catch((error: unknown) => error);
    expect(gone).toBeInstanceOf(ProblemError);
    expect((gone as ProblemError).problem).toMatchObject({ code: 'not_found', retryable: false });
    expect((gone as ProblemError).problem.remedy).toMatch(/\S/);
  });

  it('tells each wrong field', async () => {
    const wrong = candor.call('createAgent', { body: { name: '', command: [] } });
    const problem = ((await wrong.catch((error: unknown) => error)) as ProblemError).problem;
    expect(problem.errors?.map(({ pointer }) => pointer).toSorted()).toEqual(['/command', '/name']);
  });

  it('reads lists page by page and item by item, each once', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await agent(name);
    const sizes: number[] = [];
    for await (const page of candor.pages('listAgents', { query: { limit: 2 } })) sizes.push(page.items.length);
    expect(sizes).toEqual([2, 2, 1]);
    const names: string[] = [];
    for await (const each of candor.items('listAgents', { query: { limit: 3 } })) names.push(each.name);
    expect(names.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('follows a log until it is complete, with what comes meanwhile', async () => {
    const { id } = await agent('a');
    const run = await candor.call('createRun', { path: { agentId: id } });
    const address = { tenantId: 'tenant_a', runId: run.id, attempt: 1 };
    const put = (chunk: number, text: string) =>
      world.ports.logs.putChunk(address, chunk, [{ atMs: chunk, stream: 'stdout', text }]);
    await put(0, 'one\n');
    const seen: string[] = [];
    for await (const { items, complete } of candor.followLogs(run.id)) {
      seen.push(...items.map(({ text }) => text ?? ''));
      if (seen.length === 1) await put(1, 'two\n');
      if (seen.length === 2 && !complete) await candor.call('cancelRun', { path: { runId: run.id } });
    }
    expect(seen).toEqual(['one\n', 'two\n']);
  });

  it('ends a wait when its signal says so', async () => {
    const { id } = await agent('a');
    const run = await candor.call('createRun', { path: { agentId: id } });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const following = (async () => {
      for await (const _ of candor.followLogs(run.id, { signal: stop.signal }));
    })();
    await expect(following).rejects.toBeInstanceOf(Aborted);
  });
});

describe('with a server that', () => {
  interface Sent {
    readonly url: string;
    readonly method: string;
    readonly headers: Headers;
    readonly redirect: string | undefined;
  }
  let sent: Sent[] = [];
  beforeEach(() => {
    sent = [];
  });

  /** Each request gets the next answer; the last one again and again. */
  function facing(answers: readonly (Response | Error)[], options: Partial<ClientOptions> = {}): Candor {
    let next = 0;
    return new Candor({
      endpoint: ENDPOINT,
      fetch: async (input, init) => {
        const headers = new Headers(init?.headers);
        sent.push({ url: String(input), method: init?.method ?? 'GET', headers, redirect: init?.redirect });
        init?.signal?.throwIfAborted();
        const answer = answers[Math.min(next++, answers.length - 1)];
        if (answer instanceof Response) return answer.clone();
        throw answer;
      },
      ...options,
    });
  }
  const json = (body: unknown, status = 200, headers = {}) =>
    new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
  const refused = Object.assign(new TypeError('fetch failed'), {
    cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
  });
  const cut = Object.assign(new TypeError('fetch failed'), {
    cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }),
  });
  const health = { status: 'ok', asOf: '2027-01-01T00:00:00.000Z' };

  it('is away for a moment: reads are sent again, and the endpoint is asked for anew', async () => {
    let asked = 0;
    const candor = facing([refused, json({}, 503, { 'retry-after': '0' }), json(health)], {
      endpoint: async () => ({ ...ENDPOINT, url: `http://candor${++asked}.test` }),
    });
    expect(await candor.call('getHealth')).toEqual(health);
    expect(sent.map(({ url }) => new URL(url).host)).toEqual(['candor1.test', 'candor2.test', 'candor2.test']);
  });

  it('stays away: after three tries it is said, and that nothing was done', async () => {
    const failure = await facing([refused])
      .call('getHealth')
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NoAnswer);
    expect(failure).toMatchObject({ reason: 'ECONNREFUSED', unsure: false });
    expect(sent).toHaveLength(3);
  });

  it.each([
    ['cut the connection', cut, true],
    ['never took it', refused, false],
  ])('%s: a write is not sent again, and what is known of it is said', async (_, error, unsure) => {
    const failure = await facing([error])
      .call('updateAgent', { path: { agentId: agentIdOf('0') }, ifMatch: 1, body: {} })
      .catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ unsure });
    expect(sent).toHaveLength(1);
  });

  it('fails a POST: it is sent again under a key of its own, and what came before it had an end is waited for', async () => {
    const inFlight = json({ code: 'idempotency_in_flight' }, 409, { 'retry-after': '0' });
    await facing([cut, inFlight, json({ id: 'run_x' }, 202)]).call('createRun', { path: { agentId: agentIdOf('0') } });
    const keys = sent.map(({ headers }) => headers.get('idempotency-key'));
    expect(keys).toEqual([keys[0], keys[0], keys[0]]);
    expect(keys[0]).toMatch(/^[\w-]{36}$/);
  });

  it('takes a key of the caller', async () => {
    const candor = facing([cut, json({ id: 'run_x' }, 202)]);
    await candor.call('createRun', { path: { agentId: agentIdOf('0') }, idempotencyKey: 'mine' });
    expect(sent.map(({ headers }) => headers.get('idempotency-key'))).toEqual(['mine', 'mine']);
  });

  it('asks to wait: the wait is as long as it says', async () => {
    const begun = performance.now();
    await facing([json({}, 429, { 'retry-after': '1' }), json(health)]).call('getHealth');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(1000);
  });

  it('is no Candor server', async () => {
    const candor = facing([new Response('<html>hello</html>', { headers: { 'content-type': 'text/html' } })]);
    await expect(candor.call('getHealth')).rejects.toBeInstanceOf(StrangeAnswer);
  });

  it('redirects: it is told, not followed', async () => {
    const candor = facing([new Response(null, { status: 302, headers: { location: 'https://elsewhere.test/' } })]);
    await expect(candor.call('getHealth')).rejects.toMatchObject({
      status: 302,
      message: 'It redirects to https://elsewhere.test/.',
    });
    expect(sent.map(({ redirect }) => redirect)).toEqual(['manual']);
  });

  it('keeps artifacts elsewhere: they are fetched from there, without the credential', async () => {
    const there = 'https://bucket.test/key?signature=x';
    const candor = facing([new Response(null, { status: 307, headers: { location: there } }), new Response('bytes')]);
    const response = await candor.openArtifact('run_x', 'a/b.txt');
    const chunks: Uint8Array[] = [];
    for await (const chunk of candor.bytesOf(response)) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('bytes');
    expect(sent.map(({ headers }) => headers.has('authorization'))).toEqual([true, false]);
    expect(sent[0]?.url).toBe('http://candor.test/v1/runs/run_x/artifacts/content?path=a%2Fb.txt');
  });

  it('has a list that goes in a circle: it is not read for ever', async () => {
    const candor = facing([json({ items: [], nextCursor: 'x', asOf: health.asOf })]);
    const reading = (async () => {
      for await (const _ of candor.pages('listAgents'));
    })();
    await expect(reading).rejects.toThrow(/points to itself/);
  });

  it('is not asked for a path that is none', async () => {
    const candor = facing([json(health)]);
    for (const agentId of ['', '.', '..'])
      await expect(candor.call('getAgent', { path: { agentId } })).rejects.toBeInstanceOf(UnfitParameter);
    await candor.call('getAgent', { path: { agentId: '../x?y#z' } });
    expect(sent.map(({ url }) => url)).toEqual(['http://candor.test/v1/agents/..%2Fx%3Fy%23z']);
  });

  it('takes longer than it may', async () => {
    const candor = new Candor({
      endpoint: ENDPOINT,
      timeoutMs: 20,
      tries: 1,
      fetch: (_, init) =>
        new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))),
    });
    await expect(candor.call('getHealth')).rejects.toMatchObject({ timedOutAfterMs: 20, unsure: false });
  });
});
