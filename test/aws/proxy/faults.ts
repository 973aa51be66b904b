/** What a test orders to go wrong with calls to AWS. */
import type { Call, ServiceError } from './wire.ts';

export type Effect =
  /** The service refuses: nothing is done. */
  | { readonly kind: 'error'; readonly error: ServiceError }
  /** The connection is cut: before the service has heard of the request, or after it has done what was asked. */
  | { readonly kind: 'cut'; readonly applied: boolean }
  /** The request waits at the door until the promise is kept. */
  | { readonly kind: 'hold'; readonly until: Promise<unknown> };

export interface Fault {
  readonly service: string;
  readonly action: string;
  readonly effect: Effect;
  /** How many calls it meets; absent: all, until it is lifted. */
  readonly times?: number;
  /** Which calls it meets; absent: every one of the action. */
  readonly when?: (call: Call) => boolean;
}

/** An ordered fault, as the test sees it. */
export interface Ordered {
  /** How many calls have met it. */
  readonly met: () => number;
  lift(): void;
}

export class Faults {
  readonly #standing = new Set<{ readonly fault: Fault; met: number }>();

  order(fault: Fault): Ordered {
    const entry = { fault, met: 0 };
    this.#standing.add(entry);
    return { met: () => entry.met, lift: () => this.#standing.delete(entry) };
  }

  clear(): void {
    this.#standing.clear();
  }

  /** The effect that this call meets, which counts as met. */
  meet(call: Call): Effect | undefined {
    for (const entry of this.#standing) {
      const { service, action, times = Number.POSITIVE_INFINITY, when } = entry.fault;
      if (service !== call.service || action !== call.action || entry.met >= times || when?.(call) === false) continue;
      entry.met += 1;
      return entry.fault.effect;
    }
    return undefined;
  }
}
