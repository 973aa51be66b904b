/** Limits: one step beyond each is refused with the field, the limit and the remedy; the limit itself is taken. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROUTES } from '../../../adapters/http/app.ts';
import { LocalRates } from '../../../adapters/local/rates.ts';
import { expectProblem } from '../../support/httpRefusals.ts';
import {
  ADMIN_TOKEN,
  type Answer,
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
let agentId: string;
let scheduleId: string;
beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
  agentId = (await makeAgent(world)).id;
  scheduleId = (await makeSchedule(world, agentId)).id;
});
afterAll(() => engine.stop());

const command = ['/bin/true'];
const letters = (count: number) => 'x'.repeat(count);
const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, 'v']));

interface Limit {
  readonly what: string;
  readonly at: (path: { agent: string; schedule: string }) => string;
  readonly method?: string;
  readonly body: (size: number) => object;
  readonly limit: number;
  /** Of the limit itself; of one more. */
  readonly taken: number;
  readonly pointer: string;
}

let names = 0;
const newAgent = { at: () => '/v1/agents', taken: 201 };
const agent = (fields: object) => ({ name: `limit ${++names}`, command, ...fields });
const newSchedule = { at: ({ agent }: { agent: string }) => `/v1/agents/${agent}/schedules`, taken: 201 };
const schedule = (fields: object) => ({ name: `limit ${++names}`, cadence: { every: '1h' }, ...fields });
const newRun = { at: ({ agent }: { agent: string }) => `/v1/agents/${agent}/runs`, taken: 202 };

const INPUT_BYTES = 128 * 1024;
/** As a JSON text it has two bytes more, its quotes. */
const input = (bytes: number) => letters(bytes - 2);

const LIMITS: readonly Limit[] = [
  {
    what: 'the input of a run',
    ...newRun,
    body: (size) => ({ input: input(size) }),
    limit: INPUT_BYTES,
    pointer: '/input',
  },
  {
    what: 'the input of a schedule',
    ...newSchedule,
    body: (size) => schedule({ input: input(size) }),
    limit: INPUT_BYTES,
    pointer: '/input',
  },
  {
    what: 'the input of a trigger',
    at: ({ schedule }) => `/v1/schedules/${schedule}/trigger`,
    taken: 202,
    body: (size) => ({ input: input(size) }),
    limit: INPUT_BYTES,
    pointer: '/input',
  },
  {
    what: 'entries of metadata',
    ...newAgent,
    body: (size) => agent({ metadata: many(size) }),
    limit: 50,
    pointer: '/metadata',
  },
  {
    what: 'a value of metadata',
    ...newSchedule,
    body: (size) => schedule({ metadata: { note: letters(size) } }),
    limit: 512,
    pointer: '/metadata/note',
  },
  {
    what: 'bytes of metadata',
    ...newAgent,
    body: (size) => {
      const full = Object.fromEntries(Array.from('abcdefghijklmno', (name) => [name, letters(510)]));
      const rest = size - JSON.stringify({ ...full, p: '' }).length;
      return agent({ metadata: { ...full, p: letters(rest) } });
    },
    limit: 8 * 1024,
    pointer: '/metadata',
  },
  { what: 'a name', ...newAgent, body: (size) => ({ name: letters(size), command }), limit: 120, pointer: '/name' },
  {
    what: 'the arguments of a command',
    ...newAgent,
    body: (size) => agent({ command: Array.from({ length: size }, () => 'a') }),
    limit: 256,
    pointer: '/command',
  },
  {
    what: 'an argument',
    ...newAgent,
    body: (size) => agent({ command: [letters(size)] }),
    limit: 8192,
    pointer: '/command/0',
  },
  {
    what: 'setup commands',
    ...newAgent,
    body: (size) => agent({ setup: Array.from({ length: size }, () => command) }),
    limit: 20,
    pointer: '/setup',
  },
  {
    what: 'globs of artifacts',
    ...newAgent,
    body: (size) => agent({ artifacts: Array.from({ length: size }, (_, index) => `out/${index}`) }),
    limit: 20,
    pointer: '/artifacts',
  },
  {
    what: 'the reason of a pause',
    at: ({ schedule }) => `/v1/schedules/${schedule}/pause`,
    taken: 200,
    body: (size) => ({ reason: letters(size) }),
    limit: 500,
    pointer: '/reason',
  },
  {
    what: 'fires of a cadence in a day, unconfirmed',
    ...newSchedule,
    body: (size) => schedule({ cadence: { cron: `*/2 0-${size === 300 ? 9 : 10} * * *`, timezone: 'UTC' } }),
    limit: 300,
    pointer: '/cadence/cron',
  },
];

describe.each(LIMITS)('$what', ({ at, body, limit, taken, pointer }) => {
  test(`is taken at ${limit}, and refused beyond with the field, the limit and a remedy`, async () => {
    const path = at({ agent: agentId, schedule: scheduleId });
    const within = await world.send('POST', path, { body: body(limit) });
    expect(within.status, within.text.slice(0, 500)).toBe(taken);
    const beyond = await world.send('POST', path, { body: body(limit + 1) });
    expectProblem(beyond, 'invalid_request', path);
    const error = beyond.body.errors.find((each: { pointer: string }) => each.pointer === pointer);
    expect(error?.message, beyond.text.slice(0, 500)).toContain(String(limit));
  });
});

test('a name of metadata that is too long or empty is refused with what is wrong with it', async () => {
  for (const [name, said] of [
    [letters(65), 'has a name of more than 64 characters'],
    ['', 'has an empty name'],
  ] as const) {
    const answer = await world.send('POST', '/v1/agents', { body: agent({ metadata: { [name]: 'v' } }) });
    expect(answer.body.errors).toEqual([{ pointer: `/metadata/${name}`, message: said }]);
  }
});

test('a body that is too large is 413 with the limit', async () => {
  const limit = INPUT_BYTES + 128 * 1024;
  const answer = await world.send('POST', `/v1/agents/${agentId}/runs`, { rawBody: ' '.repeat(limit + 1) });
  expectProblem(answer, 'payload_too_large', `/v1/agents/${agentId}/runs`);
  expect([answer.body.maxBytes, answer.body.detail]).toEqual([limit, `The body has more than ${limit} bytes.`]);
});

describe('brackets without end', () => {
  const DEPTH = 100_000;
  const open = '['.repeat(DEPTH);
  const bombs = [
    `${open}${']'.repeat(DEPTH)}`,
    open,
    `${'{"a":'.repeat(DEPTH)}1${'}'.repeat(DEPTH)}`,
    `{"input":${open}${']'.repeat(DEPTH)}}`,
    `{"metadata":${open}${']'.repeat(DEPTH)}}`,
  ];

  const taking = ROUTES.filter((route) => route.body !== undefined);
  const runnerTokens: Readonly<Record<string, object>> = {
    registration: { kind: 'registration', tenantId: 'tenant_a', vmId: 'vm_x' },
    vm: { kind: 'vm', tenantId: 'tenant_a', vmId: 'vm_x', generation: 1 },
  };

  test.each(taking.map(({ method, path, access }) => ({ method, path, access })))(
    '$method $path answers 4xx, and goes on answering',
    async ({ method, path, access }) => {
      const where = path
        .replace(':agentId', agentId)
        .replace(':scheduleId', scheduleId)
        .replace(
          /:(runId|backfillId|vmId)/g,
          (_, name) => `${name.slice(0, -2).replace('backfill', 'bkf')}_${'0'.repeat(26)}`,
        )
        .replace(/:\w+/g, '1');
      const claims = runnerTokens[access];
      const token =
        claims === undefined ? ADMIN_TOKEN : await world.ports.tokens.sign(claims as never, world.now.ms + 60_000);
      for (const rawBody of bombs) {
        const options: SendOptions = { token, rawBody, headers: { 'if-match': '*' } };
        const answer: Answer = await world.send(method, where, options);
        expect(answer.status, `${rawBody.slice(0, 20)}: ${answer.text.slice(0, 300)}`).toBeGreaterThanOrEqual(400);
        expect(answer.status, answer.text.slice(0, 300)).toBeLessThan(500);
        expect(answer.body.remedy).toMatch(/\S/);
        expect(answer.text.length).toBeLessThan(20_000);
      }
      expect((await world.send('GET', '/v1/health')).status).toBe(200);
    },
  );
});

describe('a cadence that fires very often', () => {
  const MINUTELY = { cron: '* * * * *', timezone: 'UTC' };
  const path = () => `/v1/agents/${agentId}/schedules`;
  const make = (fields: object) => world.send('POST', path(), { body: schedule(fields) });

  test.each([
    [{ cron: '* * * * *', timezone: 'UTC' }, '/cadence/cron', 1440],
    [{ cron: '*/2 9-20 * * *', timezone: 'UTC' }, '/cadence/cron', 360],
    [{ every: '60s' }, '/cadence/every', 1440],
    [{ every: '4m' }, '/cadence/every', 360],
  ])('%j is refused with the count, and taken when it is confirmed', async (cadence, pointer, count) => {
    const refused = await make({ cadence });
    expectProblem(refused, 'invalid_request', path());
    expect(refused.body.errors).toEqual([
      {
        pointer,
        message: `must be confirmed: it fires ${count} times a day, and 300 is the limit without`,
      },
    ]);
    expect(refused.body.remedy).toContain('"confirmFrequency": true');
    const taken = await make({ cadence, confirmFrequency: true });
    expect([taken.status, taken.body.confirmFrequency]).toEqual([201, undefined]);
  });

  test('is one that an edit makes it; other edits of it need no word', async () => {
    const { id } = (await make({ cadence: { every: '1h' } })).body;
    const patch = (body: object, query = '') =>
      world.send('PATCH', `/v1/schedules/${id}${query}`, { headers: { 'if-match': '*' }, body });
    expect((await patch({ cadence: MINUTELY })).body.errors[0].pointer).toBe('/cadence/cron');
    const dry = await patch({ cadence: MINUTELY }, '?dryRun=true');
    expect([dry.status, dry.body.warnings.at(-1)]).toEqual([200, expect.stringContaining('confirmFrequency')]);
    const taken = await patch({ cadence: MINUTELY, confirmFrequency: true });
    expect([taken.status, taken.body.cadence.cron]).toEqual([200, '* * * * *']);
    expect((await patch({ name: `limit ${++names}`, cadence: MINUTELY })).status).toBe(200);
    expect((await patch({ cadence: { every: '2m' } })).status).toBe(422);
    const revisions = (await world.send('GET', `/v1/schedules/${id}/revisions`)).body.items;
    expect(revisions.flatMap((each: { changed?: readonly string[] }) => each.changed ?? [])).not.toContain(
      'confirmFrequency',
    );
  });

  test('is warned of in a preview', async () => {
    const preview = await world.send('POST', '/v1/schedules/preview', { body: { cadence: MINUTELY } });
    expect(preview.body.warnings.at(-1)).toMatch(/^is taken only with confirmFrequency: 300 times a day/);
  });
});

describe('requests in a minute', () => {
  const limited = (maxRequestsPerMinute: number) =>
    createHttpWorld(engine, {
      config: { maxRequestsPerMinute },
      rates: ({ time, config }) => new LocalRates({ requestsPerMinute: config.maxRequestsPerMinute, time }),
    });
  const get = (of: HttpWorld, token = ADMIN_TOKEN) => of.send('GET', '/v1/agents', { token });

  test('beyond the limit are 429 with Retry-After, for that caller alone, until the time is over', async () => {
    const few = await limited(3);
    for (let count = 0; count < 3; count++) expect((await get(few)).status).toBe(200);
    const refused = await get(few);
    expectProblem(refused, 'rate_limited', '/v1/agents');
    expect([refused.headers.get('retry-after'), refused.body.retryAfterSeconds]).toEqual(['20', 20]);
    expect([refused.body.requestsPerMinute, refused.body.detail]).toEqual([
      3,
      expect.stringContaining('3 requests a minute'),
    ]);
    expect((await get(few, OTHER_TOKEN)).status).toBe(200);
    const claims = {
      kind: 'run',
      tenantId: 'tenant_a',
      vmId: 'vm_x',
      runId: `run_${'0'.repeat(26)}`,
      attempt: 1,
    } as const;
    const run = await few.ports.tokens.sign(claims, few.now.ms + 120_000);
    expect((await few.send('GET', `/v1/runs/${claims.runId}`, { token: run })).status).toBe(404);
    few.now.ms += 20_000;
    expect([(await get(few)).status, (await get(few)).status]).toEqual([200, 429]);
  });

  test('are not counted of runners, of the public routes, and of nobody', async () => {
    const one = await limited(1);
    expect((await get(one)).status).toBe(200);
    for (let count = 0; count < 3; count++) {
      expect((await one.send('GET', '/v1/health', { token: null })).status).toBe(200);
      expect((await get(one, 'no-token-of-ours')).status).toBe(401);
    }
    const vm = { kind: 'vm', tenantId: 'tenant_a', vmId: 'vm_x', generation: 1 } as const;
    const token = await one.ports.tokens.sign(vm, one.now.ms + 60_000);
    for (let count = 0; count < 3; count++)
      expect((await one.send('POST', '/runner/v1/heartbeat', { token, body: {} })).status).toBe(422);
  });

  test('are as many as come where the limit is 0', async () => {
    const free = await limited(0);
    for (let count = 0; count < 50; count++) expect((await get(free)).status).toBe(200);
  });
});
