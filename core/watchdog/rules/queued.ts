/** A run that is `queued`: its turn has not come, it waits for others, or nobody has placed it. */

import { PLACEMENT_GRACE_SECONDS, placedBy } from '../../limits/model.ts';
import type { Ports } from '../../ports.ts';
import { evidence } from '../../runs/change.ts';
import { finishRun } from '../../runs/finish.ts';
import type { RunRow } from '../../runs/model.ts';
import { placeRun } from '../../runs/place.ts';
import { displace } from '../../schedules/displace.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import { moveCheck } from '../checks.ts';
import { repairLimit } from '../repairLimit.ts';
import { type Action, backoff, isHolding, type RuleContext, rule } from '../rule.ts';
import { endStart, judgeExecution } from './provisioning.ts';

type Decision =
  | { readonly do: 'end_wait' }
  | { readonly do: 'end_start' }
  | { readonly do: 'tell_others_again'; readonly runIds: readonly string[] }
  | { readonly do: 'place' };

const GRACE_MS = PLACEMENT_GRACE_SECONDS * 1000;
/** A run that waits is looked at this often at least: whoever freed the place may have died before it passed it on. */
const WAITING_LOOK_MAX_MS = 120_000;
/** Step Functions answers 15 descriptions a second. */
const PLACED_LOOK_MAX_MS = 300_000;

/** Of the runs that it displaces, those that are not ending already; undefined where it displaces none. */
type Untold = readonly string[] | undefined;

export const queuedRule = rule<RunRow, Untold, Decision>({
  evidence: ({ ports }, run) => untold(ports, run),
  decide: (run, others, view) => {
    const { now } = view;
    const due = run.deadlineAt !== undefined && now >= run.deadlineAt;
    if (due && run.queueTimeoutSeconds !== undefined && awaitsItsTurn(run))
      return isHolding(view) ? { do: 'hold' } : { do: 'end_wait' };
    if (others !== undefined)
      return others.length === 0 && (run.waiting?.blockedBy ?? []).length > 0
        ? { do: 'look_again', at: placedBy(now, run.deadlineAt) }
        : { do: 'tell_others_again', runIds: others };
    if (due) return isHolding(view) ? { do: 'hold' } : { do: 'end_start' };
    const { nextTryAt } = run.waiting ?? {};
    if (nextTryAt !== undefined && now < nextTryAt)
      return { do: 'look_again', at: Math.min(nextTryAt, run.deadlineAt ?? nextTryAt) };
    // fence: watchdog.places
    return { do: 'place' };
  },
  act: async (context, run, decision) => {
    switch (decision.do) {
      case 'end_wait':
        return endWait(context, run);
      case 'end_start':
        return endStart(context, run);
      case 'tell_others_again':
        return tellOthersAgain(context, run, decision.runIds);
      case 'place':
        return place(context, run);
    }
  },
});

/** Not yet let in, by its limits or by the runs of its schedule: what its deadline then stands for is its turn. */
const awaitsItsTurn = (run: RunRow): boolean =>
  run.admittedAt === undefined && (run.limited === true || run.waiting?.reason === 'overlap');

/** Only what was judged ends: one that was let in meanwhile has another version. */
async function endWait({ ports, now }: RuleContext, run: RunRow): Promise<readonly Action[]> {
  const because = `it waited ${run.queueTimeoutSeconds} s for its turn, and was not let in`;
  const verdict = {
    status: 'timed_out',
    reason: 'queue_timeout',
    evidence: evidence('watchdog', now, because),
  } as const;
  const finished = await finishRun(ports, run.id, verdict, { attempt: run.attempt, version: run.version });
  if (finished === undefined) return [];
  return [
    { rule: 'queue_timeout', subject: run.id, did: 'ended it: its turn had not come by its queue deadline', because },
  ];
}

async function untold({ store }: Pick<Ports, 'store'>, run: RunRow): Promise<Untold> {
  if (run.waiting?.reason !== 'overlap') return undefined;
  const others = run.waiting.blockedBy ?? [];
  if (others.length === 0) return [];
  const rows = await store.getMany(others.map((runId) => keys.run(runId)));
  return others.filter((_, index) => asRow<RunRow>(rows[index])?.status !== 'cancelling');
}

/** It waits for the runs that it displaces: who was not told is told, and it is let go where all have ended. */
async function tellOthersAgain(
  { ports, now }: RuleContext,
  run: RunRow,
  runIds: readonly string[],
): Promise<readonly Action[]> {
  const how = run.waiting?.force === true ? 'terminate' : 'cancel';
  await displace(ports, run, { runIds, how });
  await moveCheck(ports, run, placedBy(now, run.deadlineAt));
  const because = `it still waits for ${runIds.join(', ')} to end`;
  return [{ rule: 'overlap_waiting', subject: run.id, did: 'told the runs that it displaces again', because }];
}

async function place(context: RuleContext, run: RunRow): Promise<readonly Action[]> {
  const { ports, now, seen } = context;
  const latest = run.deadlineAt ?? Number.POSITIVE_INFINITY;
  const queuedAt = run.admittedAt ?? run.queuedAt;
  const waitingLook = Math.min(backoff(now, queuedAt, GRACE_MS, WAITING_LOOK_MAX_MS), latest);
  const limitId = run.admitted === undefined ? run.waiting?.limit : undefined;
  ports.metrics.put('QueueAgeSeconds', (now - run.queuedAt) / 1000);
  // Who stands behind another in a queue that was seen to be full in this very tick need not ask again.
  if (limitId !== undefined && seen.has(limitId)) {
    await moveCheck(ports, run, waitingLook);
    return [];
  }
  const placed = await placeRun(ports, run);
  const because = `it was queued at ${new Date(queuedAt).toISOString()}, and nobody had placed it`;
  if (placed === 'started') {
    await moveCheck(ports, run, placedBy(now, run.deadlineAt));
    // A next attempt that had to wait for its time is placed by its check, as it was meant to be: nothing was put right.
    return run.waiting?.reason === 'retry_backoff'
      ? []
      : [{ rule: 'queued_unplaced', subject: run.id, did: 'placed it', because }];
  }
  if (placed === 'exists') {
    const judged = await judgeExecution(context, run);
    if (judged.length === 0)
      await moveCheck(ports, run, Math.min(backoff(now, queuedAt, GRACE_MS, PLACED_LOOK_MAX_MS), latest));
    return judged;
  }
  const waits = asRow<RunRow>(await ports.store.get(keys.run(run.id)));
  const full = waits?.waiting?.limit;
  // It has been let in meanwhile, or its end has come: its next look has been settled with that.
  if (waits === undefined || full === undefined) return [];
  await moveCheck(ports, waits, Math.min(waitingLook, waits.deadlineAt ?? waitingLook));
  if (seen.has(full)) return [];
  seen.add(full);
  return repairLimit(context, full);
}
