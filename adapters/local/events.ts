/** The stream of one machine: polls the index of events that have not been handled. At least once, in order of time. */
import type { Log, Store, Time } from '../../core/ports.ts';
import type { EventRow } from '../../core/runs/model.ts';
import { checkPartition } from '../../core/table/keys.ts';
import { exists, guard } from '../../core/table/model.ts';
import { asRow } from '../../core/table/rows.ts';

export interface EventReaderOptions {
  readonly store: Store;
  readonly time: Time;
  readonly log: Log;
  readonly checkShards: number;
  /** Given each page of events before they are handled. Where it fails, they all come again. */
  readonly append: (events: readonly EventRow[]) => Promise<void>;
  readonly handle: (event: EventRow) => Promise<void>;
  readonly onTurn?: (handled: number) => Promise<void>;
}

const IDLE_MS = 5000;
/** Writers wake the reader; a burst of them costs one turn. */
const COALESCE_MS = 20;
const BATCH = 100;
/** What cannot be handled is tried again after this long, and holds back nothing else. */
const RETRY_MS = 5000;

export class EventReader {
  private readonly options: EventReaderOptions;
  private timer: NodeJS.Timeout | undefined;
  private turning: Promise<void> | undefined;
  private stopped = true;

  constructor(options: EventReaderOptions) {
    this.options = options;
  }

  start(): void {
    this.stopped = false;
    this.arm(0);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.turning;
  }

  /** Something was appended. */
  wake(): void {
    if (this.turning === undefined) this.arm(COALESCE_MS);
  }

  private arm(waitMs: number): void {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.turning = this.turn()
        .catch((error: unknown) => {
          this.options.log.error('events.turn_failed', { error: String(error) });
          return false;
        })
        .then((more) => {
          this.turning = undefined;
          this.arm(more ? COALESCE_MS : IDLE_MS);
        });
    }, waitMs);
  }

  /** Answers whether there may be more right now. */
  private async turn(): Promise<boolean> {
    const { store, time, checkShards, append, onTurn } = this.options;
    let handled = 0;
    let more = false;
    for (let shard = 0; shard < checkShards; shard++) {
      const partition = checkPartition('EVT', shard);
      const page = await store.queryIndex({ index: 'checks', partition, to: time.now(), limit: BATCH });
      const found = (await store.getMany(page.items)).map((item) => asRow<EventRow>(item));
      const events = found.filter((event) => event?.checkAt !== undefined) as readonly EventRow[];
      await append(events.filter((event) => event.inFeed !== true));
      for (const event of events) handled += await this.handleOne(event);
      more ||= page.next !== undefined;
    }
    if (onTurn !== undefined && handled > 0) await onTurn(handled);
    return more || handled > 0;
  }

  private async handleOne(event: EventRow): Promise<number> {
    const { store, time, log, handle } = this.options;
    const key = { pk: event.pk, sk: event.sk };
    const guards = [guard('events.stillThere', exists)];
    try {
      await handle(event);
      await store.transact([{ kind: 'update', key, set: { checkIn: undefined, checkAt: undefined }, guards }]);
      return 1;
    } catch (error) {
      log.warn('events.handle_failed', { event: event.type, subject: event.subjectId, error: String(error) });
      await store.transact([{ kind: 'update', key, set: { checkAt: time.now() + RETRY_MS, inFeed: true }, guards }]);
      return 0;
    }
  }
}
