/**
 * What is due for a check, kind by kind, the longest overdue first over all shards. Read page by page and only as far as
 * the tick gets, so a flood is neither held in memory nor read in vain; and from where the last tick stopped, so what it
 * never got to comes first.
 */
import type { Ports } from '../ports.ts';
import { type CheckKind, checkPartition } from '../table/keys.ts';
import type { IndexEntry } from '../table/model.ts';

/** Where a tick stopped in each partition: the position after which it goes on. */
export type ResumePoint = Readonly<Record<string, string>>;

interface Shard {
  readonly partition: string;
  /** Where this tick began in it. */
  readonly begun: string | undefined;
  entries: IndexEntry[];
  /** Before the page that the entries are from, and after it. */
  pageStart: string | undefined;
  position: string | undefined;
  more: boolean;
  /** Once it has come to its end from where it was to go on, the beginning is read too. */
  wraps: boolean;
}

export class DueQueue {
  readonly #ports: Pick<Ports, 'store' | 'config'>;
  readonly #to: number;
  readonly #shards: Shard[];
  /** What a wrapped reading meets a second time. */
  readonly #taken = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: Pick<Ports, 'store' | 'config'>, kind: CheckKind, now: number, resume: ResumePoint) {
    this.#ports = ports;
    this.#to = now;
    this.#shards = Array.from({ length: ports.config.checkShards }, (_, shard) => {
      const partition = checkPartition(kind, shard);
      const begun = resume[partition];
      const from = { begun, pageStart: begun, position: begun, wraps: begun !== undefined };
      return { partition, entries: [], more: true, ...from };
    });
  }

  /** The next one, or undefined at the end. Callers side by side get different ones. */
  take(): Promise<IndexEntry | undefined> {
    const turn = this.#turn.then(() => this.#takeNow());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Where to go on at the next tick: with the page that was begun; but where not even the first one could be finished, with
   * the one behind it, so that what cannot be moved away is not all that is ever looked at.
   */
  resumePoint(): ResumePoint {
    const found: Record<string, string> = {};
    for (const { partition, begun, entries, pageStart, position, more } of this.#shards) {
      if (entries.length === 0 && !more) continue;
      const next = pageStart === begun ? position : pageStart;
      if (next !== undefined) found[partition] = next;
    }
    return found;
  }

  async #takeNow(): Promise<IndexEntry | undefined> {
    for (;;) {
      await Promise.all(this.#shards.map((shard) => this.#fill(shard)));
      let oldest: Shard | undefined;
      for (const shard of this.#shards) {
        const [head] = shard.entries;
        if (head !== undefined && (oldest === undefined || Number(head.sort) < Number(oldest.entries[0]?.sort)))
          oldest = shard;
      }
      const entry = oldest?.entries.shift();
      if (entry === undefined) return undefined;
      if (this.#taken.has(entry.pk)) continue;
      this.#taken.add(entry.pk);
      return entry;
    }
  }

  async #fill(shard: Shard): Promise<void> {
    while (shard.entries.length === 0 && shard.more) {
      const after = shard.position;
      const page = await this.#ports.store.queryIndex({
        index: 'checks',
        partition: shard.partition,
        to: this.#to,
        limit: this.#ports.config.watchdogBatch,
        ...(after !== undefined && { after }),
      });
      shard.entries = [...page.items];
      shard.pageStart = after;
      shard.position = page.next;
      if (page.next !== undefined) continue;
      shard.more = shard.wraps;
      shard.wraps = false;
    }
  }
}
