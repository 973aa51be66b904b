/**
 * The run's transition table, as data (design.md §3): every (status, event) pair has one defined answer, the illegal
 * ones included. Use cases ask {@link nextStatus}; nothing else writes a run's status.
 */
import { type RunStatus, TERMINAL_STATUSES, type TerminalStatus } from '../contract/runs.ts';

export const RUN_EVENTS = [
  /** The state machine has begun to get a VM. */
  'provision',
  /** The dispatch marker was set: this VM may start this attempt. */
  'dispatch',
  /** The runner saw the process. */
  'start',
  /** Somebody wants the work ended; the runner has been told. */
  'request_cancel',
  /** The attempt is given up before its end: back to the queue with a higher number. */
  'next_attempt',
  /** The one end, with a verdict. */
  'end',
] as const;
export type RunEvent = (typeof RUN_EVENTS)[number];

export type Answer =
  | { readonly kind: 'go'; readonly to: RunStatus | 'verdict' }
  /** The event has had its effect already: nothing is written, nobody is told off. */
  | { readonly kind: 'same' }
  | { readonly kind: 'refuse'; readonly why: string };

const go = (to: RunStatus | 'verdict'): Answer => ({ kind: 'go', to });
const same: Answer = { kind: 'same' };
const refuse = (why: string): Answer => ({ kind: 'refuse', why });

const ended: Record<RunEvent, Answer> = {
  // fence: table.endedProvision
  provision: refuse('the run has ended'),
  // fence: table.endedDispatch
  dispatch: refuse('the run has ended'),
  start: refuse('the run has ended'),
  // fence: table.endedCancel
  request_cancel: refuse('the run has ended'),
  // fence: table.endedRetry
  next_attempt: refuse('the run has ended'),
  // fence: fence.terminalStands
  end: refuse('the run has ended'),
};

export const RUN_TRANSITIONS: Readonly<Record<RunStatus, Readonly<Record<RunEvent, Answer>>>> = {
  queued: {
    provision: go('provisioning'),
    dispatch: go('starting'),
    start: refuse('no VM has been told to start it'),
    // Nothing has been asked of any VM, so there is nothing to wait for.
    request_cancel: go('verdict'),
    // Its execution failed before it could say that it had begun.
    next_attempt: go('queued'),
    end: go('verdict'),
  },
  provisioning: {
    provision: same,
    dispatch: go('starting'),
    start: refuse('no VM has been told to start it'),
    // No VM holds the marker, so no process can exist: the run ends, the VM is released.
    request_cancel: go('verdict'),
    next_attempt: go('queued'),
    end: go('verdict'),
  },
  starting: {
    // fence: table.dispatchedProvision
    provision: refuse('a VM has been told to start it'),
    dispatch: same,
    start: go('running'),
    request_cancel: go('cancelling'),
    next_attempt: go('queued'),
    end: go('verdict'),
  },
  running: {
    // fence: table.dispatchedProvision
    provision: refuse('it is running'),
    dispatch: same,
    start: same,
    request_cancel: go('cancelling'),
    next_attempt: go('queued'),
    end: go('verdict'),
  },
  cancelling: {
    // fence: table.dispatchedProvision
    provision: refuse('it is being cancelled'),
    dispatch: same,
    start: same,
    request_cancel: same,
    // fence: table.cancelledRetry
    next_attempt: refuse('it is being cancelled'),
    end: go('verdict'),
  },
  succeeded: ended,
  failed: ended,
  cancelled: ended,
  timed_out: ended,
  lost: ended,
};

/** The status after an event; `verdict` is needed where the table says that the run ends. */
export function nextStatus(from: RunStatus, event: RunEvent, verdict?: TerminalStatus): Answer {
  const answer = RUN_TRANSITIONS[from][event];
  if (answer.kind !== 'go' || answer.to !== 'verdict') return answer;
  if (verdict === undefined || !TERMINAL_STATUSES.includes(verdict)) return refuse('an end needs a verdict');
  return go(verdict);
}
