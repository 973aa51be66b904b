/** A run's first writes: its row and its first event, as part of whichever transaction commits it. */
import type { AgentRow } from '../agents/model.ts';
import type { CoreConfig } from '../config.ts';
import type { Evidence } from '../contract/common.ts';
import type { RunOverrides } from '../contract/runs.ts';
import { limitsOf, placedBy } from '../limits/model.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, LIST_SHARDS, lists, shardOf } from '../table/keys.ts';
import { absent, guard, type Key, type Write } from '../table/model.ts';
import { asItem, SCHEMA_VERSION } from '../table/rows.ts';
import { appendEvent } from './events.ts';
import type { RetryRule, RunRow } from './model.ts';

export interface NewRun {
  readonly id: string;
  readonly agent: Pick<
    AgentRow,
    'tenantId' | 'id' | 'version' | 'limits' | 'retry' | 'reuse' | 'warmFor' | 'slots' | 'successCriteria'
  >;
  readonly trigger: RunRow['trigger'];
  readonly displayName: string;
  readonly inputKey: Key;
  readonly overrides?: RunOverrides | undefined;
  readonly scheduleId?: string;
  readonly occurrence?: number;
  readonly backfillId?: string;
  readonly retryOf?: string;
  readonly principalId?: string | undefined;
  readonly cutBy?: string | undefined;
  readonly parent?: Pick<RunRow, 'id' | 'depth'>;
  /** The live runs whose end it waits for before it is placed (cancel_other, terminate_other). */
  readonly waitsFor?: { readonly runIds: readonly string[]; readonly how: 'cancel' | 'terminate' };
  readonly evidence: Evidence;
}

export function newRun(config: CoreConfig, facts: NewRun, now: number): RunRow {
  const { agent } = facts;
  const startTimeoutSeconds = facts.overrides?.startTimeout ?? agent.limits?.startTimeout ?? config.startTimeoutSeconds;
  const limits = limitsOf(config, agent);
  const limited = limits.length > 0;
  const queueTimeoutSeconds = facts.overrides?.queueTimeout ?? agent.limits?.queueTimeout;
  const idleTimeoutSeconds = facts.overrides?.idleTimeout ?? agent.limits?.idleTimeout;
  const mayWait = facts.waitsFor !== undefined || limited;
  const deadlineAt = firstDeadline(now, queueTimeoutSeconds, startTimeoutSeconds, mayWait);
  return {
    ...keys.run(facts.id),
    schemaVersion: SCHEMA_VERSION,
    tenantId: agent.tenantId,
    id: facts.id,
    agentId: agent.id,
    agentVersion: agent.version,
    ...(facts.scheduleId !== undefined && { scheduleId: facts.scheduleId }),
    ...(facts.occurrence !== undefined && { occurrence: facts.occurrence }),
    ...(facts.backfillId !== undefined && { backfillId: facts.backfillId }),
    ...(facts.waitsFor !== undefined && {
      waiting: {
        reason: 'overlap',
        blockedBy: facts.waitsFor.runIds,
        ...(facts.waitsFor.how === 'terminate' && { force: true }),
      },
    }),
    ...(facts.retryOf !== undefined && { retryOf: facts.retryOf }),
    ...(facts.parent !== undefined && { parentRunId: facts.parent.id, depth: (facts.parent.depth ?? 0) + 1 }),
    ...(limited && { limited }),
    ...(limits.some((limit) => limit.kind === 'vms') && { vmLimited: true }),
    ...(mayReuse(agent, limited) && { mayReuse: true }),
    hasCriteria: agent.successCriteria !== undefined,
    trigger: facts.trigger,
    ...(facts.principalId && { principalId: facts.principalId }),
    ...(facts.cutBy && { cutBy: facts.cutBy }),
    displayName: facts.displayName,
    status: 'queued',
    attempt: 1,
    inputKey: facts.inputKey,
    ...(queueTimeoutSeconds !== undefined && { queueTimeoutSeconds }),
    startTimeoutSeconds,
    runTimeoutSeconds: facts.overrides?.runTimeout ?? agent.limits?.runTimeout ?? config.runTimeoutSeconds,
    ...(idleTimeoutSeconds !== undefined && { idleTimeoutSeconds }),
    retry: retryRule(config, agent, facts.overrides),
    evidence: facts.evidence,
    createdAt: now,
    queuedAt: now,
    ...(deadlineAt !== undefined && { deadlineAt }),
    version: 1,
    listIn: lists.runs(agent.tenantId, shardOf(facts.id, LIST_SHARDS)),
    listAt: `${String(now).padStart(14, '0')}#${facts.id}`,
    checkIn: checkPartition('RUN', shardOf(facts.id, config.checkShards)),
    checkAt: placedBy(now, deadlineAt),
  };
}

/** The start timeout counts from the moment at which something can be started; until then the queue timeout does, if there is one. */
function firstDeadline(now: number, queueTimeout: number | undefined, startTimeout: number, mayWait: boolean) {
  const seconds = mayWait ? queueTimeout : startTimeout;
  return seconds === undefined ? undefined : now + seconds * 1000;
}

/** Where nobody ever waits and nothing is kept warm, no VM is ever free: then it costs no look. */
const mayReuse = ({ reuse, warmFor, slots }: NewRun['agent'], limited: boolean): boolean =>
  reuse !== 'never' && (limited || (warmFor ?? 0) > 0 || (slots ?? 1) > 1);

/** Field by field: the schedule's or the run's own, else the agent's, else the installation's. */
function retryRule(config: CoreConfig, agent: NewRun['agent'], overrides: RunOverrides | undefined): RetryRule {
  const [own, standing] = [overrides?.retry, agent.retry];
  return {
    maxAttempts: own?.maxAttempts ?? standing?.maxAttempts ?? config.retryMaxAttempts,
    backoffSeconds: own?.backoff ?? standing?.backoff ?? config.retryBackoffSeconds,
    afterStart: own?.afterStart ?? standing?.afterStart ?? false,
  };
}

export const runCreation = (config: CoreConfig, run: RunRow, writer: string): readonly Write[] => [
  { kind: 'put', item: asItem(run), guards: [guard('run.createdOnce', absent)] },
  appendEvent(config, {
    tenantId: run.tenantId,
    subject: 'run',
    subjectId: run.id,
    sequence: 1,
    type: 'run.queued',
    at: run.createdAt,
    status: 'queued',
    detail: { trigger: run.trigger.kind, by: run.trigger.by },
    writer,
  }),
];
