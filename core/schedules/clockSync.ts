/** The row is the truth, the clock follows (design.md §5.8): full spec each time, `synced` only if the version still stands. */
import { GuardFailed } from '../errors.ts';
import { ClockRejected, type ClockSpec, type Ports } from '../ports.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import { sameFields } from './cadenceRequest.ts';
import { changeSchedule, revised, specRow } from './change.ts';
import { derivedOf } from './check.ts';
import { flexibleMs } from './decide.ts';
import { firstUndecided, nextExpected, nextOfAny } from './expected.ts';
import { settleWholeBuffer } from './ledger.ts';
import type { Cadence, ScheduleRow, SyncedSpec } from './model.ts';

const TRIES = 5;
/** EventBridge Scheduler takes no StartDate that is older than 5 minutes; a minute of that is left for the way there. */
const START_DATE_AGE_MS = 240_000;

export type SyncResult =
  | { readonly status: 'synced' | 'pending' }
  /** The clock will not have this spec; the row has gone back to the last one that it took. */
  | { readonly status: 'rejected'; readonly problem: string; readonly now: ScheduleRow['status'] };

/**
 * Brings the clock after the row. A call that fails leaves the row `pending`, for the watchdog: no change of a schedule
 * fails because its clock could not be reached.
 */
export async function syncClock(
  ports: Ports,
  scheduleId: string,
  /** For who has seen that the clock is not what the row takes it for. */
  { evenIfSynced = false }: { readonly evenIfSynced?: boolean } = {},
): Promise<SyncResult> {
  for (let tries = 0; tries < TRIES; tries++) {
    const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
    if (schedule === undefined) return { status: 'synced' };
    // In a later turn our own put may have come after the one that somebody else marked: then ours must be the newest.
    if (tries === 0 && !evenIfSynced && schedule.clock.status === 'synced') return { status: 'synced' };
    const spec = clockSpec(schedule, ports.time.now());
    try {
      if (spec === undefined) await ports.clock.delete(scheduleId);
      else await ports.clock.put(spec);
    } catch (error) {
      const isRejected = error instanceof ClockRejected;
      ports.metrics.put('ClockFailures', 1, { kind: isRejected ? 'rejected' : 'failed' });
      if (isRejected) return revert(ports, schedule, error.message);
      ports.log.warn('clock.sync_failed', { scheduleId, error: String(error) });
      return { status: 'pending' };
    }
    if (await markSynced(ports, schedule, spec !== undefined)) return { status: 'synced' };
  }
  return { status: 'pending' };
}

/** What the clock must be set to; undefined where nothing more is expected and the clock is to be deleted. */
export function clockSpec(schedule: ScheduleRow, now: number): ClockSpec | undefined {
  if (schedule.status !== 'active') return undefined;
  // One that is due but still inside its flexible window is yet to be delivered, as far back as a StartDate may lie.
  const back = Math.min(flexibleMs(schedule), START_DATE_AGE_MS);
  const startAt = nextExpected(schedule, Math.max(schedule.decidedThrough, now - 1 - back));
  if (startAt === undefined) return undefined;
  return {
    tenantId: schedule.tenantId,
    scheduleId: schedule.id,
    agentId: schedule.agentId,
    principalId: schedule.createdBy,
    specVersion: schedule.specVersion,
    cadence: specCadence(schedule.cadence),
    startAt,
    ...(schedule.window?.endAt !== undefined && { endAt: schedule.window.endAt }),
    ...(schedule.flexibleWindowSeconds !== undefined && { flexibleWindowSeconds: schedule.flexibleWindowSeconds }),
  };
}

function specCadence(cadence: Cadence): ClockSpec['cadence'] {
  switch (cadence.kind) {
    case 'cron':
      return { cron: cadence.cron, timezone: cadence.timezone };
    case 'every':
      return { everySeconds: cadence.everySeconds };
    case 'at':
      return { at: cadence.at };
  }
}

const syncedSpec = (schedule: ScheduleRow): SyncedSpec => ({
  ...specRow(schedule),
  ...(schedule.flexibleWindowSeconds !== undefined && { flexibleWindowSeconds: schedule.flexibleWindowSeconds }),
});

/** Pruned only here: a spec that is refused gives way to the one before it, and what was taken out of that stays out. */
const standingSkips = (schedule: ScheduleRow): readonly number[] =>
  schedule.skips.filter((at) => at > schedule.decidedThrough && nextOfAny(schedule, at - 1) === at);

/** @param taken the clock was given this spec, and took it: a delete says nothing of a spec */
async function markSynced(ports: Ports, schedule: ScheduleRow, taken: boolean): Promise<boolean> {
  const now = ports.time.now();
  const clock = { status: 'synced', specVersion: schedule.specVersion, syncedAt: now } as const;
  const guards = [
    // Not only the spec: a skip may have been acknowledged since, which the pruned skips would undo.
    guard('clock.scheduleUnchanged', eq('version', schedule.version)),
    // The check goes back from the clock to what is due, by the fires that this read knew of.
    guard('clock.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
  ];
  const { attentionAt, checkIn, checkAt } = derivedOf(ports.config, { ...schedule, clock }, now);
  const set = {
    clock,
    ...(taken && { lastSyncedSpec: asValue(syncedSpec(schedule)), skips: standingSkips(schedule) }),
    attentionAt,
    checkIn,
    checkAt,
  };
  try {
    await ports.store.transact([{ kind: 'update', key: keys.schedule(schedule.id), set, guards }]);
    return true;
  } catch (error) {
    // A newer edit: its spec is put in the next turn.
    if (error instanceof GuardFailed) return false;
    throw error;
  }
}

/** Back to the spec that the clock took last, as a new version, if the rejected one still stands; without one it pauses. */
async function revert(ports: Ports, rejected: ScheduleRow, problem: string): Promise<SyncResult> {
  ports.log.warn('clock.rejected', { scheduleId: rejected.id, specVersion: rejected.specVersion, problem });
  const status = await commit<ScheduleRow['status']>(ports, async (writer) => {
    const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(rejected.id)));
    // It has been edited since, or its last occurrence was decided: then the refused spec is in force no longer.
    if (schedule?.specVersion !== rejected.specVersion || schedule.status !== 'active')
      return { done: schedule?.status ?? rejected.status };
    const now = ports.time.now();
    const change = {
      type: 'schedule.spec_rejected',
      after: reverted(schedule, problem, now),
      by: 'candor',
      detail: { problem },
    };
    return {
      writes: [
        ...(change.after.status === 'paused' ? settleWholeBuffer(schedule, 'paused', now) : []),
        ...changeSchedule(ports, schedule, change, now, writer),
      ],
      proof: keys.scheduleEvent(schedule.id, schedule.version + 1),
      result: change.after.status,
    };
  });
  return { status: 'rejected', problem, now: status };
}

function reverted(schedule: ScheduleRow, problem: string, now: number): ScheduleRow {
  const { window: _w, flexibleWindowSeconds: _f, ...rest } = schedule;
  const spec = schedule.lastSyncedSpec;
  const stoodStill = schedule.revisions.at(-2)?.active === false;
  if (spec === undefined || stoodStill || sameFields(spec, syncedSpec(schedule))) {
    // Nothing to go back to, or a refused resume or revival: it stands still, with the reason, instead of seeming to run.
    const paused = revised(schedule, { ...specRow(schedule), from: now, active: false, by: 'candor' });
    return {
      ...paused,
      status: 'paused',
      buffer: [],
      pause: { kind: 'auto', reason: `the clock refused it: ${problem}`, by: 'candor', at: now },
    };
  }
  const { cadence, window, flexibleWindowSeconds } = spec;
  const back: ScheduleRow = {
    ...rest,
    cadence,
    ...(window !== undefined && { window }),
    ...(flexibleWindowSeconds !== undefined && { flexibleWindowSeconds }),
  };
  const again = revised(back, { ...specRow(back), from: now, active: true, by: 'candor' });
  // An edit had revived it, and the clock would not have that: it is as completed as before.
  const isOver = again.buffer.length === 0 && firstUndecided(again) === undefined;
  return isOver ? { ...again, status: 'completed' } : again;
}
