/**
 * Errors as problem+json (RFC 9457): the only place that maps error codes to HTTP. An error that is not a
 * {@link CandorError} is a programming error: the caller learns its request id, the log learns the rest.
 */
import { CandorError, ERROR_CODES, type ErrorCode, isRetryable } from '../../core/errors.ts';
import type { Log } from '../../core/ports.ts';
import type { ProblemBody } from './problemSchema.ts';

export interface ProblemContext {
  readonly requestId: string;
  readonly method: string;
  /** The path of the request, without its query. */
  readonly path: string;
  readonly log: Log;
}

/** Said here alone: functions that answer no requests need not carry them. */
export const TITLES: Record<ErrorCode, string> = {
  idempotency_key_reused: 'The Idempotency-Key belongs to another request',
  idempotency_in_flight: 'The first request with this key is at work',
  shown_once: 'A secret is shown once',
  rate_limited: 'Too many requests',
  invalid_request: 'The request is not valid',
  malformed_json: 'The body is not JSON',
  payload_too_large: 'The body is too large',
  unsupported_media_type: 'The body is not application/json',
  unauthenticated: 'The credential is missing or wrong',
  forbidden: 'The credential does not allow this',
  not_found: 'There is no such resource',
  method_not_allowed: 'The resource does not take this method',
  name_taken: 'The name is taken',
  live_runs: 'Live runs are in the way',
  live_schedules: 'Schedules are in the way',
  overlap: 'The overlap policy forbids another run now',
  run_live: 'The run has not ended',
  children_limit: 'A run may not start so many runs',
  run_ended: 'The run has ended',
  chunk_conflict: 'The log says something else there',
  illegal_transition: 'The resource is not in a state for this',
  precondition_required: 'If-Match is required',
  cursor_expired: 'The cursor is too old',
  version_conflict: 'The resource has changed meanwhile',
  contended: 'Too many writers at once',
  store_unavailable: 'The store does not answer',
  try_again: 'Not yet',
  stale_generation: 'A newer registration of this VM exists',
  stale_heartbeat: 'A later heartbeat has been handled',
  internal_error: 'Something went wrong in Candor',
};

/** For errors that name no remedy of their own. */
const REMEDIES: Record<ErrorCode, string> = {
  invalid_request: 'Correct the named fields and send it again.',
  malformed_json: 'Send one JSON value, encoded in UTF-8.',
  payload_too_large: 'Send less: store large data where the agent can fetch it, and send a reference to it.',
  unsupported_media_type: 'Send JSON with the header Content-Type: application/json.',
  unauthenticated: 'Send a valid token in the header Authorization: Bearer <token>.',
  forbidden: 'Use a credential that allows this.',
  not_found: 'Check the path and the id.',
  method_not_allowed: 'Use one of the methods in the Allow header.',
  name_taken: 'Choose another name.',
  live_runs: 'Wait until the runs have ended, or cancel them.',
  live_schedules: 'Delete the schedules first.',
  overlap: 'Wait until the other run has ended, or cancel it.',
  run_live: 'Wait until it has ended, or cancel it.',
  children_limit: 'Start fewer runs, or let a principal start them.',
  run_ended: 'Read the run for its outcome.',
  chunk_conflict: 'Keep to what was sent first.',
  illegal_transition: 'Read the resource again and decide on its present state.',
  precondition_required: 'Send If-Match with the ETag of the resource as you read it.',
  cursor_expired: 'Read the resources as they stand, then follow from ?after=latest.',
  version_conflict: 'Read the resource again and send its ETag in If-Match.',
  idempotency_key_reused: 'Send a new key with a new request.',
  idempotency_in_flight: 'Send it again with the same key in a moment.',
  shown_once: 'Make another one.',
  rate_limited: 'Wait as long as Retry-After says.',
  contended: 'Send the same request again.',
  store_unavailable: 'Send the same request again in a moment.',
  try_again: 'Send the same request again in a moment.',
  stale_generation: 'Stop this runner; a newer one has taken over its work.',
  stale_heartbeat: 'Send the present state with a higher seq.',
  internal_error: 'Send the same request again; if it fails again, report the requestId.',
};

const RETRY_AFTER_SECONDS = 1;
/** A body with thousands of wrong fields is not answered with thousands of errors. */
const FIELD_ERRORS_MAX = 50;

/** The response for anything that was thrown; what is not the caller's doing is logged under the request's id. */
export function problemResponse(error: unknown, context: ProblemContext): Response {
  const known = error instanceof CandorError ? error : undefined;
  logFault(error, known, context);
  const body = problemBody(known ?? unexpected(), context);
  const headers = new Headers({ 'Content-Type': 'application/problem+json' });
  if (body.status === 401) headers.set('WWW-Authenticate', 'Bearer');
  const wait = known?.facts.retryAfterSeconds ?? (body.status === 503 ? RETRY_AFTER_SECONDS : undefined);
  if (typeof wait === 'number') headers.set('Retry-After', String(wait));
  // The rest of the body is not read, so what would come next on this connection is not a request.
  if (body.status === 413) headers.set('Connection', 'close');
  const version = known?.facts.currentVersion;
  if (body.status === 412 && typeof version === 'number') headers.set('ETag', `"${version}"`);
  const allow = known?.facts.allow;
  if (body.status === 405 && Array.isArray(allow)) headers.set('Allow', allow.join(', '));
  return new Response(JSON.stringify(body), { status: body.status, headers });
}

const unexpected = () => new CandorError('internal_error', 'The request failed for a reason that is not its own.');

function problemBody(error: CandorError, context: ProblemContext): ProblemBody {
  const { status } = ERROR_CODES[error.code];
  const retryable = isRetryable(error.code);
  return {
    // First, so that no fact can replace a member that has a meaning of its own.
    ...error.facts,
    type: `urn:candor:problem:${error.code}`,
    title: TITLES[error.code],
    status,
    detail: error.message,
    code: error.code,
    ...(error.errors.length > 0 && { errors: error.errors.slice(0, FIELD_ERRORS_MAX) }),
    remedy: error.remedy ?? REMEDIES[error.code],
    retryable,
    requestId: context.requestId,
    instance: context.path,
  };
}

function logFault(error: unknown, known: CandorError | undefined, { log, requestId, method, path }: ProblemContext) {
  const facts = { requestId, method, path };
  if (known === undefined) {
    log.error('http.internal_error', { ...facts, error: describe(error) });
    return;
  }
  // `try_again` is part of a normal start; the others say that the table is in trouble.
  if (ERROR_CODES[known.code].status >= 500 && known.code !== 'try_again')
    log.warn('http.unavailable', { ...facts, code: known.code, cause: describe(known.cause) });
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);
