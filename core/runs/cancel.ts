/**
 * Cancel, with proof (design.md §5.7). Before a VM holds the marker the run ends at once: no process can exist. After
 * that the runner is told in the same transaction that says `cancelling`, and the run ends by what the runner reports.
 */
import type { Reach } from '../access/grants.ts';
import { isTerminal } from '../contract/runs.ts';
import { CandorError, NotFound } from '../errors.ts';
import { attemptVmId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, withCommand } from '../vms/change.ts';
import type { VmRow } from '../vms/model.ts';
import { releaseVm } from '../vms/release.ts';
import { changeRun, evidence, nextEventKey } from './change.ts';
import { executionName } from './execution.ts';
import { finishRun } from './finish.ts';
import { nextStatus } from './machine.ts';
import type { CancelRecord, RunRow } from './model.ts';

export interface CancelOrder {
  readonly by: string;
  readonly reason: string;
  readonly cause: CancelRecord['cause'];
  /** Kill at once, without a chance to end in order. */
  readonly force?: boolean;
  /** If-Match of the request. Absent: whatever stands. */
  readonly precondition?: Precondition;
}

type Step = { readonly kind: 'asked' | 'undispatched'; readonly run: RunRow };

/**
 * @throws CandorError `run_ended` naming the outcome, when there is nothing left to cancel
 * @throws NotFound, VersionConflict
 */
export async function cancelRun(
  ports: Ports,
  { tenantId }: Pick<Reach, 'tenantId'>,
  runId: string,
  order: CancelOrder,
): Promise<RunRow> {
  const step = await commit<Step>(ports, async (writer) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
    if (run === undefined || run.tenantId !== tenantId) throw new NotFound('run', runId);
    if (order.precondition !== undefined) honourVersion('run', runId, run.version, order.precondition);
    // fence: table.endedCancel
    if (isTerminal(run.status)) throw ended(run);
    const answer = nextStatus(run.status, 'request_cancel', 'cancelled');
    if (answer.kind === 'same') return { done: { kind: 'asked', run } };
    if (run.vmId === undefined) return { done: { kind: 'undispatched', run } };
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(run.vmId)));
    const now = ports.time.now();
    const cancel: CancelRecord = {
      requestedAt: now,
      requestedBy: order.by,
      reason: order.reason,
      cause: order.cause,
      ...(order.cause === 'timeout' && { timeout: run.status === 'starting' ? 'start_timeout' : 'run_timeout' }),
      ...(order.force === true && { force: true }),
      sentAt: now,
    };
    const found = evidence('cancel', now, `${order.by} asked for the end (${order.cause})`);
    return {
      writes: [
        ...changeRun(
          ports.config,
          run,
          {
            type: 'run.cancelling',
            status: 'cancelling',
            evidence: found,
            deadlineAt: now + ports.config.cancelResendSeconds * 1000,
            set: { cancel: asValue(cancel) },
            detail: { by: order.by, reason: order.reason, cause: order.cause },
          },
          now,
          writer,
        ),
        ...(vm === undefined || vm.status === 'terminated'
          ? []
          : changeVm(ports.config, vm, { set: withCommand(vm, cancelCommand(run, cancel)) }, now, writer)),
      ],
      proof: nextEventKey(run),
      result: { kind: 'asked', run: { ...run, status: 'cancelling', cancel, version: run.version + 1 } },
    };
  });
  if (step.kind === 'asked') return step.run;
  return endUndispatched(ports, step.run, order);
}

export const cancelCommand = (run: Pick<RunRow, 'id' | 'attempt'>, cancel: Pick<CancelRecord, 'cause' | 'force'>) =>
  ({
    kind: 'cancel',
    runId: run.id,
    attempt: run.attempt,
    cause: cancel.cause === 'timeout' || cancel.cause === 'idle' ? cancel.cause : 'cancel',
    ...(cancel.force === true && { force: true }),
  }) as const;

async function endUndispatched(ports: Ports, run: RunRow, order: CancelOrder): Promise<RunRow> {
  const now = ports.time.now();
  const finished = await finishRun(
    ports,
    run.id,
    {
      status: 'cancelled',
      reason:
        order.cause === 'shutdown'
          ? 'candor_stopped'
          : order.cause === 'overlap'
            ? 'displaced'
            : 'cancelled_before_start',
      evidence: evidence('cancel', now, 'no VM had been told to start it, so no process was started'),
      cancel: {
        requestedAt: now,
        requestedBy: order.by,
        reason: order.reason,
        cause: order.cause,
        sentAt: now,
        acknowledgedAt: now,
      },
    },
    { attempt: run.attempt, onlyUndispatched: true },
  );
  // A VM took the marker in between: the cancel goes to that VM now.
  if (finished === undefined) return cancelRun(ports, run, run.id, order);
  if (finished.outcome === 'already' && finished.run.status !== 'cancelled') throw ended(finished.run);
  await abandonAttempt(ports, run);
  return finished.run;
}

/** Stops what was under way for an attempt that no VM may start any more. Repeats are harmless; the watchdog repeats it. */
export async function abandonAttempt(ports: Ports, run: RunRow): Promise<void> {
  await ports.workflow.stop(executionName(run.id, run.attempt), 'the run has ended');
  await releaseVm(ports, attemptVmId(run.id, run.attempt, run.createdAt), 'its run ended before it was dispatched');
}

function ended(run: RunRow): CandorError {
  return new CandorError('run_ended', `Run ${run.id} has ended already: ${run.status}.`, {
    remedy: 'Nothing is left to cancel. Read the run for its outcome and evidence.',
    facts: {
      runId: run.id,
      currentStatus: run.status,
      ...(run.endedAt !== undefined && { endedAt: new Date(run.endedAt).toISOString() }),
    },
  });
}
