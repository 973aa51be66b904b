/** `candor vms …`: what each has room for, until when it is kept, and its drain. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VmBody } from '../../core/contract/runs.ts';
import { candor } from './candor.ts';
import { AS_OF, FakeApi, problem, TOKEN } from './fakeApi.ts';

const vm = (over: Partial<VmBody> = {}): VmBody => ({
  id: 'vm_one',
  agentId: 'agt_one',
  status: 'ready',
  runs: [],
  slots: 4,
  generation: 1,
  evidence: { source: 'runner', observedAt: AS_OF, detail: 'heartbeat' },
  createdAt: '2027-01-31T08:00:00.000Z',
  version: 7,
  asOf: AS_OF,
  ...over,
});
const warm = { idleSince: '2027-01-31T08:57:00.000Z', warmUntil: '2027-01-31T09:07:00.000Z' };
const drain = { requestedAt: '2027-01-31T08:59:00.000Z', requestedBy: 'usr_admin' };

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
  api.vms = [vm(warm)];
});
afterEach(() => api.close());

const call = (...args: readonly string[]) =>
  candor(['vms', ...args], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });

test('list shows the slots that are taken, since when a VM is idle and until when it is kept', async () => {
  const runs = [{ runId: 'run_one', attempt: 2 }];
  api.vms.push(vm({ id: 'vm_two', runs }), vm({ id: 'vm_three', status: 'draining', drain, ...warm }));
  api.vms.push(vm({ id: 'vm_gone', status: 'terminated', drain, ...warm }));
  const lines = (await call('list')).stdout.split('\n');
  expect(lines[0]).toMatch(/^ID +STATUS +AGENT +SLOTS +RUNS .* NOTE$/);
  expect(lines[1]).toMatch(/^vm_one +ready +agt_one +0\/4 .* went idle 3m ago, drains in 7m$/);
  expect(lines[2]).toMatch(/^vm_two .* 1\/4 +run_one .* -$/);
  expect(lines[3]).toMatch(/ drain asked for by usr_admin, went idle 3m ago$/);
  expect(lines[4]).toMatch(/ -$/);
});

test('get shows them with their times', async () => {
  const { stdout } = await call('get', 'vm_one');
  expect(stdout).toMatch(/slots +0 of 4 taken/);
  expect(stdout).toMatch(/idle since +2027-01-31 08:57:00Z \(3m ago\)\nwarm until +2027-01-31 09:07:00Z \(in 7m\)/);
});

test('drain asks for it, on the condition of a version where one is named', async () => {
  const PATH = '/v1/vms/vm_one/drain';
  const draining = vm({ status: 'draining', drain });
  api.override = ({ path }) => (path === PATH ? { status: 202, body: draining } : undefined);
  const { code, stdout } = await call('drain', 'vm_one');
  expect([code, api.last('POST', PATH).headers['if-match']]).toEqual([0, undefined]);
  expect(stdout).toMatch(/drain +asked for 2027-01-31 08:59:00Z \(1m ago\) by usr_admin/);
  const conditional = await call('drain', 'vm_one', '--if-match', '7', '--json');
  expect([JSON.parse(conditional.stdout), api.last('POST', PATH).headers['if-match']]).toEqual([draining, '"7"']);
  api.override = ({ path }) => (path === PATH ? problem(412, 'version_conflict', 'It has changed') : undefined);
  const stale = await call('drain', 'vm_one', '--if-match', '6');
  expect(stale.code).toBe(4);
  expect(stale.stderr).toContain('at version 7');
});
