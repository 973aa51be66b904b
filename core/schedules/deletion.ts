/** The writes that take a schedule out of service. What happened stays readable by id; the name is free again at once. */
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard, type Write } from '../table/model.ts';
import { cancelledBackfill } from './backfillRows.ts';
import { changeSchedule, revised, specRow } from './change.ts';
import { settleWholeBuffer } from './ledger.ts';
import type { ScheduleRow } from './model.ts';
import { withheldRange } from './withheld.ts';

/** `deleting` while runs of it are live: their last finish makes it `deleted`. */
export function deletionWrites(
  ports: Ports,
  schedule: ScheduleRow,
  by: string,
  now: number,
  writer: string,
): readonly Write[] {
  const status = schedule.liveRuns.length === 0 ? ('deleted' as const) : ('deleting' as const);
  const { backfill: _ended, ...rest } = revised(schedule, { ...specRow(schedule), from: now, active: false, by });
  const paused = schedule.status === 'paused';
  const after: ScheduleRow = {
    ...rest,
    ...(paused && { decidedThrough: Math.max(rest.decidedThrough, now - 1) }),
    status,
    buffer: [],
  };
  return [
    ...(paused ? withheldRange(schedule, 'paused', now, writer) : []),
    ...settleWholeBuffer(schedule, 'deleted', now),
    ...changeSchedule(ports, schedule, { type: `schedule.${status}`, after, by }, now, writer),
    {
      kind: 'delete',
      key: keys.scheduleName(schedule.agentId, schedule.name),
      guards: [guard('schedule.nameOurs', eq('id', schedule.id))],
    },
    ...(schedule.backfill === undefined ? [] : [cancelledBackfill(schedule.id, schedule.backfill.id, writer)]),
    {
      kind: 'update',
      key: keys.agent(schedule.agentId),
      add: { scheduleCount: -1 },
      guards: [guard('schedule.agentCounts', { op: 'ge', attribute: 'scheduleCount', value: 1 })],
    },
  ];
}
