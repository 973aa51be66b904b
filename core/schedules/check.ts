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
): { readonly checkIn?: string; readonly checkAt?: number } {
  const times: number[] = [];
  const due = firstUndecided(schedule);
  if (due !== undefined) times.push(due + spreadMs(schedule, due));
  const attention = schedule.buffer.length > 0 || schedule.waitingRuns.length > 0 || schedule.backfill !== undefined;
  if (attention) times.push(now + ATTENTION_MS);
  // Its sync may have died with the process that began it.
  if (schedule.clock.status === 'pending') times.push(now + config.watchdogIntervalSeconds * 1000);
  if (times.length === 0) return {};
  return { checkIn: checkPartition('SCH', shardOf(schedule.id, config.checkShards)), checkAt: Math.min(...times) };
}

/** As far as decided, but not past the first occurrence that still waits. */
export const settledOf = (schedule: Pick<ScheduleRow, 'decidedThrough' | 'buffer'>): number => {
  const [first] = schedule.buffer;
  return first === undefined ? schedule.decidedThrough : Math.min(schedule.decidedThrough, first - 1000);
};

/** The attributes that every write of a schedule sets together. */
export function derivedOf(config: CoreConfig, schedule: ScheduleRow, now: number) {
  const { checkIn, checkAt } = checkOf(config, schedule, now);
  return { settledThrough: settledOf(schedule), checkIn, checkAt };
}
