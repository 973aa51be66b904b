/**
 * The next attempt of a run that the infrastructure has failed (design.md §3, §5.4): back to the queue under a higher
 * number, which fences off whatever the old attempt still says. Only ever after the start was refused, its VM was seen to
 * be gone, or before any VM had been told to start it: so no two attempts can both have a process (I2).
 */
import type { Evidence } from '../contract/common.ts';
import { isTerminal } from '../contract/runs.ts';
import { countsVms } from '../limits/model.ts';
import type { Ports } from '../ports.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, withoutSlot } from '../vms/change.ts';
import { wantingEnds } from '../vms/free.ts';
import type { VmRow } from '../vms/model.ts';
import { changeRun, nextEventKey } from './change.ts';
import { nextStatus } from './machine.ts';
import type { AttemptRecord, RetryRule, RunRow } from './model.ts';

export interface Fault {
  readonly attempt: number;
  /** A stable word for what went wrong: `vm_terminated`, `not_started`, `setup_failed` … */
  readonly reason: string;
  readonly evidence: Evidence;
  /** The agent's process was seen, or nobody can say that it was not. */
  readonly mayHaveStarted: boolean;
  /** Only while no dispatch marker stands. */
  readonly onlyUndispatched?: boolean;
}

/** Rows from before there was a rule are never tried again. */
const NO_RETRY: RetryRule = { maxAttempts: 1, backoffSeconds: 0, afterStart: false };

export const retryRuleOf = (run: RunRow): RetryRule => run.retry ?? NO_RETRY;

/** Why a fault is not tried again, or undefined if it is. */
export function whyNoRetry(run: RunRow, fault: Pick<Fault, 'mayHaveStarted'>): string | undefined {
  const rule = retryRuleOf(run);
  // fence: table.cancelledRetry
  if (run.cancel !== undefined) return 'its end had been asked for';
  if (run.attempt >= rule.maxAttempts) return `attempt ${run.attempt} of ${rule.maxAttempts} was the last one`;
  if (fault.mayHaveStarted && !rule.afterStart)
    return 'its process may have started, and the agent does not allow a retry after that (retry.afterStart)';
  return undefined;
}

const backoffMs = (ports: Ports, { backoffSeconds }: RetryRule, attempt: number): number =>
  1000 * Math.min(backoffSeconds * 2 ** (attempt - 1), ports.config.retryBackoffMaxSeconds);

/**
 * @returns the run at its next attempt; undefined where there is none: the fault is not one to try again, or the run has
 * ended, moved on or been dispatched meanwhile. Then the caller says how the run ends.
 */
export function nextAttempt(ports: Ports, runId: string, fault: Fault): Promise<RunRow | undefined> {
  return commit<RunRow | undefined>(ports, async (writer) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
    // fence: table.endedRetry
    if (run === undefined || isTerminal(run.status) || run.attempt !== fault.attempt) return { done: undefined };
    if (fault.onlyUndispatched === true && run.vmId !== undefined) return { done: undefined };
    if (nextStatus(run.status, 'next_attempt').kind !== 'go') return { done: undefined };
    if (whyNoRetry(run, fault) !== undefined) return { done: undefined };
    const now = ports.time.now();
    const nextTryAt = now + backoffMs(ports, retryRuleOf(run), run.attempt);
    const set = {
      ...again(run, fault, nextTryAt, now),
      // Its own check comes when it may begin again, not at its deadline.
      checkAt: nextTryAt,
    };
    const deadlineAt = nextTryAt + run.startTimeoutSeconds * 1000;
    const vm = run.vmId === undefined ? undefined : asRow<VmRow>(await ports.store.get(keys.vm(run.vmId)));
    return {
      writes: [
        ...changeRun(
          ports.config,
          run,
          {
            type: 'run.retrying',
            status: 'queued',
            evidence: fault.evidence,
            deadlineAt,
            set,
            detail: { reason: fault.reason, failedAttempt: run.attempt, nextAttempt: run.attempt + 1 },
          },
          now,
          writer,
        ),
        ...wantingEnds(run),
        ...(vm?.slots.some((slot) => slot.runId === run.id) === true
          ? changeVm(ports.config, vm, withoutSlot(ports.config, vm, run.id, fault.evidence, now), now, writer)
          : []),
      ],
      proof: nextEventKey(run),
      result: { ...run, ...set, status: 'queued', deadlineAt, version: run.version + 1 } as unknown as RunRow,
    };
  });
}

/** The attributes of the attempt are the next one's; those of the old one stay visible. */
function again(run: RunRow, fault: Fault, nextTryAt: number, now: number) {
  const record: AttemptRecord = {
    attempt: run.attempt,
    ...(run.vmId !== undefined && { vmId: run.vmId }),
    ...(run.dispatchedAt !== undefined && { dispatchedAt: run.dispatchedAt }),
    ...(run.startedAt !== undefined && { startedAt: run.startedAt }),
    endedAt: now,
    reason: fault.reason,
    evidence: fault.evidence,
  };
  // Its place among the runs stays its own. A VM is another matter: the old one holds its place until it is gone.
  const needsPlace = run.vmLimited === true && !(run.admitted ?? []).some(countsVms);
  return {
    attempt: run.attempt + 1,
    attempts: asValue([...(run.attempts ?? []), record]),
    attemptAt: nextTryAt,
    waiting: { reason: 'retry_backoff', nextTryAt },
    ...(needsPlace && { admitted: undefined, kept: asValue(run.admitted ?? []) }),
    vmId: undefined,
    dispatchedAt: undefined,
    provisionedAt: undefined,
    startedAt: undefined,
    missingReports: undefined,
  };
}
