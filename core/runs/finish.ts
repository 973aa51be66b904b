/**
 * Finish: the only way a run ends (design.md §5.6). One transaction marks the run, appends the event, takes the run out
 * of its schedule's live set (`liveSeq` + 1), frees the VM's slot and stores the output. Whoever comes second learns the
 * verdict that stands; a terminal state never changes (I3).
 */
import type { Evidence, Json } from '../contract/common.ts';
import {
  type ArtifactBody,
  isTerminal,
  type TerminalStatus,
  type TerminatedBy,
  type VerificationBody,
} from '../contract/runs.ts';
import { freePlaces } from '../limits/admit.ts';
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import { failurePause, streakAfter } from '../schedules/failures.ts';
import { liveChange } from '../schedules/liveChange.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import type { Key, Write } from '../table/model.ts';
import { asItem, asRow, asValues } from '../table/rows.ts';
import { type Afterwards, changeVm, rowAfter, type VmChange, withoutSlot } from '../vms/change.ts';
import { drainIdle } from '../vms/drain.ts';
import { isFree, wantingEnds } from '../vms/free.ts';
import { afterRun, handOver } from '../vms/handOver.ts';
import type { VmRow } from '../vms/model.ts';
import { changeRun, evidence as evidenceOf, nextEventKey } from './change.ts';
import { type ChildrenRow, childEnds, sealing } from './children.ts';
import { nextStatus } from './machine.ts';
import type { CancelRecord, RunRow } from './model.ts';
import { payloadRow } from './payload.ts';

export interface Verdict {
  readonly status: TerminalStatus;
  /** A stable word for why, where the status alone does not say it: `exit_code`, `run_timeout`, `capacity` … */
  readonly reason?: string;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly terminatedBy?: TerminatedBy;
  readonly output?: Json;
  readonly artifacts?: readonly ArtifactBody[];
  readonly verification?: VerificationBody;
  readonly logChunks?: number;
  /** Where the start was never seen by itself: work that began and ended between two reports. */
  readonly startedAt?: number;
  readonly cancel?: CancelRecord;
  readonly evidence: Evidence;
}

export interface Finished {
  readonly outcome: 'finished' | 'already';
  readonly run: RunRow;
  /** The VM as it stands, where it has room for another run: kept for it, or with others at work on it. */
  readonly freeVm?: VmRow;
}

export interface FinishOptions {
  /** Only if the run is still at this attempt: an older attempt's report is fenced off. */
  readonly attempt: number;
  /** Only while no dispatch marker stands (the Catch path must not end work that a VM may have begun). */
  readonly onlyUndispatched?: boolean;
  /** Only the run that was judged: one that has changed since has another version. */
  readonly version?: number;
  /** Rows that the caller has just read: decided on first, as the guards prove that they still stand. */
  readonly seen?: { readonly run: RunRow; readonly vm: VmRow };
}

/** @returns the run as it stands afterwards, or undefined where there is no such run, or it is fenced off */
export async function finishRun(
  ports: Ports,
  runId: string,
  verdict: Verdict,
  options: FinishOptions,
): Promise<Finished | undefined> {
  const finished = await commitEnd(ports, runId, verdict, options);
  if (finished?.outcome === 'finished') await passOn(ports, finished);
  return finished;
}

/** The end is committed, whatever becomes of this: who waits, and a VM that is left over, the watchdog finds too. */
async function passOn(ports: Ports, { run, freeVm }: Finished): Promise<void> {
  const attempt = async (what: string, step: () => Promise<unknown>) =>
    step().catch((error: unknown) => ports.log.warn(what, { runId: run.id, error: String(error) }));
  if (freeVm !== undefined) await attempt('finish.vm_not_passed_on', () => handOver(ports, freeVm));
  // What counts VMs has room for this agent's next run where the VM has, though none was given back.
  const freed = [...(run.admitted ?? run.kept ?? []), ...(freeVm?.places ?? [])];
  // Whoever stood behind it in a queue may be the next one now.
  if (run.waiting?.limit !== undefined) freed.push(run.waiting.limit);
  for (const limitId of new Set(freed))
    await attempt('finish.places_not_passed_on', () => admitWaiting(ports, limitId));
  if (freeVm?.idleSince !== undefined && (freeVm.warmForSeconds ?? 0) === 0)
    await attempt('finish.vm_not_let_go', () => drainIdle(ports, freeVm.id, `its last run ${run.id} has ended`));
}

function commitEnd(
  ports: Ports,
  runId: string,
  verdict: Verdict,
  options: FinishOptions,
): Promise<Finished | undefined> {
  let { seen } = options;
  return commit<Finished | undefined>(ports, async (writer) => {
    const known = seen;
    seen = undefined;
    const run = known?.run ?? asRow<RunRow>(await ports.store.get(keys.run(runId)));
    if (run === undefined) return { done: undefined };
    // fence: fence.terminalStands
    if (isTerminal(run.status)) return { done: { outcome: 'already', run } };
    // fence: fence.reportOfAttempt
    if (run.attempt !== options.attempt) {
      ports.log.warn('finish.fenced', { runId, attempt: options.attempt, currentAttempt: run.attempt });
      return { done: undefined };
    }
    if (options.version !== undefined && run.version !== options.version) return { done: undefined };
    // fence: fence.onlyUndispatched
    if (options.onlyUndispatched === true && run.vmId !== undefined) return { done: undefined };
    const answer = nextStatus(run.status, 'end', verdict.status);
    if (answer.kind !== 'go') return { done: { outcome: 'already', run } };
    const now = ports.time.now();
    const { schedule, vm, children, siblings } = await relatedRows(ports, run, known?.vm);
    const after: RunRow = { ...run, ...runAttributes(verdict, now), status: verdict.status, version: run.version + 1 };
    const afterwards = vm === undefined ? 'let_go' : await afterRun(ports, vm, run, verdict, now);
    const leaving = vm === undefined ? undefined : vmChange(ports, vm, run, afterwards, now);
    const vmAfter = vm === undefined || leaving === undefined ? undefined : rowAfter(vm, leaving);
    return {
      writes: [
        ...runWrites(ports, run, verdict, now, writer),
        ...scheduleWrites(ports, schedule, run, verdict, now, writer),
        ...(vm === undefined || leaving === undefined ? [] : changeVm(ports.config, vm, leaving, now, writer)),
        ...sealing(ports, run, children, 'its end', now, writer),
        ...childEnds(ports, run, siblings, now, writer),
        ...freePlaces(run),
        ...wantingEnds(run),
      ],
      proof: nextEventKey(run),
      result: { outcome: 'finished', run: after, ...(vmAfter !== undefined && isFree(vmAfter) && { freeVm: vmAfter }) },
    };
  });
}

interface Related {
  readonly schedule: ScheduleRow | undefined;
  readonly vm: VmRow | undefined;
  /** The count of the runs that it has started, and of those that its parent has. */
  readonly children: ChildrenRow | undefined;
  readonly siblings: ChildrenRow | undefined;
}

async function relatedRows(ports: Ports, run: RunRow, knownVm: VmRow | undefined): Promise<Related> {
  const wanted: readonly (Key | undefined)[] = [
    run.scheduleId === undefined ? undefined : keys.schedule(run.scheduleId),
    run.vmId === undefined || run.vmId === knownVm?.id ? undefined : keys.vm(run.vmId),
    run.hasChildren === true ? keys.runChildren(run.id) : undefined,
    run.parentRunId === undefined ? undefined : keys.runChildren(run.parentRunId),
  ];
  const missing = wanted.filter((key) => key !== undefined);
  const items = missing.length === 0 ? [] : await ports.store.getMany(missing);
  const found = (key: Key | undefined) =>
    key === undefined ? undefined : items.find((item) => item?.pk === key.pk && item.sk === key.sk);
  return {
    schedule: asRow<ScheduleRow>(found(wanted[0])),
    vm: run.vmId !== undefined && run.vmId === knownVm?.id ? knownVm : asRow<VmRow>(found(wanted[1])),
    children: asRow<ChildrenRow>(found(wanted[2])),
    siblings: asRow<ChildrenRow>(found(wanted[3])),
  };
}

function runAttributes(verdict: Verdict, now: number) {
  return {
    endedAt: now,
    ...(verdict.reason !== undefined && { reason: verdict.reason }),
    ...(verdict.exitCode !== undefined && { exitCode: verdict.exitCode }),
    ...(verdict.signal !== undefined && { signal: verdict.signal }),
    ...(verdict.terminatedBy !== undefined && { terminatedBy: verdict.terminatedBy }),
    ...(verdict.logChunks !== undefined && { logChunks: verdict.logChunks }),
    ...(verdict.startedAt !== undefined && { startedAt: verdict.startedAt }),
    ...(verdict.cancel !== undefined && { cancel: verdict.cancel }),
    ...(verdict.output !== undefined && { hasOutput: true }),
    ...(verdict.artifacts !== undefined && { artifactCount: verdict.artifacts.length }),
    ...(verdict.verification !== undefined && { verification: verdict.verification }),
  };
}

function runWrites(ports: Ports, run: RunRow, verdict: Verdict, now: number, writer: string): readonly Write[] {
  const writes = changeRun(
    ports.config,
    run,
    {
      type: `run.${verdict.status}`,
      status: verdict.status,
      evidence: verdict.evidence,
      deadlineAt: null,
      set: { ...asValues(runAttributes(verdict, now)), waiting: undefined },
      detail: {
        ...(verdict.reason !== undefined && { reason: verdict.reason }),
        ...(verdict.exitCode !== undefined && { exitCode: verdict.exitCode }),
        ...(verdict.signal !== undefined && { signal: verdict.signal }),
        ...(verdict.terminatedBy !== undefined && { terminatedBy: verdict.terminatedBy }),
        ...(verdict.verification !== undefined && { verification: verdict.verification.status }),
      },
    },
    now,
    writer,
  );
  const kept: Write[] = [];
  if (verdict.output !== undefined)
    kept.push({ kind: 'put', item: asItem(payloadRow(keys.runOutput(run.id), run.tenantId, verdict.output)) });
  if (verdict.artifacts !== undefined)
    kept.push({
      kind: 'put',
      item: asItem(
        payloadRow(
          keys.runArtifacts(run.id),
          run.tenantId,
          verdict.artifacts.map((each) => ({ ...each })),
        ),
      ),
    });
  return [...writes, ...kept];
}

function scheduleWrites(
  ports: Ports,
  schedule: ScheduleRow | undefined,
  run: RunRow,
  verdict: Verdict,
  now: number,
  writer: string,
): readonly Write[] {
  if (schedule === undefined || !schedule.liveRuns.includes(run.id)) return [];
  // Only its own occurrences tell how the schedule fares: a run by hand or a backfill neither counts nor clears.
  const failureStreak =
    run.trigger.kind === 'schedule' ? streakAfter(schedule.failureStreak, verdict) : schedule.failureStreak;
  const pause = failurePause(schedule, failureStreak, now);
  const part = {
    liveRuns: schedule.liveRuns.filter((each) => each !== run.id),
    waitingRuns: schedule.waitingRuns.filter((each) => each !== run.id),
    lastRun: {
      runId: run.id,
      status: verdict.status,
      ...(verdict.verification !== undefined && { verification: verdict.verification.status }),
      endedAt: now,
    },
    failureStreak,
  };
  return liveChange(ports, schedule, part, { now, writer, guardName: 'finish', ...(pause !== undefined && { pause }) });
}

/** What becomes of the VM that carried it; nothing where it has left it already. */
function vmChange(ports: Ports, vm: VmRow, run: RunRow, afterwards: Afterwards, now: number): VmChange | undefined {
  if (!vm.slots.some((slot) => slot.runId === run.id)) return undefined;
  const found = evidenceOf('finish', now, `its last run ${run.id} has ended`);
  return withoutSlot(ports.config, vm, run.id, found, now, afterwards);
}
