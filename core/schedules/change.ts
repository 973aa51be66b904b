/** The one way in which people change a schedule: the next version, guarded by the version and the live set that were read. */
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
  return {
    ...schedule,
    specVersion,
    revisions: [...prunedRevisions(schedule.revisions, schedule.settledThrough), { ...revision, specVersion }],
    clock: { ...schedule.clock, status: 'pending' },
  };
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
    checkIn: due === undefined ? undefined : checkPartition('SCH', shardOf(schedule.id, ports.config.checkShards)),
    checkAt: due,
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
