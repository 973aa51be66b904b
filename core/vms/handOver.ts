/** What becomes of a VM whose last run has ended: the next run of its agent, a while of waiting for one, or its end. */

import { isTerminal, type TerminalStatus } from '../contract/runs.ts';
import { attemptVmId } from '../ids.ts';
import { oldestWaiter } from '../limits/admit.ts';
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import { claimDispatch } from '../runs/dispatch.ts';
import { executionName } from '../runs/execution.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { Afterwards } from './change.ts';
import { drainIdle } from './drain.ts';
import { oldestWanting, wants } from './free.ts';
import type { VmRow } from './model.ts';

/** Only a VM that has just proved to work is kept, and only where its agent wants it or somebody waits. */
export async function afterRun(
  ports: Ports,
  vm: VmRow,
  run: RunRow,
  verdict: { readonly status: TerminalStatus; readonly reason?: string },
  now: number,
): Promise<Afterwards> {
  const works = vm.status === 'ready' && (vm.leaseUntil ?? 0) > now && verdict.status !== 'lost';
  const reusable = vm.reuse !== undefined && vm.reuse !== 'never' && vm.drain === undefined;
  if (!works || !reusable || vm.slots.some((slot) => slot.runId !== run.id)) return 'let_go';
  if ((vm.warmForSeconds ?? 0) > 0) return 'kept';
  return (await somebodyWaits(ports, vm, run)) ? 'kept' : 'let_go';
}

async function somebodyWaits(ports: Ports, vm: VmRow, run: RunRow): Promise<boolean> {
  if ((await oldestWanting(ports, vm)) !== undefined) return true;
  for (const limitId of [...(run.admitted ?? []), ...(vm.places ?? [])])
    if ((await oldestWaiter(ports, limitId)) !== undefined) return true;
  return false;
}

/** Gives a VM that has room to the runs that wait for capacity, oldest first, while it has any. */
export async function handOver(ports: Ports, vm: Pick<VmRow, 'id' | 'agentId' | 'agentVersion'>): Promise<void> {
  for (;;) {
    const wanting = await oldestWanting(ports, vm);
    const run = wanting === undefined ? undefined : asRow<RunRow>(await ports.store.get(keys.run(wanting.runId)));
    // Meanwhile it may have ended, or gone on to an attempt that has not been let in.
    if (run === undefined || isTerminal(run.status) || !wants(run)) return;
    if ((await claimDispatch(ports, run.id, run.attempt, vm.id)) !== 'claimed') return;
    // What was under way to launch one for it ends; should it be cut short here, it ends by itself when it reads the run.
    await ports.workflow.stop(executionName(run.id, run.attempt), `${vm.id} has taken the run`);
    await drainIdle(ports, attemptVmId(run.id, run.attempt, run.createdAt), `run ${run.id} was given to ${vm.id}`);
  }
}

/** Room on a VM that is at work: for the runs that wait for capacity, and for those that wait for a place for a VM. */
export async function offerRoom(ports: Ports, vm: VmRow): Promise<void> {
  await handOver(ports, vm);
  for (const limitId of vm.places ?? []) await admitWaiting(ports, limitId);
}
