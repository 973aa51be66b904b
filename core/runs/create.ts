/** A run's first writes: its row and its first event, as part of whichever transaction commits it. */
import type { AgentRow } from '../agents/model.ts';
import type { CoreConfig } from '../config.ts';
import type { Evidence } from '../contract/common.ts';
import { limitsOf, PLACEMENT_GRACE_SECONDS } from '../limits/model.ts';
import { checkPartition, keys, LIST_SHARDS, lists, shardOf } from '../table/keys.ts';
import { absent, guard, type Key, type Write } from '../table/model.ts';
import { asItem, SCHEMA_VERSION } from '../table/rows.ts';
import { appendEvent } from './events.ts';
import type { RunRow } from './model.ts';

export interface NewRun {
  readonly id: string;
  readonly agent: Pick<AgentRow, 'tenantId' | 'id' | 'version' | 'limits'>;
  readonly trigger: RunRow['trigger'];
  readonly displayName: string;
  readonly inputKey: Key;
  readonly overrides?: { readonly runTimeout?: number; readonly startTimeout?: number } | undefined;
  readonly scheduleId?: string;
  readonly occurrence?: number;
  readonly backfillId?: string;
  /** The live runs whose end it waits for before it is placed (cancel_other, terminate_other). */
  readonly waitsFor?: { readonly runIds: readonly string[]; readonly how: 'cancel' | 'terminate' };
  readonly evidence: Evidence;
}

export function newRun(config: CoreConfig, facts: NewRun, now: number): RunRow {
  const { agent } = facts;
  const startTimeoutSeconds = facts.overrides?.startTimeout ?? agent.limits?.startTimeout ?? config.startTimeoutSeconds;
  const limited = limitsOf(config, agent).length > 0;
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
    ...(limited && { limited }),
    trigger: facts.trigger,
    displayName: facts.displayName,
    status: 'queued',
    attempt: 1,
    inputKey: facts.inputKey,
    startTimeoutSeconds,
    runTimeoutSeconds: facts.overrides?.runTimeout ?? agent.limits?.runTimeout ?? config.runTimeoutSeconds,
    evidence: facts.evidence,
    createdAt: now,
    queuedAt: now,
    // The start timeout counts from the moment at which something can be started.
    ...(facts.waitsFor === undefined && !limited && { deadlineAt: now + startTimeoutSeconds * 1000 }),
    version: 1,
    listIn: lists.runs(agent.tenantId, shardOf(facts.id, LIST_SHARDS)),
    listAt: `${String(now).padStart(14, '0')}#${facts.id}`,
    checkIn: checkPartition('RUN', shardOf(facts.id, config.checkShards)),
    checkAt: now + PLACEMENT_GRACE_SECONDS * 1000,
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
    agentRuns: run.agentId,
  }),
];
