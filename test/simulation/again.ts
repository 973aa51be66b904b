/** Of the worlds of a search, every so many are played a second time: one that is another world then follows from more than its seed. */
import type { Order } from './followUps.ts';
import type { JobResult } from './jobs.ts';

const EVERY = 100;

export interface Difference {
  readonly result: JobResult;
  /** The hashes of what happened. */
  readonly once: string;
  readonly again: string;
}

interface Due {
  readonly order: Order;
  readonly hash: string;
  readonly worker: number;
}

export class Again {
  readonly differences: Difference[] = [];
  played = 0;
  readonly #workers: number;
  readonly #every: number;
  #begun = 0;
  readonly #wanted = new Set<Order>();
  readonly #due: Due[] = [];
  readonly #second = new Map<Order, string>();

  constructor(workers: number, every = EVERY) {
    this.#workers = workers;
    this.#every = every;
  }

  /** What this worker plays now. A second time is rather another one's, which has played other worlds before. */
  next(worker: number, fresh: () => Order | undefined): Order | undefined {
    const others = this.#due.findIndex((each) => this.#workers === 1 || each.worker !== worker);
    if (others >= 0) return this.#takeDue(others);
    const order = fresh();
    if (order === undefined) return this.#takeDue(0);
    if (this.#begun++ % this.#every === 0) this.#wanted.add(order);
    return order;
  }

  /** @returns whether this was a second time, which is no world of its own */
  took(worker: number, order: Order, result: JobResult): boolean {
    const once = this.#second.get(order);
    if (once === undefined) {
      if (this.#wanted.delete(order)) this.#due.push({ order: { ...order }, hash: result.hash, worker });
      return false;
    }
    this.#second.delete(order);
    this.played++;
    if (result.hash !== once) this.differences.push({ result, once, again: result.hash });
    return true;
  }

  summary(): string {
    const others = this.differences.length;
    return `${this.played} worlds played twice, ${others === 0 ? 'the same both times' : `${others} of them another one the second time`}`;
  }

  #takeDue(at: number): Order | undefined {
    const [due] = this.#due.splice(at, 1);
    if (due !== undefined) this.#second.set(due.order, due.hash);
    return due?.order;
  }
}
