/** Live runs and VMs, audited: each against what it says that it stands on, and what counts it. */
import { isTerminal } from '../contract/runs.ts';
import { occurrenceRunId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { VmRow } from '../vms/model.ts';
import { lookAtLimit, repairLimit } from '../watchdog/repairLimit.ts';
import { leakedSlots, repairVm } from '../watchdog/repairVm.ts';
import type { Action, RuleContext } from '../watchdog/rule.ts';
import { atWorkRule } from '../watchdog/rules/atWork.ts';
import { judgeExecution } from '../watchdog/rules/provisioning.ts';
import type { Audited, AuditFinding } from './model.ts';

/** @param limits those that were looked at in this cycle; what this run adds is put in */
export async function auditRun(context: RuleContext, run: RunRow, limits: Set<string>): Promise<Audited> {
  const { ports } = context;
  const findings: AuditFinding[] = [];
  const found = (finding: Omit<AuditFinding, 'tenantId'>) => findings.push({ ...finding, tenantId: run.tenantId });
  if (isTerminal(run.status)) return { findings };
  const own = ownId(run);
  if (own !== undefined && own !== run.id)
    found({ kind: 'double', subject: run.id, detail: `its occurrence can have ${own} only` });
  const misplaced = await whyMisplaced(ports, run);
  if (misplaced !== undefined) {
    const did = misplaced.repairs
      ? (await atWorkRule(context, misplaced.run)).map((action) => action.did).join('; ')
      : '';
    found({ kind: 'orphans', subject: run.id, detail: misplaced.why, ...(did !== '' && { did }) });
  }
  if (run.vmId === undefined && run.status === 'provisioning')
    for (const action of await judgeExecution(context, run)) found(orphan(action));
  for (const limitId of [...(run.admitted ?? []), ...(run.waiting?.limit === undefined ? [] : [run.waiting.limit])]) {
    if (limits.has(limitId)) continue;
    limits.add(limitId);
    findings.push(...(await auditLimit(ports, run.tenantId, limitId)));
  }
  return { findings };
}

const orphan = ({ subject, because, did }: Action) => ({ kind: 'orphans', subject, detail: because, did }) as const;

/** The one id that a run of an occurrence can have. */
function ownId({ scheduleId, occurrence, backfillId, trigger, retryOf }: RunRow): string | undefined {
  if (scheduleId === undefined || occurrence === undefined || retryOf !== undefined) return undefined;
  return trigger.kind === 'schedule' || trigger.kind === 'backfill'
    ? occurrenceRunId(scheduleId, occurrence, backfillId)
    : undefined;
}

/** Why the VM that it names does not have it. Both are read again, the VM first: what moves in between is no finding. */
async function whyMisplaced(ports: Pick<Ports, 'store'>, seen: RunRow) {
  if (seen.vmId === undefined) return undefined;
  const vm = asRow<VmRow>(await ports.store.get(keys.vm(seen.vmId)));
  if (vm?.slots.some((slot) => slot.runId === seen.id && slot.attempt === seen.attempt) === true) return undefined;
  const run = asRow<RunRow>(await ports.store.get(keys.run(seen.id)));
  if (run === undefined || isTerminal(run.status) || run.attempt !== seen.attempt || run.vmId !== seen.vmId)
    return undefined;
  if (vm === undefined) return { run, why: `there is no VM ${seen.vmId}`, repairs: false };
  return vm.status === 'terminated'
    ? { run, why: `${vm.id} was seen to be gone: ${vm.evidence.detail}`, repairs: true }
    : { run, why: `${vm.id} is ${vm.status} and has no slot for it`, repairs: false };
}

async function auditLimit(ports: Ports, tenantId: string, limitId: string): Promise<readonly AuditFinding[]> {
  const seen = await lookAtLimit(ports, limitId);
  if (seen.stale.length === 0 && (!seen.atRest || seen.used === seen.holders)) return [];
  const actions = await repairLimit({ ports }, limitId);
  return actions.map(({ because, did }) => ({ kind: 'leaks', tenantId, subject: limitId, detail: because, did }));
}

export async function auditVm({ ports, now }: RuleContext, vm: VmRow): Promise<Audited> {
  const leaked = vm.status === 'terminated' ? [] : await leakedSlots(ports, vm);
  const actions = leaked.length === 0 ? [] : await repairVm({ ports, now }, vm, leaked);
  return {
    findings: actions.map(({ because, did }) => ({
      kind: 'leaks',
      tenantId: vm.tenantId,
      subject: vm.id,
      detail: because,
      did,
    })),
  };
}
