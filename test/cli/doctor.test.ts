/** `candor doctor` and `candor audit`: what is well, what is not, what to do, and the exit code. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clockFinding, diskFinding, partFinding, schemaFinding } from '../../cli/doctor.ts';
import type { AuditBody, SystemBody } from '../../core/contract/system.ts';
import { candor } from './candor.ts';
import { AS_OF, FakeApi, problem, TOKEN } from './fakeApi.ts';

const part = (name: string, status: SystemBody['parts'][number]['status'] = 'alive') => ({
  name,
  status,
  ...(status !== 'unknown' && { owner: 'candor dev', lastProofAt: AS_OF }),
  detail: {},
  asOf: AS_OF,
});
const system = (over: Partial<SystemBody> = {}): SystemBody => ({
  version: { schema: 1 },
  parts: ['store', 'clock', 'watchdog', 'events', 'workflow', 'audit'].map((name) => part(name)),
  limits: {
    idempotencyKeyRetention: 'P1D',
    requestsPerMinute: 1200,
    inputBytes: 131072,
    metadataBytes: 8192,
    unconfirmedFiresPerDay: 300,
  },
  asOf: AS_OF,
  ...over,
});
const clean: AuditBody = {
  status: 'clean',
  startedAt: AS_OF,
  endedAt: AS_OF,
  counts: { missing: 0, double: 0, orphans: 0, leaks: 0, drifted: 0 },
  checked: { schedules: 2, occurrences: 10, runs: 1, vms: 1 },
  findings: [],
  asOf: AS_OF,
};
const missing: AuditBody = {
  ...clean,
  status: 'not_clean',
  counts: { missing: 1, double: 0, orphans: 0, leaks: 0, drifted: 0 },
  findings: [{ kind: 'missing', subject: 'sch_one', detail: 'nothing of it', did: 'fired it: dispatched', at: AS_OF }],
};

let api: FakeApi;
let answers: { system: SystemBody; audit: AuditBody };
beforeEach(async () => {
  api = await new FakeApi().listen();
  answers = { system: system(), audit: clean };
  api.override = ({ path }) => {
    if (path === '/v1/health') return { body: { status: 'ok', asOf: new Date().toISOString() } };
    if (path === '/v1/system') return { body: answers.system };
    if (path === '/v1/system/audit') return { body: answers.audit };
    return undefined;
  };
});
afterEach(() => api.close());

const call = (...args: readonly string[]) => candor(args, { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });

test('a system that is well: every check says so, and the exit code is 0', async () => {
  const { code, stdout } = await call('doctor');
  expect(code).toBe(0);
  for (const check of ['server', 'clock', 'token', 'schema', 'part watchdog', 'audit'])
    expect(stdout).toMatch(new RegExp(`^ok +${check} `, 'm'));
});

test('a silent part, and an audit that is not clean, are failures with what to do', async () => {
  answers = {
    system: system({ parts: [part('store'), part('watchdog', 'silent'), part('clock', 'unknown')] }),
    audit: missing,
  };
  const { code, stdout } = await call('doctor');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^failure +part watchdog +silent: last proof of life .*\n +Nothing recovers by itself/m);
  expect(stdout).toMatch(/^warning +part clock +unknown: it has never published anything/m);
  expect(stdout).toMatch(/^failure +audit +1 missing.*\n +Read what was found: candor audit/m);
  const json = JSON.parse((await call('doctor', '--json')).stdout) as { well: boolean; findings: unknown[] };
  expect(json.well).toBe(false);
});

const watched = (detail: Readonly<Record<string, string | number>>) =>
  system({ parts: [part('clock', 'seen'), { ...part('watchdog'), detail }] });

test('a scheduler that does not fire is a failure, though every part has given proof of its life', async () => {
  answers = { ...answers, system: watched({ clockMisses: 18 }) };
  const { code, stdout } = await call('doctor');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^failure +clock fires +the last 18 occurrences were left .*\n +Nothing fires in time/m);
  expect(stdout).toMatch(/^ok +part clock +seen: .*it promises no other one/m);
  answers = { ...answers, system: watched({ clockMisses: 1, strayInstances: 0, oldestOverdueSeconds: 300 }) };
  const well = await call('doctor');
  expect([well.code, well.stdout]).toEqual([
    0,
    expect.not.stringMatching(/^(failure|warning) +(clock fires|watchdog|instances)/m),
  ]);
});

test('strays and promises that have long been broken are warnings', async () => {
  answers = { ...answers, system: watched({ strayInstances: 3, oldestOverdueSeconds: 301 }) };
  const { code, stdout } = await call('doctor');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^warning +instances +no VM accounts for 3/m);
  expect(stdout).toMatch(/^warning +watchdog +the oldest broken promise is 301 s old/m);
});

test('a token that is refused, and a server that is not there', async () => {
  api.override = ({ path }) =>
    path === '/v1/health'
      ? { body: { status: 'ok', asOf: new Date().toISOString() } }
      : problem(401, 'unauthenticated', 'The credential is missing or wrong');
  const refused = await call('doctor');
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringMatching(/^failure +token /m)]);
  const { url } = api;
  await api.close();
  const nobody = await candor(['doctor'], { env: { CANDOR_URL: url, CANDOR_TOKEN: TOKEN } });
  expect([nobody.code, nobody.stdout]).toEqual([1, expect.stringMatching(/^failure +server /m)]);
  api = await new FakeApi().listen();
});

test('audit prints what was found and done, and exits 1 where it is not clean', async () => {
  expect((await call('audit')).stdout).toMatch(/status +clean/);
  answers = { ...answers, audit: missing };
  const { code, stdout } = await call('audit');
  expect(code).toBe(1);
  expect(stdout).toMatch(/missing +sch_one +nothing of it +fired it: dispatched/);
});

test('an audit that could not read something says so, and is not clean', async () => {
  answers = { ...answers, audit: { ...clean, status: 'not_clean', unread: 2 } };
  const { code, stdout } = await call('audit');
  expect([code, stdout]).toEqual([1, expect.stringMatching(/could not be read +2/)]);
  expect((await call('doctor')).stdout).toMatch(/^failure +audit .*2 not to be read at/m);
});

test('the judgements', () => {
  expect(clockFinding(1000, 900, 1100)).toMatchObject({ level: 'ok' });
  expect(clockFinding(6200, 900, 1100)).toMatchObject({ level: 'failure' });
  expect(clockFinding(0, 5100, 5200)).toMatchObject({ level: 'failure' });
  expect(diskFinding(50 * 1024 ** 2, '.candor')).toMatchObject({ level: 'failure' });
  expect(diskFinding(500 * 1024 ** 2, '.candor')).toMatchObject({ level: 'warning' });
  expect(schemaFinding(system(), 2)).toMatchObject({ level: 'failure' });
  expect(schemaFinding(system({ version: { schema: 2 } }), undefined)).toMatchObject({ level: 'warning' });
  expect(partFinding(part('clock', 'seen'))).toMatchObject({ level: 'ok' });
});
