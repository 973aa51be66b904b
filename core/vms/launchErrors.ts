/**
 * How a launch fails, as classes that the state machine's `Retry` and `Catch` name (design.md §5.3). The class says what
 * to do next, `tried` says what was asked for, so that a waiting run can show it.
 */
import type { TriedBody } from '../contract/runs.ts';

export type Tried = TriedBody;

/** One pool and its answer in a line, such as `m7i.large/eu-central-1a/spot: InsufficientInstanceCapacity`. */
export function triedText({ type, availabilityZone, market, code }: Tried): string {
  const pool = [type, availabilityZone, market].filter((part) => part !== undefined).join('/');
  return pool === '' ? code : `${pool}: ${code}`;
}

export interface LaunchFacts {
  readonly cause?: unknown;
  /** Nobody knows what became of the request: it may yet bring an instance, so only its own token asks again. */
  readonly unanswered?: boolean;
  /** Pools that were not among those tried may have room: they are asked at once, not after a pause. */
  readonly othersLeft?: boolean;
}

/** Base class: the fleet did not give a VM. Which subclass it is decides whether and how soon it is asked again. */
export class LaunchFailed extends Error {
  readonly tried: readonly Tried[];
  readonly unanswered: boolean;
  readonly othersLeft: boolean;

  constructor(detail: string, tried: readonly Tried[] = [], facts: LaunchFacts = {}) {
    super(detail, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'LaunchFailed';
    this.tried = tried;
    this.unanswered = facts.unanswered === true;
    this.othersLeft = facts.othersLeft === true;
  }
}

/** No pool had room just now: other pools, or the same ones later. */
export class CapacityUnavailable extends LaunchFailed {
  constructor(detail: string, tried: readonly Tried[] = [], facts: LaunchFacts = {}) {
    super(detail, tried, facts);
    this.name = 'CapacityUnavailable';
  }
}

/** The account's quota is used up: asked again slowly, and an operator is told. */
export class QuotaExceeded extends LaunchFailed {
  constructor(detail: string, tried: readonly Tried[] = [], facts: LaunchFacts = {}) {
    super(detail, tried, facts);
    this.name = 'QuotaExceeded';
  }
}

/** The provider throttled or failed for a moment: asked again with jitter. */
export class LaunchThrottled extends LaunchFailed {
  constructor(detail: string, tried: readonly Tried[] = [], facts: LaunchFacts = {}) {
    super(detail, tried, facts);
    this.name = 'LaunchThrottled';
  }
}

/** Our own launch rate held the request back: no request was sent. */
export class LaunchPaced extends LaunchFailed {
  constructor(detail: string, tried: readonly Tried[] = [], facts: LaunchFacts = {}) {
    super(detail, tried, facts);
    this.name = 'LaunchPaced';
  }
}

/** The request itself is wrong (image, subnet, permission) or unknown: asking again would only repeat it. */
export class LaunchMisconfigured extends LaunchFailed {
  constructor(detail: string, tried: readonly Tried[] = [], facts: LaunchFacts = {}) {
    super(detail, tried, facts);
    this.name = 'LaunchMisconfigured';
  }
}

/**
 * The pauses that `LaunchVm` declares in `state-machines/provision-vm.asl.json`, so that a run can say when it is asked for
 * again; a test compares the two. With full jitter they are the longest ones.
 */
export const LAUNCH_BACKOFF: Readonly<Record<string, { seconds: number; rate: number; secondsMax: number }>> = {
  CapacityUnavailable: { seconds: 15, rate: 1.5, secondsMax: 180 },
  QuotaExceeded: { seconds: 60, rate: 2, secondsMax: 600 },
  LaunchThrottled: { seconds: 2, rate: 2, secondsMax: 60 },
  LaunchPaced: { seconds: 2, rate: 1.5, secondsMax: 30 },
};

/** The longest pause before the try that follows the `tries`-th failure of this class; undefined where none follows. */
export function pauseMsMax(errorName: string, tries: number): number | undefined {
  const backoff = LAUNCH_BACKOFF[errorName];
  if (backoff === undefined) return undefined;
  return 1000 * Math.min(backoff.secondsMax, backoff.seconds * backoff.rate ** Math.min(tries - 1, 50));
}
