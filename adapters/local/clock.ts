/**
 * The schedule clock of one machine: one timer over the table's next unsettled occurrences. At least once: an occurrence
 * stays due in the table until `fire` has settled it, so a crash loses nothing and a failed call comes again.
 */
import type { ClockSpec, Log, ScheduleClock, Store, Time } from '../../core/ports.ts';
import { spreadMs } from '../../core/schedules/check.ts';
import { firstUndecided } from '../../core/schedules/expected.ts';
import type { Delivery, FireResult } from '../../core/schedules/fire.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import { checkPartition } from '../../core/table/keys.ts';
import { asRow } from '../../core/table/rows.ts';

export interface LocalClockOptions {
  readonly store: Store;
  readonly time: Time;
  readonly log: Log;
  readonly checkShards: number;
  readonly fire: (delivery: Delivery) => Promise<FireResult>;
  /** Told after each turn, for the status page. */
  readonly onTurn?: (fired: number) => Promise<void>;
}

/** Without a hint it looks again this often: a jump of the wall clock is noticed within that time. */
const IDLE_MS = 5000;
const BATCH = 200;
const CONCURRENCY = 16;
/** A delivery that fails, or settles nothing, comes again after this long, doubling up to the limit. */
const RETRY_MS = 1000;
const RETRY_LIMIT_MS = 60_000;

export class LocalClock implements ScheduleClock {
  private readonly options: LocalClockOptions;
  private timer: NodeJS.Timeout | undefined;
  private wakeAt = Number.POSITIVE_INFINITY;
  private turning: Promise<void> | undefined;
  private stopped = true;
  private readonly retries = new Map<string, { readonly notBefore: number; readonly delayMs: number }>();

  constructor(options: LocalClockOptions) {
    this.options = options;
  }

  start(): void {
    this.stopped = false;
    this.arm(this.options.time.now());
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.turning;
  }

  /** The table is the clock's memory; a put only says when it is worth looking. */
  async put(spec: ClockSpec): Promise<void> {
    this.arm(spec.startAt);
  }

  async delete(): Promise<void> {}

  private arm(at: number): void {
    if (this.stopped || at >= this.wakeAt) return;
    this.wakeAt = at;
    clearTimeout(this.timer);
    const wait = Math.min(Math.max(0, at - this.options.time.now()), IDLE_MS);
    this.timer = setTimeout(() => this.begin(), wait);
  }

  private begin(): void {
    if (this.turning !== undefined) return;
    this.wakeAt = Number.POSITIVE_INFINITY;
    this.turning = this.turn()
      .catch((error: unknown) => {
        this.options.log.error('clock.turn_failed', { error: String(error) });
        return this.options.time.now() + RETRY_MS;
      })
      .then((next) => {
        this.turning = undefined;
        this.arm(next);
      });
  }

  /** Delivers what is due; answers when to look again. */
  private async turn(): Promise<number> {
    const { time, onTurn } = this.options;
    const due = await this.dueSchedules(time.now());
    let delivered = 0;
    for (let start = 0; start < due.length; start += CONCURRENCY) {
      const results = await Promise.all(due.slice(start, start + CONCURRENCY).map((row) => this.deliver(row)));
      delivered += results.filter((each) => each).length;
    }
    if (onTurn !== undefined) await onTurn(delivered);
    return this.nextLook(time.now());
  }

  private async dueSchedules(now: number): Promise<readonly ScheduleRow[]> {
    const { store, checkShards } = this.options;
    const rows: ScheduleRow[] = [];
    for (let shard = 0; shard < checkShards; shard++) {
      const page = await store.queryIndex({
        index: 'checks',
        partition: checkPartition('SCH', shard),
        to: now,
        limit: BATCH,
      });
      for (const item of await store.getMany(page.items)) {
        const row = asRow<ScheduleRow>(item);
        if (row !== undefined) rows.push(row);
      }
    }
    return rows.filter((row) => (this.retries.get(row.pk)?.notBefore ?? 0) <= now);
  }

  private async deliver(row: ScheduleRow): Promise<boolean> {
    const { fire, log, time } = this.options;
    const due = firstUndecided(row);
    if (due === undefined || due + spreadMs(row, due) > time.now()) {
      this.postpone(row.pk);
      return false;
    }
    try {
      const result = await fire({
        scheduleId: row.id,
        scheduledTime: due,
        specVersion: row.specVersion,
        agentId: row.agentId,
        principalId: row.createdBy,
      });
      if (result.outcome === 'ignored') this.postpone(row.pk);
      else this.retries.delete(row.pk);
      return result.outcome !== 'ignored';
    } catch (error) {
      log.warn('clock.fire_failed', { scheduleId: row.id, error: String(error) });
      this.postpone(row.pk);
      return false;
    }
  }

  private postpone(pk: string): void {
    const delayMs = Math.min((this.retries.get(pk)?.delayMs ?? RETRY_MS / 2) * 2, RETRY_LIMIT_MS);
    this.retries.set(pk, { notBefore: this.options.time.now() + delayMs, delayMs });
  }

  /** The next occurrence in the table, or the next retry, whichever is first. */
  private async nextLook(now: number): Promise<number> {
    const { store, checkShards } = this.options;
    let next = now + IDLE_MS;
    for (let shard = 0; shard < checkShards; shard++) {
      const page = await store.queryIndex({ index: 'checks', partition: checkPartition('SCH', shard), limit: BATCH });
      for (const entry of page.items) {
        const notBefore = this.retries.get(entry.pk)?.notBefore ?? 0;
        next = Math.min(next, Math.max(Number(entry.sort), notBefore));
      }
    }
    return Math.max(next, now + 1);
  }
}
