/** When a schedule is looked at next, and how far it is settled. Pure; every write of a schedule computes both anew. */
import type { CoreConfig } from '../config.ts';
import { checkPartition, shardOf } from '../table/keys.ts';
import { flexibleMs } from './decide.ts';
import { firstUndecided } from './expected.ts';
import type { ScheduleRow } from './model.ts';

/** Something besides the next occurrence wants looking after: a clock out of step, a buffer, a waiting run, a backfill. */
const ATTENTION_MS = 60_000;

/** Where in its flexible window an occurrence fires on one machine: the same each time, different for each schedule. */
export function spreadMs(schedule: Pick<ScheduleRow, 'id' | 'flexibleWindowSeconds'>, at: number): number {
  const window = flexibleMs(schedule);
  return window === 0 ? 0 : shardOf(`${schedule.id} ${at}`, window);
}

export function checkOf(
  config: CoreConfig,
  schedule: ScheduleRow,
  now: number,
): { readonly attentionAt?: number; readonly checkIn?: string; readonly checkAt?: number } {
  const attentionAt = attentionOf(config, schedule, now);
  const times: number[] = attentionAt === undefined ? [] : [attentionAt];
  const due = firstUndecided(schedule);
  if (due !== undefined) times.push(due + spreadMs(schedule, due));
  if (times.length === 0) return {};
  return {
    ...(attentionAt !== undefined && { attentionAt }),
    checkIn: checkPartition('SCH', shardOf(schedule.id, config.checkShards)),
    checkAt: Math.min(...times),
  };
}

/** Once set it stands until the watchdog has looked: or the fires of a busy schedule would put it off for ever. */
function attentionOf(config: CoreConfig, schedule: ScheduleRow, now: number): number | undefined {
  const waits =
    schedule.buffer.length > 0 ||
    schedule.waitingRuns.length > 0 ||
    schedule.backfill !== undefined ||
    // It is deleted with the end of its last run: one that was left behind must not keep it for ever.
    schedule.status === 'deleting';
  // Its sync may have died with the process that began it.
  const pending = schedule.clock.status === 'pending';
  if (!waits && !pending) return undefined;
  const interval = pending ? config.watchdogIntervalSeconds * 1000 : ATTENTION_MS;
  return Math.min(schedule.attentionAt ?? Number.POSITIVE_INFINITY, now + interval);
}

/** As far as decided, but not past the first occurrence that still waits. */
export const settledOf = (schedule: Pick<ScheduleRow, 'decidedThrough' | 'buffer'>): number => {
  const [first] = schedule.buffer;
  return first === undefined ? schedule.decidedThrough : Math.min(schedule.decidedThrough, first - 1);
};

/** The attributes that every write of a schedule sets together. */
export function derivedOf(config: CoreConfig, schedule: ScheduleRow, now: number) {
  const { attentionAt, checkIn, checkAt } = checkOf(config, schedule, now);
  return { settledThrough: settledOf(schedule), attentionAt, checkIn, checkAt };
}
