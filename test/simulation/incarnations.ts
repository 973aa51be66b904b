/**
 * Incarnations: one call of one function, with a process of its own. It calls ports over a network that takes time and
 * fails; it may die at any call, or stand still and go on minutes later, when everybody has long given it up.
 */
import type { FaultKind, Site } from './faults.ts';
import type { Simulation } from './world.ts';

export type Outcome<T> =
  | { readonly kind: 'answered'; readonly value: T }
  | { readonly kind: 'threw'; readonly error: unknown }
  /** It died, or took longer than it may. */
  | { readonly kind: 'lost' };

/** The errors of the services that the core calls, by port. */
export interface Failures {
  readonly unavailable: (why: string) => Error;
  readonly throttled: () => Error;
  readonly contended?: () => Error;
}

/** As in `lib/stacks/control.ts`; `left` is no function, but told by one machine's own process. */
export const TIMEOUT_SECONDS: Readonly<Record<string, number>> = {
  api: 29,
  register: 20,
  heartbeat: 29,
  fire: 30,
  events: 120,
  deliver: 58,
  deposit: 29,
  left: 60,
  watchdog: 55,
  audit: 300,
  launch: 55,
  ready: 30,
  dispatch: 30,
  release: 90,
  fail: 30,
  ended: 60,
};

/** Who stands still goes on after so long at the latest. */
export const STANDS_STILL_MS_MAX = 900_000;

/** Who an incarnation acts for, where that bounds what it may change (I7). */
export interface ActsFor {
  readonly vmId: string;
  readonly generation: number;
}

/** The attempt by whose token it was called. */
export interface ChildOf {
  readonly runId: string;
  readonly attempt: number;
}

/** Each one by itself: a common one would keep alive all that ever waited for it. */
const forever = (): Promise<never> => new Promise<never>(() => {});

export class Incarnation {
  readonly kind: string;
  readonly number: number;
  readonly world: Simulation;
  readonly actsFor: ActsFor | undefined;
  readonly startedAt: number;
  childOf: ChildOf | undefined;
  /** The same call once more, by whoever made it: nearly everything is delivered at least once. */
  again: (() => void) | undefined;
  dead = false;
  /** Called once when it dies. */
  onDeath: (() => void) | undefined;
  frozenUntil = 0;
  /** Calls of its own that have no answer yet. */
  underWay = 0;
  /** Its process goes on with what a call before it has left behind, too: whose each deed is cannot be told. */
  carriesOn = false;

  constructor(world: Simulation, kind: string, number: number, actsFor?: ActsFor) {
    this.world = world;
    this.kind = kind;
    this.number = number;
    this.actsFor = actsFor;
    this.startedAt = world.time.now;
  }

  /**
   * A request to a service, which applies it in one instant.
   * @param again what the same request does when the SDK sends it a second time
   */
  call<T>(site: Site, failures: Failures, apply: () => T, again: () => T = apply): Promise<T> {
    const { world } = this;
    if (this.dead) return forever();
    const fault = world.faultAt(site);
    if (fault === undefined) return this.#send(site, world.latencyMs(), apply, undefined);
    world.note(`${this.kind}-${this.number} ${site.name}: ${fault}`);
    return this.#fail(fault, site, failures, apply, again);
  }

  sleep(ms: number): Promise<void> {
    return this.dead ? forever() : this.#send(undefined, ms, () => undefined, undefined);
  }

  #fail<T>(fault: FaultKind, site: Site, failures: Failures, apply: () => T, again: () => T): Promise<T> {
    const { world } = this;
    const latencyMs = world.latencyMs();
    const lost = () => failures.unavailable('no answer');
    switch (fault) {
      case 'fail_before':
        return this.#send(undefined, latencyMs, raise(failures.unavailable('not reached')), undefined);
      case 'throttle':
        return this.#send(undefined, latencyMs, raise(failures.throttled()), undefined);
      case 'conflict':
        return this.#send(undefined, latencyMs, raise((failures.contended ?? failures.throttled)()), undefined);
      case 'lost':
        return this.#send(site, latencyMs, apply, lost);
      case 'resent':
        // The first answer is lost on the way, and the second request is applied for itself.
        return this.#send(site, latencyMs, apply, undefined).then(() =>
          this.#send(site, world.latencyMs(), again, undefined),
        );
      case 'late': {
        const heard = this.#send(undefined, latencyMs, raise(lost()), undefined);
        world.time.after(world.random.spread(50, 40_000), () => {
          world.appliedUnheard(this, site, apply);
        });
        return heard;
      }
      case 'crash_before':
        this.#die();
        return forever();
      case 'crash_after':
        world.time.after(latencyMs, () => {
          world.appliedUnheard(this, site, apply);
          this.#die();
        });
        return forever();
      case 'thaw':
        this.frozenUntil = world.time.now + world.random.spread(20_000, STANDS_STILL_MS_MAX);
        return this.#send(site, this.frozenUntil - world.time.now + latencyMs, apply, undefined);
    }
  }

  /** Its process ends, in the middle of whatever it does. */
  end(): void {
    if (!this.dead) this.#die();
  }

  #die(): void {
    this.dead = true;
    this.world.died(this);
    this.onDeath?.();
  }

  /** @param afterwards what the caller hears instead of the answer */
  #send<T>(
    site: Site | undefined,
    latencyMs: number,
    apply: () => T,
    afterwards: (() => Error) | undefined,
  ): Promise<T> {
    const { world } = this;
    this.underWay++;
    return new Promise<T>((resolve, reject) => {
      world.time.after(latencyMs, () => {
        let value: T | undefined;
        let failed: { readonly error: unknown } | undefined;
        try {
          value = site === undefined ? apply() : world.applied(this, site, apply);
        } catch (error) {
          failed = { error };
        }
        const hear = () => {
          if (this.dead) return;
          if (this.frozenUntil > world.time.now) {
            world.time.at(this.frozenUntil, hear);
            return;
          }
          this.underWay--;
          if (afterwards !== undefined) reject(afterwards());
          else if (failed !== undefined) reject(failed.error);
          else resolve(value as T);
        };
        hear();
      });
    });
  }
}

const raise = (error: Error) => (): never => {
  throw error;
};
