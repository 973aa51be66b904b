/** What a heartbeat's registry says of runs, taken in one run at a time: each report is judged against the run as it stands. */
import type { AgentVersionRow } from '../agents/model.ts';
import type { Criteria } from '../contract/agentParts.ts';
import type { HeartbeatRequest, RegistryEntry } from '../contract/runner.ts';
import { isTerminal, type TerminalStatus } from '../contract/runs.ts';
import { CandorError, GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { cancelRun } from '../runs/cancel.ts';
import { changeRun, evidence, nextEventKey } from '../runs/change.ts';
import { finishRun } from '../runs/finish.ts';
import { nextStatus } from '../runs/machine.ts';
import type { RunRow } from '../runs/model.ts';
import { tryAgain } from '../runs/tryAgain.ts';
import { commit } from '../table/commit.ts';
import { soonerLook } from '../table/deadline.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import type { Recovery } from '../watchdog/recoveries.ts';
import { bounded } from './bounded.ts';
import { changeVm, vmProof, withCommand } from './change.ts';
import { GIVEN_UP } from './commands.ts';
import type { VmRow } from './model.ts';
import { cancelAfter, notStartedReason, startTime, verdictOf } from './outcome.ts';

export interface Taken {
  /** The outcome is stored, or will never be wanted: the runner may forget it. */
  readonly acknowledge: boolean;
  readonly changed: boolean;
  /** The VM's row may be another one now, with commands to go out. */
  readonly vmChanged: boolean;
}

const OVER: readonly RegistryEntry['state'][] = ['ended', 'not_started', 'gone'];
const nothing: Taken = { acknowledge: false, changed: false, vmChanged: false };
const known: Taken = { acknowledge: true, changed: false, vmChanged: false };
const settled: Taken = { acknowledge: true, changed: true, vmChanged: true };

/** @param vmStands nothing that was taken in before, of the same heartbeat, has changed the VM's row */
export async function takeReport(
  ports: Ports,
  vm: VmRow,
  run: RunRow | undefined,
  reported: RegistryEntry,
  vmStands: boolean,
): Promise<Taken> {
  const entry = asRefused(bounded(reported));
  const over = OVER.includes(entry.state);
  // fence: fence.reportOfAttempt
  if (run === undefined || run.attempt !== entry.attempt || run.vmId !== vm.id) {
    ports.log.warn('report.fenced', { vmId: vm.id, runId: entry.runId, attempt: entry.attempt, state: entry.state });
    return over ? known : endStray(ports, vm, entry);
  }
  // fence: fence.terminalStands
  if (isTerminal(run.status)) return over ? lateTruth(ports, vm, run, entry) : endStray(ports, vm, entry);
  if (run.missingReports !== undefined && !over) await countMissing(ports, run, undefined);
  if (await becameNextAttempt(ports, vm, run, entry)) return settled;
  const verdict = verdictOf(run, entry, vm.id, ports.time.now(), await criteriaOf(ports, run, entry));
  if (verdict !== undefined) {
    const finished = await finishRun(ports, run.id, verdict, {
      attempt: entry.attempt,
      ...(vmStands && { seen: { run, vm } }),
    });
    if (finished?.outcome === 'already') return lateTruth(ports, vm, finished.run, entry);
    return settled;
  }
  const progressed = await noteProgress(ports, vm, run, entry);
  const cancelled = await endIdle(ports, vm, run, entry);
  return { acknowledge: false, changed: cancelled || progressed, vmChanged: cancelled };
}

/** What was impossible because its VM was given up is possible elsewhere. */
const asRefused = (entry: RegistryEntry): RegistryEntry =>
  entry.notStartedBecause === 'impossible' && entry.detail === GIVEN_UP
    ? { ...entry, notStartedBecause: 'refused' }
    : entry;

/** A start that was refused is the infrastructure's fault, unless what was asked for cannot be. */
async function becameNextAttempt(ports: Ports, vm: VmRow, run: RunRow, entry: RegistryEntry): Promise<boolean> {
  if (entry.state !== 'not_started' || entry.notStartedBecause === 'impossible') return false;
  const detail = entry.detail ?? 'the runner says that no process was started';
  const again = await tryAgain(ports, run.id, {
    attempt: entry.attempt,
    reason: notStartedReason(entry),
    evidence: evidence(`runner ${vm.id}`, ports.time.now(), detail),
    mayHaveStarted: run.startedAt !== undefined,
  });
  return again !== undefined;
}

/** What the heartbeat puts right in the watchdog's place; the event is that of the run's change. */
const recovered = (ports: Pick<Ports, 'metrics'>, rule: Recovery): void => ports.metrics.put('Recoveries', 1, { rule });

async function criteriaOf(ports: Ports, run: RunRow, entry: RegistryEntry): Promise<Criteria | undefined> {
  if (entry.state !== 'ended' || run.hasCriteria === false) return undefined;
  return asRow<AgentVersionRow>(await ports.store.get(keys.agentVersion(run.agentId, run.agentVersion)))
    ?.successCriteria;
}

/** Neither output nor CPU time for too long: ended through the door that everybody uses, with its own verdict. */
async function endIdle(ports: Ports, vm: VmRow, run: RunRow, entry: RegistryEntry): Promise<boolean> {
  const { idleTimeoutSeconds, status } = run;
  if (idleTimeoutSeconds === undefined || status !== 'running' || entry.state !== 'running') return false;
  if ((entry.idleForMs ?? 0) < idleTimeoutSeconds * 1000) return false;
  const seconds = Math.round((entry.idleForMs ?? 0) / 1000);
  const reason = `no output and no CPU time for ${seconds} s; its idleTimeout is ${idleTimeoutSeconds} s`;
  try {
    // Only the run that was judged: what has changed since is judged by the next report.
    const precondition = { kind: 'version', version: run.version } as const;
    await cancelRun(ports, run, run.id, { by: `runner ${vm.id}`, reason, cause: 'idle', precondition });
    recovered(ports, 'idle_timeout');
    return true;
  } catch (error) {
    if (error instanceof CandorError && (error.code === 'run_ended' || error.code === 'version_conflict')) return false;
    throw error;
  }
}

/** The work has been seen, or the cancel has been acknowledged: recorded once, as a change with its evidence. */
async function noteProgress(ports: Ports, vm: VmRow, seen: RunRow, entry: RegistryEntry): Promise<boolean> {
  // One whose start nobody has seen, the runner's own predecessor included, is at work all the same.
  const atWork = entry.startedAgoMs !== undefined || entry.state === 'running';
  const starts = atWork && seen.startedAt === undefined;
  const pending = waitsForCancel(vm, seen.id);
  // The runner has taken the command into its journal; `ending` alone may also mean that it ended by itself.
  const acknowledges = seen.cancel !== undefined && !pending && seen.cancel.acknowledgedAt === undefined;
  const signalled = seen.cancel !== undefined && (entry.signalsSent?.length ?? 0) > (seen.cancel.signals?.length ?? 0);
  if (!starts && !acknowledges && !signalled) return false;
  // A start is decided on the row as this heartbeat has read it, which the guards prove to stand still.
  let first = starts ? seen : undefined;
  return commit<boolean>(ports, async (writer) => {
    const run = first ?? asRow<RunRow>(await ports.store.get(keys.run(seen.id)));
    first = undefined;
    if (run === undefined || isTerminal(run.status) || run.attempt !== entry.attempt) return { done: true };
    const now = ports.time.now();
    const source = `runner ${vm.id}`;
    if (starts && run.startedAt === undefined) {
      const startedAt = startTime(run, entry.startedAgoMs ?? 0, now);
      const found = evidence(source, now, `process ${entry.pid ?? '?'} was seen alive`);
      const deadlineAt = startedAt + run.runTimeoutSeconds * 1000;
      const status = nextStatus(run.status, 'start').kind === 'go' ? ('running' as const) : undefined;
      const change = {
        type: 'run.running',
        ...(status !== undefined && { status, deadlineAt }),
        evidence: found,
        set: {
          startedAt,
          missingReports: undefined,
          ...(status !== undefined && { checkAt: lookAtWork(run, deadlineAt, now) }),
        },
        detail: { pid: entry.pid ?? null },
      };
      return { writes: changeRun(ports.config, run, change, now, writer), proof: nextEventKey(run), result: true };
    }
    const progressed = cancelAfter(run, entry, now);
    if (progressed === undefined) return { done: true };
    // Read after the run: one batch of reads is no snapshot, so the VM may have been read before the cancel reached it.
    const standing = acknowledges ? asRow<VmRow>(await ports.store.get(keys.vm(vm.id))) : undefined;
    if (acknowledges && waitsForCancel(standing, run.id)) return { done: false };
    const cancel =
      acknowledges && progressed.acknowledgedAt === undefined ? { ...progressed, acknowledgedAt: now } : progressed;
    const signals = entry.signalsSent ?? [];
    const change = {
      type: acknowledges ? 'run.cancel_acknowledged' : 'run.signalled',
      evidence: evidence(
        source,
        now,
        signals.length === 0 ? 'the runner has taken the cancel' : `the runner has sent ${signals.join(', ')}`,
      ),
      set: { cancel: asValue(cancel) },
      detail: { signals },
    };
    return { writes: changeRun(ports.config, run, change, now, writer), proof: nextEventKey(run), result: true };
  });
}

const LOOK_KEPT_MS = 5 * 60_000;

/**
 * Most runs have ended by the time at which they were to have started at the latest: the look that stands there is left,
 * and a run that lasts longer is looked at once more. One that would come soon is sure to be in vain.
 */
const lookAtWork = ({ checkAt }: RunRow, deadlineAt: number, now: number): number =>
  checkAt !== undefined && checkAt > now + LOOK_KEPT_MS ? soonerLook(checkAt, deadlineAt) : deadlineAt;

const waitsForCancel = (vm: VmRow | undefined, runId: string): boolean =>
  vm?.commands.some((command) => command.kind === 'cancel' && command.runId === runId) === true;

/** Proof of a `lost` run's true end that comes later stands beside the verdict, once (design.md §3). */
async function lateTruth(ports: Ports, vm: VmRow, run: RunRow, entry: RegistryEntry): Promise<Taken> {
  if (run.status !== 'lost' || run.correction !== undefined || entry.state !== 'ended') return known;
  const corrected = await commit<boolean>(ports, async (writer) => {
    const row = asRow<RunRow>(await ports.store.get(keys.run(run.id)));
    if (row === undefined || row.correction !== undefined) return { done: false };
    const now = ports.time.now();
    const verdict = verdictOf(row, entry, vm.id, now, await criteriaOf(ports, row, entry));
    if (verdict === undefined) return { done: false };
    const correction = {
      status: verdict.status satisfies TerminalStatus,
      ...(verdict.exitCode !== undefined && { exitCode: verdict.exitCode }),
      ...(verdict.verification !== undefined && { verification: verdict.verification }),
      evidence: verdict.evidence,
    };
    const change = {
      type: 'run.corrected',
      set: { correction: asValue(correction) },
      detail: {
        status: verdict.status,
        ...(verdict.verification !== undefined && { verification: verdict.verification.status }),
      },
      guards: [guard('correction.once', { op: 'hasNot', attribute: 'correction' } as const)],
    };
    return { writes: changeRun(ports.config, row, change, now, writer), proof: nextEventKey(row), result: true };
  });
  if (corrected) recovered(ports, 'outcome_corrected');
  return settled;
}

/** Work that no run accounts for (its run has ended, or another VM has it) is ended, never left to run unseen. */
async function endStray(ports: Ports, seen: VmRow, entry: RegistryEntry): Promise<Taken> {
  if (entry.state === 'ending') return nothing;
  await commit<void>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(seen.id)));
    if (vm === undefined || vm.status === 'terminated') return { done: undefined };
    const told = vm.commands.some((command) => command.kind === 'cancel' && command.runId === entry.runId);
    if (told) return { done: undefined };
    const command = { kind: 'cancel', runId: entry.runId, attempt: entry.attempt, cause: 'cancel' } as const;
    const change = { set: withCommand(vm, command) };
    return {
      writes: changeVm(ports.config, vm, change, ports.time.now(), writer),
      proof: vmProof(vm, change),
      result: undefined,
    };
  });
  return { acknowledge: false, changed: true, vmChanged: true };
}

// fence: looks.missingTwice, looks.missingAfterStart
const MISSING_REPORTS = 2;

/**
 * A run that its VM should carry but two reports in a row do not name, both later than the acknowledgement of its
 * start, has ended without a report: `lost`, because nobody knows how.
 */
export async function noteMissing(
  ports: Ports,
  vm: VmRow,
  request: HeartbeatRequest,
  /** What had not been acknowledged before this report: the report that acknowledges a start is not later than it. */
  pending: VmRow['commands'],
): Promise<boolean> {
  const unnamed = vm.slots.filter(
    (slot) =>
      !request.registry.some((entry) => entry.runId === slot.runId && entry.attempt === slot.attempt) &&
      // fence: looks.missingAfterStart
      !pending.some((command) => command.kind === 'start' && command.runId === slot.runId),
  );
  let changed = false;
  for (const slot of unnamed) {
    const run = asRow<RunRow>(await ports.store.get(keys.run(slot.runId)));
    if (run === undefined || isTerminal(run.status) || run.attempt !== slot.attempt || run.vmId !== vm.id) continue;
    const missing = (run.missingReports ?? 0) + 1;
    if (missing < MISSING_REPORTS) {
      await countMissing(ports, run, missing);
      continue;
    }
    const now = ports.time.now();
    const found = evidence(
      `runner ${vm.id}`,
      now,
      `${missing} reports in a row do not name it, and none reported its end`,
    );
    const verdict = { status: 'lost', reason: 'ended_unreported', evidence: found } as const;
    const finished = await finishRun(ports, run.id, verdict, { attempt: slot.attempt });
    if (finished?.outcome === 'finished') recovered(ports, 'ended_unreported');
    changed = true;
  }
  return changed;
}

/** Not a change of state, so no version and no event: a note for the next report. A run that changed meanwhile is left alone. */
async function countMissing(ports: Ports, run: RunRow, missing: number | undefined): Promise<void> {
  const guards = [guard('missing.runUnchanged', eq('version', run.version))];
  const set = { missingReports: missing };
  await ports.store.transact([{ kind: 'update', key: keys.run(run.id), set, guards }]).catch((error: unknown) => {
    if (!(error instanceof GuardFailed)) throw error;
  });
}
