/** A retry by hand: a new run that does an ended one again, with its input or another one. The old one stays as it is. */
import { loadAgent, type PrincipalCaller } from '../agents/service.ts';
import type { Json } from '../contract/common.ts';
import { isTerminal, type RunBody } from '../contract/runs.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { checkInput, honourVersion, type Precondition } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { runBody } from './body.ts';
import { evidence } from './change.ts';
import { newRun } from './create.ts';
import type { RunRow } from './model.ts';
import { payloadOf } from './payload.ts';
import { placeOrLeave } from './place.ts';
import { apiCreation, loadRun } from './service.ts';

/**
 * The new run stands in no occurrence and in no schedule's overlap (I11); it has the timeouts and the retry rule of the
 * old one, and the agent's present version.
 * @throws NotFound for the run, or for its agent; CandorError `run_live` while the old one has not ended
 */
export async function retryRun(
  ports: Ports,
  caller: PrincipalCaller,
  runId: string,
  input: Json | undefined,
  precondition: Precondition,
): Promise<RunBody> {
  if (input !== undefined) checkInput(ports.config, input);
  const old = await loadRun(ports, caller, runId);
  honourVersion('run', runId, old.version, precondition);
  if (!isTerminal(old.status))
    throw new CandorError('run_live', `Run ${runId} has not ended: it is ${old.status}.`, {
      remedy: 'Wait until it has ended, or cancel it first.',
      facts: { runId, currentStatus: old.status },
    });
  const again = input === undefined ? (payloadOf(await ports.store.get(old.inputKey)) ?? null) : input;
  const now = ports.time.now();
  const id = ports.ids.next('run_', now);
  const run = await commit<RunRow>(ports, async (writer) => {
    const agent = await loadAgent(ports, caller, old.agentId);
    const created = newRun(
      ports.config,
      {
        id,
        agent,
        trigger: { kind: 'retry', by: caller.principalId },
        displayName: retryName(old.displayName),
        inputKey: keys.runInput(id),
        retryOf: old.id,
        cutBy: caller.cutBy,
        overrides: {
          ...(old.queueTimeoutSeconds !== undefined && { queueTimeout: old.queueTimeoutSeconds }),
          startTimeout: old.startTimeoutSeconds,
          runTimeout: old.runTimeoutSeconds,
          ...(old.idleTimeoutSeconds !== undefined && { idleTimeout: old.idleTimeoutSeconds }),
          ...(old.retry !== undefined && {
            retry: {
              maxAttempts: old.retry.maxAttempts,
              backoff: old.retry.backoffSeconds,
              afterStart: old.retry.afterStart,
            },
          }),
        },
        evidence: evidence('api', now, `${caller.principalId} asked for ${old.id} to be done again`),
      },
      now,
    );
    return {
      writes: apiCreation(ports, created, agent, again, writer),
      proof: keys.runEvent(id, 1),
      result: created,
    };
  });
  await placeOrLeave(ports, run);
  return runBody(ports, run);
}

const RETRY_SUFFIX = ' · retry';
const retryName = (name: string): string => (name.endsWith(RETRY_SUFFIX) ? name : `${name}${RETRY_SUFFIX}`);
