import { describe, expect, it } from 'vitest';
import { CoreConfig } from '../../../core/config.ts';
import { changeVm } from '../../../core/vms/change.ts';
import { VM_STATUSES, type VmRow, type VmStatus } from '../../../core/vms/model.ts';

/** What design.md §3 says, written out by hand: rows are the status before, columns those after in the order of the list. */
const EXPECTED: Readonly<Record<VmStatus, string>> = {
  //             launching booting ready unresponsive draining terminated
  launching: ' -         x       x     -            x        x',
  booting: '   -         -       x     -            x        x',
  ready: '     -         -       -     x            x        x',
  unresponsive: '-       -       x     -            x        x',
  draining: '  -         -       -     x            -        x',
  terminated: '-         -       -     -            -        -',
};

const vm = (status: VmStatus): VmRow => ({
  pk: 'VM#vm_1',
  sk: 'META',
  schemaVersion: 1,
  tenantId: 'local',
  id: 'vm_1',
  agentId: 'agt_1',
  status,
  intent: { number: 1, clientToken: 'x', openedAt: 0, open: false },
  purpose: { runId: 'run_1', attempt: 1 },
  slots: [],
  generation: 1,
  heartbeatSeq: 1,
  commandCount: 0,
  commands: [],
  evidence: { source: 'test', observedAt: '', detail: '' },
  createdAt: 0,
  version: 1,
  listIn: '',
  listAt: '',
});

const PAIRS = VM_STATUSES.flatMap((from) => {
  const marks = EXPECTED[from].trim().split(/\s+/);
  const order: readonly VmStatus[] = ['launching', 'booting', 'ready', 'unresponsive', 'draining', 'terminated'];
  return order.map((to, index) => [from, to, marks[index] === 'x'] as const);
});

describe('a VM', () => {
  it.each(PAIRS)('from %s to %s: %s', (from, to, allowed) => {
    const change = () => changeVm(CoreConfig.parse({}), vm(from), { status: to }, 1, 'writer');
    if (allowed) expect(change().length).toBeGreaterThanOrEqual(2);
    else expect(change).toThrow(`cannot go from ${from} to ${to}`);
  });
});
