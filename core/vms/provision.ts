/**
 * The states of `state-machines/provision-vm.asl.json`, as use cases (design.md §5.3). Each is re-entrant: it first reads
 * the run, and ends quietly (`RunMovedOn`) where the run is terminal, at another attempt, or another VM's.
 */
import { attemptVmId } from '../ids.ts';
import type { ExecutionInput, Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import { claimDispatch } from '../runs/dispatch.ts';
import { finishRun } from '../runs/finish.ts';
import type { RunRow } from '../runs/model.ts';
import { tryAgain } from '../runs/tryAgain.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { liveRun } from './liveRun.ts';
import type { VmRow } from './model.ts';
import { releaseVm } from './release.ts';
import { RunMovedOn, VmUnfit } from './stateErrors.ts';
import { leaveTaskToken } from './taskToken.ts';

export { launchVm } from './launch.ts';

/** AwaitReady: leaves the task token with the VM. Token and registration come in either order; the second one signals. */
export async function awaitReady(
  ports: Ports,
  input: ExecutionInput & { readonly vmId: string; readonly taskToken: string },
): Promise<void> {
  await liveRun(ports, input);
  await leaveTaskToken(ports, input.tenantId, input.vmId, input.taskToken);
  const vm = asRow<VmRow>(await ports.store.get(keys.vm(input.vmId)));
  if (vm === undefined || vm.status === 'draining' || vm.status === 'terminated')
    throw new VmUnfit(`${input.vmId} is gone`);
  if (vm.registeredAt !== undefined) await ports.workflow.signal(input.taskToken, { vmId: vm.id });
}

/** DispatchRun: the state machine's way through the dispatch marker; the registration has usually been there first. */
export async function dispatchRun(
  ports: Ports,
  input: ExecutionInput & { readonly vmId: string },
): Promise<{ readonly claim: string }> {
  const claim = await claimDispatch(ports, input.runId, input.attempt, input.vmId);
  if (claim === 'moved_on') throw new RunMovedOn(`run ${input.runId} is not to be dispatched to ${input.vmId}`);
  if (claim === 'vm_unfit') throw new VmUnfit(`${input.vmId} cannot take run ${input.runId}`);
  return { claim };
}

/** The failure that a Catch hands over: Step Functions' `{Error, Cause}`. */
export interface ExecutionFailure {
  readonly Error?: string;
  readonly Cause?: string;
}

/** ReleaseVm: lets go of what was launched for this attempt; does nothing if the run's marker names that VM. */
export async function releaseAttempt(ports: Ports, input: ExecutionInput): Promise<{ readonly released: string }> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(input.runId)));
  if (run === undefined || run.tenantId !== input.tenantId) return { released: 'none' };
  const vmId = attemptVmId(run.id, input.attempt, run.createdAt);
  // fence: fence.notInUse
  if (run.vmId === vmId) return { released: 'dispatched' };
  return { released: await releaseVm(ports, vmId, 'its provisioning failed') };
}

/** Trying again with another VM would change nothing: the deadline is over, or what was asked for is wrong. */
const FINAL_FAILURES: ReadonlySet<string> = new Set(['StartDeadlineExceeded', 'LaunchMisconfigured']);

const FAILURE_REASONS: Readonly<Record<string, string>> = {
  StartDeadlineExceeded: 'start_timeout',
  'States.Timeout': 'start_timeout',
  CapacityUnavailable: 'capacity',
  QuotaExceeded: 'quota',
  LaunchThrottled: 'launch_throttled',
  LaunchPaced: 'launch_throttled',
  LaunchMisconfigured: 'launch_misconfigured',
};

/** FailRun: the run's end when no VM could be had; does nothing once a VM holds the marker. */
export async function failRun(
  ports: Ports,
  input: ExecutionInput & { readonly failure?: ExecutionFailure | undefined },
): Promise<{ readonly outcome: string }> {
  const error = input.failure?.Error ?? 'unknown';
  const now = ports.time.now();
  const found = evidence('provision', now, `${error}: ${causeText(input.failure?.Cause)}`);
  if (!FINAL_FAILURES.has(error)) {
    const { attempt } = input;
    const reason = FAILURE_REASONS[error] ?? 'provisioning_failed';
    const fault = { attempt, reason, evidence: found, mayHaveStarted: false, onlyUndispatched: true };
    if ((await tryAgain(ports, input.runId, fault)) !== undefined) return { outcome: 'retrying' };
  }
  const finished = await finishRun(
    ports,
    input.runId,
    {
      status: 'failed',
      reason: FAILURE_REASONS[error] ?? 'provisioning_failed',
      evidence: found,
    },
    { attempt: input.attempt, onlyUndispatched: true },
  );
  return { outcome: finished?.outcome ?? 'fenced' };
}

/** Lambda wraps a thrown error's message as JSON; an operator wants the message. */
function causeText(cause: string | undefined): string {
  if (cause === undefined) return 'no cause was given';
  try {
    const parsed: unknown = JSON.parse(cause);
    if (typeof parsed === 'object' && parsed !== null && 'errorMessage' in parsed) return String(parsed.errorMessage);
  } catch {
    // Not JSON: then it is the message itself.
  }
  return cause.slice(0, 1000);
}
