/** A request under an Idempotency-Key, answered as the HTTP layer does: a problem is an answer like any other. */
import type { PrincipalCaller } from '../../core/agents/service.ts';
import { CandorError } from '../../core/errors.ts';
import { type Answered, answerOnce } from '../../core/idempotency/once.ts';
import { type Answer, scopeHash } from '../../core/idempotency/record.ts';
import type { Ports } from '../../core/ports.ts';
import { createRun, getRun } from '../../core/runs/service.ts';
import type { Simulation } from './world.ts';

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
const promisedRun = ({ answer }: Answered): string | undefined =>
  answer.status < 400 ? (JSON.parse(answer.body) as { readonly id: string }).id : undefined;

/** The same request, once more while the first one is at work or later: one run. */
export async function twice(world: Simulation, send: () => Promise<Answered | undefined>): Promise<void> {
  const { time, random, config } = world;
  // Once its record has expired, the same key is another request.
  const until = time.now + config.idempotencyKeySeconds * 1000 - world.apartMs;
  const later = time.sleep(random.spread(1, 60_000)).then(send);
  const ids = [await send(), await later].map((each) => each && promisedRun(each));
  const [one, other] = ids.filter((id) => id !== undefined);
  if (time.now <= until && one !== undefined && other !== undefined && one !== other)
    world.broken('§6', `one Idempotency-Key was answered with ${one} and ${other}`);
}
