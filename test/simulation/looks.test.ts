import { beforeEach, expect, it } from 'vitest';
import { CoreConfig } from '../../core/config.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Ec2Instance } from './ec2.ts';
import type { Incarnation } from './incarnations.ts';
import type { Commit } from './invariants.ts';
import { LookRules } from './lookRules.ts';
import type { Simulation } from './world.ts';

const SECOND = 1000;
const config = CoreConfig.parse({});
const time = { now: 0 };
let broken: string[];
let vms: Map<string, object>;
let rules: LookRules;
let watchdog: Incarnation;

beforeEach(() => {
  broken = [];
  vms = new Map();
  const told = (invariant: string, what: string) => broken.push(`${invariant} ${what}`);
  const checker = { vms: { rows: vms } };
  rules = new LookRules({ time, config, checker, apartMs: 5 * SECOND, broken: told } as unknown as Simulation);
  begins(0);
});

/** Another call, at that second. */
function begins(second: number): void {
  time.now = second * SECOND;
  watchdog = { kind: 'watchdog', startedAt: time.now } as unknown as Incarnation;
}

function commit(inc: Incarnation, key: { pk: string; sk: string }, before: object, after: object, write: object = {}) {
  rules.committed({ inc, changes: [{ key, before, after, write }] } as unknown as Commit);
}

function ticked(second: number, holdUntil = 0): void {
  begins(second);
  const after = { at: time.now, memory: { holdUntil: holdUntil * SECOND } };
  commit(watchdog, keys.system('watchdog'), {}, after);
}

const vm = (status: string, detail = '') => ({ id: 'vm', status, slots: [], evidence: { detail } });
function callsItSilent(second: number): void {
  time.now = second * SECOND;
  commit(watchdog, keys.vm('vm'), vm('ready'), vm('unresponsive', 'no heartbeat'));
}

it('after a gap of its own, and as long as it was told to hold, the watchdog calls nothing silent', () => {
  ticked(60);
  begins(120);
  callsItSilent(121);
  begins(300);
  callsItSilent(350);
  expect(broken).toEqual([]);
  callsItSilent(310);
  expect(broken).toEqual(["I9 watchdog: vm is unresponsive (no heartbeat), right after a gap of the watchdog's own"]);
  ticked(310, 345);
  begins(320);
  callsItSilent(330);
  expect(broken).toHaveLength(2);
  callsItSilent(346);
  expect(broken).toHaveLength(2);
});

it('where another tick is noted meanwhile, only what holds by both is found', () => {
  ticked(60);
  begins(300);
  const first = watchdog;
  ticked(301, 301);
  watchdog = first;
  callsItSilent(302);
  expect(broken).toEqual([]);
});

it('a VM that is given up right after a gap is found, too', () => {
  ticked(60);
  begins(300);
  const given = vm('draining', 'silent since then: it is given up');
  commit(watchdog, keys.vm('vm'), vm('unresponsive'), given);
  expect(broken).toHaveLength(1);
});

/** EC2 shows these states of the VM's instances. */
const shows = (...states: string[]) => rules.described(watchdog, 'vm', states);
const run = (more: object) => ({ id: 'run', attempt: 1, status: 'running', vmId: 'vm', ...more });
const loses = (after: object) => commit(watchdog, keys.run('run'), run({}), run(after));

it('a run loses its VM by two looks that show nothing of it but its end', () => {
  shows('terminated');
  shows();
  loses({ status: 'lost', reason: 'vm_terminated' });
  loses({ attempt: 2, attempts: [{ reason: 'vm_terminated' }] });
  expect(broken).toEqual([]);
  begins(10);
  shows('terminated');
  shows('terminated', 'running');
  loses({ status: 'succeeded' });
  expect(broken).toEqual([]);
  loses({ status: 'lost', reason: 'vm_terminated' });
  loses({ attempt: 2, attempts: [{ reason: 'vm_terminated' }] });
  expect(broken).toHaveLength(2);
  expect(broken[0]).toBe('§5.4 watchdog: run run loses vm, which was seen to be gone 1 times');
});

it('whose end is on record needs no other look, nor does a run that came to the VM after the look', () => {
  vms.set('vm', { status: 'terminated' });
  loses({ status: 'lost', reason: 'vm_terminated' });
  vms.clear();
  time.now = SECOND;
  commit(watchdog, keys.vm('vm'), vm('ready'), { ...vm('ready'), slots: [{ runId: 'run', attempt: 1 }] });
  loses({ status: 'lost', reason: 'vm_terminated' });
  expect(broken).toEqual([]);
});

it('of who goes on with what an earlier call has left behind, nobody knows what that had seen', () => {
  watchdog.carriesOn = true;
  loses({ status: 'lost', reason: 'vm_terminated' });
  expect(broken).toEqual([]);
});

const stray = { id: 'i-1', vmId: 'vm' } as Ec2Instance;
it('a stray is ended by who has read that it was one a lease ago', () => {
  begins(100);
  rules.read(watchdog, [{ ...keys.strayInstance('i-1'), firstSeenAt: 55 * SECOND }]);
  rules.ending(watchdog, stray);
  expect(broken).toEqual([]);
  rules.read(watchdog, [undefined, { ...keys.strayInstance('i-1'), firstSeenAt: 80 * SECOND }]);
  rules.ending(watchdog, stray);
  expect(broken).toEqual(['§5.9 watchdog: i-1 is ended as a stray, 20000 ms after it was first seen to be one']);
  vms.set('vm', { status: 'draining' });
  rules.ending(watchdog, stray);
  expect(broken).toHaveLength(1);
});

it('failed looks are forgotten by who has read how many they were', () => {
  const key = keys.run('run');
  const forget = (checkFailures: number | undefined) =>
    commit(watchdog, key, { checkFailures }, {}, { kind: 'update', set: { checkFailures: undefined } });
  rules.read(watchdog, [{ ...key, checkFailures: 1 }]);
  forget(1);
  forget(undefined);
  expect(broken).toEqual([]);
  forget(2);
  expect(broken).toEqual(['I8 watchdog: of RUN#run 2 failed looks are forgotten by who knew of 1']);
});
