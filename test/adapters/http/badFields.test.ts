/** Wrong fields and parameters: each is named, in plain words. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, makeStanding, type Row, type Standing, testRefusals } from '../../support/httpRefusals.ts';
import { createHttpWorld, type Engine, type HttpWorld, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
let at: Standing;

beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
  at = await makeStanding(world);
});
afterAll(() => engine.stop());

const every = { every: '15m' };
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
/** A JSON Schema of so many levels of schemas. */
const schemaOf = (levels: number): object =>
  levels === 1 ? { type: 'array' } : { type: 'array', items: schemaOf(levels - 1) };
const newAgent = (title: string, body: unknown, pointer: string, message: RegExp): Row => ({
  title: `an agent with ${title}`,
  method: 'POST',
  path: () => '/v1/agents',
  options: { body },
  code: 'invalid_request',
  pointer,
  message,
});
const newSchedule = (title: string, body: unknown, pointer: string, message: RegExp): Row => ({
  title: `a schedule with ${title}`,
  method: 'POST',
  path: (at) => `/v1/agents/${at.agent}/schedules`,
  options: { body },
  code: 'invalid_request',
  pointer,
  message,
});
const newRun = (title: string, rawBody: string, pointer: string, message: RegExp): Row => ({
  title: `a run with ${title}`,
  method: 'POST',
  path: (at) => `/v1/agents/${at.agent}/runs`,
  options: { rawBody },
  code: 'invalid_request',
  pointer,
  message,
});
const query = (path: string, pointer: string, message: RegExp): Row => ({
  title: `the query of ${path}`,
  method: 'GET',
  path: (at) => path.replace(/\{(\w+)\}/, (_, name) => at[name as keyof typeof at]),
  code: 'invalid_request',
  pointer,
  message,
});
const command = ['/bin/true'];

const FIELDS: readonly Row[] = [
  newAgent(
    'an unknown field',
    { name: 'x', command, comand: [] },
    '/comand',
    /^is not a known field; did you mean command\?$/,
  ),
  newAgent('an unknown field far from any', { name: 'x', command, zebra: 1 }, '/zebra', /^is not a known field$/),
  newAgent(
    'an unknown field inside',
    { name: 'x', command, limits: { run_timeout: '1m' } },
    '/limits/run_timeout',
    /did you mean runTimeout/,
  ),
  newAgent('an unknown field that needs escapes', { name: 'x', command, 'a/b~c': 1 }, '/a~1b~0c', /not a known field/),
  newAgent('no name', { command }, '/name', /^is required$/),
  newAgent('an empty name', { name: '  ', command }, '/name', /^must not be empty$/),
  newAgent(
    'a name that is too long',
    { name: 'x'.repeat(121), command },
    '/name',
    /^must have at most 120 characters$/,
  ),
  newAgent('a name of another type', { name: 7, command }, '/name', /^must be a string, got a number$/),
  newAgent('no command', { name: 'x' }, '/command', /^is required$/),
  newAgent('a command that is text', { name: 'x', command: 'ls -l' }, '/command', /^must be an array, got a string$/),
  newAgent('an empty command', { name: 'x', command: [] }, '/command', /^must name a program$/),
  newAgent(
    'an argument of another type',
    { name: 'x', command: ['a', null] },
    '/command/1',
    /^must be a string, got null$/,
  ),
  newAgent(
    'a reserved variable',
    { name: 'x', command, env: { CANDOR_URL: 'x' } },
    '/env/CANDOR_URL',
    /^must not begin with CANDOR_/,
  ),
  newAgent(
    'a variable that is no name',
    { name: 'x', command, env: { '1x': 'x' } },
    '/env/1x',
    /^must be a variable name/,
  ),
  newAgent(
    'a variable of another type',
    { name: 'x', command, env: { A: 1 } },
    '/env/A',
    /^must be text or \{"secret": "<its id>"\}$/,
  ),
  newAgent('a relative folder', { name: 'x', command, workingDirectory: 'tmp' }, '/workingDirectory', /absolute path/),
  newAgent('a kind to come', { name: 'x', command, kind: 'session' }, '/kind', /must be oneshot/),
  newAgent(
    'a limit that is no duration',
    { name: 'x', command, limits: { runTimeout: 'soon' } },
    '/limits/runTimeout',
    /ISO 8601 duration/,
  ),
  newAgent(
    'a limit out of range',
    { name: 'x', command, limits: { startTimeout: '1s' } },
    '/limits/startTimeout',
    /between PT10S and P1D/,
  ),
  newAgent(
    'a count of nothing',
    { name: 'x', command, limits: { maxConcurrentRuns: 0 } },
    '/limits/maxConcurrentRuns',
    /at least 1/,
  ),
  newAgent(
    'a count that is no whole number',
    { name: 'x', command, limits: { maxConcurrentVms: 1.5 } },
    '/limits/maxConcurrentVms',
    /whole number/,
  ),
  newAgent(
    'too many output bytes',
    { name: 'x', command, limits: { maxOutputBytes: 2 ** 21 } },
    '/limits/maxOutputBytes',
    /at most 1048576/,
  ),
  newAgent(
    'a setup timeout of days',
    { name: 'x', command, limits: { setupTimeout: 'P2D' } },
    '/limits/setupTimeout',
    /between PT1S and PT6H/,
  ),
  newAgent(
    'a queue timeout that is too short',
    { name: 'x', command, limits: { queueTimeout: '1s' } },
    '/limits/queueTimeout',
    /between PT10S and P30D/,
  ),
  newAgent('too many attempts', { name: 'x', command, retry: { maxAttempts: 11 } }, '/retry/maxAttempts', /at most 10/),
  newAgent(
    'a backoff of hours',
    { name: 'x', command, retry: { backoff: 'PT2H' } },
    '/retry/backoff',
    /between PT0S and PT1H/,
  ),
  newAgent(
    'an unknown rule of retries',
    { name: 'x', command, retry: { attempts: 2 } },
    '/retry/attempts',
    /not a known field/,
  ),
  newAgent(
    'criteria that prove nothing',
    { name: 'x', command, successCriteria: {} },
    '/successCriteria',
    /must name exitCode, artifact or outputSchema/,
  ),
  newAgent(
    'an exit code that cannot be',
    { name: 'x', command, successCriteria: { exitCode: 256 } },
    '/successCriteria/exitCode',
    /at most 255/,
  ),
  newAgent(
    'a schema of no known type',
    { name: 'x', command, successCriteria: { outputSchema: { type: 'zebra' } } },
    '/successCriteria/outputSchema',
    /JSON Schema/,
  ),
  newAgent(
    'a schema with a pattern',
    { name: 'x', command, successCriteria: { outputSchema: { type: 'string', pattern: '(a+)+$' } } },
    '/successCriteria/outputSchema',
    /must not use pattern/,
  ),
  ...[1e126, -1e300, 1e-131].map((maximum) =>
    newAgent(
      `a schema with the number ${maximum}`,
      { name: 'x', command, successCriteria: { outputSchema: { type: 'number', maximum } } },
      '/successCriteria/outputSchema',
      /must hold no number beyond/,
    ),
  ),
  newAgent(
    'a schema of many levels',
    { name: 'x', command, successCriteria: { outputSchema: schemaOf(25) } },
    '/successCriteria/outputSchema',
    /not be nested deeper than 24 levels/,
  ),
  newAgent(
    'a schema of a field without a name',
    { name: 'x', command, successCriteria: { outputSchema: { properties: { '': {} } } } },
    '/successCriteria/outputSchema',
    /must hold no empty name/,
  ),
  newAgent(
    'an artifact outside',
    { name: 'x', command, artifacts: ['ok/*', '../up'] },
    '/artifacts/1',
    /relative to the working folder/,
  ),
  newAgent(
    'too many artifacts',
    { name: 'x', command, artifacts: Array.from({ length: 21 }, (_, n) => `a${n}`) },
    '/artifacts',
    /at most 20/,
  ),
  newAgent(
    'a setup command that is text',
    { name: 'x', command, setup: ['npm ci'] },
    '/setup/0',
    /must be an array, got a string/,
  ),
  newAgent(
    'a repository with a password',
    { name: 'x', command, repository: { url: 'https://me:pw@host/p.git', ref: 'main' } },
    '/repository/url',
    /must not hold a password or token/,
  ),
  ...[
    'https://me%3Apw@host/p.git',
    'https://:pw@host/p.git',
    'https://a:b@c@host/p.git',
    `https://ghp_${'x'.repeat(8)}@host/p.git`,
    `https://${'x'.repeat(40)}@host/p.git`,
    'https://host/p.git?private_token=x',
    'https://host/p.git#x',
  ].map((url) =>
    newAgent(
      `a repository with a credential in ${url}`,
      { name: 'x', command, repository: { url, ref: 'main' } },
      '/repository/url',
      /must not hold a password or token/,
    ),
  ),
  newAgent(
    'a repository that is no URL',
    { name: 'x', command, repository: { url: '--upload-pack=x', ref: 'main' } },
    '/repository/url',
    /must be a git URL/,
  ),
  newAgent(
    'a ref that is an option',
    { name: 'x', command, repository: { url: 'https://host/p.git', ref: '--help' } },
    '/repository/ref',
    /must be a branch/,
  ),
  newAgent(
    'a secret that is no name',
    { name: 'x', command, env: { KEY: { secret: '../x' } } },
    '/env/KEY/secret',
    /letters, digits, dots/,
  ),
  newAgent('an unknown reuse', { name: 'x', command, reuse: 'always' }, '/reuse', /must be one of same_agent, never/),
  newAgent('too many slots', { name: 'x', command, slots: 17 }, '/slots', /at most 16/),
  newAgent('a warm time of weeks', { name: 'x', command, warmFor: 'P7D' }, '/warmFor', /between PT0S and P1D/),
  newAgent(
    'no memory',
    { name: 'x', command, requirements: { memoryMiB: 1 } },
    '/requirements/memoryMiB',
    /at least 128/,
  ),
  newAgent(
    'an architecture of another world',
    { name: 'x', command, requirements: { architecture: 'mips' } },
    '/requirements/architecture',
    /must be one of x86_64, arm64/,
  ),
  newAgent(
    'an instance type that is none',
    { name: 'x', command, requirements: { instanceTypes: ['large'] } },
    '/requirements/instanceTypes/0',
    /such as m7g.large/,
  ),
  newAgent('an image that is no AMI', { name: 'x', command, image: 'ubuntu:24.04' }, '/image', /id of an AMI/),
  newAgent(
    'too much metadata',
    {
      name: 'x',
      command,
      metadata: Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, 'v'.repeat(400)])),
    },
    '/metadata',
    /^has \d+ bytes/,
  ),
  newAgent('a body that is a list', [], '', /^must be an object, got an array$/),
  newSchedule(
    'two cadences',
    { name: 'x', cadence: { every: '5m', cron: '* * * * *', timezone: 'UTC' } },
    '/cadence',
    /exactly one of cron, every or at: it has cron and every/,
  ),
  newSchedule('no cadence', { name: 'x' }, '/cadence', /^is required$/),
  newSchedule('an empty cadence', { name: 'x', cadence: {} }, '/cadence', /it has none of them/),
  newSchedule(
    'a cadence that is text',
    { name: 'x', cadence: 'daily' },
    '/cadence',
    /must be an object with exactly one of/,
  ),
  newSchedule(
    'a date that never comes',
    { name: 'x', cadence: { cron: '0 0 31 2 *', timezone: 'UTC' } },
    '/cadence/cron',
    /never fires/,
  ),
  newSchedule(
    'a malformed cron',
    { name: 'x', cadence: { cron: '99 * * * *', timezone: 'UTC' } },
    '/cadence/cron',
    /^minute 99 is above the highest value, 59/,
  ),
  newSchedule(
    'a cron of another type',
    { name: 'x', cadence: { cron: 5, timezone: 'UTC' } },
    '/cadence/cron',
    /^must be a string, got a number$/,
  ),
  newSchedule(
    'a cron without a zone',
    { name: 'x', cadence: { cron: '0 3 * * *' } },
    '/cadence/timezone',
    /^is required$/,
  ),
  newSchedule(
    'an unknown zone',
    { name: 'x', cadence: { cron: '0 3 * * *', timezone: 'Mars/Olympus' } },
    '/cadence/timezone',
    /IANA time zone/,
  ),
  newSchedule(
    'an unknown field of the cadence',
    { name: 'x', cadence: { every: '5m', evry: 1 } },
    '/cadence/evry',
    /not a known field/,
  ),
  newSchedule(
    'a time that is past',
    { name: 'x', cadence: { at: '2020-01-01T00:00:00Z' } },
    '/cadence/at',
    /must be in the future/,
  ),
  newSchedule(
    'a time without a zone',
    { name: 'x', cadence: { at: '2030-01-01T00:00:00' } },
    '/cadence/at',
    /Z or an offset/,
  ),
  newSchedule(
    'an interval that is too short',
    { name: 'x', cadence: { every: '1s' } },
    '/cadence/every',
    /^must be between PT1M/,
  ),
  newSchedule(
    'a window that ends first',
    { name: 'x', cadence: every, window: { startAt: '2028-01-02T00:00:00Z', endAt: '2028-01-01T00:00:00Z' } },
    '/window/endAt',
    /must be after startAt/,
  ),
  newSchedule(
    'a window without occurrence',
    { name: 'x', cadence: every, window: { endAt: '2027-01-01T00:01:00Z' } },
    '/window/endAt',
    /leaves no occurrence/,
  ),
  newSchedule(
    'an unknown policy',
    { name: 'x', cadence: every, overlapPolicy: 'queue' },
    '/overlapPolicy',
    /^must be one of skip, buffer_one, buffer_all, cancel_other, terminate_other, allow_all$/,
  ),
  newSchedule(
    'a flag of another type',
    { name: 'x', cadence: every, paused: 'yes' },
    '/paused',
    /^must be true or false, got a string$/,
  ),
  newSchedule(
    'an input that is too large',
    { name: 'x', cadence: every, input: 'x'.repeat(128 * 1024) },
    '/input',
    /^has \d+ bytes as JSON, the limit is 131072$/,
  ),
  newRun('an input nested too deeply', `{"input":${nested(64)}}`, '/input', /deeper than 64/),
  newRun('an input nested beyond any stack', `{"input":${nested(100_000)}}`, '/input', /deeper than 64/),
  newRun('a number beyond any float', '{"input":{"n":[1e999]}}', '/input/n/0', /64-bit float/),
  newRun('half a character', '{"input":"\\ud800"}', '/input', /Unicode/),
  newRun(
    'a field that would be lost',
    '{"input":{"__proto__":{"a":1}}}',
    '/input/__proto__',
    /must not be called __proto__/,
  ),
];

const QUERIES: readonly Row[] = [
  query('/v1/agents?limit=0', 'limit', /^must be at least 1$/),
  query('/v1/agents?limit=101', 'limit', /^must be at most 100$/),
  query('/v1/agents?limit=many', 'limit', /^must be a number$/),
  query('/v1/agents?limit=1.5', 'limit', /^must be a whole number$/),
  query('/v1/agents?limits=5', 'limits', /^is not a known parameter; did you mean limit\?$/),
  query('/v1/agents?limit=5&limit=6', 'limit', /^must be given once$/),
  query('/v1/agents?__proto__=5', '__proto__', /not a known parameter/),
  query('/v1/agents?cursor=nonsense', 'cursor', /nextCursor/),
  query('/v1/agents?cursor=', 'cursor', /nextCursor/),
  query('/v1/schedules?cursor=%21%21', 'cursor', /nextCursor/),
  query('/v1/runs?cursor=***', 'cursor', /nextCursor/),
  query('/v1/vms?cursor=***', 'cursor', /nextCursor/),
  query('/v1/agents/{agent}/schedules?cursor=abc', 'cursor', /nextCursor/),
  query('/v1/schedules/{schedule}/occurrences?cursor=abc', 'cursor', /nextCursor/),
  query('/v1/schedules/{schedule}/runs?cursor=abc', 'cursor', /nextCursor/),
  query('/v1/runs/{busyRun}/events?cursor=abc', 'cursor', /nextCursor/),
  query('/v1/runs/{busyRun}/logs?cursor=999999999999', 'cursor', /nextCursor/),
  query('/v1/runs/{busyRun}/logs?wait=21', 'wait', /at most 20/),
  query('/v1/runs/{busyRun}/logs?attempt=0', 'attempt', /at least 1/),
  query('/v1/runs?status=active', 'status', /^must be live or one of/),
  query('/v1/schedules/{schedule}/upcoming?count=101', 'count', /at most 100/),
  query('/v1/agents/{agent}?verbose=true', 'verbose', /not a known parameter/),
  query('/v1/health?deep=1', 'deep', /not a known parameter/),
];

describe('is refused with the field and what is wrong with it:', () => {
  testRefusals([...FIELDS, ...QUERIES], () => ({ world, at }));
});

test('names every unknown field and every wrong one at once', async () => {
  const answer = await world.send('POST', '/v1/agents', { body: { nam: 'x', command: [1, 2], colour: 'red' } });
  expect(answer.body.errors.map((each: { pointer: string }) => each.pointer).sort()).toEqual([
    '/colour',
    '/command/0',
    '/command/1',
    '/nam',
    '/name',
  ]);
});

test('answers thousands of wrong fields with a bounded problem', async () => {
  const body = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`field${index}`, 1]));
  const answer = await world.send('POST', '/v1/agents', { body });
  expectProblem(answer, 'invalid_request', '/v1/agents');
  expect(answer.body.errors).toHaveLength(50);
});

test('stops reading a body that has no length once it is too large', async () => {
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      sent += 64 * 1024;
      controller.enqueue(new Uint8Array(64 * 1024).fill(0x20));
    },
  });
  const response = await world.app.request('/v1/agents', {
    method: 'POST',
    headers: { authorization: 'Bearer the-admin-token-of-tenant-a', 'content-type': 'application/json' },
    body: endless,
    duplex: 'half',
  } as RequestInit);
  expect(response.status).toBe(413);
  expect(sent).toBeLessThan(1024 * 1024);
});

test('keeps an input as it was sent, at the limits of what is allowed', async () => {
  const input = JSON.parse(nested(63));
  const run = await world.send('POST', `/v1/agents/${at.agent}/runs`, { body: { input } });
  expect([run.status, run.body.input]).toEqual([202, input]);
  const odd = { '': '', ' ': [[], {}], 'a.b': -0.5, big: 1e300, small: 5e-324, text: '𝄞' };
  const kept = await world.send('POST', `/v1/agents/${at.agent}/runs`, { body: { input: odd } });
  expect([kept.status, kept.body.input], kept.text).toEqual([202, odd]);
});

test('keeps a schema as it was sent, at the limits of what is allowed', async () => {
  const number = { enum: [0, -9e125, 1e-130] };
  for (const outputSchema of [schemaOf(24), { ...number, title: ' ' }]) {
    const body = { name: JSON.stringify(outputSchema).slice(0, 9), command, successCriteria: { outputSchema } };
    const agent = await world.send('POST', '/v1/agents', { body });
    expect([agent.status, agent.body.successCriteria], agent.text).toEqual([201, { outputSchema }]);
    expect((await world.send('GET', `/v1/agents/${agent.body.id}`)).body.successCriteria).toEqual({ outputSchema });
  }
});
