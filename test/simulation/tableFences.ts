/**
 * The tables of transitions, cell by cell. Use cases ask the row first and the table then, so what a cell is for is seen only
 * without both. Loads nothing of Candor, as `fences.ts`.
 */
import type { Edit, Fence } from './fences.ts';

export const edit = (file: string, find: string, instead: string): Edit => ({ file, find, instead });

const RUNS = 'core/runs/machine.ts';
const VMS = 'core/vms/machine.ts';

export const TABLE_FENCES: Readonly<Record<string, Fence>> = {
  'table.endedProvision': {
    what: 'no VM is launched for a run that has ended',
    edits: [
      edit('core/vms/liveRun.ts', 'if (isTerminal(run.status))', 'if (false as boolean)'),
      edit(RUNS, "  provision: refuse('the run has ended'),", "  provision: go('provisioning'),"),
    ],
  },
  'table.endedDispatch': {
    what: 'no VM is told to start a run that has ended',
    edits: [
      edit('core/runs/dispatch.ts', 'run.attempt !== attempt || isTerminal(run.status)', 'run.attempt !== attempt'),
      edit(RUNS, "  dispatch: refuse('the run has ended'),", "  dispatch: go('starting'),"),
    ],
    // It is cancelled, and nobody lets its VM go.
    aim: {
      operations: ['create_run', 'create_run', 'cancel_run'],
      faults: { site: 'workflow.stop', share: 0.9, kinds: ['fail_before'] },
    },
  },
  'table.endedCancel': {
    what: 'nobody is told to end a run that has ended',
    edits: [
      edit('core/runs/cancel.ts', 'if (isTerminal(run.status)) throw ended(run);', ''),
      edit(RUNS, "  request_cancel: refuse('the run has ended'),", "  request_cancel: go('cancelling'),"),
    ],
    aim: { operations: ['create_run', 'cancel_run'] },
  },
  'table.endedRetry': {
    what: 'a run that has ended has no other attempt',
    edits: [
      edit(
        'core/runs/nextAttempt.ts',
        'isTerminal(run.status) || run.attempt !== fault.attempt',
        'run.attempt !== fault.attempt',
      ),
      edit(RUNS, "  next_attempt: refuse('the run has ended'),", "  next_attempt: go('queued'),"),
    ],
    aim: { operations: ['create_run', 'cancel_run'] },
  },
  'table.dispatchedProvision': {
    what: 'no VM is launched for a run that another VM has',
    edits: [
      edit('core/vms/liveRun.ts', 'if (run.vmId !== undefined && run.vmId !== vmOf(run))', 'if (false as boolean)'),
      edit(RUNS, "provision: refuse('a VM has been told to start it'),", "provision: go('provisioning'),"),
      edit(RUNS, "provision: refuse('it is running'),", "provision: go('provisioning'),"),
      edit(RUNS, "provision: refuse('it is being cancelled'),", "provision: go('provisioning'),"),
    ],
  },
  'table.cancelledRetry': {
    what: 'a run that is being cancelled has no other attempt',
    edits: [
      edit('core/runs/nextAttempt.ts', "if (run.cancel !== undefined) return 'its end had been asked for';", ''),
      edit(RUNS, "next_attempt: refuse('it is being cancelled'),", "next_attempt: go('queued'),"),
    ],
    aim: {
      operations: ['create_run', 'cancel_run'],
      workload: ({ agents }) => ({
        agents: agents.map((agent) => ({
          ...agent,
          retry: { maxAttempts: 3, backoff: 'PT1S', afterStart: true },
        })),
      }),
      weather: ({ machines }) => ({ machines: { ...machines, startFails: 0.5, neverEnds: 0.5 } }),
    },
  },
  'table.vmBoots': {
    what: 'a VM that is further than that does not boot once more',
    edits: [
      edit('core/vms/launch.ts', "if (vm.status !== 'launching') {", "if (vm.status === 'terminated') {"),
      edit(VMS, "ready: ['unresponsive', ", "ready: ['booting', 'unresponsive', "),
      edit(VMS, "unresponsive: ['ready', ", "unresponsive: ['booting', 'ready', "),
      edit(VMS, "draining: ['unresponsive', ", "draining: ['booting', 'unresponsive', "),
    ],
    aim: { operations: ['create_run', 'cancel_run'] },
  },
  'table.vmRegisters': {
    what: 'a VM that drains takes no work again, though its runner registers',
    edits: [
      edit('core/vms/register.ts', "row.status !== 'draining' && row.status !== 'ready'", "row.status !== 'ready'"),
      edit(VMS, "draining: ['unresponsive', ", "draining: ['ready', 'draining', 'unresponsive', "),
    ],
    aim: { operations: ['create_run', 'drain_vm'] },
  },
  'table.vmGone': {
    what: 'a VM that is gone is gone',
    edits: [
      edit(
        'core/vms/drain.ts',
        "if (vm === undefined || vm.status === 'terminated') return { done: 'none' };",
        "if (vm === undefined) return { done: 'none' };",
      ),
      edit(VMS, '  terminated: [],', "  terminated: ['draining'],"),
    ],
  },
};

/** What stands for each refusal of the run's table, (status, event); the statuses of runs that have ended share one row. */
export const RUN_REFUSALS: Readonly<Record<string, string>> = {
  'ended.provision': 'table.endedProvision',
  'ended.dispatch': 'table.endedDispatch',
  'ended.start': 'none: what a runner says of a run that has ended is judged as nobody’s work before, in takeReport',
  'ended.request_cancel': 'table.endedCancel',
  'ended.next_attempt': 'table.endedRetry',
  'ended.end': 'fence.terminalStands',
  'queued.start': 'none: a run that waits has no VM, and only the word of the VM that it has counts',
  'provisioning.start': 'none: a run that waits for a VM has none, and only the word of the VM that it has counts',
  'starting.provision': 'table.dispatchedProvision',
  'running.provision': 'table.dispatchedProvision',
  'cancelling.provision': 'table.dispatchedProvision',
  'cancelling.next_attempt': 'table.cancelledRetry',
};

/** What stands for each refusal of the VM's table, (from, to). */
export const VM_REFUSALS: Readonly<Record<string, string>> = {
  'launching.unresponsive': 'none: only a VM that was ready, or drains, is looked at for its silence',
  'booting.launching': 'none: a VM is launching when it is made, and nothing writes that again',
  'booting.unresponsive': 'none: only a VM that was ready, or drains, is looked at for its silence',
  'ready.launching': 'none: a VM is launching when it is made, and nothing writes that again',
  'ready.booting': 'table.vmBoots',
  'unresponsive.launching': 'none: a VM is launching when it is made, and nothing writes that again',
  'unresponsive.booting': 'table.vmBoots',
  'draining.launching': 'none: a VM is launching when it is made, and nothing writes that again',
  'draining.booting': 'table.vmBoots',
  'draining.ready': 'table.vmRegisters',
  'terminated.launching': 'none: a VM is launching when it is made, and nothing writes that again',
  'terminated.booting': 'none: a VM that is gone takes no answer to its launch, in storeInstance',
  'terminated.ready': 'none: a VM that is gone registers no runner and is not heard, in registerRunner and checkToken',
  'terminated.unresponsive': 'none: only a VM that was ready, or drains, is looked at for its silence',
  'terminated.draining': 'table.vmGone',
};
