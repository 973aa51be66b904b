/** `candor runs …`: what is sent for one run, and what is told of attempts, proofs, children and reasons. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChildrenBody, RunExplainBody, VerificationBody } from '../../core/contract/runs.ts';
import { candor } from './candor.ts';
import { AS_OF, event, FakeApi, liveRun, problem, run, TOKEN } from './fakeApi.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(() => api.close());

const call = (...args: readonly string[]) =>
  candor(['runs', ...args], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });

const unverified: VerificationBody = {
  status: 'unverified',
  checks: [
    { criterion: 'exitCode', met: true, detail: 'it is 0' },
    { criterion: 'artifact', met: false, detail: 'nothing is like *.pdf\u001b[2J' },
  ],
};
const evidence = { source: 'watchdog', observedAt: '2027-01-31T08:58:00.000Z', detail: 'the VM is gone' };

test('create sends what this run has otherwise than its agent', async () => {
  const options = '--run-timeout 2h --start-timeout 1m --idle-timeout 5m --max-attempts 1';
  expect((await call('create', '--agent', 'agt_one', ...options.split(' '))).code).toBe(0);
  expect(api.last('POST', '/v1/agents/agt_one/runs').body).toEqual({
    overrides: { runTimeout: '2h', startTimeout: '1m', idleTimeout: '5m', retry: { maxAttempts: 1 } },
  });
});

describe('retry', () => {
  const PATH = '/v1/runs/run_one/retry';
  beforeEach(() => {
    api.runs = [run(), run({ id: 'run_two', retryOf: 'run_one' })];
    api.override = ({ path }) => (path === PATH ? { status: 202, body: api.runs[1] } : undefined);
  });

  test('leaves the input to the API, or sends another one', async () => {
    const { code, stdout, stderr } = await call('retry', 'run_one');
    expect([code, api.last('POST', PATH).body]).toEqual([0, {}]);
    expect(stdout).toMatch(/retry of +run_one/);
    expect(stderr).toContain('candor runs watch run_two');
    await call('retry', 'run_one', '--input-text', 'again');
    expect(api.last('POST', PATH).body).toEqual({ input: 'again' });
  });

  test('waits for the new run', async () => {
    api.runs = [run(), run({ id: 'run_two', status: 'failed', exitCode: 2 })];
    const { code, stdout } = await call('retry', 'run_one', '--input', '[1]', '--wait', '--json');
    expect([code, JSON.parse(stdout).id]).toEqual([1, 'run_two']);
  });

  test('passes on that the old one has not ended', async () => {
    api.override = () => problem(409, 'run_live', 'The run has not ended');
    expect((await call('retry', 'run_one')).code).toBe(4);
  });
});

describe('a success that nothing proves', () => {
  beforeEach(() => {
    api.runs = [run({ verification: unverified })];
    api.events = [event(1, 'succeeded')];
  });

  test('is called unverified in lists and in the detail', async () => {
    expect((await call('list')).stdout).toMatch(/run_one +succeeded .* unverified\n/);
    const { stdout } = await call('get', 'run_one');
    expect(stdout).toMatch(/status +succeeded, unverified\n/);
    expect(stdout).toMatch(
      /verification +unverified\n +met: exitCode: it is 0\n +NOT met: artifact: nothing is like \*\.pdf\\x1b\[2J/,
    );
  });

  test('is called unverified when it was waited for; the exit code is that of a success', async () => {
    const note = 'Note: run_one succeeded, but unverified (artifact: nothing is like *.pdf\\x1b[2J).';
    const watched = await call('watch', 'run_one');
    expect(watched.code).toBe(0);
    expect(watched.stdout).toContain('run_one succeeded (unverified, exit code 0');
    expect(watched.stderr).toContain(note);
    const created = await call('create', '--agent', 'agt_one', '--wait', '--json');
    expect([created.code, JSON.parse(created.stdout)]).toEqual([0, api.runs[0]]);
    expect(created.stderr).toContain(note);
  });
});

test('a proven success is shown as such', async () => {
  const checks = [{ criterion: 'artifact', met: true, detail: 'a.pdf' }] as const;
  api.runs = [run({ verification: { status: 'verified', checks } })];
  expect((await call('get', 'run_one')).stdout).toMatch(
    /status +succeeded\nverification +verified\n +met: artifact: a/,
  );
  expect((await call('list')).stdout).not.toContain('verified');
});

test('get shows attempts that were given up, the family, the queue and what a cancel has cost', async () => {
  const cancel = {
    requestedAt: '2027-01-31T08:59:50.000Z',
    requestedBy: 'usr_admin',
    reason: '',
    cause: 'request',
    billed: { seconds: 12.3, final: false },
  } as const;
  api.runs = [
    liveRun({
      attempt: 3,
      attempts: [
        { attempt: 1, vmId: 'vm_a', endedAt: '2027-01-31T08:58:01.000Z', reason: 'vm_terminated', evidence },
        { attempt: 2, startedAt: AS_OF, endedAt: AS_OF, reason: 'setup_failed', evidence },
      ],
      retryOf: 'run_old',
      parentRunId: 'run_parent',
      waiting: { reason: 'retry_backoff', nextTryAt: '2027-01-31T09:00:20.000Z', blockedBy: ['run_a', 'run_b'] },
      artifacts: [{ path: 'out/a.pdf', bytes: 12, sha256: 'ab' }],
      cancel,
    }),
  ];
  const { stdout } = await call('get', 'run_one');
  for (const part of [
    /attempt +3\n +given up +1: vm_terminated, ended 2027-01-31 08:58:01Z \(1m 59s ago\) on vm_a; its process was not seen/,
    / watchdog, observed 2027-01-31 08:58:00Z \(2m ago\): the VM is gone\n +2: setup_failed, .*; started 2027/,
    /retry of +run_old/,
    /parent run +run_parent/,
    /blocked by +run_a\n +run_b/,
    /next try +2027-01-31 09:00:20Z \(in 20s\)/,
    /artifacts +out\/a\.pdf \(12 bytes\)/,
    /cost +12\.3 s billed after the request, still counting\n/,
  ])
    expect(stdout).toMatch(part);
  api.runs = [run({ status: 'cancelled', cancel: { ...cancel, billed: { seconds: 4, final: true } } })];
  expect((await call('get', 'run_one')).stdout).toMatch(/cost +4\.0 s billed after the request\n/);
});

test('explain says the answer first, each fact with who saw it, and the remedy', async () => {
  const explain: RunExplainBody = {
    runId: 'run_one',
    status: 'lost',
    summary: 'Its VM went away.',
    facts: [
      { about: 'run', text: 'the VM is gone', evidence },
      { about: 'attempt 1', text: 'It was given up.', evidence },
      { about: 'limit', text: 'run_a holds a place.' },
    ],
    remedy: 'Retry it.',
    asOf: AS_OF,
  };
  api.override = ({ path }) => (path === '/v1/runs/run_one/explain' ? { body: explain } : undefined);
  const { code, stdout } = await call('explain', 'run_one');
  expect(code).toBe(0);
  expect(stdout.split('\n')).toEqual([
    'Its VM went away.',
    '',
    'status     lost',
    'run        the VM is gone',
    '           watchdog, observed 2027-01-31 08:58:00Z (2m ago)',
    'attempt 1  It was given up.',
    '           watchdog, observed 2027-01-31 08:58:00Z (2m ago): the VM is gone',
    'limit      run_a holds a place.',
    'remedy     Retry it.',
    '',
  ]);
  expect(JSON.parse((await call('explain', 'run_one', '--json')).stdout)).toEqual(explain);
});

describe('children', () => {
  const children: ChildrenBody = { items: [run({ id: 'run_c' })], created: 3, pending: 1, sealed: false, asOf: AS_OF };

  test('are counted above the list, over all pages', async () => {
    api.override = ({ path, query }) => {
      if (path !== '/v1/runs/run_one/children') return undefined;
      return { body: query.get('cursor') === null ? { ...children, nextCursor: 'c' } : children };
    };
    const first = await call('children', 'run_one', '--limit', '1');
    expect(first.stdout).toMatch(
      /^children +3, 1 of them not ended\nsealed +no: more may come\ncompleted +no\n\nID .*\nrun_c +succeeded/,
    );
    expect(first.stderr).toContain('--cursor c');
    const all = await call('children', 'run_one', '--all', '--json');
    expect(JSON.parse(all.stdout)).toEqual({ ...children, items: [children.items[0], children.items[0]] });
  });

  test('seal says that none can be added, also where there are none', async () => {
    const sealed = { ...children, items: [], created: 0, pending: 0, sealed: true, completedAt: AS_OF };
    api.override = ({ path }) => (path === '/v1/runs/run_one/children/seal' ? { body: sealed } : undefined);
    const { code, stdout } = await call('seal', 'run_one');
    expect([code, api.last('POST', '/v1/runs/run_one/children/seal').body]).toEqual([0, undefined]);
    expect(stdout).toBe(
      'children   0, 0 of them not ended\nsealed     yes: none can be added\ncompleted  2027-01-31 09:00:00Z (now)\n',
    );
  });
});
