/**
 * Everything that is put right without anybody asking, by the word that its measurement (`Recoveries`) and its note carry.
 * Each has its cases in `test/core/watchdog`: the stuck state, reached, and what is almost that and must be left alone.
 */
export const RECOVERIES = {
  queued_unplaced: 'a queued run that nobody placed was placed',
  queue_timeout: 'a run whose turn had not come by its queue deadline was ended',
  overlap_waiting: 'runs that have to make room for a newer one were told again',
  start_timeout: 'a run without a process by its start deadline was ended',
  run_timeout: 'a run past its runTimeout was told to end',
  execution_missing: 'an execution that the workflow does not know was started again',
  execution_over: 'a run that its execution left behind got another attempt or its end',
  run_without_vm: 'a run whose VM was recorded as gone got the end, or the next attempt, that the VM left it',
  cancel_resent: 'a cancel that no runner acknowledged was sent again',
  cancel_escalated: 'a VM was given up because a run on it did not end',
  ended_unreported: 'a run that its VM does not name any more, and whose end nobody reported, was called lost',
  idle_timeout: 'a run that was idle for its idleTimeout was told to end',
  outcome_corrected: 'proof of the true end of a lost run came, and stands beside its verdict',
  vm_unneeded: 'a VM that was on its way to a run which needs it no more was released',
  vm_died_booting: 'the end of an instance that never registered was recorded',
  vm_idle: 'a VM that carries no run, and is kept for none, was released',
  vm_dead: 'the end of a VM and of its runs was recorded',
  vm_silent: 'a silent VM that the fleet calls running was marked unresponsive',
  vm_unresponsive: 'a VM that stayed silent was terminated',
  vm_lingering: 'a draining VM that did not stop by itself was terminated',
  slot_leaked: 'a slot that was held for nothing was given back',
  place_leaked: 'a place under a limit, or its counter, was put right',
  live_run_leaked: 'a run that had ended was taken out of what its schedule counts as live',
  waiting_uncalled: 'what waited for the end of a run, and was not called by it, was called',
  clock_drift: 'a clock that was not known to follow its schedule was put right',
  occurrence_overdue: 'occurrences that nobody decided in time were decided',
  instance_stray: 'an instance that no VM accounts for was terminated',
} as const satisfies Readonly<Record<string, string>>;

export type Recovery = keyof typeof RECOVERIES;
