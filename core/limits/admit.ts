/**
 * Admission: a run takes a place under every limit that its agent and its tenant have, in the transaction that marks it
 * `admitted`, or stands in the queue of the first limit that has none free. The oldest in a queue goes first.
 *
 * What frees a place looks for the oldest waiter afterwards; what begins to wait looks once more itself, because the
 * last one to free a place may have found nobody; and its check time brings the watchdog.
 */
import type { AgentRow } from '../agents/model.ts';
import type { Ports } from '../ports.ts';
import { changeRun, evidence, nextEventKey } from '../runs/change.ts';
import { isTooSoon, type RunRow } from '../runs/model.ts';
import { commit, type Plan } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, LIMIT_WAITER_PREFIX, shardOf } from '../table/keys.ts';
import { guard, type Write } from '../table/model.ts';
import { asItem, asRow, asValue, SCHEMA_VERSION } from '../table/rows.ts';
import { freeVms } from '../vms/free.ts';
import { type Limit, type LimitRow, limitsOf, type PlaceRow, placedBy, waiterKey, waitingReason } from './model.ts';

/** What of a run that may begin is needed to give it a VM, with its places. */
export type LetIn = Pick<RunRow, 'id' | 'tenantId' | 'agentId' | 'agentVersion' | 'attempt' | 'mayReuse' | 'admitted'>;

export type Admission =
  | { readonly kind: 'admitted'; readonly run: LetIn }
  | { readonly kind: 'moved_on' | 'too_soon' }
  | { readonly kind: 'waiting'; readonly limitId: string };

/** When the watchdog looks at a waiting run, should nobody else come by. */
const WAITING_LOOK_MS = 60_000;

/** Takes the places for a queued run, once its time has come, or a place in the queue. Repeating it is harmless. */
export function admitRun(ports: Ports, runId: string): Promise<Admission> {
  return commit<Admission>(ports, async (writer) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
    if (run === undefined || run.status !== 'queued') return { done: { kind: 'moved_on' } };
    if (isTooSoon(run, ports.time.now())) return { done: { kind: 'too_soon' } };
    if (run.admitted !== undefined) return { done: { kind: 'admitted', run } };
    const agent = asRow<AgentRow>(await ports.store.get(keys.agent(run.agentId)));
    const limits = agent === undefined ? [] : limitsOf(ports.config, agent);
    const { full, take } = await roomUnder(ports, limits, run);
    if (full !== undefined && run.waiting?.limit === full.id) return { done: { kind: 'waiting', limitId: full.id } };
    return full === undefined ? admission(ports, run, take, writer) : joining(ports, run, full, writer);
  });
}

interface Room {
  /** The first limit without room: no place is free, or somebody has waited for longer. */
  readonly full?: Limit;
  /** Where a place is to be taken. */
  readonly take: readonly Limit[];
}

async function roomUnder(ports: Ports, limits: readonly Limit[], run: RunRow): Promise<Room> {
  const take: Limit[] = [];
  for (const limit of limits) {
    if (run.kept?.includes(limit.id) === true) continue;
    const oldest = await oldestWaiter(ports, limit.id);
    if (oldest !== undefined && oldest.sk < waiterKey(limit.id, run).sk) return { full: limit, take };
    const row = asRow<LimitRow>(await ports.store.get(keys.limit(limit.id)));
    if ((row?.used ?? 0) < limit.maximum) take.push(limit);
    // A VM that is there already and free needs no further place.
    else if (limit.kind === 'runs' || !(await findsFreeVm(ports, run))) return { full: limit, take };
  }
  return { take };
}

const findsFreeVm = async (ports: Ports, run: RunRow): Promise<boolean> =>
  run.mayReuse === true && (await freeVms(ports, run, 1)).length > 0;

export async function oldestWaiter(ports: Pick<Ports, 'store'>, limitId: string): Promise<PlaceRow | undefined> {
  const { pk } = keys.limit(limitId);
  const page = await ports.store.query({ pk, prefix: LIMIT_WAITER_PREFIX, limit: 1 });
  return asRow<PlaceRow>(page.items[0]);
}

function admission(ports: Ports, run: RunRow, limits: readonly Limit[], writer: string): Plan<Admission> {
  const now = ports.time.now();
  const deadlineAt = now + run.startTimeoutSeconds * 1000;
  const admitted = [...(run.kept ?? []), ...limits.map((limit) => limit.id)];
  const change = {
    type: 'run.admitted',
    evidence: evidence('admission', now, limits.length === 0 ? 'no limit stands' : 'a place was free'),
    // The start timeout counts from here: waiting for a place is nobody's fault (design.md §5.2).
    deadlineAt,
    set: {
      admitted,
      kept: undefined,
      admittedAt: now,
      waiting: undefined,
      checkAt: placedBy(now, deadlineAt),
    },
    detail: { limits: limits.map((limit) => limit.id) },
  };
  return {
    writes: [
      ...changeRun(ports.config, run, change, now, writer),
      ...limits.flatMap((limit) => takePlace(limit, run, run.id, now)),
      ...leaveQueue(run),
    ],
    proof: nextEventKey(run),
    result: { kind: 'admitted', run: { ...run, admitted } },
  };
}

/** One place, for a run or a VM: refused where the limit is full by then. */
export const takePlace = (
  limit: Pick<Limit, 'id' | 'maximum'>,
  run: Pick<RunRow, 'tenantId' | 'id'>,
  holder: string,
  now: number,
): readonly Write[] => [
  {
    kind: 'update',
    key: keys.limit(limit.id),
    set: { schemaVersion: SCHEMA_VERSION, tenantId: run.tenantId },
    add: { used: 1, moves: 1 },
    guards: [
      guard('limit.free', {
        op: 'or',
        any: [
          { op: 'hasNot', attribute: 'used' },
          { op: 'lt', attribute: 'used', value: limit.maximum },
        ],
      }),
    ],
  },
  { kind: 'put', item: asItem(placeRow(keys.limitHolder(limit.id, holder), run, now)) },
];

/** The same place under another holder: from the run that waited for a VM to the VM that was made for it. */
export const passPlace = (
  limitId: string,
  run: Pick<RunRow, 'tenantId' | 'id'>,
  to: string,
  now: number,
): readonly Write[] => [
  { kind: 'delete', key: keys.limitHolder(limitId, run.id), guards: [] },
  { kind: 'put', item: asItem(placeRow(keys.limitHolder(limitId, to), run, now)) },
];

/** Gives a place back. The holder's own row guards that it is done once. */
export const freePlace = (limitId: string, holder: string): readonly Write[] => [
  { kind: 'update', key: keys.limit(limitId), add: { used: -1, moves: 1 }, guards: [] },
  { kind: 'delete', key: keys.limitHolder(limitId, holder), guards: [] },
];

const placeRow = (
  key: { readonly pk: string; readonly sk: string },
  run: Pick<RunRow, 'tenantId' | 'id'>,
  since: number,
): PlaceRow => ({
  ...key,
  schemaVersion: SCHEMA_VERSION,
  tenantId: run.tenantId,
  runId: run.id,
  since,
});

/** Into the queue of the limit that is full, out of the one where it stood before. */
function joining(ports: Ports, run: RunRow, full: Limit, writer: string): Plan<Admission> {
  const now = ports.time.now();
  // A later attempt had its turn: it waits for a VM's place only.
  const turnBy =
    run.queueTimeoutSeconds === undefined || run.admittedAt !== undefined
      ? undefined
      : run.queuedAt + run.queueTimeoutSeconds * 1000;
  const waiting = { reason: waitingReason(full), limit: full.id, maximum: full.maximum };
  const [what, are] = full.kind === 'runs' ? ['run', 'are at work'] : ['VM', 'exist'];
  const change = {
    type: 'run.waiting',
    evidence: evidence('admission', now, `${full.maximum} ${what}(s) of this ${full.scope} ${are}, which is the limit`),
    set: {
      waiting: asValue(waiting),
      deadlineAt: turnBy,
      checkIn: checkPartition('RUN', shardOf(run.id, ports.config.checkShards)),
      checkAt: Math.min(now + WAITING_LOOK_MS, turnBy ?? Number.POSITIVE_INFINITY),
    },
    detail: { reason: waiting.reason, maximum: full.maximum },
  };
  return {
    writes: [
      ...changeRun(ports.config, run, change, now, writer),
      ...leaveQueue(run),
      { kind: 'put', item: asItem(placeRow(waiterKey(full.id, run), run, run.queuedAt)) },
    ],
    proof: nextEventKey(run),
    result: { kind: 'waiting', limitId: full.id },
  };
}

/** Nobody else writes a run's place in a queue, and the run's own version guards the transaction. */
export const leaveQueue = (run: RunRow): readonly Write[] =>
  run.waiting?.limit === undefined ? [] : [{ kind: 'delete', key: waiterKey(run.waiting.limit, run), guards: [] }];

/** What a run gives back when it ends: only what it holds, in the transaction that ends it, so each place once. */
export const freePlaces = (run: RunRow): readonly Write[] => [
  ...(run.admitted ?? run.kept ?? []).flatMap((limitId) => freePlace(limitId, run.id)),
  ...leaveQueue(run),
];
