/** The key of each item. Functions and no object, so that a bundle holds only those that it uses. */
import type { Key } from './model.ts';
import {
  AGENT_NAME_PREFIX,
  API_KEY_PREFIX,
  CHILD_PREFIX,
  DELIVERY_PREFIX,
  fold,
  freeVmPrefix,
  LIMIT_HOLDER_PREFIX,
  LIMIT_WAITER_PREFIX,
  NOTE_PREFIX,
  occurrenceSort,
  pad,
  REVISION_PREFIX,
  SCHEDULE_NAME_PREFIX,
  STRAY_INSTANCES,
  UNAVAILABLE_PREFIX,
  WEBHOOK_PREFIX,
  wantingPrefix,
} from './prefixes.ts';

const META = 'META';

export const principal = (principalId: string): Key => ({ pk: `PRN#${principalId}`, sk: META });
export const principalEvent = (principalId: string, sequence: number): Key => ({
  pk: `PRN#${principalId}`,
  sk: `EVT#${pad(sequence)}`,
});
export const apiKey = (principalId: string, keyId: string): Key => ({
  pk: `PRN#${principalId}`,
  sk: `${API_KEY_PREFIX}${keyId}`,
});
export const agent = (agentId: string): Key => ({ pk: `AGT#${agentId}`, sk: META });
export const agentEvent = (agentId: string, sequence: number): Key => ({
  pk: `AGT#${agentId}`,
  sk: `EVT#${pad(sequence)}`,
});
export const agentVersion = (agentId: string, version: number): Key => ({
  pk: `AGT#${agentId}`,
  sk: `V#${pad(version)}`,
});
export const agentName = (tenantId: string, name: string): Key => ({
  pk: `TEN#${tenantId}`,
  sk: `${AGENT_NAME_PREFIX}${fold(name)}`,
});
export const scheduleName = (agentId: string, name: string): Key => ({
  pk: `AGT#${agentId}`,
  sk: `${SCHEDULE_NAME_PREFIX}${fold(name)}`,
});
export const schedule = (scheduleId: string): Key => ({ pk: `SCH#${scheduleId}`, sk: META });
export const scheduleInput = (scheduleId: string, version: number): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `IN#${pad(version)}`,
});
/** Something worth a notification that changed no state of the schedule: a fire that its creator may not have any more. */
export const scheduleNote = (scheduleId: string, at: number): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `${NOTE_PREFIX}${occurrenceSort(at)}`,
});
export const scheduleEvent = (scheduleId: string, sequence: number): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `EVT#${pad(sequence)}`,
});
export const revision = (scheduleId: string, specVersion: number): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `${REVISION_PREFIX}${pad(specVersion)}`,
});
/** An edit that leaves the times alone: listed after the revision that it was made under. */
export const edit = (scheduleId: string, specVersion: number, version: number): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `${REVISION_PREFIX}${pad(specVersion)}#${pad(version)}`,
});
export const backfill = (scheduleId: string, backfillId: string): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `BKF#${backfillId}`,
});
/** An occurrence's second life in a backfill: beside the ledger's own entry, never in its place. */
export const backfillOccurrence = (scheduleId: string, at: number, backfillId: string): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `${occurrenceSort(at)}#${backfillId}`,
});
export const occurrence = (scheduleId: string, at: number): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: occurrenceSort(at),
});
/** A run of the schedule that stands in no occurrence (trigger): so the schedule's runs are one consistent query. */
export const scheduleRun = (scheduleId: string, runId: string): Key => ({
  pk: `SCH#${scheduleId}`,
  sk: `RUN#${runId}`,
});
export const run = (runId: string): Key => ({ pk: `RUN#${runId}`, sk: META });
export const runInput = (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'IN' });
export const runOutput = (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'OUT' });
export const runEvent = (runId: string, sequence: number): Key => ({ pk: `RUN#${runId}`, sk: `EVT#${pad(sequence)}` });
/** How much of an attempt's log is stored. */
export const runLogCount = (runId: string, attempt: number): Key => ({ pk: `RUN#${runId}`, sk: `LOG#${pad(attempt)}` });
/** Which files an attempt may store. */
export const runFiles = (runId: string, attempt: number): Key => ({ pk: `RUN#${runId}`, sk: `FILES#${pad(attempt)}` });
export const runArtifacts = (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'ART' });
/** How many runs it has started, how many of them have not ended, and whether more may come. */
export const runChildren = (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'CHILDREN' });
/** Said once, when all of them have ended: handled like an event, but no change of the run's own state. */
export const childrenComplete = (runId: string): Key => ({ pk: `RUN#${runId}`, sk: `${NOTE_PREFIX}children_complete` });
export const runChild = (runId: string, childId: string): Key => ({
  pk: `RUN#${runId}`,
  sk: `${CHILD_PREFIX}${childId}`,
});
/** A VM of this version of the agent that has a slot free. */
export const freeVm = (agentId: string, version: number, vmId: string): Key => ({
  pk: `AGT#${agentId}`,
  sk: `${freeVmPrefix(version)}${vmId}`,
});
/** A run of this version of the agent that waits for capacity: it takes a VM that becomes free, oldest first. */
export const wantingRun = (agentId: string, version: number, queuedAt: number, runId: string): Key => ({
  pk: `AGT#${agentId}`,
  sk: `${wantingPrefix(version)}${String(queuedAt).padStart(14, '0')}#${runId}`,
});
export const vm = (vmId: string): Key => ({ pk: `VM#${vmId}`, sk: META });
/** The token of the state that waits for its registration. */
export const vmTaskToken = (vmId: string): Key => ({ pk: `VM#${vmId}`, sk: 'TOKEN' });
export const vmEvent = (vmId: string, sequence: number): Key => ({ pk: `VM#${vmId}`, sk: `EVT#${pad(sequence)}` });
/** A limit's counter; below it, who holds a place and who waits for one, the longest waiting first. */
export const limit = (limitId: string): Key => ({ pk: `LIM#${limitId}`, sk: META });
export const limitHolder = (limitId: string, runId: string): Key => ({
  pk: `LIM#${limitId}`,
  sk: `${LIMIT_HOLDER_PREFIX}${runId}`,
});
export const limitWaiter = (limitId: string, queuedAt: number, runId: string): Key => ({
  pk: `LIM#${limitId}`,
  sk: `${LIMIT_WAITER_PREFIX}${String(queuedAt).padStart(14, '0')}#${runId}`,
});
/** What the watchdog did about something: handled like an event, though it need not be a change of its state. */
export const recovery = (pk: string, at: number, rule: string): Key => ({
  pk,
  sk: `${NOTE_PREFIX}watchdog#${String(at).padStart(14, '0')}#${rule}`,
});
/** An instance that no VM accounted for, since a first look. */
export const strayInstance = (instanceId: string): Key => ({ pk: STRAY_INSTANCES, sk: instanceId });
/** What a part of the system published of itself: the watchdog's last tick, the installation's schema. */
export const system = (part: string): Key => ({ pk: 'SYS', sk: part });
/** What audits found of a tenant. */
export const audit = (tenantId: string): Key => ({ pk: `TEN#${tenantId}`, sk: 'AUDIT' });
/** A request that had an effect under an idempotency key, by the hash of who sent it, where, and under which key. */
export const idempotency = (scope: string): Key => ({ pk: `IDEM#${scope}`, sk: META });
/** How many requests a caller has sent in a window of time. */
export const rate = (caller: string, window: number): Key => ({
  pk: `RATE#${caller}`,
  sk: String(window).padStart(14, '0'),
});
/** A pool, a subnet or a market that had no room a moment ago, until a time that the item says. */
export const unavailable = (name: string): Key => ({ pk: 'FLEET', sk: `${UNAVAILABLE_PREFIX}${name}` });
export const webhook = (webhookId: string): Key => ({ pk: `WHK#${webhookId}`, sk: META });
export const webhookEvent = (webhookId: string, sequence: number): Key => ({
  pk: `WHK#${webhookId}`,
  sk: `EVT#${pad(sequence)}`,
});
/** What fan-out reads of a tenant's webhooks: whom an event concerns. */
export const webhookListed = (tenantId: string, webhookId: string): Key => ({
  pk: `TEN#${tenantId}`,
  sk: `${WEBHOOK_PREFIX}${webhookId}`,
});
/** Changes with each webhook that is created: so that their number is never more than it may be. */
export const webhookCount = (tenantId: string): Key => ({ pk: `TEN#${tenantId}`, sk: 'WEBHOOKS' });
/** One event for one webhook. Each has a partition of its own: a webhook may want all that a tenant does. */
export const delivery = (deliveryId: string): Key => ({ pk: `${DELIVERY_PREFIX}${deliveryId}`, sk: META });
/** How fast launches may go: written by launches only. */
export const launchPace = (): Key => ({ pk: 'FLEET#PACE', sk: META });
