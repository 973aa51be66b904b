/** The one way in which people change a schedule: the next version, guarded by the version and the live set that were read. */
import type { CoreConfig } from '../config.ts';
import type { Json } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { appendEvent } from '../runs/events.ts';
import { checkPartition, keys, shardOf } from '../table/keys.ts';
import { eq, guard, type Value, type Write } from '../table/model.ts';
import { asValue } from '../table/rows.ts';
import { firstUnsettled, prunedRevisions } from './expected.ts';
import type { Revision, ScheduleRow } from './model.ts';

export interface ScheduleChange {
  readonly type: string;
  readonly after: ScheduleRow;
  readonly by: string;
  readonly detail?: Readonly<Record<string, Json | undefined>>;
}

/** The row after an edit that begins a new revision at `now`: earlier occurrences stay with the revisions that expected them. */
export function revised(schedule: ScheduleRow, revision: Omit<Revision, 'specVersion'>): ScheduleRow {
  const specVersion = schedule.specVersion + 1;
  const settledThrough = settledBefore(schedule, revision.from);
  return {
    ...schedule,
    specVersion,
    settledThrough,
    revisions: [...prunedRevisions(schedule.revisions, settledThrough), { ...revision, specVersion }],
    clock: { ...schedule.clock, status: 'pending' },
  };
}

/**
 * Where nothing is due, all that came before now is settled, so its revisions need not be kept: or a schedule that rarely
 * fires and is often edited would outgrow its row. A pause keeps its revisions: the resume counts what it withheld.
 */
function settledBefore(schedule: ScheduleRow, now: number): number {
  const due = firstUnsettled(schedule);
  const isSettled = schedule.status === 'active' && (due === undefined || due >= now);
  return isSettled ? Math.max(schedule.settledThrough, now - 1) : schedule.settledThrough;
}

/**
 * When the watchdog looks: at the first unsettled occurrence. A clock that is not in step is looked at soon, whatever is
 * due: its sync may have died with the process that began it.
 */
export function scheduleCheck(
  config: CoreConfig,
  schedule: Pick<ScheduleRow, 'id' | 'clock'>,
  due: number | undefined,
  now: number,
): { readonly checkIn: string | undefined; readonly checkAt: number | undefined } {
  const soon = now + config.watchdogIntervalSeconds * 1000;
  const checkAt = schedule.clock.status === 'pending' ? Math.min(due ?? soon, soon) : due;
  const checkIn = checkAt === undefined ? undefined : checkPartition('SCH', shardOf(schedule.id, config.checkShards));
  return { checkIn, checkAt };
}

export function changeSchedule(
  ports: Ports,
  schedule: ScheduleRow,
  change: ScheduleChange,
  now: number,
  writer: string,
): readonly Write[] {
  const version = schedule.version + 1;
  const { after } = change;
  const due = firstUnsettled(after);
  const set: Record<string, Value | undefined> = {
    name: after.name,
    status: after.status,
    pause: asValue(after.pause),
    cadence: asValue(after.cadence),
    window: asValue(after.window),
    overlapPolicy: after.overlapPolicy,
    catchupWindowSeconds: after.catchupWindowSeconds,
    inputVersion: after.inputVersion,
    overrides: asValue(after.overrides),
    metadata: asValue(after.metadata),
    revisions: asValue(after.revisions),
    specVersion: after.specVersion,
    clock: asValue(after.clock),
    settledThrough: after.settledThrough,
    version,
    updatedAt: now,
    ...scheduleCheck(ports.config, after, due, now),
  };
  return [
    {
      kind: 'update',
      key: keys.schedule(schedule.id),
      set,
      guards: [
        guard('schedule.unchanged', eq('version', schedule.version)),
        // The next check is computed from what fires have settled so far.
        guard('schedule.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
      ],
    },
    appendEvent(ports.config, {
      tenantId: schedule.tenantId,
      subject: 'schedule',
      subjectId: schedule.id,
      sequence: version,
      type: change.type,
      at: now,
      status: after.status,
      detail: { by: change.by, ...change.detail },
      writer,
    }),
  ];
}
