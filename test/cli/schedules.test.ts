/** `candor schedules …`: what each command sends, what it prints where, and how it ends. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { localFeatures } from '../../cli/dev/settings.ts';
import type {
  BackfillBody,
  DryRunBody,
  ExplainBody,
  OccurrenceBody,
  PreviewBody,
  RevisionBody,
} from '../../core/contract/schedules.ts';
import { candor } from './candor.ts';
import { AS_OF, FakeApi, problem, schedule, TOKEN } from './fakeApi.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(() => api.close());

const call = (...args: readonly string[]) =>
  candor(['schedules', ...args], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });

/** Answers whatever is asked at a path. */
function answering(path: string, body: unknown, status = 200): void {
  api.override = (asked) => (asked.path === path ? { status, body } : undefined);
}

const evidence = { source: 'fire', observedAt: '2027-01-31T08:30:01.000Z', detail: 'delivered 1.0 s after its time' };
const revision: RevisionBody = {
  specVersion: 2,
  from: '2027-01-30T09:00:00.000Z',
  active: true,
  cadence: { cron: '30 8 * * *', timezone: 'UTC' },
  window: { startAt: '2027-01-01T00:00:00Z' },
  by: 'usr_admin',
};
const occurrence: OccurrenceBody = {
  scheduleId: 'sch_one',
  occurrence: '2027-01-31T08:30:00Z',
  disposition: 'skipped',
  reason: 'overlap',
  blockingRunId: 'run_one',
  specVersion: 2,
  decidedAt: '2027-01-31T08:30:01.000Z',
  latenessSeconds: 1,
  evidence,
};
const preview: PreviewBody = {
  occurrences: [
    { utc: '2027-03-27T01:30:00Z', local: '2027-03-27T02:30:00+01:00[Europe/Berlin]' },
    { utc: '2027-03-29T00:30:00Z', local: '2027-03-29T02:30:00+02:00[Europe/Berlin]' },
  ],
  awsExpression: { expression: 'cron(30 2 * * ? *)', timezone: 'Europe/Berlin' },
  warnings: ['02:30 does not exist on 2027-03-28\u001b[2J'],
  asOf: AS_OF,
};
const explain: ExplainBody = {
  scheduleId: 'sch_one',
  at: '2027-01-31T08:30:00Z',
  answer: 'It did not run: a run of the schedule was still live: run_one.',
  expected: true,
  nearest: { before: '2027-01-30T08:30:00Z', after: '2027-02-01T08:30:00Z' },
  revision,
  occurrence,
  blockingRun: { runId: 'run_one', status: 'running', startedAt: '2027-01-31T08:00:00.000Z' },
  policy: { overlapPolicy: 'skip', catchupWindow: 'PT1H', status: 'active', of: 'decision' },
  asOf: AS_OF,
};
const dryRun: DryRunBody = {
  scheduleId: 'sch_one',
  version: 4,
  range: { from: '2027-01-31T09:00:00Z', to: '2027-03-02T09:00:00Z' },
  added: ['2027-02-01T09:30:00Z', '2027-02-02T09:30:00Z'],
  removed: ['2027-02-01T09:00:00Z'],
  unchanged: 7,
  truncated: true,
  warnings: ['fires 288 times a day'],
  overlaps: { predicted: 3, p95Seconds: 400, sample: 20, first: '2027-02-01T09:30:00Z' },
  asOf: AS_OF,
};
const backfill: BackfillBody = {
  backfillId: 'bkf_one',
  scheduleId: 'sch_one',
  status: 'running',
  overlapPolicy: 'buffer_all',
  items: [{ occurrence: '2027-01-29T09:00:00Z', runId: 'run_b1' }],
  leftAlone: 2,
  remaining: 1,
  createdBy: 'usr_admin',
  createdAt: '2027-01-31T08:59:00.000Z',
  asOf: AS_OF,
};

describe('preview', () => {
  const PATH = '/v1/schedules/preview';
  const berlin = ['--cron', '30 2 * * *', '--timezone', 'Europe/Berlin'];

  test('prints UTC beside local time, then the expression; warnings go to stderr', async () => {
    answering(PATH, preview);
    const { code, stdout, stderr } = await call('preview', ...berlin, '--from', '2027-03-27T00:00:00Z', '--count', '2');
    expect(code).toBe(0);
    expect(api.last('POST', PATH).body).toEqual({
      cadence: { cron: '30 2 * * *', timezone: 'Europe/Berlin' },
      from: '2027-03-27T00:00:00Z',
      count: 2,
    });
    expect(stdout.split('\n')).toEqual([
      'UTC                   LOCAL',
      '2027-03-27 01:30:00Z  2027-03-27T02:30:00+01:00[Europe/Berlin]',
      '2027-03-29 00:30:00Z  2027-03-29T02:30:00+02:00[Europe/Berlin]',
      '',
      'AWS expression  cron(30 2 * * ? *) in Europe/Berlin',
      '',
    ]);
    expect(stderr).toBe('Warning: 02:30 does not exist on 2027-03-28\\x1b[2J\n');
  });

  test('is one JSON object with --json, and says nothing else', async () => {
    answering(PATH, preview);
    const { code, stdout, stderr } = await call('preview', '--every', '15m', '--json');
    expect([code, JSON.parse(stdout), stderr]).toEqual([0, preview, '']);
    expect(api.last('POST', PATH).body).toEqual({ cadence: { every: '15m' } });
  });

  test('says what AWS cannot, and that there is nothing to come', async () => {
    const { awsExpression: _, ...rest } = preview;
    answering(PATH, { ...rest, occurrences: [], awsProblem: { problem: 'too long', remedy: 'Split it.' } });
    const { code, stdout, stderr } = await call(
      'preview',
      ...['--at', '2027-02-01T09:00:00Z', '--window-start', '2027-03-01T00:00:00Z'],
    );
    expect(code).toBe(0);
    expect(stdout).toBe('AWS  cannot say it: too long\n     Split it.\n');
    expect(stderr).toContain('There are no occurrences.');
    expect(api.last('POST', PATH).body).toEqual({
      cadence: { at: '2027-02-01T09:00:00Z' },
      window: { startAt: '2027-03-01T00:00:00Z' },
    });
  });

  test('passes a refusal on with the field', async () => {
    const errors = [{ pointer: '/cadence/cron', message: 'minute 60 is above the highest value' }];
    api.override = () => problem(422, 'invalid_request', 'The request is not valid', 'No.', { errors });
    const human = await call('preview', ...berlin);
    expect([human.code, human.stdout]).toEqual([4, '']);
    expect(human.stderr).toContain('/cadence/cron: minute 60');
    const machine = await call('preview', ...berlin, '--json');
    expect([machine.code, machine.stdout, JSON.parse(machine.stderr).errors]).toEqual([4, '', errors]);
  });
});

test('explain says the answer first, then what it rests on', async () => {
  answering('/v1/schedules/sch_one/explain', explain);
  const { code, stdout, stderr } = await call('explain', 'daily', '--at', '2027-01-31T08:30:00Z');
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout.split('\n').slice(0, 2)).toEqual([explain.answer, '']);
  for (const part of [
    /ledger +skipped \(overlap\)/,
    /evidence +fire, observed 2027-01-31 08:30:01Z .*\n +delivered 1.0 s/,
    /blocking run +run_one running/,
    /cadence then +30 8 \* \* \* \(UTC\)/,
    /revision +2 from 2027-01-30 09:00:00Z .* by usr_admin/,
    /the one after +2027-02-01 08:30:00Z/,
  ])
    expect(stdout).toMatch(part);
  expect(api.last('GET', '/v1/schedules/sch_one/explain').query.get('at')).toBe('2027-01-31T08:30:00Z');
  const machine = await call('explain', 'sch_one', '--at', '2027-01-31T08:30:00Z', '--json');
  expect(JSON.parse(machine.stdout)).toEqual(explain);
});

test('skip and unskip send the occurrence, on the condition of a version where one is named', async () => {
  answering('/v1/schedules/sch_one/skip', schedule({ skips: ['2027-02-01T09:00:00Z'], version: 5 }));
  const at = '2027-02-01T09:00:00Z';
  const skipped = await call('skip', 'daily', '--at', at, '--reason', 'holiday', '--if-match', '4');
  expect(skipped.code).toBe(0);
  expect(skipped.stdout).toMatch(/taken out +2027-02-01 09:00:00Z \(in 1d\)/);
  const asked = api.last('POST', '/v1/schedules/sch_one/skip');
  expect([asked.body, asked.headers['if-match']]).toEqual([{ occurrence: at, reason: 'holiday' }, '"4"']);
  api.override = () => undefined;
  const back = await call('unskip', 'sch_one', '--at', at, '--json');
  expect([back.code, JSON.parse(back.stdout).id]).toEqual([0, 'sch_one']);
  const unskip = api.last('POST', '/v1/schedules/sch_one/unskip');
  expect([unskip.body, unskip.headers['if-match']]).toEqual([{ occurrence: at }, undefined]);
});

test('backfill is started, followed and cancelled', async () => {
  answering('/v1/schedules/sch_one/backfill', backfill, 202);
  const range = ['--from', '2027-01-29T00:00:00Z', '--to', '2027-01-30T00:00:00Z'];
  const started = await call('backfill', 'daily', ...range, '--overlap', 'allow_all', '--again');
  expect(started.code).toBe(0);
  expect(api.last('POST', '/v1/schedules/sch_one/backfill').body).toEqual({
    from: '2027-01-29T00:00:00Z',
    to: '2027-01-30T00:00:00Z',
    overlapPolicy: 'allow_all',
    again: true,
  });
  expect(started.stdout).toMatch(
    /status +running[\s\S]*remaining +1[\s\S]*left alone +2[\s\S]*2027-01-29 09:00:00Z +run_b1/,
  );
  await call('backfill', 'sch_one', ...range);
  expect(Object.keys(api.last('POST', '/v1/schedules/sch_one/backfill').body as object)).toEqual(['from', 'to']);

  answering('/v1/schedules/sch_one/backfills/bkf_one', backfill);
  const status = await call('backfill-status', 'daily', 'bkf_one', '--json');
  expect([status.code, JSON.parse(status.stdout)]).toEqual([0, backfill]);
  answering('/v1/schedules/sch_one/backfills/bkf_one/cancel', { ...backfill, status: 'cancelled', items: [] });
  const cancelled = await call('backfill-cancel', 'sch_one', 'bkf_one');
  expect(cancelled.stdout).toMatch(/status +cancelled/);
  expect(api.last('POST', '/v1/schedules/sch_one/backfills/bkf_one/cancel').body).toEqual({});
});

test('revisions are a table, oldest first', async () => {
  const page = { items: [revision], asOf: AS_OF };
  answering('/v1/schedules/sch_one/revisions', page);
  const { code, stdout } = await call('revisions', 'daily');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^REVISION +FROM +ACTIVE +CADENCE +WINDOW +CHANGED +BY\n2 +2027-01-30 09:00:00Z +yes +30 8 \* \* \* /,
  );
  expect(stdout).toContain('2027-01-01 00:00:00Z … open');
  expect(JSON.parse((await call('revisions', 'daily', '--json')).stdout)).toEqual(page);
});

test('occurrences are filtered by the server, on every page', async () => {
  api.occurrences = [occurrence, { ...occurrence, occurrence: '2027-01-30T08:30:00Z' }];
  api.pageSize = 1;
  const filter = ['--disposition', 'skipped', '--from', '2027-01-01T00:00:00Z', '--to', '2027-01-31T23:00:00Z'];
  const { code, stdout } = await call('occurrences', 'daily', ...filter, '--all');
  expect(code).toBe(0);
  expect(stdout).toMatch(/2027-01-31 08:30:00Z +skipped +overlap \(blocked by run_one\)[\s\S]*2027-01-30 08:30:00Z/);
  const asked = api.asked.filter(({ path }) => path.endsWith('/occurrences'));
  expect(asked.map(({ query }) => [query.get('disposition'), query.get('from'), query.get('to')])).toEqual(
    Array(2).fill(['skipped', '2027-01-01T00:00:00Z', '2027-01-31T23:00:00Z']),
  );
});

describe('update', () => {
  const PATH = '/v1/schedules/sch_one';

  test('with --dry-run prints what would come and go, and the warnings on stderr', async () => {
    api.override = ({ method }) => (method === 'PATCH' ? { body: dryRun } : undefined);
    const { code, stdout, stderr } = await call('update', 'daily', '--cron', '30 9 * * *', '--dry-run');
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(0, 5)).toEqual([
      '- 2027-02-01 09:00:00Z',
      '+ 2027-02-01 09:30:00Z',
      '+ 2027-02-02 09:30:00Z',
      '… and more than are listed',
      '',
    ]);
    expect(stdout).toMatch(
      /overlaps +3 predicted \(95 % of 20 past runs took up to 400s\), first 2027-02-01 09:30:00Z/,
    );
    expect(stdout).toMatch(/nothing has been changed/);
    expect(stderr).toBe('Warning: fires 288 times a day\n');
    const asked = api.last('PATCH', PATH);
    expect([asked.query.get('dryRun'), asked.headers['if-match']]).toEqual(['true', '"4"']);
    expect(asked.body).toEqual({ cadence: { cron: '30 9 * * *', timezone: 'UTC' } });
    const machine = await call('update', 'daily', '--every', '5m', '--dry-run', '--json');
    expect([JSON.parse(machine.stdout), machine.stderr]).toEqual([dryRun, '']);
  });

  test('needs more than --dry-run', async () => {
    const { code, stderr } = await call('update', 'daily', '--dry-run');
    expect([code, api.asked.length]).toEqual([2, 0]);
    expect(stderr).toContain('Nothing to change');
  });

  test('sets the policies and one end of the window, whose other end stays', async () => {
    api.schedules = [schedule({ window: { startAt: '2027-01-01T00:00:00Z', endAt: '2028-01-01T00:00:00Z' } })];
    const set = '--overlap buffer_all --flexible-window 15m --pause-on-failure 3 --remaining-runs 10';
    await call('update', 'daily', ...set.split(' '), '--window-end', '2027-06-01T00:00:00Z');
    expect(api.last('PATCH', PATH).body).toEqual({
      overlapPolicy: 'buffer_all',
      flexibleWindow: '15m',
      pauseOnFailure: { consecutive: 3 },
      remainingRuns: 10,
      window: { startAt: '2027-01-01T00:00:00Z', endAt: '2027-06-01T00:00:00Z' },
    });
  });

  test('lays timeouts and the retry over the overrides that stand', async () => {
    api.schedules = [schedule({ overrides: { runTimeout: 'PT1H', retry: { maxAttempts: 3, afterStart: true } } })];
    const set = '--idle-timeout 5m --retry-backoff 1m --no-retry-after-start --max-attempts none';
    expect((await call('update', 'daily', ...set.split(' '))).code).toBe(0);
    expect(api.last('PATCH', PATH).body).toEqual({
      overrides: { runTimeout: 'PT1H', idleTimeout: '5m', retry: { backoff: '1m', afterStart: false } },
    });
    await call('update', 'daily', '--max-attempts', 'none', '--unset-retry-after-start');
    expect(api.last('PATCH', PATH).body).toEqual({ overrides: { runTimeout: 'PT1H' } });
  });

  test('clears with none', async () => {
    api.schedules = [schedule({ window: { endAt: '2028-01-01T00:00:00Z' } })];
    const clear =
      '--flexible-window none --pause-on-failure none --remaining-runs none --window-end none --catchup none';
    expect((await call('update', 'daily', ...clear.split(' '))).code).toBe(0);
    expect(api.last('PATCH', PATH).body).toEqual({
      flexibleWindow: null,
      pauseOnFailure: null,
      remainingRuns: null,
      window: null,
      catchupWindow: null,
    });
  });
});

test.each(['skip', 'buffer_one', 'buffer_all', 'cancel_other', 'terminate_other', 'allow_all'])(
  'create takes the policy %s',
  async (policy) => {
    const args = `create --agent agt_one --name n --every 5m --overlap ${policy} --window-start 2027-02-01T00:00:00Z`;
    expect((await call(...args.split(' '))).code).toBe(0);
    expect(api.last('POST', '/v1/agents/agt_one/schedules').body).toMatchObject({
      overlapPolicy: policy,
      window: { startAt: '2027-02-01T00:00:00Z' },
    });
  },
);

test('create nests the retry in the overrides', async () => {
  const args =
    'create --agent agt_one --name n --every 5m --idle-timeout 2m --max-attempts 2 --retry-backoff 9s --retry-after-start';
  expect((await call(...args.split(' '))).code).toBe(0);
  expect(api.last('POST', '/v1/agents/agt_one/schedules').body).toMatchObject({
    overrides: { idleTimeout: '2m', retry: { maxAttempts: 2, backoff: '9s', afterStart: true } },
  });
});

test('shows the policies of a schedule, and what waits', async () => {
  api.schedules = [
    schedule({
      overrides: { idleTimeout: 'PT2M', retry: { maxAttempts: 2, backoff: 'PT9S', afterStart: true } },
      flexibleWindow: 'PT15M',
      pauseOnFailure: { consecutive: 3 },
      failureStreak: 1,
      remainingRuns: 7,
      buffered: ['2027-01-31T08:45:00Z'],
      backfill: { id: 'bkf_one', remaining: 4 },
    }),
  ];
  const { stdout } = await call('get', 'daily');
  for (const part of [
    /idle timeout +PT2M/,
    /max attempts +2/,
    /retry backoff +PT9S/,
    /retry after start +yes/,
    /flexible window +PT15M/,
    /pause on failure +after 3 in a row, 1 now/,
    /remaining runs +7/,
    /waiting +2027-01-31 08:45:00Z \(15m ago\)/,
    /backfill +bkf_one, 4 remaining/,
  ])
    expect(stdout).toMatch(part);
});

test.each([
  [['preview'], 'Give one of: --cron'],
  [['preview', '--cron', '0 9 * * *'], '--timezone'],
  [['preview', '--every', '5m', '--count', '1001'], 'whole number from 1 to 1000'],
  [['explain', 'daily'], '--at'],
  [['skip', 'daily'], '--at'],
  [['skip', 'daily', '--at', 'x', '--if-match', 'y'], '--if-match'],
  [['backfill', 'daily', '--from', 'x'], '--to'],
  [['backfill', 'daily', '--from', 'x', '--to', 'y', '--overlap', 'skip'], 'buffer_all'],
  [['backfill-status', 'daily'], 'backfill'],
  [['occurrences', 'daily', '--disposition', 'ran'], 'dispatched'],
  [['update', 'daily', '--overlap', 'queue'], 'terminate_other'],
  [['update', 'daily', '--remaining-runs', 'some'], 'whole number'],
  [['create', '--agent', 'a', '--name', 'n', '--every', '5m', '--remaining-runs', 'none'], 'whole number'],
])('takes %j for wrong usage', async (args, said) => {
  const { code, stdout, stderr } = await call(...args);
  expect([code, stdout, api.asked.length]).toEqual([2, '', 0]);
  expect(stderr).toContain(said);
});

test('candor dev takes CANDOR_FEATURES_SCHEDULES for on or off, and nothing else', () => {
  expect([undefined, '', 'on', 'off'].map((text) => localFeatures(text).schedules)).toEqual([true, true, true, false]);
  expect(() => localFeatures('of')).toThrow('CANDOR_FEATURES_SCHEDULES is "of"');
});
