/**
 * How a launch fails, as classes that the state machine's `Retry` and `Catch` name (design.md §5.3). The class says what
 * to do next, `tried` says what was asked for, so that a waiting run can show it.
 */

/** Base class: the fleet did not give a VM. Which subclass it is decides whether and how soon it is asked again. */
export class LaunchFailed extends Error {
  /** What was asked for and answered, one entry each, such as `m7i.large/eu-central-1a/spot: InsufficientInstanceCapacity`. */
  readonly tried: readonly string[];

  constructor(detail: string, tried: readonly string[] = [], cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'LaunchFailed';
    this.tried = tried;
  }
}

/** No pool had room just now: other pools, or the same ones later. */
export class CapacityUnavailable extends LaunchFailed {
  constructor(detail: string, tried: readonly string[] = [], cause?: unknown) {
    super(detail, tried, cause);
    this.name = 'CapacityUnavailable';
  }
}

/** The account's quota is used up: asked again slowly, and an operator is told. */
export class QuotaExceeded extends LaunchFailed {
  constructor(detail: string, tried: readonly string[] = [], cause?: unknown) {
    super(detail, tried, cause);
    this.name = 'QuotaExceeded';
  }
}

/** The provider throttled or failed for a moment: asked again with jitter. */
export class LaunchThrottled extends LaunchFailed {
  constructor(detail: string, tried: readonly string[] = [], cause?: unknown) {
    super(detail, tried, cause);
    this.name = 'LaunchThrottled';
  }
}

/** Our own launch rate held the request back: no request was sent. */
export class LaunchPaced extends LaunchFailed {
  constructor(detail: string, tried: readonly string[] = [], cause?: unknown) {
    super(detail, tried, cause);
    this.name = 'LaunchPaced';
  }
}

/** The request itself is wrong (image, subnet, permission) or unknown: asking again would only repeat it. */
export class LaunchMisconfigured extends LaunchFailed {
  constructor(detail: string, tried: readonly string[] = [], cause?: unknown) {
    super(detail, tried, cause);
    this.name = 'LaunchMisconfigured';
  }
}
