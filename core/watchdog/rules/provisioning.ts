/** A run that is `provisioning`: a VM is on its way to it, by an execution that must not have ended without a word. */
import type { ExecutionLook } from '../../ports.ts';
import { abandonAttempt } from '../../runs/cancel.ts';
import { evidence } from '../../runs/change.ts';
import { executionName, startExecution } from '../../runs/execution.ts';
import { finishRun } from '../../runs/finish.ts';
import type { RunRow } from '../../runs/model.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import { failRun, releaseAttempt } from '../../vms/provision.ts';
import { triedSuffix } from '../../vms/tried.ts';
import { moveCheck } from '../checks.ts';
import { type Action, backoff, isHolding, noEvidence, type RuleContext, rule } from '../rule.ts';

const LOOK_MAX_MS = 300_000;

export const provisioningRule = rule<RunRow, undefined, { readonly do: 'end_start' | 'look_at_execution' }>({
  evidence: noEvidence,
  decide: (run, _none, view) => {
    const due = run.deadlineAt !== undefined && view.now >= run.deadlineAt;
    if (isHolding(view)) return { do: 'hold' };
    return { do: due ? 'end_start' : 'look_at_execution' };
  },
  act: async (context, run, decision) => {
    if (decision.do === 'end_start') return endStart(context, run);
    const { ports, now, config } = context;
    const judged = await judgeExecution(context, run);
    const since = run.provisionedAt ?? run.queuedAt;
    const next = backoff(now, since, config.watchdogIntervalSeconds * 1000, LOOK_MAX_MS);
    if (judged.length === 0) await moveCheck(ports, run, Math.min(next, run.deadlineAt ?? next));
    return judged;
  },
});

export type ExecutionVerdict = 'leave' | 'start_again' | 'over';

/**
 * Pure: what an execution's end means for its run. The run is read after the execution was looked at: if it had been
 * dispatched, or had gone on to its next attempt, by the time the execution ended, that is to be seen in it.
 */
export function executionVerdict(
  look: ExecutionLook,
  seen: Pick<RunRow, 'attempt'>,
  run: RunRow | undefined,
): ExecutionVerdict {
  if (run === undefined || run.attempt !== seen.attempt || run.vmId !== undefined) return 'leave';
  if (run.status !== 'queued' && run.status !== 'provisioning') return 'leave';
  if (look.status === 'running') return 'leave';
  return look.status === 'unknown' ? 'start_again' : 'over';
}

/** An execution that is over has left its run behind: what it launched is released, and the run has another attempt or fails. */
export async function judgeExecution(context: RuleContext, seen: RunRow): Promise<readonly Action[]> {
  const { ports } = context;
  const look = await ports.workflow.describe(executionName(seen.id, seen.attempt));
  const run = asRow<RunRow>(await ports.store.get(keys.run(seen.id)));
  const verdict = executionVerdict(look, seen, run);
  if (run === undefined || verdict === 'leave') return [];
  const finding = { subject: run.id, because: look.detail };
  if (verdict === 'start_again') {
    // Starting one that is there after all is harmless: it is known by its name.
    const started = await startExecution(ports, run);
    return started === 'started' ? [{ ...finding, rule: 'execution_missing', did: 'started its execution again' }] : [];
  }
  if (isHolding(context)) return [];
  const input = { tenantId: run.tenantId, runId: run.id, attempt: run.attempt };
  await releaseAttempt(ports, input);
  const failure = { Error: look.error ?? 'Execution', Cause: look.detail };
  const { outcome } = await failRun(ports, { ...input, failure });
  if (outcome === 'fenced' || outcome === 'already') return [];
  const did = outcome === 'retrying' ? 'gave it another attempt' : 'failed it with the cause of its execution';
  return [{ ...finding, rule: 'execution_over', did: `${did}, and released its VM` }];
}

/** Past the start deadline: failed, and what was launched for it released. */
export async function endStart({ ports, now }: RuleContext, run: RunRow): Promise<readonly Action[]> {
  const because = `no VM within ${run.startTimeoutSeconds} s${triedSuffix(run)}`;
  const verdict = { status: 'failed', reason: 'start_timeout', evidence: evidence('watchdog', now, because) } as const;
  const finished = await finishRun(ports, run.id, verdict, { attempt: run.attempt, onlyUndispatched: true });
  if (finished === undefined) return [];
  await abandonAttempt(ports, run);
  return [{ rule: 'start_timeout', subject: run.id, did: 'failed it: no VM before its start deadline', because }];
}
