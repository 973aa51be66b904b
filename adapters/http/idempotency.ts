/** `Idempotency-Key` over HTTP: requests and responses as `core/idempotency` knows them. */
import type { Grants } from '../../core/access/grants.ts';
import type { Operation } from '../../core/access/operations.ts';
import { type Answered, answerOnce, Repeated } from '../../core/idempotency/once.ts';
import { type Answer, payloadHash, scopeHash } from '../../core/idempotency/record.ts';
import type { Ports } from '../../core/ports.ts';
import { type ProblemContext, problemResponse } from './problem.ts';

/** On every answer that was given before, or that belongs to an effect of before. */
export const REPLAYED_HEADER = 'Idempotency-Replayed';

/** Whose requests are told apart from everybody else's. A run's attempts are one caller: the second may repeat the first. */
export type KeyHolder =
  | { readonly tenantId: string; readonly principalId: string; readonly asked?: Grants }
  | { readonly tenantId: string; readonly runId: string };

export interface KeyedCall {
  readonly key: string;
  readonly operation: Operation;
  readonly caller: KeyHolder;
  readonly request: Request;
  /** As it was sent. */
  readonly body: unknown;
  readonly problem: ProblemContext;
  /** Nothing of the answer is kept. */
  readonly secret: boolean;
}

export interface Work {
  readonly handle: (ports: Ports) => Promise<Response>;
  /** Makes the answer again, once it is certain that the effect stands. */
  readonly again: (created: string | undefined) => Promise<Response>;
}

/** @throws CandorError `idempotency_key_reused`, `idempotency_in_flight` */
export async function respondOnce(ports: Ports, call: KeyedCall, work: Work): Promise<Response> {
  const { tenantId } = call.caller;
  const { pathname: path, search } = new URL(call.request.url);
  const caller = 'runId' in call.caller ? call.caller.runId : call.caller.principalId;
  const scope = scopeHash({ tenantId, caller, operation: call.operation, path, key: call.key });
  // What If-Match demanded is part of what was asked. So are the rights to it: an answer of before, which nobody judges
  // again, is not for a key that may less, nor for who has lost what the first request was allowed by.
  const payload = payloadHash([search, call.request.headers.get('if-match'), rightsOf(call.caller), call.body]);
  const answering = (respond: () => Promise<Response>) => answerOf(respond, call.problem);
  return responseOf(
    await answerOnce(
      ports,
      { tenantId, scope, payload, secret: call.secret },
      (own) => answering(() => work.handle(own)),
      (created) => answering(() => work.again(created)),
    ),
  );
}

const rightsOf = (caller: KeyHolder) =>
  'asked' in caller ? { role: caller.asked?.role, agents: caller.asked?.agents } : null;

/** A problem is an answer like any other: after an effect, the repeat is to hear of it too. */
async function answerOf(respond: () => Promise<Response>, problem: ProblemContext): Promise<Answer> {
  const response = await respond().catch((error: unknown) => {
    if (error instanceof Repeated) throw error;
    return problemResponse(error, problem);
  });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

function responseOf({ answer, replayed }: Answered): Response {
  const headers = new Headers(answer.headers);
  if (replayed) headers.set(REPLAYED_HEADER, 'true');
  return new Response(answer.body, { status: answer.status, headers });
}
