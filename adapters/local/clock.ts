/**
 * The schedule clock of one machine: one timer over the table's next unsettled occurrences. At least once: an occurrence
 * stays due in the table until `fire` has settled it, so a crash loses nothing and a failed call comes again.
 */
import type { ClockLook, ClockSpec, Log, ScheduleClock, Store, Time } from '../../core/ports.ts';
import { spreadMs } from '../../core/schedules/check.ts';
import { firstUndecided } from '../../core/schedules/expected.ts';
import type { Delivery, FireResult } from '../../core/schedules/fire.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import * as tableKeys from '../../core/table/itemKeys.ts';
import { checkPartition } from '../../core/table/keys.ts';
import type { Key, Page } from '../../core/table/model.ts';
import { asRow } from '../../core/table/rows.ts';

export interface LocalClockOptions {
  readonly store: Store;
  readonly time: Time;
  readonly log: Log;
  readonly checkShards: number;
  readonly fire: (delivery: Delivery) => Promise<FireResult>;
  /** Fires the first due occurrence of each row in shared transactions; answers the ids of those that moved. */
  readonly fireMany?: (rows: readonly ScheduleRow[]) => Promise<ReadonlySet<string>>;
  /** Told after each turn, for the status page. */
  readonly onTurn?: (fired: number) => Promise<void>;
}

/** Without a hint it looks again this often: a jump of the wall clock is noticed within that time. */
const IDLE_MS = 5000;
const BATCH = 1000;
/** From this many on it is worth sharing transactions. */
const MANY = 8;
/** Rows of one batched read, and how many such chunks are under way at once. */
const CHUNK = 100;
const WORKERS = 3;
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

  /** The table is the clock's memory; a put only says when it is worth looking, and that what was seen before is old. */
  async put(spec: ClockSpec): Promise<void> {
    this.retries.delete(tableKeys.schedule(spec.scheduleId).pk);
    this.arm(spec.startAt);
  }

  async delete(scheduleId: string): Promise<void> {
    this.retries.delete(tableKeys.schedule(scheduleId).pk);
  }

  /** The rows are what it fires by: it cannot be out of step with them. */
  async look(): Promise<ClockLook> {
    return { kind: 'follows', detail: 'the clock of one machine fires by the rows themselves' };
  }

  async list(): Promise<Page<string>> {
    return { items: [] };
  }

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
        // A put that came during the turn has left its own time here.
        const wake = Math.min(this.wakeAt, next);
        this.wakeAt = Number.POSITIVE_INFINITY;
        this.arm(wake);
      });
  }

  /** Delivers what is due; answers when to look again. */
  private async turn(): Promise<number> {
    const { time, onTurn } = this.options;
    const { keys, more } = await this.dueKeys(time.now());
    const chunks: Key[][] = [];
    for (let start = 0; start < keys.length; start += CHUNK) chunks.push(keys.slice(start, start + CHUNK));
    let delivered = 0;
    // Several at once: while the engine works on the writes of one chunk, the next one is read and decided.
    const worker = async () => {
      for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift())
        delivered += await this.deliverAll(chunk);
    };
    await Promise.all(Array.from({ length: WORKERS }, worker));
    this.forgetOld(time.now());
    if (onTurn !== undefined) await onTurn(delivered);
    return more && delivered > 0 ? time.now() : this.nextLook(time.now());
  }

  private async dueKeys(now: number): Promise<{ readonly keys: readonly Key[]; readonly more: boolean }> {
    const { store, checkShards } = this.options;
    const keys: Key[] = [];
    let more = false;
    for (let shard = 0; shard < checkShards; shard++) {
      const partition = checkPartition('SCH', shard);
      const page = await store.queryIndex({ index: 'checks', partition, to: now, limit: BATCH });
      more ||= page.next !== undefined;
      keys.push(...page.items.filter((entry) => (this.retries.get(entry.pk)?.notBefore ?? 0) <= now));
    }
    return { keys, more };
  }

  /** Many at once in few calls where the caller can, one by one otherwise; what did not move comes again later. */
  private async deliverAll(keys: readonly Key[]): Promise<number> {
    const { fireMany, store, time } = this.options;
    const items = await store.getMany(keys);
    const now = time.now();
    const ready: ScheduleRow[] = [];
    for (const item of items) {
      const row = asRow<ScheduleRow>(item);
      // Gone since the query: what is remembered of it is forgotten in time.
      if (row === undefined) continue;
      const due = firstUndecided(row);
      const firesAt = due === undefined ? undefined : due + spreadMs(row, due);
      if (firesAt === undefined) this.postpone(row.pk);
      else if (firesAt <= now) ready.push(row);
      // It stands here for the watchdog's attention; its own time is still to come. An edit may bring that forward, and the
      // put that says so may have come before this: so the row is read again after a while.
      else this.retries.set(row.pk, { notBefore: Math.min(firesAt, now + RETRY_LIMIT_MS), delayMs: RETRY_MS / 2 });
    }
    if (fireMany === undefined || ready.length < MANY) {
      const results = await Promise.all(ready.map((row) => this.deliver(row)));
      return results.filter((each) => each).length;
    }
    const moved = await fireMany(ready);
    for (const row of ready) {
      if (moved.has(row.id)) this.retries.delete(row.pk);
      else this.postpone(row.pk);
    }
    return moved.size;
  }

  private async deliver(row: ScheduleRow): Promise<boolean> {
    const { fire, log } = this.options;
    const due = firstUndecided(row);
    if (due === undefined) return false;
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

  /** What was to be looked at again long ago and was not, has left the index: settled by somebody else, or gone. */
  private forgetOld(now: number): void {
    for (const [pk, { notBefore }] of this.retries) if (notBefore + RETRY_LIMIT_MS < now) this.retries.delete(pk);
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
