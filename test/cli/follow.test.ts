import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RunOptions, start, startShell, until } from './candor.ts';
import { event, FakeApi, liveRun, out, run, TOKEN } from './fakeApi.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(() => api.close());

const begin = (args: readonly string[], options: RunOptions = {}) =>
  start(args, { ...options, env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN, ...options.env } });

test('prints a log into a pipe byte by byte, and what is not text too', async () => {
  api.log = [
    out('a\u001b[31mb\r\n'),
    { atMs: 5, stream: 'stderr', base64: Buffer.from([0xff, 0x0a]).toString('base64') },
  ];
  api.log.push({ atMs: 6, stream: 'candor', text: '10 bytes dropped here' });
  api.pageSize = 1;
  const line = 'candor runs logs run_one | od -An -c | tr -s " "';
  const env = { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN };
  const { stdout, stderr } = await startShell(line, { env }).ended;
  expect(stdout.trim()).toBe('a 033 [ 3 1 m b \\r \\n 377 \\n');
  expect(stderr).toContain('[candor] 10 bytes dropped here');
});

test('prints a log as one JSON object per line', async () => {
  api.log = [out('a\nb\n'), out('c')];
  const { code, stdout } = await begin(['runs', 'logs', 'run_one', '--json']).ended;
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(api.log);
});

test('stamps every line, over records that are parts of lines', async () => {
  api.log = [out('a\nb'), out('c\n'), { atMs: 2000, stream: 'stderr', text: 'd' }, out('e\n')];
  const { stdout } = await begin(['runs', 'logs', 'run_one', '--timestamps']).ended;
  expect(stdout).toBe('+1.234s out | a\n+1.234s out | bc\n+2.000s err | d\n+1.234s out | e\n');
});

test('writes escape sequences out on a terminal, unless they are asked for', async () => {
  api.log = [out('\u001b[31mred\u001b[0m\tx\n')];
  const env = { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN };
  const onTerminal = async (args: string) => {
    const line = `export -f candor; script -qec 'candor runs logs run_one ${args}' /dev/null < /dev/null`;
    return (await startShell(line, { env: { ...env, SHELL: '/bin/bash' } }).ended).stdout;
  };
  expect(await onTerminal('')).toBe('\\x1b[31mred\\x1b[0m\tx\r\n');
  expect(await onTerminal('--raw')).toBe('\u001b[31mred\u001b[0m\tx\r\n');
});

test('follows a log over dropped connections and a restart of the server, without a gap or a repeat', async () => {
  api.runs = [liveRun()];
  api.log = [out('one\n')];
  api.logComplete = false;
  const following = begin(['runs', 'logs', 'run_one', '-f']);
  await until('the first line is there', () => following.stdout().includes('one'));
  const { port } = api;
  await api.close();
  await until('it says that the server is away', () => following.stderr().includes('Trying again'));
  let drops = 4;
  api.override = ({ path }) => (path.endsWith('/logs') && drops-- > 0 ? 'drop' : undefined);
  api.log.push(out('two\n'), out('three\n'));
  await api.listen(port);
  await until('the second line is there', () => following.stdout().includes('two'));
  api.log.push(out('four\n'));
  api.logComplete = true;
  const { code, stdout, stderr } = await following.ended;
  expect(code).toBe(0);
  expect(stdout).toBe('one\ntwo\nthree\nfour\n');
  expect(stderr.match(/Trying again/g)).toHaveLength(1);
  expect(api.asked.at(-2)?.query.get('wait')).toBe('20');
});

test('goes on with the log of the next attempt from its beginning', async () => {
  api.runs = [liveRun()];
  api.override = ({ path, query }) => {
    if (!path.endsWith('/logs')) return undefined;
    const attempt = query.get('attempt');
    // The first attempt has ended because the second one has begun.
    api.runs = [run({ attempt: 2 })];
    return { body: { items: [out(`attempt ${attempt}\n`)], nextCursor: '9', complete: true, asOf: '' } };
  };
  const { stdout } = await begin(['runs', 'logs', 'run_one', '-f']).ended;
  expect(stdout).toBe('attempt 1\nattempt 2\n');
});

test('does not wait for a server that was never there', async () => {
  const env = { CANDOR_URL: 'http://127.0.0.1:1' };
  expect((await begin(['runs', 'logs', 'run_one', '-f'], { env }).ended).code).toBe(3);
  expect((await begin(['runs', 'watch', 'run_one'], { env }).ended).code).toBe(3);
});

test.each([
  ['succeeded', 0],
  ['failed', 1],
  ['lost', 1],
] as const)('watches the timeline until the run has %s, and exits with %i', async (status, code) => {
  api.runs = [liveRun({ version: 1, status: 'queued', waiting: { reason: 'no capacity' } })];
  api.events = [event(1, 'queued')];
  api.pageSize = 2;
  const watching = begin(['runs', 'watch', 'run_one']);
  await until('the first event is there', () => watching.stdout().includes('run.queued'));
  api.events.push(event(2, 'running'), event(3, status));
  api.runs = [run({ status, version: 3 })];
  const ended = await watching.ended;
  expect(ended.code).toBe(code);
  expect(ended.stdout.match(/ run\.\w+/g)).toEqual([' run.queued', ' run.running', ` run.${status}`]);
  expect(ended.stdout.trimEnd().split('\n').at(-1)).toContain(`run_one ${status}`);
  expect(ended.stderr).toContain('no capacity');
});

test('watches as one JSON object per line', async () => {
  api.events = [event(1, 'queued'), event(2, 'succeeded')];
  const { stdout } = await begin(['runs', 'watch', 'run_one', '--json']).ended;
  expect(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(api.events);
});

test('waits for a run that it started: one JSON object on stdout, the timeline on stderr, the outcome as exit code', async () => {
  api.runs = [run({ status: 'failed', exitCode: 7 })];
  api.events = [event(1, 'queued'), event(2, 'failed')];
  const { code, stdout, stderr } = await begin(['schedules', 'trigger', 'daily', '--wait', '--json']).ended;
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual(api.runs[0]);
  expect(stderr).toContain('run.failed');
});

test('answers 0 when a cancel that was waited for has cancelled, 1 when the run ended by itself', async () => {
  api.runs = [run({ status: 'cancelled' })];
  expect((await begin(['runs', 'cancel', 'run_one', '--wait', '--reason', 'x']).ended).code).toBe(0);
  expect(api.last('POST', '/v1/runs/run_one/cancel').body).toEqual({ reason: 'x' });
  api.runs = [run({ status: 'succeeded' })];
  expect((await begin(['runs', 'cancel', 'run_one', '--wait']).ended).code).toBe(1);
});

test.each([
  [['runs', 'logs', 'run_one', '-f']],
  [['runs', 'watch', 'run_one']],
  [['runs', 'cancel', 'run_one', '--wait']],
])('stops following at SIGINT with 130 and says that the run goes on: %j', async (args) => {
  api.runs = [liveRun()];
  api.events = [event(1, 'running')];
  api.override = ({ path }) => (path.endsWith('/logs') ? 'hold' : undefined);
  const following = begin(args);
  await until('it follows', () => api.asked.some(({ path }) => /logs|events/.test(path)));
  await new Promise((resolve) => setTimeout(resolve, 100));
  following.child.kill('SIGINT');
  const { code, stderr } = await following.ended;
  expect(code).toBe(130);
  expect(stderr).toContain('The run goes on');
  expect(api.asked.filter(({ method }) => method === 'POST')).toHaveLength(args.includes('cancel') ? 1 : 0);
});
