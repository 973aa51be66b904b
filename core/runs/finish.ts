/**
 * Finish: the only way a run ends (design.md §5.6). One transaction marks the run, appends the event, takes the run out
 * of its schedule's live set (`liveSeq` + 1), frees the VM's slot and stores the output. Whoever comes second learns the
 * verdict that stands; a terminal state never changes (I3).
 */
import type { Evidence, Json } from '../contract/common.ts';
import { isTerminal, type TerminalStatus, type TerminatedBy } from '../contract/runs.ts';
import { freePlaces } from '../limits/admit.ts';
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import { failurePause, streakAfter } from '../schedules/failures.ts';
import { liveChange } from '../schedules/liveChange.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import type { Write } from '../table/model.ts';
import { asItem, asRow, asValues } from '../table/rows.ts';
import { changeVm, withoutSlot } from '../vms/change.ts';
import type { VmRow } from '../vms/model.ts';
import { changeRun, evidence as evidenceOf, nextEventKey } from './change.ts';
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
  readonly logChunks?: number;
  /** Where the start was never seen by itself: work that began and ended between two reports. */
  readonly startedAt?: number;
  readonly cancel?: CancelRecord;
  readonly evidence: Evidence;
}

export interface Finished {
  readonly outcome: 'finished' | 'already';
  readonly run: RunRow;
}

export interface FinishOptions {
  /** Only if the run is still at this attempt: an older attempt's report is fenced off. */
  readonly attempt: number;
  /** Only while no dispatch marker stands (the Catch path must not end work that a VM may have begun). */
  readonly onlyUndispatched?: boolean;
}

/** @returns the run as it stands afterwards, or undefined where there is no such run, or it is fenced off */
export async function finishRun(
  ports: Ports,
  runId: string,
  verdict: Verdict,
  options: FinishOptions,
): Promise<Finished | undefined> {
  const finished = await commitEnd(ports, runId, verdict, options);
  if (finished?.outcome === 'finished') await passOnPlaces(ports, finished.run);
  return finished;
}

/** The end is committed, whatever becomes of this: who waits is found by the watchdog too. */
async function passOnPlaces(ports: Ports, run: RunRow): Promise<void> {
  for (const limitId of run.admitted ?? [])
    await admitWaiting(ports, limitId).catch((error: unknown) =>
      ports.log.warn('finish.places_not_passed_on', { runId: run.id, limitId, error: String(error) }),
    );
}

function commitEnd(
  ports: Ports,
  runId: string,
  verdict: Verdict,
  options: FinishOptions,
): Promise<Finished | undefined> {
  return commit<Finished | undefined>(ports, async (writer) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
    if (run === undefined) return { done: undefined };
    if (isTerminal(run.status)) return { done: { outcome: 'already', run } };
    if (run.attempt !== options.attempt) {
      ports.log.warn('finish.fenced', { runId, attempt: options.attempt, currentAttempt: run.attempt });
      return { done: undefined };
    }
    if (options.onlyUndispatched === true && run.vmId !== undefined) return { done: undefined };
    const answer = nextStatus(run.status, 'end', verdict.status);
    if (answer.kind !== 'go') return { done: { outcome: 'already', run } };
    const now = ports.time.now();
    const [schedule, vm] = await relatedRows(ports, run);
    const after: RunRow = { ...run, ...runAttributes(verdict, now), status: verdict.status, version: run.version + 1 };
    return {
      writes: [
        ...runWrites(ports, run, verdict, now, writer),
        ...scheduleWrites(ports, schedule, run, verdict, now, writer),
        ...vmWrites(ports, vm, run, now, writer),
        ...freePlaces(run),
      ],
      proof: nextEventKey(run),
      result: { outcome: 'finished', run: after },
    };
  });
}

async function relatedRows(ports: Ports, run: RunRow): Promise<readonly [ScheduleRow | undefined, VmRow | undefined]> {
  const wanted = [
    ...(run.scheduleId === undefined ? [] : [keys.schedule(run.scheduleId)]),
    ...(run.vmId === undefined ? [] : [keys.vm(run.vmId)]),
  ];
  const items = await ports.store.getMany(wanted);
  const schedule = run.scheduleId === undefined ? undefined : asRow<ScheduleRow>(items[0]);
  const vm = run.vmId === undefined ? undefined : asRow<VmRow>(items[items.length - 1]);
  return [schedule, vm];
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
      },
    },
    now,
    writer,
  );
  if (verdict.output === undefined) return writes;
  const output = payloadRow(keys.runOutput(run.id), run.tenantId, verdict.output);
  return [...writes, { kind: 'put', item: asItem(output) }];
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
    lastRun: { runId: run.id, status: verdict.status, endedAt: now },
    failureStreak,
  };
  return liveChange(ports, schedule, part, { now, writer, guardName: 'finish', ...(pause !== undefined && { pause }) });
}

function vmWrites(ports: Ports, vm: VmRow | undefined, run: RunRow, now: number, writer: string): readonly Write[] {
  if (vm === undefined || !vm.slots.some((slot) => slot.runId === run.id)) return [];
  const found = evidenceOf('finish', now, `its last run ${run.id} has ended`);
  return changeVm(ports.config, vm, withoutSlot(ports.config, vm, run.id, found, now), now, writer);
}
