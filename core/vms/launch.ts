/** LaunchVm: the intent before the call, the answer after it (design.md §5.3). */
import { createHash } from 'node:crypto';
import type { AgentVersionRow } from '../agents/model.ts';
import { isTerminal } from '../contract/runs.ts';
import { passPlace, takePlace } from '../limits/admit.ts';
import type { ExecutionInput, Launched, LaunchPlan, Ports } from '../ports.ts';
import { changeRun, evidence, nextEventKey } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, asRow, asValue } from '../table/rows.ts';
import { changeVm, vmProof } from './change.ts';
import { wantingEnds, wants } from './free.ts';
import { LaunchFailed, type Tried } from './launchErrors.ts';
import { newVm, placesFor, provisioningWrites } from './launchRows.ts';
import { closeIntent, noteLaunchFailure, noteWaiting } from './launchWaiting.ts';
import { liveRun, vmOf } from './liveRun.ts';
import { closedIntent, type LaunchIntent, type VmRow } from './model.ts';
import { RunMovedOn, StartDeadlineExceeded, VmUnfit } from './stateErrors.ts';
import { triedSuffix } from './tried.ts';

/** A registration key works as long as any run may wait for its VM. */
const REGISTRATION_KEY_MS = 31 * 86_400_000;
/** Requests of one call: pools that were not among the first ones, the other market. The state machine pauses after that. */
const ROUNDS_MAX = 4;

/** Names one launch request: other pools, another market or another try are another token. */
const clientToken = (run: RunRow, plan: LaunchPlan, number: number): string =>
  createHash('sha256')
    .update(JSON.stringify([run.id, run.attempt, plan.market ?? 'default', plan.pools, number]))
    .digest('hex')
    .slice(0, 64);

/**
 * @throws LaunchFailed in one of its classes, RunMovedOn, StartDeadlineExceeded
 */
export async function launchVm(ports: Ports, input: ExecutionInput): Promise<{ readonly vmId: string }> {
  const heard: Tried[] = [];
  for (let round = 1; ; round++) {
    try {
      return { vmId: await launchOnce(ports, input, { heard, isLast: round === ROUNDS_MAX }) };
    } catch (error) {
      if (!(error instanceof LaunchFailed) || !error.othersLeft || round === ROUNDS_MAX) throw error;
      heard.push(...error.tried);
    }
  }
}

interface Round {
  /** What the rounds before this one were told: they left no note of it. */
  readonly heard: readonly Tried[];
  readonly isLast: boolean;
}

async function launchOnce(ports: Ports, input: ExecutionInput, { heard, isLast }: Round): Promise<string> {
  const run = await liveRun(ports, input);
  const vmId = vmOf(run);
  if (run.vmId === vmId) return vmId;
  const vm = await openIntent(ports, input, vmId).catch(async (error: unknown) => {
    if (error instanceof LaunchFailed) {
      ports.metrics.put('LaunchFailures', 1, { class: error.name });
      await noteWaiting(ports, input, error, heard);
    }
    throw error;
  });
  if (vm.instanceId !== undefined) return vmId;
  const launched = await ask(ports, input, vm).catch(async (error: unknown) => {
    if (!(error instanceof LaunchFailed)) throw error;
    // Other pools are asked at once: there is nothing to wait for yet, and nothing to count.
    if (error.othersLeft && !isLast && !error.unanswered) {
      await closeIntent(ports, vm);
      throw error;
    }
    ports.metrics.put('LaunchFailures', 1, { class: error.name });
    if (error.unanswered) await noteWaiting(ports, input, error, heard);
    else await noteLaunchFailure(ports, input, vm, error, heard);
    throw error;
  });
  const stored = await storeInstance(ports, vmId, launched);
  if (stored === 'released') {
    await ports.fleet.terminate(vmId, launched.instanceId);
    throw new RunMovedOn(`${vmId} was released while its instance was launched`);
  }
  // The one that the VM has may be at work: only this one goes.
  if (stored === 'has_another') await ports.fleet.terminateInstance({ vmId, instanceId: launched.instanceId });
  return vmId;
}

function ask(ports: Ports, input: ExecutionInput, vm: VmRow): Promise<Launched> {
  const { clientToken, number, plan } = vm.intent;
  if (clientToken === undefined) throw new Error(`the intent ${number} of ${vm.id} was answered`);
  return ports.fleet.launch({
    tenantId: vm.tenantId,
    vmId: vm.id,
    agentId: vm.agentId,
    runId: input.runId,
    attempt: input.attempt,
    clientToken,
    number,
    plan: plan ?? { pools: [] },
    registrationKey: () =>
      ports.tokens.sign(
        { kind: 'registration', tenantId: vm.tenantId, vmId: vm.id },
        vm.createdAt + REGISTRATION_KEY_MS,
      ),
  });
}

/** One transaction, on the condition that the run is live at this attempt: the VM item with an open intent. */
function openIntent(ports: Ports, input: ExecutionInput, vmId: string): Promise<VmRow> {
  let planned: LaunchPlan | undefined;
  // Made once, however often the transaction is tried: a plan counts against the launch rate.
  const planFor = async (agent: AgentVersionRow | undefined): Promise<LaunchPlan> => {
    planned ??= await ports.fleet.plan({
      ...agent?.requirements,
      ...(agent?.image !== undefined && { image: agent.image }),
    });
    return planned;
  };
  return commit<VmRow>(ports, async (writer) => {
    const run = await liveRun(ports, input);
    const now = ports.time.now();
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (run.deadlineAt !== undefined && run.status !== 'starting' && now >= run.deadlineAt)
      throw new StartDeadlineExceeded(`no VM for run ${run.id} within ${run.startTimeoutSeconds} s${triedSuffix(run)}`);
    if (vm?.status === 'draining' || vm?.status === 'terminated') throw new VmUnfit(`${vmId} is ${vm.status}`);
    if (vm?.instanceId !== undefined) return { done: vm };
    const agent = asRow<AgentVersionRow>(await ports.store.get(keys.agentVersion(run.agentId, run.agentVersion)));
    if (vm !== undefined) {
      // No answer to the last request arrived: the same token asks for the same instance again, which may appear only now.
      const { open, number, unanswered } = vm.intent;
      // fence: fence.sameToken
      const intent: LaunchIntent = open
        ? { ...vm.intent, openedAt: now, unanswered: true }
        : { ...intentOf(run, await planFor(agent), number + 1, now), ...(unanswered && { unanswered }) };
      const change = { set: { intent: asValue(intent) } };
      return {
        writes: changeVm(ports.config, vm, change, now, writer),
        proof: vmProof(vm, change),
        result: { ...vm, intent },
      };
    }
    const places = await placesFor(ports, run);
    const intent = intentOf(run, await planFor(agent), 1, now);
    const created = newVm(ports, run, agent, places, intent, vmId, now);
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
  });
}

const intentOf = (run: RunRow, plan: LaunchPlan, number: number, now: number): LaunchIntent => ({
  number,
  clientToken: clientToken(run, plan, number),
  openedAt: now,
  open: true,
  ...(plan.pools.length > 0 && { plan }),
});

type Stored = 'stored' | 'released' | 'has_another';

/** Stores the instance id, unless another answer came first or the VM is gone; one that was released meanwhile stays so. */
function storeInstance(ports: Ports, vmId: string, { instanceId, pool }: Launched): Promise<Stored> {
  return commit<Stored>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined) return { done: 'released' };
    if (vm.instanceId !== undefined) return { done: vm.instanceId === instanceId ? 'stored' : 'has_another' };
    const now = ports.time.now();
    const intent = asValue(closedIntent(vm));
    // fence: table.vmBoots
    if (vm.status !== 'launching') {
      // Known by its id it is looked for, and its end asked for, until it is seen to be gone: EC2 may not show it yet.
      const closing = { set: { intent, ...(vm.status !== 'terminated' && { instanceId }) } };
      return {
        writes: changeVm(ports.config, vm, closing, now, writer),
        proof: vmProof(vm, closing),
        result: 'released',
      };
    }
    const where = pool === undefined ? '' : ` (${pool.type}, ${pool.availabilityZone}, ${pool.market})`;
    const change = {
      status: 'booting',
      evidence: evidence('fleet', now, `instance ${instanceId}${where} was launched`),
      set: { instanceId, intent },
      detail: { instanceId, ...(pool !== undefined && { pool: { ...pool } }) },
    } as const;
    const run = asRow<RunRow>(await ports.store.get(keys.run(vm.purpose.runId)));
    return {
      writes: [
        ...changeVm(ports.config, vm, change, now, writer),
        ...waitingEnds(ports, run, vm, change.evidence.detail, now, writer),
      ],
      proof: vmProof(vm, change),
      result: 'stored',
    };
  });
}

/** A run that had waited for its VM waits no longer: it is not to say so any more. */
function waitingEnds(
  ports: Ports,
  run: RunRow | undefined,
  vm: VmRow,
  detail: string,
  now: number,
  writer: string,
): readonly Write[] {
  if (run === undefined || isTerminal(run.status) || run.attempt !== vm.purpose.attempt || !wants(run)) return [];
  const change = {
    type: 'run.launched',
    evidence: evidence('fleet', now, detail),
    set: { waiting: undefined },
    detail: { vmId: vm.id },
  };
  return [...wantingEnds(run), ...changeRun(ports.config, run, change, now, writer)];
}
