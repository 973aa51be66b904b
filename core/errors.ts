/**
 * Every error that Candor raises on purpose.
 *
 * An operating error (bad input, a conflict, a throttled table) is a {@link CandorError} with a code from
 * {@link ERROR_CODES}; `adapters/http/problem.ts` is the only place that maps codes to HTTP. Anything else is a
 * programming error: it crashes loudly and is shown to callers as `internal_error`, without its text.
 */

/** Stable error codes, with the HTTP status of each. Functions that answer nobody over HTTP do not carry this table. */
export const ERROR_CODES = {
  invalid_request: { status: 422 },
  malformed_json: { status: 400 },
  payload_too_large: { status: 413 },
  unsupported_media_type: { status: 415 },
  unauthenticated: { status: 401 },
  forbidden: { status: 403 },
  not_found: { status: 404 },
  method_not_allowed: { status: 405 },
  name_taken: { status: 409 },
  live_runs: { status: 409 },
  live_schedules: { status: 409 },
  overlap: { status: 409 },
  run_live: { status: 409 },
  children_limit: { status: 409 },
  run_ended: { status: 409 },
  chunk_conflict: { status: 409 },
  illegal_transition: { status: 409 },
  precondition_required: { status: 428 },
  cursor_expired: { status: 410 },
  version_conflict: { status: 412 },
  idempotency_key_reused: { status: 422 },
  idempotency_in_flight: { status: 409 },
  shown_once: { status: 409 },
  rate_limited: { status: 429 },
  contended: { status: 503 },
  store_unavailable: { status: 503 },
  try_again: { status: 503 },
  stale_generation: { status: 409 },
  stale_heartbeat: { status: 409 },
  internal_error: { status: 500 },
} as const satisfies Record<string, { status: number }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A retry of the same call may succeed. */
const RETRYABLE: readonly ErrorCode[] = [
  'idempotency_in_flight',
  'rate_limited',
  'contended',
  'store_unavailable',
  'try_again',
  'internal_error',
];

export const isRetryable = (code: ErrorCode): boolean => RETRYABLE.includes(code);

/** One field that is wrong: `pointer` is an RFC 6901 JSON pointer into the body, or the name of a parameter. */
export interface FieldError {
  readonly pointer: string;
  readonly message: string;
}

export interface CandorErrorOptions {
  /** What the caller can do about it, as an imperative sentence. */
  readonly remedy?: string;
  readonly errors?: readonly FieldError[];
  /** Facts that a program may act on (`currentVersion`, `blockingRunId`), beside the problem's own members. Never a secret. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Base class of all operating errors. */
export class CandorError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly errors: readonly FieldError[];
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, detail: string, options: CandorErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CandorError';
    this.code = code;
    this.remedy = options.remedy;
    this.errors = options.errors ?? [];
    this.facts = options.facts ?? {};
  }

  get retryable(): boolean {
    return isRetryable(this.code);
  }
}

/** Input that breaks a rule: names each field, what is wrong and the remedy. */
export class InvalidRequest extends CandorError {
  constructor(detail: string, errors: readonly FieldError[], remedy = 'Correct the named fields and send it again.') {
    super('invalid_request', detail, { errors, remedy });
    this.name = 'InvalidRequest';
  }
}

/** Absent, deleted, or of another tenant: the three look the same to a caller, on purpose. */
export class NotFound extends CandorError {
  constructor(kind: string, id: string, remedy = `List the ${kind}s to find its id.`) {
    super('not_found', `There is no ${kind} ${id}.`, { remedy });
    this.name = 'NotFound';
  }
}

/** What is stored of a log does not change. */
export class ChunkConflict extends CandorError {
  constructor(chunk: number) {
    super('chunk_conflict', `Chunk ${chunk} is stored with another content.`, {
      remedy: 'Send what was sent first, or nothing: the stored content stays.',
    });
    this.name = 'ChunkConflict';
  }
}

/** If-Match named another version than the one that stands. */
export class VersionConflict extends CandorError {
  constructor(kind: string, id: string, currentVersion: number) {
    super('version_conflict', `${kind} ${id} is at version ${currentVersion}, not at the one in If-Match.`, {
      remedy: 'Read the resource again, decide on its present state, and send its ETag in If-Match.',
      facts: { currentVersion },
    });
    this.name = 'VersionConflict';
  }
}

/**
 * A guard of a write did not hold. Use cases translate it; it never leaves the core as itself.
 * `old` is the item as it stood (DynamoDB's `ReturnValuesOnConditionCheckFailure: ALL_OLD`), absent if there was none.
 */
export class GuardFailed extends Error {
  readonly guard: string;
  readonly writeIndex: number;
  readonly old: Readonly<Record<string, unknown>> | undefined;

  constructor(guard: string, writeIndex: number, old: Readonly<Record<string, unknown>> | undefined) {
    super(`guard ${guard} of write ${writeIndex} did not hold`);
    this.name = 'GuardFailed';
    this.guard = guard;
    this.writeIndex = writeIndex;
    this.old = old;
  }
}

/** DynamoDB cancelled the transaction because another one touched the same item: says nothing about the guards. */
export class Contended extends CandorError {
  constructor(cause?: unknown) {
    super('contended', 'Another writer was at the same items.', { remedy: 'Send the same request again.', cause });
    this.name = 'Contended';
  }
}

/** The store did not answer, or throttled. Whether a write was applied is not known. */
export class StoreUnavailable extends CandorError {
  constructor(cause?: unknown) {
    super('store_unavailable', 'The table did not answer in time.', {
      remedy: 'Send the same request again; Candor tells a repeat from a new request where it must.',
      cause,
    });
    this.name = 'StoreUnavailable';
  }
}
