import { setImmediate } from 'node:timers/promises';
import { afterEach, vi } from 'vitest';

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

/** Stands in for the process's timers and `Date.now` until the test ends: time passes when nothing is left to do at once. */
export class VirtualTimers {
  now = 0;
  /** In the order in which they were set, which is the order of those of one instant. */
  readonly #timers = new Map<number, Timer>();
  #next = 1;

  install(): void {
    vi.stubGlobal('setTimeout', (fire: () => void, ms = 0) => this.set(fire, ms));
    vi.stubGlobal('clearTimeout', (id: number | undefined) => this.clear(id));
    vi.spyOn(Date, 'now').mockImplementation(() => this.now);
  }

  set(fire: () => void, ms: number): number {
    this.#timers.set(this.#next, { at: this.now + ms, fire });
    return this.#next++;
  }

  clear(id: number | undefined): void {
    if (id !== undefined) this.#timers.delete(id);
  }

  sleep(ms: number, dropped?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const id = this.set(resolve, ms);
      dropped?.addEventListener('abort', () => this.clear(id), { once: true });
    });
  }

  /** Lets time pass until the promise has settled. @throws when it waits for no timer */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      await setImmediate();
      if (settled) return promise;
      let first: [number, Timer] | undefined;
      for (const entry of this.#timers) if (first === undefined || entry[1].at < first[1].at) first = entry;
      if (first === undefined) throw new Error(`at ${this.now} ms it waits for something that no timer will bring`);
      this.#timers.delete(first[0]);
      this.now = Math.max(this.now, first[1].at);
      first[1].fire();
    }
  }
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});
