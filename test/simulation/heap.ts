/**
 * Virtual time. All that happens in a simulated world happens at an entry of one heap, in the order of time and, at the same
 * time, of arrival; between two entries every promise that can go on has gone on. So the same seed gives the same world.
 */
import { untrapped } from './traps.ts';

interface Entry {
  readonly at: number;
  readonly order: number;
  action: (() => void) | undefined;
}

/** Entries that are carried out before the event loop is asked for its other work again. */
const BATCH = 64;

export interface Timer {
  cancel(): void;
}

export class Timeline {
  #now: number;
  #order = 0;
  readonly #heap: Entry[] = [];
  /** Entries that were carried out. */
  turns = 0;

  constructor(startAt: number) {
    this.#now = startAt;
  }

  get now(): number {
    return this.#now;
  }

  at(time: number, action: () => void): Timer {
    const entry: Entry = { at: Math.max(time, this.#now), order: this.#order++, action };
    this.#push(entry);
    return {
      cancel: () => {
        entry.action = undefined;
      },
    };
  }

  after(ms: number, action: () => void): Timer {
    return this.at(this.#now + ms, action);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Goes on until `stop` says so, the time is over, or nothing is left to happen. */
  run(until: number, stop: () => boolean = () => false): Promise<'stopped' | 'over' | 'empty'> {
    return new Promise((resolve, reject) => {
      let done = false;
      let left = 0;
      const end = (how: 'stopped' | 'over' | 'empty') => {
        done = true;
        resolve(how);
      };
      const turn = () => {
        left--;
        if (done) return;
        try {
          if (stop()) return end('stopped');
          const [first] = this.#heap;
          if (first === undefined) return end('empty');
          if (first.at > until) {
            this.#now = until;
            return end('over');
          }
          this.#pop();
          this.#now = first.at;
          if (first.action !== undefined) {
            this.turns++;
            first.action();
          }
        } catch (error) {
          done = true;
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        if (left === 0) next();
      };
      // Node carries out a row of immediates one by one, with all that promises have to do in between.
      const next = () => {
        left = BATCH;
        for (let each = 0; each < BATCH; each++) untrapped.setImmediate(turn);
      };
      next();
    });
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Entry;
      if (!isBefore(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const { length } = heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      const below = heap[child] as Entry;
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (left: Entry, right: Entry): boolean =>
  left.at < right.at || (left.at === right.at && left.order < right.order);
