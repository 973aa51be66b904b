/** What the watchdog does about runs (design.md §5.9). Each verdict goes through the owner's door: cancel or finish. */
import { isTerminal } from '../contract/runs.ts';
import { CandorError, type ErrorCode } from '../errors.ts';
import { PLACEMENT_GRACE_SECONDS } from '../limits/model.ts';
import { abandonAttempt, cancelCommand, cancelRun } from '../runs/cancel.ts';
import { evidence } from '../runs/change.ts';
import { finishRun } from '../runs/finish.ts';
import type { RunRow } from '../runs/model.ts';
import { placeRun } from '../runs/place.ts';
import { displace } from '../schedules/displace.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { changeVm, vmProof, withCommand } from '../vms/change.ts';
import { giveUp } from '../vms/drain.ts';
import type { VmRow } from '../vms/model.ts';
import { terminateVm } from '../vms/release.ts';
import { triedSuffix } from '../vms/tried.ts';
import { dropCheck, moveCheck } from './checks.ts';
import type { Action, Rule, RuleContext } from './rule.ts';

export const runRule: Rule<RunRow> = async (context, run) => {
  if (isTerminal(run.status)) {
    await dropCheck(context.ports, run);
    return undefined;
  }
  switch (run.status) {
    case 'queued':
      if (waitedTooLong(context, run)) return queueTimeout(context, run);
      return run.waiting?.reason === 'overlap' ? waitingForOthers(context, run) : undispatched(context, run);
    case 'provisioning':
      return undispatched(context, run);
    case 'starting':
      return starting(context, run);
    case 'running':
      return running(context, run);
    case 'cancelling':
      return cancelling(context, run);
  }
};

/** Not yet let in, by its limits or by the runs of its schedule: what its deadline then stands for is its turn. */
const awaitsItsTurn = (run: RunRow): boolean =>
  run.admittedAt === undefined && (run.limited === true || run.waiting?.reason === 'overlap');

const waitedTooLong = ({ now }: RuleContext, run: RunRow): boolean =>
  run.queueTimeoutSeconds !== undefined && awaitsItsTurn(run) && run.deadlineAt !== undefined && now >= run.deadlineAt;

/** Only what was judged ends: one that was let in meanwhile has another version. */
async function queueTimeout({ ports, now, holding }: RuleContext, run: RunRow): Promise<Action | undefined> {
  if (holding) return undefined;
  const found = evidence('watchdog', now, `it waited ${run.queueTimeoutSeconds} s for its turn, and was not let in`);
  const verdict = { status: 'timed_out', reason: 'queue_timeout', evidence: found } as const;
  const finished = await finishRun(ports, run.id, verdict, { attempt: run.attempt, version: run.version });
  return finished === undefined
    ? undefined
    : { rule: 'queue_timeout', subject: run.id, did: 'ended it: its turn had not come by its queue deadline' };
}

/** It waits for the runs that it displaces: those are told again, and it is let go where they have ended. */
async function waitingForOthers({ ports, now }: RuleContext, run: RunRow): Promise<Action> {
  const how = run.waiting?.force === true ? 'terminate' : 'cancel';
  await displace(ports, run, { runIds: run.waiting?.blockedBy ?? [], how });
  await moveCheck(ports, run, now + PLACEMENT_GRACE_SECONDS * 1000);
  return { rule: 'overlap_waiting', subject: run.id, did: 'told the runs that it displaces again' };
}

/** Queued without a placement: placed. Past the start deadline: failed, and what was launched for it released. */
async function undispatched({ ports, now, holding }: RuleContext, run: RunRow): Promise<Action | undefined> {
  const overdue = run.deadlineAt !== undefined && now >= run.deadlineAt;
  if (!overdue) {
    const next = Math.min(now + PLACEMENT_GRACE_SECONDS * 1000, run.deadlineAt ?? Number.POSITIVE_INFINITY);
    if (run.status === 'provisioning') {
      await moveCheck(ports, run, run.deadlineAt ?? next);
      return undefined;
    }
    const { nextTryAt } = run.waiting ?? {};
    if (nextTryAt !== undefined && now < nextTryAt) {
      await moveCheck(ports, run, nextTryAt);
      return undefined;
    }
    const placed = await placeRun(ports, run);
    await moveCheck(ports, run, next);
    return placed === 'started' ? { rule: 'queued_unplaced', subject: run.id, did: 'placed it' } : undefined;
  }
  if (holding) return undefined;
  const found = evidence('watchdog', now, `no VM within ${run.startTimeoutSeconds} s${triedSuffix(run)}`);
  const verdict = { status: 'failed', reason: 'start_timeout', evidence: found } as const;
  const finished = await finishRun(ports, run.id, verdict, { attempt: run.attempt, onlyUndispatched: true });
  if (finished === undefined) return undefined;
  await abandonAttempt(ports, run);
  return { rule: 'start_timeout', subject: run.id, did: 'failed it: no VM before its start deadline' };
}

/**
 * The start command goes out with every heartbeat; whether the VM still lives is the VM's own check. A VM that lives and
 * never says that it started the work must not hold the run for ever.
 */
const starting = (context: RuleContext, run: RunRow): Promise<Action | undefined> =>
  untilDeadline(context, run, 'start_timeout', `no process within its startTimeout of ${run.startTimeoutSeconds} s`);

const running = (context: RuleContext, run: RunRow): Promise<Action | undefined> =>
  untilDeadline(context, run, 'run_timeout', `it ran longer than its runTimeout of ${run.runTimeoutSeconds} s`);

/** Past its deadline the work is ended through the door that everybody uses: the cancel, with its proof. */
async function untilDeadline(
  { ports, now, holding }: RuleContext,
  run: RunRow,
  rule: string,
  reason: string,
): Promise<Action | undefined> {
  if (run.deadlineAt === undefined || now < run.deadlineAt) {
    await moveCheck(ports, run, run.deadlineAt ?? now + ports.config.leaseSeconds * 1000);
    return undefined;
  }
  if (holding) return undefined;
  // Only the run that was judged: one that has moved on since (it started, it ended) has a deadline of its own.
  const precondition = { kind: 'version', version: run.version } as const;
  try {
    await cancelRun(ports, run.tenantId, run.id, { by: 'watchdog', reason, cause: 'timeout', precondition });
  } catch (error) {
    if (error instanceof CandorError && MOVED_ON.has(error.code)) return undefined;
    throw error;
  }
  return { rule, subject: run.id, did: 'told the runner to end it' };
}

const MOVED_ON: ReadonlySet<ErrorCode> = new Set(['run_ended', 'version_conflict']);

/** Unacknowledged: told again. Still not gone at the second deadline: the VM is terminated, and its observed end is the proof. */
async function cancelling(context: RuleContext, run: RunRow): Promise<Action | undefined> {
  const { ports, now, holding } = context;
  const { cancel } = run;
  if (cancel === undefined || run.vmId === undefined) return undefined;
  const escalateAt = cancel.requestedAt + ports.config.cancelEscalateSeconds * 1000;
  if (now < escalateAt) {
    const told = cancel.acknowledgedAt === undefined ? await tellAgain(context, run) : undefined;
    await moveCheck(ports, run, escalateAt);
    return told;
  }
  if (holding) return undefined;
  const { vmId } = run;
  const given = await giveUp(ports, vmId, run.id);
  await moveCheck(ports, run, now + ports.config.cancelResendSeconds * 1000);
  const escalated = (did: string) => ({ rule: 'cancel_escalated', subject: run.id, did });
  const late = 'the cancel was not carried out in time';
  if (given.kind === 'draining')
    return given.now ? escalated(`drains ${vmId}, which carries other work: ${late}`) : undefined;
  if (given.kind === 'gone') return undefined;
  await terminateVm(ports, given.vm);
  return escalated(`terminated ${vmId}: ${late}`);
}

async function tellAgain({ ports, now }: RuleContext, run: RunRow): Promise<Action | undefined> {
  const { cancel, vmId } = run;
  if (cancel === undefined || vmId === undefined) return undefined;
  const told = await commit<boolean>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(vmId)));
    if (vm === undefined || vm.status === 'terminated') return { done: false };
    // A command that waits for its acknowledgement goes out with every heartbeat anyway.
    if (vm.commands.some((command) => command.kind === 'cancel' && command.runId === run.id)) return { done: false };
    const change = { set: withCommand(vm, cancelCommand(run, cancel)) };
    return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
  });
  return told ? { rule: 'cancel_resent', subject: run.id, did: 'told the runner again' } : undefined;
}
