import { beforeEach, expect, it } from 'vitest';
import type { RunRow } from '../../core/runs/model.ts';
import type { Item } from '../../core/table/model.ts';
import { LimitRules } from './limitRules.ts';
import type { Simulation } from './world.ts';

let broken: string[];
let mark: Item | undefined;
let run: RunRow;
let rules: LimitRules;

beforeEach(() => {
  broken = [];
  mark = undefined;
  changed({});
  const checker = { runs: { rows: { get: () => run } } };
  const told = (invariant: string, what: string) => broken.push(`${invariant} ${what}`);
  rules = new LimitRules({
    checker,
    table: { get: () => mark },
    broken: told,
    time: { now: 0 },
    apartMs: 5000,
  } as unknown as Simulation);
});

const WAITS = { waiting: { reason: 'capacity' } } as const;
function changed(more: Partial<RunRow>): void {
  const row = { id: 'run', agentId: 'agt', agentVersion: 1, queuedAt: 0, status: 'queued', attempt: 2, limited: true };
  run = { ...row, ...more } as unknown as RunRow;
}
const start = (attempt: number) => rules.started({ tenantId: 'ten', runId: 'run', attempt });
function commit(more: Partial<RunRow>): void {
  changed(more);
  const change = { key: { pk: 'RUN#run', sk: 'META' }, before: undefined, after: run, write: { kind: 'put' } };
  rules.committed({ inc: { kind: 'launch' }, changes: [change] } as unknown as Parameters<LimitRules['committed']>[0]);
}

it('an attempt that is begun before a limit has let it in is found; one of before, or of a run under no limit, is none', () => {
  start(1);
  changed({ limited: false });
  start(2);
  changed({ admitted: [] });
  start(2);
  expect(broken).toEqual([]);
  changed({});
  start(2);
  expect(broken).toEqual(['I10 the execution of run attempt 2 is started, and nobody has let it in']);
});

it('an attempt is neither begun nor given a VM before its time, by any clock that is allowed', () => {
  changed({ admitted: [], attemptAt: 5000 });
  start(2);
  commit({ admitted: [], attemptAt: 5000, status: 'starting', vmId: 'vm' });
  expect(broken).toEqual([]);
  changed({ admitted: [], attemptAt: 5001 });
  start(2);
  commit({ admitted: [], attemptAt: 5001, status: 'starting', vmId: 'vm' });
  expect(broken).toEqual([
    '§5.4 the execution of run attempt 2 is started, and its time has not come',
    '§5.4 launch: run has vm for attempt 2 before its time',
  ]);
});

it('a run that nobody has let in is on no way to a VM', () => {
  commit({ waiting: { reason: 'agent_vm_limit' } });
  commit({ status: 'cancelled' });
  expect(broken).toEqual([]);
  commit({ status: 'starting' });
  expect(broken).toEqual(['I10 launch: run is starting, waits for undefined, and nobody has let it in']);
});

it('who waits for a VM has a mark of it, and nobody else', () => {
  mark = { pk: 'AGT#agt', sk: 'WANT#1' };
  commit({ admitted: [], ...WAITS });
  expect(broken).toEqual([]);
  commit({ admitted: [], status: 'succeeded', ...WAITS });
  commit({ admitted: [], status: 'provisioning' });
  mark = undefined;
  commit({ admitted: [], ...WAITS });
  expect(broken).toEqual([
    'I10 launch: run is succeeded, waits for capacity, and has a mark of it',
    'I10 launch: run is provisioning, waits for undefined, and has a mark of it',
    'I10 launch: run is queued, waits for capacity, and has no mark of it',
  ]);
});
