/** Everything that a call can end with other than its answer. */

/** An error (RFC 9457). Everything but `status` may be missing: something on the way may have answered instead of Candor. */
export interface ProblemBody {
  readonly type?: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  /** Stable: what programs decide by. */
  readonly code?: string;
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  /** What can be done about it. */
  readonly remedy?: string;
  readonly retryable?: boolean;
  readonly requestId?: string;
  /** Facts of the error, such as `currentVersion`. */
  readonly [member: string]: unknown;
}

/** Base class of what this client throws on purpose. */
export class CandorClientError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
  }
}

/** The API answered with an error. */
export class ProblemError extends CandorClientError {
  readonly problem: ProblemBody;
  /** From the answer's ETag: the version that stands, where If-Match named another one. */
  readonly version: string | undefined;
  /** How long the server asks to wait, in seconds. */
  readonly retryAfterSeconds: number | undefined;

  constructor(problem: ProblemBody, facts: { readonly version?: string; readonly retryAfterSeconds?: number } = {}) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
    this.version = facts.version;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }

  get status(): number {
    return this.problem.status;
  }

  get code(): string | undefined {
    return this.problem.code;
  }
}

/** Nobody answered, or not to the end. */
export class NoAnswer extends CandorClientError {
  /** The server that was asked. */
  readonly url: string;
  /** The system's code, such as ECONNREFUSED; or what else was said. */
  readonly reason: string;
  readonly timedOutAfterMs: number | undefined;
  /** The request may have been carried out all the same: look before it is sent again, or send it with the same key. */
  readonly unsure: boolean;
  readonly idempotencyKey: string | undefined;

  constructor(
    url: string,
    cause: unknown,
    facts: {
      readonly timedOutAfterMs?: number | undefined;
      readonly unsure: boolean;
      readonly idempotencyKey?: string | undefined;
    },
  ) {
    const reason = causeCode(cause);
    const what =
      facts.timedOutAfterMs === undefined
        ? `does not answer (${reason})`
        : `did not answer within ${facts.timedOutAfterMs / 1000} s`;
    super(`The server at ${url} ${what}.`, cause);
    this.url = url;
    this.reason = reason;
    this.timedOutAfterMs = facts.timedOutAfterMs;
    this.unsure = facts.unsure;
    this.idempotencyKey = facts.idempotencyKey;
  }
}

/** Something answered, but not as Candor does. */
export class StrangeAnswer extends CandorClientError {}

/** A parameter of the path that no encoding makes one: an empty text, or dots that would lead elsewhere. */
export class UnfitParameter extends CandorClientError {
  readonly value: string;

  constructor(name: string, value: string) {
    super(`"${value}" cannot be the ${name} of a path.`);
    this.value = value;
  }
}

/** The signal that was given has ended the call. */
export class Aborted extends CandorClientError {
  constructor(cause?: unknown) {
    super('the call was aborted', cause);
  }
}

/** What happened may be hidden one or two causes deep. */
export function causeCode(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string') return at.code;
  return error instanceof Error ? error.message : String(error);
}
