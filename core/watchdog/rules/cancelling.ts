/** A run that is `cancelling`: told again where nothing was acknowledged, and at the second deadline its VM is terminated. */
import { cancelCommand } from '../../runs/cancel.ts';
import type { CancelRecord, RunRow } from '../../runs/model.ts';
import { commit } from '../../table/commit.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import { changeVm, leaseEnd, vmProof, withCommand } from '../../vms/change.ts';
import { giveUp } from '../../vms/drain.ts';
import { isSpared } from '../../vms/heard.ts';
import type { VmRow } from '../../vms/model.ts';
import { loseRun, terminateVm } from '../../vms/release.ts';
import { escalatesAt } from '../../vms/slots.ts';
import { isFirstOrder, moveCheck } from '../checks.ts';
import { type Action, isHolding, type RuleContext, rule, type View } from '../rule.ts';

interface Asked {
  readonly vmId: string;
  readonly cancel: CancelRecord;
}
type Decision =
  | ({ readonly do: 'tell_again'; readonly escalateAt: number } & Asked)
  | ({ readonly do: 'escalate' } & Asked)
  | { readonly do: 'lose'; readonly vm: VmRow };

export const cancellingRule = rule<RunRow, VmRow | undefined, Decision>({
  evidence: async ({ ports }, run) =>
    run.vmId === undefined ? undefined : asRow<VmRow>(await ports.store.get(keys.vm(run.vmId))),
  decide: (run, vm, view) => {
    const { cancel, vmId } = run;
    if (cancel === undefined || vmId === undefined) return { do: 'nothing' };
    if (vm?.status === 'terminated' && !isHolding(view)) return { do: 'lose', vm };
    // Looked at for what it was before: it has until then to be acknowledged.
    if (run.deadlineAt !== undefined && view.now < run.deadlineAt) return { do: 'look_again', at: run.deadlineAt };
    const escalateAt = escalatesAt(view.config, cancel);
    if (view.now < escalateAt)
      return cancel.acknowledgedAt === undefined
        ? { do: 'tell_again', escalateAt, vmId, cancel }
        : { do: 'look_again', at: escalateAt };
    if (isHolding(view)) return { do: 'hold' };
    return vm !== undefined && sparesOthers(vm, run, view)
      ? { do: 'look_again', at: view.now + view.config.leaseSeconds * 1000 }
      : { do: 'escalate', vmId, cancel };
  },
  act: async (context, run, decision) => {
    const { ports, now } = context;
    if (decision.do === 'tell_again') {
      const told = await tellAgain(context, run, decision);
      await moveCheck(ports, run, decision.escalateAt);
      return told;
    }
    if (decision.do === 'escalate') return escalate(context, run, decision);
    const because = `${decision.vm.id} was seen to be gone: ${decision.vm.evidence.detail}`;
    await loseRun(ports, decision.vm, { runId: run.id, attempt: run.attempt }, { detail: because }, now);
    return [{ rule: 'run_without_vm', subject: run.id, did: 'gave it the end that its VM left it', because }];
  },
});

/** Its lease has run out; but as nobody is heard, that says nothing of the other work on it (I9). */
const sparesOthers = (vm: VmRow, { id }: RunRow, view: View): boolean =>
  view.now > leaseEnd(vm, view.config) && vm.slots.some((slot) => slot.runId !== id) && isSpared(vm, view);

async function escalate({ ports, now, config }: RuleContext, run: RunRow, { vmId }: Asked): Promise<readonly Action[]> {
  const given = await giveUp(ports, vmId, run.id, now);
  await moveCheck(ports, run, now + config.cancelResendSeconds * 1000);
  const because = `the cancel was not carried out within ${config.cancelEscalateSeconds} s`;
  const escalated = (did: string) => [{ rule: 'cancel_escalated', subject: run.id, did, because } as const];
  if (given.kind === 'draining') return given.now ? escalated(`drains ${vmId}, which carries other work`) : [];
  if (given.kind === 'gone') return [];
  await terminateVm(ports, given.vm);
  if (!(await isFirstOrder(ports, given.vm, now))) return [];
  return escalated(`terminated ${vmId}`);
}

async function tellAgain(
  { ports, now }: RuleContext,
  run: RunRow,
  { vmId, cancel }: Asked,
): Promise<readonly Action[]> {
  const told = await commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.status === 'terminated') return { done: false };
    // A command that waits for its acknowledgement goes out with every heartbeat anyway.
    if (vm.commands.some((command) => command.kind === 'cancel' && command.runId === run.id)) return { done: false };
    const change = { set: withCommand(vm, cancelCommand(run, cancel)) };
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
  });
  const because = `the runner has not acknowledged the cancel of ${new Date(cancel.requestedAt).toISOString()}`;
  return told ? [{ rule: 'cancel_resent', subject: run.id, did: 'told the runner again', because }] : [];
}
