/** Why a run ended as it did, in words, and what can be done about it. */
import type { RunRow } from './model.ts';
import { whyNoRetry } from './nextAttempt.ts';

interface EndReason {
  readonly text: string;
  readonly remedy?: string;
}

const LOGS = 'Read its logs: candor runs logs <run>.';

const REASONS: Readonly<Record<string, (run: RunRow) => EndReason>> = {
  exit_code: ({ exitCode }) => ({ text: `Its process ended by itself with exit code ${exitCode}.`, remedy: LOGS }),
  signal: ({ signal }) => ({ text: `Its process was ended by ${signal}, which Candor had not sent.`, remedy: LOGS }),
  out_of_memory: () => ({
    text: 'The machine ran out of memory, and the kernel ended it.',
    remedy: 'Give the agent more memory (requirements.memoryMiB), or let it use less.',
  }),
  run_timeout: ({ runTimeoutSeconds }) => ({
    text: `It ran longer than its runTimeout of ${runTimeoutSeconds} s, and was ended.`,
    remedy: "Raise limits.runTimeout, or the schedule's overrides.",
  }),
  idle: ({ idleTimeoutSeconds }) => ({
    text: `It put out nothing and used no CPU time for its idleTimeout of ${idleTimeoutSeconds} s, and was ended.`,
    remedy: 'Raise limits.idleTimeout, or let the work say something from time to time.',
  }),
  queue_timeout: ({ queueTimeoutSeconds }) => ({
    text: `It waited for its turn longer than its queueTimeout of ${queueTimeoutSeconds} s, and nothing of it was started.`,
    remedy: 'Raise limits.queueTimeout or the limit that it waited for, or retry it.',
  }),
  start_timeout: ({ startTimeoutSeconds }) => ({
    text: `No process of it was seen within its startTimeout of ${startTimeoutSeconds} s.`,
    remedy: 'Look at what was tried, or raise limits.startTimeout.',
  }),
  vm_terminated: () => ({
    text: 'Its VM was seen to be gone while it was at work: the evidence ended there, so nobody knows how far it came.',
    remedy: 'Look at what it has left, then retry it; with retry.afterStart it would be tried again by itself.',
  }),
  vm_lost_before_start: () => ({
    text: 'Its VM was seen to be gone before its start could be sent: no process of it ever existed.',
    remedy: 'Retry it.',
  }),
  ended_unreported: () => ({
    text: 'Its VM is well but reports it no more, and nothing reported its end.',
    remedy: 'Look at what it has left, then retry it.',
  }),
  process_vanished: () => ({
    text: 'Its process and the one that watched it are gone without an exit status.',
    remedy: 'Look at what it has left, then retry it.',
  }),
  not_started: () => ({ text: 'It was not started on its VM, so no process of it ever existed.' }),
  setup_failed: () => ({ text: "The agent's setup commands failed on its VM.", remedy: LOGS }),
  repository_failed: () => ({
    text: 'Its repository could not be checked out.',
    remedy: 'Check the URL, the ref and the secret.',
  }),
  configuration: () => ({ text: 'It could not be started as its agent is configured.' }),
  launch_misconfigured: () => ({ text: 'The VM could not be launched as it is configured.' }),
  vm_terminated_after_cancel: () => ({
    text: 'Its end had been asked for; before it was reported its VM was seen to be gone, and its process with it.',
  }),
  cancelled: ({ cancel }) => ({
    text: `It was cancelled by ${cancel?.requestedBy ?? 'somebody'}, and its process is gone.`,
  }),
  cancelled_before_start: ({ cancel }) => ({
    text: `It was cancelled by ${cancel?.requestedBy ?? 'somebody'} before any process of it was started.`,
  }),
  candor_stopped: () => ({ text: 'Candor was stopped on this machine, and it with it.' }),
  displaced: ({ cancel }) => ({ text: `It was displaced by a newer run of its schedule (${cancel?.requestedBy}).` }),
};

/** @param run one that has ended */
export function endReason(run: RunRow): EndReason {
  const known = run.reason === undefined ? undefined : REASONS[run.reason]?.(run);
  if (run.status === 'succeeded') {
    const unproven = run.verification?.status === 'unverified';
    return unproven
      ? {
          text: 'Its process ended well, but what its agent declares as proof of success is not there.',
          remedy: LOGS,
        }
      : { text: 'It ended well.' };
  }
  const base = known ?? { text: `It ended as ${run.status}${run.reason === undefined ? '' : `: ${run.reason}`}.` };
  const why = isFault(run) ? whyNoRetry(run, { mayHaveStarted: mayHaveStarted(run) }) : undefined;
  return why === undefined ? base : { ...base, text: `${base.text} It was not tried again: ${why}.` };
}

/** A VM that is gone ends a run only where nobody could say that it had not begun, or no attempt was left. */
const mayHaveStarted = (run: RunRow): boolean => run.startedAt !== undefined || run.reason === 'vm_terminated';

const FAULTS: readonly (string | undefined)[] = [
  'vm_terminated',
  'vm_lost_before_start',
  'not_started',
  'setup_failed',
  'repository_failed',
  'provisioning_failed',
];
const isFault = (run: RunRow): boolean => FAULTS.includes(run.reason);
