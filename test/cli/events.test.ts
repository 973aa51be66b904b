import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FeedEventBody } from '../../core/contract/feed.ts';
import { type RunOptions, start, until } from './candor.ts';
import { AS_OF, FakeApi, problem, TOKEN } from './fakeApi.ts';

let api: FakeApi;
let events: FeedEventBody[];
beforeEach(async () => {
  events = [];
  api = await new FakeApi().listen();
  api.override = feed();
});
afterEach(() => api.close());

const begin = (args: readonly string[], options: RunOptions = {}) =>
  start(['events', ...args], { ...options, env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN, ...options.env } });

const event = (sequence: number, over: Partial<FeedEventBody> = {}): FeedEventBody => ({
  id: `run_one.${sequence}`,
  type: 'run.running',
  at: AS_OF,
  subject: { kind: 'run', id: 'run_one' },
  sequence,
  status: 'running',
  detail: {},
  ...over,
});

/** Two at a time; its cursors are numbers. It holds no request back, as a proxy may make it. */
function feed(): FakeApi['override'] {
  return ({ path, query }) => {
    if (path !== '/v1/events') return undefined;
    const after = query.get('after') ?? '0';
    const from = after === 'latest' ? events.length : after === 'earliest' ? 0 : Number(after);
    const next = Math.min(from + 2, events.length);
    const caughtUp = next === events.length;
    return { body: { items: events.slice(from, next), nextCursor: String(next), caughtUp, asOf: AS_OF } };
  };
}

const lines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as FeedEventBody);

test('prints what there is, page by page, and where to go on from', async () => {
  events = [event(1), event(2), event(3, { type: 'schedule.paused', subject: { kind: 'schedule', id: 'sch_a' } })];
  const { code, stdout, stderr } = await begin([]).ended;
  expect(code).toBe(0);
  expect(stdout.split('\n')).toHaveLength(4);
  expect(stdout).toContain('2027-01-31 09:00:00Z  run.running  run_one');
  expect(stdout).toContain('schedule.paused running  sch_a');
  expect(stderr).toContain('To go on from here: candor events --after 3');
});

test('prints one JSON object per line, and asks for what it was told to', async () => {
  events = [event(1), event(2), event(3)];
  const options = [
    '--json',
    '--after',
    '1',
    '--type',
    'run.',
    '--run',
    'run_one',
    '--agent',
    'agt_x',
    '--schedule',
    'sch_x',
  ];
  const { stdout } = await begin(options).ended;
  expect(lines(stdout)).toEqual(events.slice(1));
  const asked = Object.fromEntries(api.last('GET', '/v1/events').query);
  expect(asked).toEqual({ after: '1', type: 'run.', runId: 'run_one', agentId: 'agt_x', scheduleId: 'sch_x' });
});

test('follows over a restart of the server, without a gap or a repeat, and says where it was when it is stopped', async () => {
  events = [event(1)];
  const following = begin(['-f', '--json', '--after', 'earliest']);
  await until('the first event is there', () => following.stdout().includes('run_one.1'));
  const { port } = api;
  await api.close();
  await until('it says that the server is away', () => following.stderr().includes('Trying again'));
  // What was delivered before comes again, as it may.
  events.push(event(1), event(2));
  await api.listen(port);
  await until('the second event is there', () => following.stdout().includes('run_one.2'));
  following.child.kill('SIGINT');
  const { code, stdout, stderr } = await following.ended;
  expect(code).toBe(130);
  expect(lines(stdout).map(({ id }) => id)).toEqual(['run_one.1', 'run_one.2']);
  expect(stderr).toContain('To go on from here: candor events -f --after 3');
  expect(Number(api.last('GET', '/v1/events').query.get('wait'))).toBe(20);
});

test('follows what comes from now on', async () => {
  events = [event(1)];
  const following = begin(['-f', '--json']);
  await until('it follows', () => api.asked.some(({ query }) => query.get('after') === '1'));
  events.push(event(2));
  await until('the event is there', () => following.stdout().includes('run_one.2'));
  following.child.kill('SIGINT');
  expect(lines((await following.ended).stdout)).toEqual([event(2)]);
});

test('ends with what the server says of a cursor that is too old', async () => {
  api.override = () => problem(410, 'cursor_expired', 'The cursor is too old', 'Too old.', { remedy: 'Use latest.' });
  const { code, stderr } = await begin(['-f', '--after', 'old']).ended;
  expect(code).toBe(4);
  expect(stderr).toContain('Use latest.');
});
