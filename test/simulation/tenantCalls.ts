/** What one tenant may try at another's things: it is told that there is no such thing, or a list without any of them. */
import { createKey, listKeys } from '../../core/access/keys.ts';
import { listPrincipals, patchPrincipal } from '../../core/access/service.ts';
import { deleteAgent, getAgent, listAgents, type PrincipalCaller, patchAgent } from '../../core/agents/service.ts';
import { readAudit } from '../../core/audit/report.ts';
import { listAuditLog } from '../../core/auditLog/list.ts';
import { ScheduleCreate } from '../../core/contract/schedules.ts';
import { readFeed } from '../../core/feed/read.ts';
import type { Ports } from '../../core/ports.ts';
import { cancelRun } from '../../core/runs/cancel.ts';
import { explainRun } from '../../core/runs/explain.ts';
import { listRunEvents, readArtifact, readRunLogs } from '../../core/runs/reading.ts';
import { retryRun } from '../../core/runs/retry.ts';
import { listScheduleRuns } from '../../core/runs/scheduleRuns.ts';
import { createRun, getRun, listRuns } from '../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../core/schedules/actions.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../core/schedules/backfill.ts';
import { dryRunPatch } from '../../core/schedules/dryRun.ts';
import { explainOccurrence } from '../../core/schedules/explain.ts';
import { listOccurrences, listRevisions, listUpcoming } from '../../core/schedules/ledgerLists.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import {
  createSchedule,
  getSchedule,
  listAgentSchedules,
  listSchedules,
  patchSchedule,
} from '../../core/schedules/service.ts';
import { skipOccurrence, unskipOccurrence } from '../../core/schedules/skips.ts';
import { triggerSchedule } from '../../core/schedules/trigger.ts';
import { requestDrain } from '../../core/vms/drain.ts';
import { getVm, listVms } from '../../core/vms/service.ts';
import { getDelivery, listDeliveries, redeliver } from '../../core/webhooks/deliveries.ts';
import {
  deleteWebhook,
  getWebhook,
  listWebhooks,
  patchWebhook,
  rotateSecret,
  testWebhook,
} from '../../core/webhooks/service.ts';
import { ANY } from './callers.ts';

export interface Attempt {
  readonly name: string;
  /** It is answered, and says nothing of the other tenant's. */
  readonly isList?: boolean;
  readonly call: (ports: Ports) => Promise<unknown>;
}

/** Of the other tenant's things, one of each kind that there is. */
export interface Target {
  readonly principalId: string;
  readonly agentId?: string | undefined;
  readonly schedule?: ScheduleRow | undefined;
  readonly runId?: string | undefined;
  readonly vmId?: string | undefined;
  readonly webhookId?: string | undefined;
  readonly deliveryId?: string | undefined;
}

type Me = PrincipalCaller;
const PAGE = { limit: 100 };
const none = { kind: 'none' } as const;
const attempt = (name: string, call: Attempt['call']): Attempt => ({ name, call });
const list = (name: string, call: Attempt['call']): Attempt => ({ name, call, isList: true });

export const attemptsAt = (me: Me, target: Target, now: number): readonly Attempt[] => [
  ...lists(me, target),
  ...atPrincipal(me, target.principalId),
  ...(target.agentId === undefined ? [] : atAgent(me, target.agentId)),
  ...(target.schedule === undefined ? [] : atSchedule(me, target.schedule, now)),
  ...(target.runId === undefined ? [] : atRun(me, target.runId)),
  ...(target.vmId === undefined ? [] : atVm(me, target.vmId)),
  ...(target.webhookId === undefined ? [] : atWebhook(me, target.webhookId, target.deliveryId ?? 'dlv_none')),
];

/** All that it has itself; and the same by the ids of the other one. */
const lists = (me: Me, { agentId, schedule, runId, vmId }: Target): readonly Attempt[] => [
  list('listAgents', (ports) => listAgents(ports, me, PAGE)),
  list('listSchedules', (ports) => listSchedules(ports, me, PAGE)),
  list('listRuns', (ports) => listRuns(ports, me, {}, PAGE)),
  list('listRuns of an agent', (ports) => listRuns(ports, me, { agentId }, PAGE)),
  list('listVms', (ports) => listVms(ports, me, PAGE)),
  list('listWebhooks', (ports) => listWebhooks(ports, me)),
  list('listPrincipals', (ports) => listPrincipals(ports, me, PAGE)),
  list('readAudit', (ports) => readAudit(ports, me)),
  list('listAuditLog', (ports) => listAuditLog(ports, me, { ...PAGE, resource: runId ?? vmId })),
  list('readFeed', (ports) => readFeed(ports, me, PAGE)),
  list('readFeed of a schedule', (ports) => readFeed(ports, me, { ...PAGE, scheduleId: schedule?.id })),
  list('readFeed of a run', (ports) => readFeed(ports, me, { ...PAGE, runId })),
];

const atPrincipal = (me: Me, id: string): readonly Attempt[] => [
  attempt('patchPrincipal', (ports) => patchPrincipal(ports, me, id, { name: 'ours' }, ANY)),
  attempt('listKeys', (ports) => listKeys(ports, me, id)),
  attempt('createKey', (ports) => createKey(ports, me, id, { name: 'ours', expiresIn: 3600 }, ANY)),
];

const atAgent = (me: Me, id: string): readonly Attempt[] => [
  attempt('getAgent', (ports) => getAgent(ports, me, id)),
  attempt('patchAgent', (ports) => patchAgent(ports, me, id, { name: 'ours' }, ANY)),
  attempt('patchAgent limits', (ports) => patchAgent(ports, me, id, { limits: { maxConcurrentRuns: 1 } }, ANY)),
  attempt('deleteAgent', (ports) => deleteAgent(ports, me, id, ANY, { cancelRuns: true })),
  attempt('createRun', (ports) => createRun(ports, me, id, {})),
  attempt('createSchedule', (ports) => createSchedule(ports, me, id, OURS)),
  attempt('listAgentSchedules', (ports) => listAgentSchedules(ports, me, id, PAGE)),
];

const OURS = ScheduleCreate.parse({ name: 'ours', cadence: { every: 'PT10M' }, input: {} });

function atSchedule(me: Me, { id, backfill, decidedThrough }: ScheduleRow, now: number): readonly Attempt[] {
  const to = Math.floor(now / 1000) * 1000;
  const occurrence = to + 60_000;
  const range = { from: to - 600_000, to, overlapPolicy: 'allow_all', again: false } as const;
  const backfillId = backfill?.id ?? 'bkf_none';
  return [
    attempt('getSchedule', (ports) => getSchedule(ports, me, id)),
    attempt('patchSchedule', (ports) => patchSchedule(ports, me, id, { name: 'ours' }, ANY)),
    attempt('dryRunPatch', (ports) => dryRunPatch(ports, me, id, { name: 'ours' }, ANY)),
    attempt('pauseSchedule', (ports) => pauseSchedule(ports, me, id, '', none)),
    attempt('resumeSchedule', (ports) => resumeSchedule(ports, me, id, none)),
    attempt('triggerSchedule', (ports) => triggerSchedule(ports, me, id, {}, none)),
    attempt('skipOccurrence', (ports) => skipOccurrence(ports, me, id, { occurrence, reason: '' }, none)),
    attempt('unskipOccurrence', (ports) => unskipOccurrence(ports, me, id, { occurrence }, none)),
    attempt('startBackfill', (ports) => startBackfill(ports, me, id, range, none)),
    attempt('getBackfill', (ports) => getBackfill(ports, me, id, backfillId)),
    attempt('cancelBackfill', (ports) => cancelBackfill(ports, me, id, backfillId, none)),
    attempt('deleteSchedule', (ports) => deleteSchedule(ports, me, id, ANY, { cancelRuns: true })),
    attempt('listOccurrences', (ports) => listOccurrences(ports, me, id, PAGE)),
    attempt('listUpcoming', (ports) => listUpcoming(ports, me, id, 5)),
    attempt('listRevisions', (ports) => listRevisions(ports, me, id, PAGE)),
    attempt('listScheduleRuns', (ports) => listScheduleRuns(ports, me, id, PAGE)),
    attempt('explainOccurrence', (ports) => explainOccurrence(ports, me, id, decidedThrough)),
  ];
}

const atRun = (me: Me, id: string): readonly Attempt[] => [
  attempt('getRun', (ports) => getRun(ports, me, id)),
  attempt('explainRun', (ports) => explainRun(ports, me, id)),
  attempt('cancelRun', (ports) =>
    cancelRun(ports, me, id, { by: me.principalId, reason: '', cause: 'request', precondition: none }),
  ),
  attempt('retryRun', (ports) => retryRun(ports, me, id, undefined, none)),
  attempt('listRunEvents', (ports) => listRunEvents(ports, me, id, PAGE)),
  attempt('readRunLogs', (ports) => readRunLogs(ports, me, id, {})),
  attempt('readArtifact', (ports) => readArtifact(ports, me, id, 'file-0')),
];

const atVm = (me: Me, id: string): readonly Attempt[] => [
  attempt('getVm', (ports) => getVm(ports, me, id)),
  attempt('requestDrain', (ports) => requestDrain(ports, me, id, none)),
];

const atWebhook = (me: Me, id: string, deliveryId: string): readonly Attempt[] => [
  attempt('getWebhook', (ports) => getWebhook(ports, me, id)),
  attempt('patchWebhook', (ports) => patchWebhook(ports, me, id, { status: 'disabled' }, ANY)),
  attempt('deleteWebhook', (ports) => deleteWebhook(ports, me, id, ANY)),
  attempt('rotateSecret', (ports) => rotateSecret(ports, me, id, { overlap: 0 }, ANY)),
  attempt('testWebhook', (ports) => testWebhook(ports, me, id)),
  attempt('listDeliveries', (ports) => listDeliveries(ports, me, id, PAGE)),
  attempt('getDelivery', (ports) => getDelivery(ports, me, id, deliveryId)),
  attempt('redeliver', (ports) => redeliver(ports, me, id, deliveryId)),
];
