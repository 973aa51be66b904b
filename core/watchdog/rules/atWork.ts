/**
 * A run that a VM has: `starting` or `running`. Its start command goes out with every heartbeat, and whether the VM lives
 * is the VM's own check; what is judged here are the run's deadline, and a VM that has no part in it any more.
 */
import { CandorError, type ErrorCode } from '../../errors.ts';
import { cancelRun } from '../../runs/cancel.ts';
import type { RunRow } from '../../runs/model.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import type { VmRow } from '../../vms/model.ts';
import { loseRun } from '../../vms/release.ts';
import { type Action, isHolding, type RuleContext, rule } from '../rule.ts';

type Decision =
  | { readonly do: 'lose'; readonly vm: VmRow; readonly because: string }
  | { readonly do: 'end'; readonly rule: 'start_timeout' | 'run_timeout'; readonly because: string };

export const atWorkRule = rule<RunRow, VmRow | undefined, Decision>({
  evidence: async ({ ports }, run) =>
    run.vmId === undefined ? undefined : asRow<VmRow>(await ports.store.get(keys.vm(run.vmId))),
  decide: (run, vm, view) => {
    const { now, config } = view;
    // Its end is recorded with the ends of its runs: one that was left out is made up for.
    if (vm?.status === 'terminated' && !isHolding(view))
      return { do: 'lose', vm, because: `${vm.id} was seen to be gone: ${vm.evidence.detail}` };
    const nextLook = now + config.leaseSeconds * 1000;
    if (run.deadlineAt === undefined || now < run.deadlineAt)
      return { do: 'look_again', at: run.deadlineAt ?? nextLook };
    if (isHolding(view)) return { do: 'hold' };
    return run.status === 'starting'
      ? {
          do: 'end',
          rule: 'start_timeout',
          because: `no process within its startTimeout of ${run.startTimeoutSeconds} s`,
        }
      : { do: 'end', rule: 'run_timeout', because: `it ran longer than its runTimeout of ${run.runTimeoutSeconds} s` };
  },
  act: async (context, run, decision) =>
    decision.do === 'lose' ? lose(context, run, decision) : end(context, run, decision),
});

async function lose(
  { ports, now }: RuleContext,
  run: RunRow,
  { vm, because }: Extract<Decision, { do: 'lose' }>,
): Promise<readonly Action[]> {
  await loseRun(ports, vm, { runId: run.id, attempt: run.attempt }, { detail: because }, now);
  return [
    {
      rule: 'run_without_vm',
      subject: run.id,
      did: 'gave it the end, or the next attempt, that its VM left it',
      because,
    },
  ];
}

/**
 * Past its deadline the work is ended through the door that everybody uses: the cancel, with its proof. A VM that lives and
 * never says that it started the work must not hold the run for ever.
 */
async function end(
  { ports }: RuleContext,
  run: RunRow,
  { rule: name, because }: Extract<Decision, { do: 'end' }>,
): Promise<readonly Action[]> {
  // Only the run that was judged: one that has moved on since (it started, it ended) has a deadline of its own.
  const precondition = { kind: 'version', version: run.version } as const;
  try {
    await cancelRun(ports, run, run.id, { by: 'watchdog', reason: because, cause: 'timeout', precondition });
  } catch (error) {
    if (error instanceof CandorError && MOVED_ON.has(error.code)) return [];
    throw error;
  }
  return [{ rule: name, subject: run.id, did: 'told the runner to end it', because }];
}

const MOVED_ON: ReadonlySet<ErrorCode> = new Set(['run_ended', 'version_conflict']);
