/**
 * The states of `state-machines/provision-vm.asl.json`, as use cases (design.md §5.3). Each is re-entrant: it first reads
 * the run, and ends quietly (`RunMovedOn`) where the run is terminal, at another attempt, or another VM's.
 */
<<<<<<< HEAD
import { createHash } from 'node:crypto';
import type { AgentVersionRow } from '../agents/model.ts';
import { isTerminal } from '../contract/runs.ts';
import { attemptVmId } from '../ids.ts';
import { passPlace, takePlace } from '../limits/admit.ts';
import { countsVms } from '../limits/model.ts';
=======
import { attemptVmId } from '../ids.ts';
>>>>>>> w-awsports
import type { ExecutionInput, Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import { claimDispatch } from '../runs/dispatch.ts';
import { finishRun } from '../runs/finish.ts';
import type { RunRow } from '../runs/model.ts';
import { tryAgain } from '../runs/tryAgain.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
<<<<<<< HEAD
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, asRow, asValue } from '../table/rows.ts';
import { changeVm, vmProof } from './change.ts';
import { wantingEnds, wantingMark } from './free.ts';
import { CapacityUnavailable, LaunchFailed } from './launchErrors.ts';
import type { LaunchIntent, VmRow } from './model.ts';
import { newVm, placesFor } from './newVm.ts';
=======
import { asRow } from '../table/rows.ts';
import { changeVm, vmProof } from './change.ts';
import { liveRun } from './liveRun.ts';
import type { VmRow } from './model.ts';
>>>>>>> w-awsports
import { releaseVm } from './release.ts';
import { RunMovedOn, VmUnfit } from './stateErrors.ts';

<<<<<<< HEAD
/** A registration key works as long as any run may wait for its VM. */
const REGISTRATION_KEY_MS = 31 * 86_400_000;

async function liveRun(ports: Ports, input: ExecutionInput): Promise<RunRow> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(input.runId)));
  if (run === undefined || run.tenantId !== input.tenantId) throw new RunMovedOn(`there is no run ${input.runId}`);
  if (isTerminal(run.status)) throw new RunMovedOn(`run ${run.id} has ended: ${run.status}`);
  if (run.attempt !== input.attempt) throw new RunMovedOn(`run ${run.id} is at attempt ${run.attempt}`);
  if (run.vmId !== undefined && run.vmId !== vmOf(run))
    throw new RunMovedOn(`run ${run.id} was dispatched to ${run.vmId}`);
  return run;
}

const vmOf = (run: RunRow) => attemptVmId(run.id, run.attempt, run.createdAt);

/** Names one launch request: other pools, another market or another try are another token. */
const clientToken = (run: RunRow, number: number): string =>
  createHash('sha256')
    .update(JSON.stringify([run.id, run.attempt, 'default', number]))
    .digest('hex')
    .slice(0, 64);

const intentOf = (run: RunRow, number: number, now: number): LaunchIntent => ({
  number,
  clientToken: clientToken(run, number),
  openedAt: now,
  open: true,
});

/**
 * LaunchVm: intent first, then the call.
 * @throws LaunchFailed in one of its classes, RunMovedOn, StartDeadlineExceeded
 */
export async function launchVm(ports: Ports, input: ExecutionInput): Promise<{ readonly vmId: string }> {
  const run = await liveRun(ports, input);
  const vmId = vmOf(run);
  if (run.vmId === vmId) return { vmId };
  const vm = await openIntent(ports, input, vmId).catch(async (error: unknown) => {
    if (error instanceof CapacityUnavailable) await noteNoPlace(ports, input, error);
    throw error;
  });
  if (vm.instanceId !== undefined) return { vmId };
  const registrationKey = await ports.tokens.sign(
    { kind: 'registration', tenantId: vm.tenantId, vmId },
    vm.createdAt + REGISTRATION_KEY_MS,
  );
  let instanceId: string;
  try {
    ({ instanceId } = await ports.fleet.launch({
      tenantId: vm.tenantId,
      vmId,
      agentId: vm.agentId,
      clientToken: vm.intent.clientToken,
      registrationKey,
      ...(vm.requirements !== undefined && { requirements: vm.requirements }),
      ...(vm.image !== undefined && { image: vm.image }),
    }));
  } catch (error) {
    if (error instanceof LaunchFailed) await noteLaunchFailure(ports, input, vmId, vm.intent, error);
    throw error;
  }
  const kept = await storeInstance(ports, vmId, instanceId);
  if (!kept) {
    await ports.fleet.terminate(vmId, instanceId);
    throw new RunMovedOn(`${vmId} was released while its instance was launched`);
  }
  return { vmId };
}

/** One transaction, on the condition that the run is live at this attempt: the VM item with an open intent. */
function openIntent(ports: Ports, input: ExecutionInput, vmId: string): Promise<VmRow> {
  return commit<VmRow>(ports, async (writer) => {
    const run = await liveRun(ports, input);
    const now = ports.time.now();
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (run.deadlineAt !== undefined && run.status !== 'starting' && now >= run.deadlineAt)
      throw new StartDeadlineExceeded(deadlineText(run));
    if (vm === undefined) {
      const agent = asRow<AgentVersionRow>(await ports.store.get(keys.agentVersion(run.agentId, run.agentVersion)));
      const places = await placesFor(ports, run);
      const created = newVm(ports, run, agent, places, vmId, intentOf(run, 1, now));
      return {
        writes: [
          { kind: 'put', item: asItem(created), guards: [guard('launch.oneVmPerAttempt', absent)] },
          ...places.flatMap((limit) =>
            limit.held ? passPlace(limit.id, run, vmId, now) : takePlace(limit, run, vmId, now),
          ),
          ...provisioningWrites(ports, run, vmId, now, writer),
        ],
        proof: nextEventKey(run),
        result: created,
      };
    }
    if (vm.status === 'draining' || vm.status === 'terminated') throw new VmUnfit(`${vmId} is ${vm.status}`);
    // An instance is known, or no answer to the last request arrived: the same token asks for the same instance again.
    if (vm.instanceId !== undefined || vm.intent.open) return { done: vm };
    const number = vm.intent.number + 1;
    const intent = intentOf(run, number, now);
    const change = { set: { intent: asValue(intent) } };
    return {
      writes: changeVm(ports.config, vm, change, now, writer),
      proof: vmProof(vm, change),
      result: { ...vm, intent },
    };
  });
}

const deadlineText = (run: RunRow) =>
  `no VM for run ${run.id} within ${run.startTimeoutSeconds} s${
    run.waiting?.tried === undefined ? '' : `; tried: ${run.waiting.tried.join(', ')}`
  }`;

function provisioningWrites(ports: Ports, run: RunRow, vmId: string, now: number, writer: string): readonly Write[] {
  const alreadyThere = nextStatus(run.status, 'provision').kind !== 'go';
  return changeRun(
    ports.config,
    run,
    {
      type: 'run.provisioning',
      ...(!alreadyThere && { status: 'provisioning' as const }),
      evidence: evidence('provision', now, `${vmId} is being launched`),
      // The promise is still the start deadline; entering the state must not make it look fresh.
      ...(run.deadlineAt !== undefined && { deadlineAt: run.deadlineAt }),
      set: {
        provisionedAt: now,
        ...(run.waiting?.reason === 'retry_backoff' && { waiting: undefined }),
        // The VM holds them from here on.
        ...(run.vmLimited === true && { admitted: (run.admitted ?? []).filter((id) => !countsVms(id)) }),
      },
      detail: { vmId, attempt: run.attempt },
    },
    now,
    writer,
  );
}

/** Any answer closes the intent: the next try is a new number. The run says what it waits for. */
function noteLaunchFailure(
  ports: Ports,
  input: ExecutionInput,
  vmId: string,
  intent: LaunchIntent,
  error: LaunchFailed,
): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const [runItem, vmItem] = await ports.store.getMany([keys.run(input.runId), keys.vm(vmId)]);
    const run = asRow<RunRow>(runItem);
    const vm = asRow<VmRow>(vmItem);
    if (run === undefined || vm === undefined || vm.intent.number !== intent.number || !vm.intent.open)
      return { done: undefined };
    const now = ports.time.now();
    const change = { set: { intent: asValue({ ...vm.intent, open: false }) } };
    const writes = [...changeVm(ports.config, vm, change, now, writer)];
    const waits = waitingWrites(ports, run, input, error, now, writer);
    return {
      writes: [...writes, ...waits],
      proof: waits.length === 0 ? vmProof(vm, change) : nextEventKey(run),
      result: undefined,
    };
  });
}

/** No VM may be added just now, so none was asked for: the run is among those who take one that becomes free. */
function noteNoPlace(ports: Ports, input: ExecutionInput, error: CapacityUnavailable): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(input.runId)));
    const writes = run === undefined ? [] : waitingWrites(ports, run, input, error, ports.time.now(), writer);
    if (run === undefined || writes.length === 0) return { done: undefined };
    return { writes, proof: nextEventKey(run), result: undefined };
  });
}

/** It waits for capacity from here on: not where a VM has taken it meanwhile, it has moved on, or it is said already. */
function waitingWrites(
  ports: Ports,
  run: RunRow,
  input: ExecutionInput,
  error: LaunchFailed,
  now: number,
  writer: string,
): readonly Write[] {
  const reason = error.name === 'QuotaExceeded' ? 'quota' : 'capacity';
  const waits = !isTerminal(run.status) && run.attempt === input.attempt && run.vmId === undefined;
  if (!waits || run.waiting?.reason === reason) return [];
  const tried = [...error.tried];
  const detail = { reason, error: error.name, tried };
  return [
    ...wantingMark(run),
    ...changeRun(ports.config, run, { type: 'run.waiting', set: { waiting: { reason, tried } }, detail }, now, writer),
  ];
}

/** Stores the instance id, unless the VM was released meanwhile or another answer came first. */
function storeInstance(ports: Ports, vmId: string, instanceId: string): Promise<boolean> {
  return commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined) return { done: false };
    if (vm.instanceId !== undefined) return { done: vm.instanceId === instanceId };
    const now = ports.time.now();
    if (vm.status !== 'launching') {
      const closing = { set: { intent: asValue({ ...vm.intent, open: false }) } };
      return { writes: changeVm(ports.config, vm, closing, now, writer), proof: vmProof(vm, closing), result: false };
    }
    const change = {
      status: 'booting',
      evidence: evidence('fleet', now, `instance ${instanceId} was launched`),
      set: { instanceId, intent: asValue({ ...vm.intent, open: false }) },
      detail: { instanceId },
    } as const;
    const run = asRow<RunRow>(await ports.store.get(keys.run(vm.purpose.runId)));
    return {
      writes: [
        ...changeVm(ports.config, vm, change, now, writer),
        ...(run === undefined ? [] : launched(ports, vm, run, instanceId, now, writer)),
      ],
      proof: vmProof(vm, change),
      result: true,
    };
  });
}
=======
export { launchVm } from './launch.ts';
>>>>>>> w-awsports

/** It waits for no capacity any more: that has been found. */
function launched(
  ports: Ports,
  vm: VmRow,
  run: RunRow,
  instanceId: string,
  now: number,
  writer: string,
): readonly Write[] {
  const waits = run.waiting?.reason === 'capacity' || run.waiting?.reason === 'quota';
  if (!waits || run.attempt !== vm.purpose.attempt || isTerminal(run.status)) return [];
  const change = { type: 'run.launched', set: { waiting: undefined }, detail: { vmId: vm.id, instanceId } };
  return [...changeRun(ports.config, run, change, now, writer), ...wantingEnds(run)];
}

/** AwaitReady: leaves the task token on the VM. Token and registration come in either order; the second one signals. */
export async function awaitReady(
  ports: Ports,
  input: ExecutionInput & { readonly vmId: string; readonly taskToken: string },
): Promise<void> {
  await liveRun(ports, input);
  const registered = await commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(input.vmId)));
    if (vm === undefined || vm.status === 'draining' || vm.status === 'terminated')
      throw new VmUnfit(`${input.vmId} is gone`);
    const change = { set: { taskToken: input.taskToken } };
    return {
      writes: changeVm(ports.config, vm, change, ports.time.now(), writer),
      proof: vmProof(vm, change),
      result: vm.registeredAt !== undefined,
    };
  });
  if (registered) await ports.workflow.signal(input.taskToken, { vmId: input.vmId });
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
