/** Where every item lives. The access patterns, with the cost of each, are in `docs/data-model.md`. */
import type { Key } from './model.ts';

const META = 'META';
const pad = (number: number) => String(number).padStart(10, '0');

export const keys = {
  principal: (principalId: string): Key => ({ pk: `PRN#${principalId}`, sk: META }),
  principalEvent: (principalId: string, sequence: number): Key => ({
    pk: `PRN#${principalId}`,
    sk: `EVT#${pad(sequence)}`,
  }),
  apiKey: (principalId: string, keyId: string): Key => ({ pk: `PRN#${principalId}`, sk: `${API_KEY_PREFIX}${keyId}` }),
  agent: (agentId: string): Key => ({ pk: `AGT#${agentId}`, sk: META }),
  agentEvent: (agentId: string, sequence: number): Key => ({ pk: `AGT#${agentId}`, sk: `EVT#${pad(sequence)}` }),
  agentVersion: (agentId: string, version: number): Key => ({ pk: `AGT#${agentId}`, sk: `V#${pad(version)}` }),
  agentName: (tenantId: string, name: string): Key => ({
    pk: `TEN#${tenantId}`,
    sk: `${AGENT_NAME_PREFIX}${fold(name)}`,
  }),
  scheduleName: (agentId: string, name: string): Key => ({
    pk: `AGT#${agentId}`,
    sk: `${SCHEDULE_NAME_PREFIX}${fold(name)}`,
  }),
  schedule: (scheduleId: string): Key => ({ pk: `SCH#${scheduleId}`, sk: META }),
  scheduleInput: (scheduleId: string, version: number): Key => ({ pk: `SCH#${scheduleId}`, sk: `IN#${pad(version)}` }),
  /** Something worth a notification that changed no state of the schedule: a fire that its creator may not have any more. */
  scheduleNote: (scheduleId: string, at: number): Key => ({
    pk: `SCH#${scheduleId}`,
    sk: `${NOTE_PREFIX}${occurrenceSort(at)}`,
  }),
  scheduleEvent: (scheduleId: string, sequence: number): Key => ({
    pk: `SCH#${scheduleId}`,
    sk: `EVT#${pad(sequence)}`,
  }),
  revision: (scheduleId: string, specVersion: number): Key => ({
    pk: `SCH#${scheduleId}`,
    sk: `${REVISION_PREFIX}${pad(specVersion)}`,
  }),
  /** An edit that leaves the times alone: listed after the revision that it was made under. */
  edit: (scheduleId: string, specVersion: number, version: number): Key => ({
    pk: `SCH#${scheduleId}`,
    sk: `${REVISION_PREFIX}${pad(specVersion)}#${pad(version)}`,
  }),
  backfill: (scheduleId: string, backfillId: string): Key => ({ pk: `SCH#${scheduleId}`, sk: `BKF#${backfillId}` }),
  /** An occurrence's second life in a backfill: beside the ledger's own entry, never in its place. */
  backfillOccurrence: (scheduleId: string, at: number, backfillId: string): Key => ({
    pk: `SCH#${scheduleId}`,
    sk: `${occurrenceSort(at)}#${backfillId}`,
  }),
  occurrence: (scheduleId: string, at: number): Key => ({ pk: `SCH#${scheduleId}`, sk: occurrenceSort(at) }),
  /** A run of the schedule that stands in no occurrence (trigger): so the schedule's runs are one consistent query. */
  scheduleRun: (scheduleId: string, runId: string): Key => ({ pk: `SCH#${scheduleId}`, sk: `RUN#${runId}` }),
  run: (runId: string): Key => ({ pk: `RUN#${runId}`, sk: META }),
  runInput: (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'IN' }),
  runOutput: (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'OUT' }),
  runEvent: (runId: string, sequence: number): Key => ({ pk: `RUN#${runId}`, sk: `EVT#${pad(sequence)}` }),
  /** How much of an attempt's log is stored. */
  runLogCount: (runId: string, attempt: number): Key => ({ pk: `RUN#${runId}`, sk: `LOG#${pad(attempt)}` }),
  /** Which files an attempt may store. */
  runFiles: (runId: string, attempt: number): Key => ({ pk: `RUN#${runId}`, sk: `FILES#${pad(attempt)}` }),
  runArtifacts: (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'ART' }),
  /** How many runs it has started, how many of them have not ended, and whether more may come. */
  runChildren: (runId: string): Key => ({ pk: `RUN#${runId}`, sk: 'CHILDREN' }),
  /** Said once, when all of them have ended: handled like an event, but no change of the run's own state. */
  childrenComplete: (runId: string): Key => ({ pk: `RUN#${runId}`, sk: `${NOTE_PREFIX}children_complete` }),
  runChild: (runId: string, childId: string): Key => ({ pk: `RUN#${runId}`, sk: `${CHILD_PREFIX}${childId}` }),
  /** A VM of this version of the agent that has a slot free. */
  freeVm: (agentId: string, version: number, vmId: string): Key => ({
    pk: `AGT#${agentId}`,
    sk: `${freeVmPrefix(version)}${vmId}`,
  }),
  /** A run of this version of the agent that waits for capacity: it takes a VM that becomes free, oldest first. */
  wantingRun: (agentId: string, version: number, queuedAt: number, runId: string): Key => ({
    pk: `AGT#${agentId}`,
    sk: `${wantingPrefix(version)}${String(queuedAt).padStart(14, '0')}#${runId}`,
  }),
  vm: (vmId: string): Key => ({ pk: `VM#${vmId}`, sk: META }),
  vmEvent: (vmId: string, sequence: number): Key => ({ pk: `VM#${vmId}`, sk: `EVT#${pad(sequence)}` }),
  /** A limit's counter; below it, who holds a place and who waits for one, the longest waiting first. */
  limit: (limitId: string): Key => ({ pk: `LIM#${limitId}`, sk: META }),
  limitHolder: (limitId: string, runId: string): Key => ({
    pk: `LIM#${limitId}`,
    sk: `${LIMIT_HOLDER_PREFIX}${runId}`,
  }),
  limitWaiter: (limitId: string, queuedAt: number, runId: string): Key => ({
    pk: `LIM#${limitId}`,
    sk: `${LIMIT_WAITER_PREFIX}${String(queuedAt).padStart(14, '0')}#${runId}`,
  }),
  /** What the watchdog did about something: handled like an event, though it need not be a change of its state. */
  recovery: (pk: string, at: number, rule: string): Key => ({
    pk,
    sk: `${NOTE_PREFIX}watchdog#${String(at).padStart(14, '0')}#${rule}`,
  }),
  /** An instance that no VM accounted for, since a first look. */
  strayInstance: (instanceId: string): Key => ({ pk: STRAY_INSTANCES, sk: instanceId }),
  /** What a part of the system published of itself: the watchdog's last tick, the installation's schema. */
  system: (part: string): Key => ({ pk: 'SYS', sk: part }),
  /** What audits found of a tenant. */
  audit: (tenantId: string): Key => ({ pk: `TEN#${tenantId}`, sk: 'AUDIT' }),
  /** A pool, a subnet or a market that had no room a moment ago, until a time that the item says. */
  unavailable: (name: string): Key => ({ pk: 'FLEET', sk: `${UNAVAILABLE_PREFIX}${name}` }),
  webhook: (webhookId: string): Key => ({ pk: `WHK#${webhookId}`, sk: META }),
  webhookEvent: (webhookId: string, sequence: number): Key => ({ pk: `WHK#${webhookId}`, sk: `EVT#${pad(sequence)}` }),
  /** What fan-out reads of a tenant's webhooks: whom an event concerns. */
  webhookListed: (tenantId: string, webhookId: string): Key => ({
    pk: `TEN#${tenantId}`,
    sk: `${WEBHOOK_PREFIX}${webhookId}`,
  }),
  /** Changes with each webhook that is created: so that their number is never more than it may be. */
  webhookCount: (tenantId: string): Key => ({ pk: `TEN#${tenantId}`, sk: 'WEBHOOKS' }),
  /** One event for one webhook. Each has a partition of its own: a webhook may want all that a tenant does. */
  delivery: (deliveryId: string): Key => ({ pk: `${DELIVERY_PREFIX}${deliveryId}`, sk: META }),
  /** How fast launches may go: written by launches only. */
  launchPace: (): Key => ({ pk: 'FLEET#PACE', sk: META }),
} as const;

export const STRAY_INSTANCES = 'FLEET#STRAY';
export const UNAVAILABLE_PREFIX = 'NONE#';
export const API_KEY_PREFIX = 'KEY#';
export const AGENT_NAME_PREFIX = 'AGTNAME#';
export const SCHEDULE_NAME_PREFIX = 'SCHNAME#';
export const WEBHOOK_PREFIX = 'WHK#';
export const DELIVERY_PREFIX = 'DLV#';
export const CHILD_PREFIX = 'CHILD#';
export const wantingPrefix = (version: number): string => `WANT#${pad(version)}#`;
export const freeVmPrefix = (version: number): string => `FREE#${pad(version)}#`;
export const LIMIT_HOLDER_PREFIX = 'HOLD#';
export const LIMIT_WAITER_PREFIX = 'WAIT#';
export const EVENT_PREFIX = 'EVT#';
export const NOTE_PREFIX = 'NOTE#';
export const REVISION_PREFIX = 'REV#';
export const OCCURRENCE_PREFIX = 'OCC#';
export const SCHEDULE_RUN_PREFIX = 'RUN#';

/** Occurrences sort by time: zero-padded epoch seconds, numeric order for every instant until the year 2286 and beyond. */
export const occurrenceSort = (at: number): string =>
  `${OCCURRENCE_PREFIX}${String(Math.floor(at / 1000)).padStart(12, '0')}`;

/** Apart, as what follows is: the functions that know nothing of it carry nothing of it. */
export const feedKeys = {
  /** One batch of a tenant's event feed. */
  batch: (tenantId: string, shard: number, position: number): Key => ({
    ...feedKeys.head(tenantId, shard),
    sk: feedSort(position),
  }),
  /** Where a shard of the feed began again after it had been quiet for long. */
  head: (tenantId: string, shard: number): Key => ({ pk: `FEED#${tenantId}#${shard}`, sk: 'HEAD' }),
} as const;
export const FEED_PREFIX = 'B#';
export const feedSort = (position: number): string => `${FEED_PREFIX}${String(position).padStart(16, '0')}`;

/** Names are unique without regard to case or surrounding space. */
const fold = (name: string) => name.trim().toLowerCase();

/** Partitions of `byParent`. A tenant's list is spread so that no index partition gathers all its creations. */
export const LIST_SHARDS = 4;
export const lists = {
  schedules: (tenantId: string, shard: number) => `TEN#${tenantId}#SCH#${shard}`,
  runs: (tenantId: string, shard: number) => `TEN#${tenantId}#RUN#${shard}`,
  vms: (tenantId: string, shard: number) => `TEN#${tenantId}#VM#${shard}`,
  /** Few, and seldom written: one partition. */
  principals: (tenantId: string) => `TEN#${tenantId}#PRN`,
  deliveries: (webhookId: string, shard: number) => `WHK#${webhookId}#${shard}`,
} as const;

/** `OLD`: what counts until a time and is swept after it. */
export type CheckKind = 'RUN' | 'VM' | 'SCH' | 'EVT' | 'DLV' | 'OLD';
export const checkPartition = (kind: CheckKind, shard: number): string => `${kind}#${shard}`;

/** A stable spread of ids over shards (FNV-1a). */
export function shardOf(id: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) {
    hash ^= id.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % shards;
}
