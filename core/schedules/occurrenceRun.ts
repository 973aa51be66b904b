/** What a fire reads, and the run that it may make. */
import type { PrincipalRow } from '../access/principals.ts';
import type { AgentRow } from '../agents/model.ts';
import { isoSecond } from '../contract/common.ts';
import { occurrenceRunId } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { newRun } from '../runs/create.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import type { Key } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import type { Displacement, FireRows } from './decide.ts';
import type { ScheduleRow } from './model.ts';

export interface Delivery {
  readonly scheduleId: string;
  /** The nominal time (`<aws.scheduler.scheduled-time>`), epoch milliseconds; absent when the clock could not say. */
  readonly scheduledTime?: number;
  /** A hint of drift, never authority. */
  readonly specVersion?: number;
  /** Where the other rows of the decision probably are, so that one read gets them all; checked against the schedule. */
  readonly agentId?: string;
  readonly principalId?: string;
}

/** The rows that a fire decides on, in one consistent read if the hints are right. */
export async function readFireRows(ports: Pick<Ports, 'store'>, delivery: Delivery): Promise<FireRows | undefined> {
  const scheduleKey = keys.schedule(delivery.scheduleId);
  const hinted = delivery.agentId !== undefined && delivery.principalId !== undefined;
  const wanted: Key[] = [scheduleKey];
  if (hinted) wanted.push(keys.principal(delivery.principalId), keys.agent(delivery.agentId));
  const [scheduleItem, principalItem, agentItem] = await ports.store.getMany(wanted);
  const schedule = asRow<ScheduleRow>(scheduleItem);
  if (schedule === undefined) return undefined;
  if (hinted && schedule.agentId === delivery.agentId && schedule.createdBy === delivery.principalId)
    return { schedule, principal: asRow<PrincipalRow>(principalItem), agent: asRow<AgentRow>(agentItem) };
  const [principal, agent] = await ports.store.getMany([
    keys.principal(schedule.createdBy),
    keys.agent(schedule.agentId),
  ]);
  return { schedule, principal: asRow<PrincipalRow>(principal), agent: asRow<AgentRow>(agent) };
}

/** The run of an occurrence, under the one id that it can have. */
export function occurrenceRun(
  ports: Ports,
  schedule: ScheduleRow,
  agent: AgentRow,
  at: number,
  now: number,
  facts: { readonly evidence: string; readonly waitsFor?: Displacement; readonly backfillId?: string },
): RunRow {
  const { by, cutBy } = (facts.backfillId && schedule.backfill) || { by: schedule.createdBy, cutBy: schedule.cutBy };
  return newRun(
    ports.config,
    {
      id: occurrenceRunId(schedule.id, at, facts.backfillId),
      agent,
      trigger: { kind: facts.backfillId === undefined ? 'schedule' : 'backfill', by },
      cutBy,
      displayName: `${schedule.name} · ${isoSecond(at)}`,
      inputKey: keys.scheduleInput(schedule.id, schedule.inputVersion),
      overrides: schedule.overrides,
      scheduleId: schedule.id,
      occurrence: at,
      ...(facts.backfillId !== undefined && { backfillId: facts.backfillId }),
      ...(facts.waitsFor !== undefined && { waitsFor: facts.waitsFor }),
      evidence: { source: 'fire', observedAt: new Date(now).toISOString(), detail: facts.evidence },
    },
    now,
  );
}
