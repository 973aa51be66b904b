/** The lease that every answered heartbeat renews. A VM that nobody answers must not live, and cost, for ever. */

export interface LeaseOptions {
  /** How long the VM may go on without an answer, on a clock that no step of the wall clock moves. */
  readonly selfDestructMs: number;
  readonly nowMs: () => number;
  readonly onLost: () => void;
}

const CHECK_MS = 1000;

export class Lease {
  readonly #options: LeaseOptions;
  #lostAtMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** A runner that has just started has the whole time for its first answer. */
  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#lostAtMs = options.nowMs() + options.selfDestructMs;
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  /** A heartbeat was answered. The time is never shorter than what the server has just promised. */
  renew(leaseMs: number): void {
    this.#lostAtMs = this.#options.nowMs() + Math.max(leaseMs, this.#options.selfDestructMs);
  }

  #check(): void {
    if (this.#timer === undefined || this.#options.nowMs() < this.#lostAtMs) return;
    // Once it has been lost there is no way back: work is being ended, and an answer would find half of it gone.
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#options.onLost();
  }
}
