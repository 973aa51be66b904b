/** A request under an Idempotency-Key, answered as the HTTP layer does: a problem is an answer like any other. */
import type { PrincipalCaller } from '../../core/agents/service.ts';
import { CandorError } from '../../core/errors.ts';
import { type Answered, answerOnce } from '../../core/idempotency/once.ts';
import { type Answer, scopeHash } from '../../core/idempotency/record.ts';
import type { Ports } from '../../core/ports.ts';
import { createRun, getRun } from '../../core/runs/service.ts';

async function answerOf(respond: () => Promise<{ readonly id: string }>): Promise<Answer> {
  try {
    return { status: 202, headers: {}, body: JSON.stringify(await respond()) };
  } catch (error) {
    if (!(error instanceof CandorError)) throw error;
    return { status: error.retryable ? 503 : 409, headers: {}, body: JSON.stringify({ code: error.code }) };
  }
}

export function createRunOnce(
  ports: Ports,
  caller: PrincipalCaller,
  agentId: string,
  key: string,
  how: number,
): Promise<Answered> {
  const { tenantId, principalId } = caller;
  const scope = scopeHash({ tenantId, caller: principalId, operation: 'createRun', path: agentId, key });
  return answerOnce(
    ports,
    { tenantId, scope, payload: 'the same' },
    (own) => answerOf(() => createRun(own, caller, agentId, { how })),
    (created) => answerOf(() => getRun(ports, caller, created ?? '')),
  );
}

/** The run that was promised; undefined where it was refused. */
export const promisedRun = ({ answer }: Answered): string | undefined =>
  answer.status < 400 ? (JSON.parse(answer.body) as { readonly id: string }).id : undefined;
