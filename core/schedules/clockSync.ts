/** The row is the truth, the clock follows (design.md §5.8): full spec each time, `synced` only if the version still stands. */
import { GuardFailed } from '../errors.ts';
import type { ClockSpec, Ports } from '../ports.ts';
import { keys } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { scheduleCheck } from './change.ts';
import { firstUnsettled, nextExpected } from './expected.ts';
import type { Cadence, ScheduleRow } from './model.ts';

const TRIES = 5;

/**
 * Brings the clock after the row. A failure leaves the row `pending`, for the watchdog: no change of a schedule fails
 * because its clock could not be reached.
 */
export async function syncClock(ports: Ports, scheduleId: string): Promise<'synced' | 'pending'> {
  for (let tries = 0; tries < TRIES; tries++) {
    const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
    if (schedule === undefined) return 'synced';
    // In a later turn our own put may have come after the one that somebody else marked: then ours must be the newest.
    if (tries === 0 && schedule.clock.status === 'synced') return 'synced';
    try {
      const spec = clockSpec(schedule, ports.time.now());
      if (spec === undefined) await ports.clock.delete(scheduleId);
      else await ports.clock.put(spec);
    } catch (error) {
      ports.log.warn('clock.sync_failed', { scheduleId, error: String(error) });
      return 'pending';
    }
    if (await markSynced(ports, schedule)) return 'synced';
  }
  return 'pending';
}

/** What the clock must be set to; undefined where nothing more is expected and the clock is to be deleted. */
export function clockSpec(schedule: ScheduleRow, now: number): ClockSpec | undefined {
  if (schedule.status !== 'active') return undefined;
  const startAt = nextExpected(schedule, Math.max(schedule.settledThrough, now - 1));
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

async function markSynced(ports: Ports, schedule: ScheduleRow): Promise<boolean> {
  const now = ports.time.now();
  const clock = { status: 'synced', specVersion: schedule.specVersion, syncedAt: now } as const;
  const guards = [
    guard('clock.specStands', eq('specVersion', schedule.specVersion)),
    // The check goes back from the clock to what is due, by the fires that this read knew of.
    guard('clock.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
  ];
  const check = scheduleCheck(ports.config, { id: schedule.id, clock }, firstUnsettled(schedule), now);
  try {
    await ports.store.transact([{ kind: 'update', key: keys.schedule(schedule.id), set: { clock, ...check }, guards }]);
    return true;
  } catch (error) {
    // A newer edit: its spec is put in the next turn.
    if (error instanceof GuardFailed) return false;
    throw error;
  }
}
