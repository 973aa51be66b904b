import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { candor, emptyFolder, type RunOptions, startShell } from './candor.ts';
import { AS_OF, agent, FakeApi, liveRun, problem, run, schedule, TOKEN } from './fakeApi.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(() => api.close());

const connected = (): Record<string, string> => ({ CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN });
const call = (args: readonly string[], options: RunOptions = {}) =>
  candor(args, { ...options, env: { ...connected(), ...options.env } });

test('prints a list as one JSON object, exactly as the API answers it, and nothing else on stdout', async () => {
  api.agents = [agent(), agent({ id: 'agt_two', name: 'two' })];
  api.pageSize = 1;
  const { code, stdout } = await call(['agents', 'list', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ items: [agent()], nextCursor: '1', asOf: AS_OF });
});

test('follows all pages into one JSON object', async () => {
  api.agents = ['a', 'b', 'c'].map((name) => agent({ id: `agt_${name}`, name }));
  api.pageSize = 1;
  const { stdout } = await call(['--json', 'agents', 'list', '--all']);
  expect(JSON.parse(stdout)).toEqual({ items: api.agents, asOf: AS_OF });
});

test('aligns the columns of a table, and hints at further pages on stderr only', async () => {
  api.agents = [agent(), agent({ id: 'agt_with_a_long_id', name: '日報' }), agent({ id: 'agt_three' })];
  api.pageSize = 2;
  const { stdout, stderr } = await call(['agents', 'list']);
  expect(stdout.split('\n')).toEqual([
    'ID                  NAME    COMMAND         UPDATED',
    'agt_one             report  node report.js  1h ago',
    'agt_with_a_long_id  日報    node report.js  1h ago',
    '',
  ]);
  expect(stderr).toContain('--cursor 2');
});

test('lets no control character of a name through', async () => {
  api.agents = [agent({ name: 'a\u001b[31mred\u0007\nb\u202e' })];
  const { stdout } = await call(['agents', 'list']);
  expect(stdout).toContain('a\\x1b[31mred\\x07\\nb\\u202e');
  for (const char of ['\u001b', '\u0007', '\u202e']) expect(stdout).not.toContain(char);
});

test.each([
  ['a pipe', {}, false],
  ['FORCE_COLOR', { FORCE_COLOR: '1' }, true],
  ['NO_COLOR and FORCE_COLOR', { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
  ['FORCE_COLOR=0', { FORCE_COLOR: '0' }, false],
])('colours status words as %s says', async (_, env, coloured) => {
  const { stdout } = await call(['runs', 'list'], { env });
  expect(stdout.includes('\u001b[32msucceeded\u001b[0m')).toBe(coloured);
});

test('passes the command of an agent on unharmed: dashes, spaces, options of its own', async () => {
  const body = agent({ name: 'n' });
  api.override = ({ method }) => (method === 'POST' ? { status: 201, body } : undefined);
  const command = ['bash', '-c', 'echo "a b"; exit', '--', '--json', '--name', 'x', '-f', '', '--', '-'];
  const { code, stdout } = await call([
    'agents',
    'create',
    '--name',
    'n',
    '--env',
    'K=a=b',
    '--env',
    'L=',
    '--',
    ...command,
  ]);
  expect(code).toBe(0);
  expect(api.last('POST', '/v1/agents').body).toEqual({ name: 'n', command, env: { K: 'a=b', L: '' } });
  expect(stdout).toContain('agt_one');
});

test('shows who observed a run, when and what, and each stage of its cancel', async () => {
  const cancel = {
    requestedAt: '2027-01-31T08:59:50.000Z',
    requestedBy: 'usr_admin',
    reason: 'enough',
    cause: 'request',
    acknowledgedAt: '2027-01-31T08:59:55.000Z',
    signals: ['SIGINT'],
  } as const;
  api.runs = [
    liveRun({ status: 'cancelling', cancel, waiting: { reason: 'capacity', tried: [{ type: 'm7', code: 'none' }] } }),
  ];
  const { stdout } = await call(['runs', 'get', 'run_one']);
  expect(stdout).toMatch(/status +cancelling/);
  expect(stdout).toMatch(/evidence +runner, observed 2027-01-31 08:59:30Z \(30s ago\)\n +the process exited with 0/);
  expect(stdout).toMatch(/cancel +2027-01-31 08:59:50Z \(10s ago\) by usr_admin \(request\): enough/);
  expect(stdout).toMatch(/acknowledged +2027-01-31 08:59:55Z \(5s ago\)/);
  expect(stdout).toMatch(/process gone +not observed yet/);
  expect(stdout).toMatch(/waiting +capacity/);
});

test('says OVERDUE only when the API says so, and since when', async () => {
  api.schedules = [schedule({ nextOccurrences: ['2026-01-01T00:00:00Z'], overdueSince: '2026-01-01T00:00:00Z' })];
  expect((await call(['schedules', 'list'])).stdout).not.toContain('OVERDUE');
  expect((await call(['schedules', 'get', 'daily'])).stdout).not.toContain('OVERDUE');
  api.schedules = [schedule({ overdue: true, overdueSince: '2027-01-31T08:50:00Z' })];
  expect((await call(['schedules', 'list'])).stdout).toContain('OVERDUE since 2027-01-31 08:50:00Z (10m ago)');
});

test('takes the exact name of an agent for its id, over all pages', async () => {
  api.agents = [agent({ id: 'agt_a', name: 'reporter' }), agent({ id: 'agt_b', name: 'report' })];
  api.pageSize = 1;
  expect((await call(['runs', 'create', '--agent', 'report'])).code).toBe(0);
  expect(api.last('POST', '/v1/agents/agt_b/runs').body).toEqual({});
});

test('refuses a name that stands for two schedules, naming both, and one that stands for none', async () => {
  api.schedules = [schedule(), schedule({ id: 'sch_two', agentId: 'agt_two' })];
  const ambiguous = await call(['schedules', 'get', 'daily']);
  expect(ambiguous.code).toBe(4);
  expect(ambiguous.stderr).toMatch(/sch_one.*sch_two/);
  const unknown = await call(['schedules', 'get', 'weekly', '--json']);
  expect(unknown.code).toBe(4);
  expect(unknown.stdout).toBe('');
  expect(JSON.parse(unknown.stderr)).toMatchObject({ code: 'not_found' });
});

test('reads the input from standard input, from a file, as text, as null', async () => {
  const create = ['runs', 'create', '--agent', 'agt_one'];
  const sent = () => api.last('POST', '/v1/agents/agt_one/runs').body;
  await call([...create, '--input', '-'], { stdin: '{"a": [1, "ü"]}\n' });
  expect(sent()).toEqual({ input: { a: [1, 'ü'] } });
  const file = path.join(emptyFolder(), 'in.json');
  writeFileSync(file, '[1]');
  await call([...create, '--input-file', file]);
  expect(sent()).toEqual({ input: [1] });
  await call([...create, '--input-text', '{not json']);
  expect(sent()).toEqual({ input: '{not json' });
  await call([...create, '--input', 'null']);
  expect(sent()).toEqual({ input: null });
  const broken = await call([...create, '--input', '{not json']);
  expect(broken.code).toBe(2);
  expect(broken.stderr).toContain('--input-text');
});

test('makes a schedule of its options', async () => {
  const args =
    'schedules create --agent report --name daily --every 15m --overlap allow_all --catchup 5m --run-timeout 1h --paused';
  const { code } = await call([...args.split(' '), '--metadata', 'team=data']);
  expect(code).toBe(0);
  expect(api.last('POST', '/v1/agents/agt_one/schedules').body).toEqual({
    name: 'daily',
    cadence: { every: '15m' },
    overlapPolicy: 'allow_all',
    catchupWindow: '5m',
    overrides: { runTimeout: '1h' },
    metadata: { team: 'data' },
    paused: true,
  });
});

test.each([
  [['--cron', '0 9 * * *'], '--timezone'],
  [['--cron', '0 9 * * *', '--timezone', 'UTC', '--every', '5m'], '--cron and --every'],
  [[], 'cadence'],
])('refuses the cadence %j before anything is sent', async (cadence, said) => {
  const { code, stderr } = await call(['schedules', 'create', '--agent', 'agt_one', '--name', 'n', ...cadence]);
  expect(code).toBe(2);
  expect(stderr).toContain(said);
  expect(api.asked).toEqual([]);
});

test('changes on the condition of the version that was read, and keeps what is not named', async () => {
  api.agents = [agent({ env: { A: '1', B: '2' }, limits: { startTimeout: 'PT2M' } })];
  const { code } = await call([
    'agents',
    'update',
    'report',
    '--env',
    'B=3',
    '--run-timeout',
    '5m',
    '--unset-env',
    'A',
  ]);
  expect(code).toBe(0);
  const { headers, body } = api.last('PATCH', '/v1/agents/agt_one');
  expect(headers['if-match']).toBe('"3"');
  expect(body).toEqual({ env: { B: '3' }, limits: { startTimeout: 'PT2M', runTimeout: '5m' } });
});

test('keeps the time zone when only the cron expression changes', async () => {
  await call(['schedules', 'update', 'daily', '--cron', '5 9 * * *']);
  expect(api.last('PATCH', '/v1/schedules/sch_one').body).toEqual({ cadence: { cron: '5 9 * * *', timezone: 'UTC' } });
});

test('says which version stands when the one that was named is stale', async () => {
  const { code, stderr } = await call(['schedules', 'update', 'daily', '--name', 'x', '--if-match', '1']);
  expect(code).toBe(4);
  expect(stderr).toContain('at version 4');
  expect(stderr).toContain('for version 1');
});

test('deletes with the version and cancels runs only when told to', async () => {
  const { code, stdout, stderr } = await call(['schedules', 'delete', 'daily', '--cancel-runs']);
  expect([code, stdout]).toEqual([0, '']);
  expect(stderr).toContain('Deleted schedule sch_one');
  const asked = api.last('DELETE', '/v1/schedules/sch_one');
  expect([asked.headers['if-match'], asked.query.get('cancelRuns')]).toEqual(['"4"', 'true']);
});

test('renders a problem with every field, fact, remedy and the request id; with --json as JSON', async () => {
  const members = {
    errors: [{ pointer: '/name', message: 'is taken\u001b[2J' }],
    remedy: 'Choose another.',
    blockingRunId: 'run_9',
  };
  api.override = ({ method }) =>
    method === 'POST' ? problem(409, 'name_taken', 'The name is taken', 'Another one has it.', members) : undefined;
  const human = await call(['agents', 'create', '--name', 'n', '--', 'true']);
  expect(human).toMatchObject({ code: 4, stdout: '' });
  for (const part of ['The name is taken (name_taken, 409)', 'Another one has it.', '/name: is taken\\x1b[2J'])
    expect(human.stderr).toContain(part);
  for (const part of ['blockingRunId: run_9', 'Remedy: Choose another.', 'Request: req-7'])
    expect(human.stderr).toContain(part);
  const machine = await call(['agents', 'create', '--json', '--name', 'n', '--', 'true']);
  expect(machine).toMatchObject({ code: 4, stdout: '' });
  expect(JSON.parse(machine.stderr)).toMatchObject({ code: 'name_taken', status: 409, ...members });
});

test('repeats reads and, under one key, POSTs after a 503, but no other write; 5 when the server goes on failing', async () => {
  let failures = 1;
  api.override = () => (failures-- > 0 ? problem(503, 'contended', 'Too many writers at once') : undefined);
  expect((await call(['system'])).code).toBe(0);
  failures = 2;
  expect((await call(['runs', 'create', '--agent', 'agt_one'])).code).toBe(0);
  const keys = api.asked.filter((each) => each.method === 'POST').map(({ headers }) => headers['idempotency-key']);
  expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  failures = 1000;
  const asked = api.asked.length;
  expect((await call(['runs', 'create', '--agent', 'agt_one'])).code).toBe(5);
  expect(api.asked.length).toBe(asked + 3);
  api.override = ({ method }) =>
    method === 'PATCH' ? problem(503, 'contended', 'Too many writers at once') : undefined;
  expect((await call(['schedules', 'update', 'daily', '--name', 'x'])).code).toBe(5);
  expect(api.asked.filter((each) => each.method === 'PATCH')).toHaveLength(1);
});

test('waits for the first of two requests under one key, and as long as a 429 says', async () => {
  const answers = [
    problem(409, 'idempotency_in_flight', 'The first request with this key is at work'),
    { ...problem(429, 'rate_limited', 'Too many requests'), headers: { 'retry-after': '1' } },
  ];
  api.override = ({ method }) => (method === 'POST' ? answers.shift() : undefined);
  const began = performance.now();
  expect((await call(['schedules', 'trigger', 'sch_one', '--idempotency-key', 'mine'])).code).toBe(0);
  expect(performance.now() - began).toBeGreaterThan(1000);
  const keys = api.asked.filter((each) => each.method === 'POST').map(({ headers }) => headers['idempotency-key']);
  expect(keys).toEqual(['mine', 'mine', 'mine']);
});

test('admits that it does not know whether a write was done when the connection breaks', async () => {
  api.override = ({ method }) => (method === 'POST' ? 'drop' : undefined);
  const { code, stderr } = await call(['schedules', 'trigger', 'sch_one']);
  expect(code).toBe(3);
  expect(stderr).toContain('is not known');
  const keys = api.asked.filter((each) => each.method === 'POST').map(({ headers }) => headers['idempotency-key']);
  expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
  expect(stderr).toContain(`Idempotency-Key, ${keys[0]}`);
});

test.each([
  [['agents', 'lst'], 'list'],
  [['runs', 'list', '--stauts', 'x'], '--status'],
  [['runs', 'list', '--status', 'dead'], 'succeeded'],
  [['runs', 'get'], 'run'],
  [['runs'], 'watch'],
  [['agents', 'create', '--name', 'n', '--env', 'novalue', '--', 'true'], 'NAME=VALUE'],
  [['schedules', 'upcoming', 'x', '--count', '0'], 'whole number'],
  [['agents', 'update', 'report'], 'Nothing to change'],
  [['agents', 'update', 'report', '--name', 'x', '--if-match', 'x'], '--if-match'],
])('takes %j for wrong usage and points to what may be meant', async (args, said) => {
  const { code, stdout, stderr } = await call(args);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(said);
});

test('explains itself: help and the exit codes on stdout', async () => {
  const help = await candor(['--help']);
  expect(help.code).toBe(0);
  expect(help.stdout).toMatch(/130 +interrupted/);
  const leaf = await candor(['schedules', 'create', '--help']);
  expect(leaf.stdout).toContain('Examples:');
  expect((await candor(['dev', '--help'])).stdout).toContain('--keep');
});

test('finds the server by endpoint.json, and a folder on the command line outranks the environment', async () => {
  const dataDir = emptyFolder();
  writeFileSync(path.join(dataDir, 'endpoint.json'), JSON.stringify({ url: `${api.url}/`, token: TOKEN, pid: 1 }));
  expect((await candor(['vms', 'list', '--data-dir', dataDir])).code).toBe(0);
  expect((await candor(['vms', 'list'], { env: { CANDOR_DATA_DIR: dataDir } })).code).toBe(0);
  const env = { CANDOR_URL: 'http://127.0.0.1:1', CANDOR_TOKEN: 'x' };
  expect((await candor(['--data-dir', dataDir, 'vms', 'list'], { env })).code).toBe(0);
  expect(api.asked.every((each) => each.headers['user-agent']?.startsWith('candor-cli/'))).toBe(true);
});

test('says how to start a server where none is known and where none answers', async () => {
  const unknown = await candor(['vms', 'list', '--data-dir', 'some where']);
  expect(unknown).toMatchObject({ code: 3, stdout: '' });
  expect(unknown.stderr).toContain("candor dev --data-dir 'some where'");
  const dataDir = emptyFolder();
  writeFileSync(path.join(dataDir, 'endpoint.json'), JSON.stringify({ url: 'http://127.0.0.1:1', token: 't', pid: 1 }));
  const gone = await candor(['vms', 'list', '--json', '--data-dir', dataDir]);
  expect(gone.code).toBe(3);
  expect(JSON.parse(gone.stderr)).toMatchObject({ code: 'no_server', remedy: expect.stringContaining('candor dev') });
});

test('wants the token beside the URL, and says 401 as a refusal', async () => {
  const half = await candor(['vms', 'list'], { env: { CANDOR_URL: api.url } });
  expect([half.code, api.asked.length]).toEqual([2, 0]);
  expect(half.stderr).toContain('CANDOR_TOKEN');
  expect((await candor(['vms', 'list'], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: 'no' } })).code).toBe(4);
  expect((await candor(['health'], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: 'no' } })).code).toBe(0);
});

test('ends quietly when its reader has seen enough', async () => {
  api.runs = Array.from({ length: 5000 }, (_, index) => run({ id: `run_${index}`, displayName: 'x'.repeat(200) }));
  api.pageSize = 5000;
  const line = 'candor runs list --all | head -1; echo "$PIPESTATUS"';
  const { stdout, stderr } = await startShell(line, { env: connected() }).ended;
  expect(stdout.trim().split('\n')).toEqual([expect.stringMatching(/^ID +STATUS/), '0']);
  expect(stderr).toBe('');
});
