/** How often, and for how long, something is tried again that the server did not take. */
import { monotonicMs } from './proc.ts';

const RETRY_MS_FIRST = 200;
const RETRY_MS_MAX = 5000;

/** Full jitter: many runners that lost the same server must not come back to it in step. */
export const backoffMs = (failures: number): number =>
  Math.random() * Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** Math.min(failures, 10));

export interface PatienceDoor {
  /** The server answers heartbeats. While it does not, waiting costs nothing: the outcome cannot be told either. */
  readonly reachable: () => boolean;
  /** How long a failing server is waited for at the end, by now. */
  readonly patience: () => { readonly ms: number; readonly whileUnreachable: boolean };
}

export class Patience {
  readonly #door: PatienceDoor;
  #failingSinceMs: number | undefined;

  constructor(door: PatienceDoor) {
    this.#door = door;
  }

  /** It worked: from now on all of the time is there again. */
  renew(): void {
    this.#failingSinceMs = undefined;
  }

  /** To be asked after each failure. */
  isOver(): boolean {
    const { ms, whileUnreachable } = this.#door.patience();
    if (!whileUnreachable && !this.#door.reachable()) this.#failingSinceMs = undefined;
    else this.#failingSinceMs ??= monotonicMs();
    return this.#failingSinceMs !== undefined && monotonicMs() - this.#failingSinceMs >= ms;
  }
}
