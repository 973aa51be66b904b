/**
 * The one way in which fires, finishes and the advance of waiting work change a schedule: `liveSeq` + 1, guarded by the
 * `version` and `liveSeq` that were read. Where the change uses up the schedule, it completes in the same transaction.
 */
import { isoSecond, type Json } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { appendEvent } from '../runs/events.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, type Guard, guard, type Value, type Write } from '../table/model.ts';
import { asValue } from '../table/rows.ts';
import { revised, revisionRow, specRow } from './change.ts';
import { derivedOf } from './check.ts';
import { nextExpected, prunedRevisions } from './expected.ts';
import { settleWholeBuffer } from './ledger.ts';
import type { Pause, ScheduleRow } from './model.ts';

export type LivePart = Partial<
  Pick<
    ScheduleRow,
    | 'decidedThrough'
    | 'skips'
    | 'clock'
    | 'liveRuns'
    | 'waitingRuns'
    | 'remainingRuns'
    | 'buffer'
    | 'lastRun'
    | 'failureStreak'
  >
> & {
  readonly unauthorizedSince?: number | undefined;
  /** `null` takes it away. */
  readonly backfill?: ScheduleRow['backfill'] | null;
};

export interface LiveContext {
  readonly now: number;
  readonly writer: string;
  /** Prefix of the guards' names: the use case. */
  readonly guardName: 'fire' | 'finish' | 'trigger' | 'advance';
  /** The schedule pauses itself with this change. */
  readonly pause?: Pause;
}

/** What the decision read: every edit bumps `version`, every fire and finish `liveSeq`. */
function guardsOf(use: LiveContext['guardName'], { version, liveSeq }: ScheduleRow): readonly Guard[] {
  switch (use) {
    case 'fire':
      return [
        guard('fire.scheduleUnchanged', eq('version', version)),
        guard('fire.liveSetUnchanged', eq('liveSeq', liveSeq)),
      ];
    case 'finish':
      return [
        guard('finish.scheduleUnchanged', eq('version', version)),
        guard('finish.liveSetUnchanged', eq('liveSeq', liveSeq)),
      ];
    case 'trigger':
      return [
        guard('trigger.scheduleUnchanged', eq('version', version)),
        guard('trigger.liveSetUnchanged', eq('liveSeq', liveSeq)),
      ];
    case 'advance':
      return [
        guard('advance.scheduleUnchanged', eq('version', version)),
        guard('advance.liveSetUnchanged', eq('liveSeq', liveSeq)),
      ];
  }
}

export function liveChange(
  ports: Ports,
  schedule: ScheduleRow,
  part: LivePart,
  context: LiveContext,
): readonly Write[] {
  const { now, writer } = context;
  const { backfill: backfillPart, ...rest } = part;
  const { backfill: _present, ...withoutBackfill } = { ...schedule, ...rest };
  const backfill = backfillPart === undefined ? schedule.backfill : (backfillPart ?? undefined);
  const changed: ScheduleRow = {
    ...withoutBackfill,
    ...(backfill !== undefined && { backfill }),
    liveSeq: schedule.liveSeq + 1,
    revisions: prunedRevisions(schedule.revisions, rest.decidedThrough ?? schedule.decidedThrough),
  };
  const { after, type, settles, detail } = statusAfter(schedule, changed, context);
  const writes: Write[] = [
    {
      kind: 'update',
      key: keys.schedule(schedule.id),
      set: { ...attributesOf(schedule, after), ...derivedOf(ports.config, after, now) },
      guards: guardsOf(context.guardName, schedule),
    },
  ];
  if (type === undefined) return writes;
  writes.push(
    ...settles,
    appendEvent(ports.config, {
      tenantId: schedule.tenantId,
      subject: 'schedule',
      subjectId: schedule.id,
      sequence: after.version,
      type,
      at: now,
      status: after.status,
      detail,
      writer,
    }),
  );
  if (after.specVersion !== schedule.specVersion) writes.push(revisionRow(after));
  return writes;
}

interface StatusChange {
  readonly after: ScheduleRow;
  readonly type?: string;
  readonly settles: readonly Write[];
  readonly detail: Readonly<Record<string, Json>>;
}

/** A schedule that is used up completes; one whose delete waited for its last run is deleted; one that fails too often pauses. */
function statusAfter(before: ScheduleRow, changed: ScheduleRow, { now, pause }: LiveContext): StatusChange {
  const version = before.version + 1;
  if (changed.status === 'deleting' && changed.liveRuns.length === 0)
    return {
      after: { ...changed, status: 'deleted', version, updatedAt: now },
      type: 'schedule.deleted',
      settles: [],
      detail: {},
    };
  if (changed.status !== 'active') return { after: changed, settles: [], detail: {} };
  if (pause !== undefined) {
    const paused = revised(changed, { ...specRow(changed), from: now, active: false, by: pause.by });
    return {
      after: { ...paused, status: 'paused', pause, buffer: [], version, updatedAt: now },
      type: 'schedule.paused',
      settles: settleWholeBuffer(changed, 'paused', now),
      detail: { by: pause.by, reason: pause.reason, kind: pause.kind },
    };
  }
  const usedUp = changed.remainingRuns === 0;
  const noMore = nextExpected(changed, changed.decidedThrough) === undefined && changed.buffer.length === 0;
  if (!usedUp && !noMore) return { after: changed, settles: [], detail: {} };
  // Its clock has nothing more to do and goes; where occurrences were left, they are expected no longer.
  const ended: ScheduleRow = usedUp
    ? revised(changed, { ...specRow(changed), from: now, active: false, by: 'candor' })
    : { ...changed, clock: { ...changed.clock, status: 'pending' } };
  return {
    after: { ...ended, status: 'completed', buffer: [], version, updatedAt: now },
    type: 'schedule.completed',
    settles: settleWholeBuffer(changed, 'completed', now),
    detail: {
      because: usedUp ? 'no remaining runs' : 'no further occurrence',
      decidedThrough: isoSecond(changed.decidedThrough),
    },
  };
}

/** Only what differs is written: a fire's update stays small however much the row carries. */
function attributesOf(before: ScheduleRow, after: ScheduleRow): Readonly<Record<string, Value | undefined>> {
  const set: Record<string, Value | undefined> = {};
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof ScheduleRow>;
  for (const name of names) if (before[name] !== after[name]) set[name] = asValue(after[name]);
  return set;
}
