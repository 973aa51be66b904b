/**
 * The metrics: one catalogue of names, dimensions and meanings. Alarms, dashboards and docs are made from it and checked
 * against it. No dimension names a schedule, a run or a VM: each value of a dimension costs money for ever.
 *
 * The unit follows from the name: `…Seconds`, `…Milliseconds`, and a count for everything else. So whoever writes metrics
 * needs no catalogue at hand, and `fire`, whose bundle is counted, does not carry its texts.
 */

export interface MetricFacts {
  readonly dimensions: readonly string[];
  readonly meaning: string;
}

export const METRICS = {
  FireLatenessSeconds: {
    dimensions: [],
    meaning:
      'from the time of an occurrence, or the end of its flexible window, to the decision on it, where it was dispatched or buffered',
  },
  OccurrencesDecided: {
    dimensions: ['disposition', 'reason'],
    meaning: 'occurrences by what became of them; the reason is `none` where there is nothing to explain',
  },
  OccurrencesMissed: { dimensions: [], meaning: 'occurrences that nobody fired within their catch-up window' },
  TimeToReadySeconds: { dimensions: [], meaning: 'from the request for a VM to the registration of its runner' },
  LaunchRefusals: {
    dimensions: ['class'],
    meaning:
      'refusals of EC2, one for each pool that was asked for, by their class: `POOL`, `SUBNET`, `SPOT`, `QUOTA`, `THROTTLE`, `CONFIG` or `UNKNOWN`',
  },
  LaunchFailures: {
    dimensions: ['class'],
    meaning: 'launches that brought no VM from any pool, by the error that the state machine sees',
  },
  ClockFailures: { dimensions: ['kind'], meaning: 'calls that set or delete a clock: `failed` or `rejected`' },
  ClockMisses: {
    dimensions: [],
    meaning:
      'occurrences in a row that the clock left to the watchdog; 0 where one has been fired in time since, or none was due',
  },
  QueueAgeSeconds: { dimensions: [], meaning: 'how long a run that is not yet let in or placed has been queued' },
  RunsEnded: { dimensions: ['status'], meaning: 'runs by how they ended' },
  Recoveries: { dimensions: ['rule'], meaning: 'what was put right without anybody asking, by its rule' },
  OldestOverdueSeconds: {
    dimensions: [],
    meaning: 'how long the most overdue promise that a tick met has been broken; 0 where none was',
  },
  WatchdogTicks: { dimensions: [], meaning: 'ticks of the watchdog that came to their end: its sign of life' },
  WatchdogItemFailures: { dimensions: [], meaning: 'items that the watchdog could not look at' },
  WatchdogLeftOver: { dimensions: [], meaning: '1 where a tick ended before all that was due had been looked at' },
  WatchdogHolding: { dimensions: [], meaning: '1 where a tick gave no verdict, because of a gap before it' },
  OrphanInstances: {
    dimensions: [],
    meaning: 'instances of this installation that no VM accounts for, at the last look',
  },
  ApiRequests: {
    dimensions: ['outcome'],
    meaning: 'answers of the API by the hundred of their status: `2xx` to `5xx`',
  },
  ApiRefusals: {
    dimensions: ['status'],
    meaning:
      'answers that refuse the caller: `401` (no credential that is known), `403` (its role does not allow this) or `429` (it asks too often)',
  },
  ApiLatencyMilliseconds: {
    dimensions: [],
    meaning: 'how long answers took; what was asked to be held back is left out',
  },
  WebhookAttempts: { dimensions: ['outcome'], meaning: 'tries of webhook deliveries, by how they ended' },
  WebhooksGivenUp: { dimensions: [], meaning: 'deliveries that were given up after their last try' },
  WebhooksDisabled: { dimensions: [], meaning: 'webhooks that were switched off because they took nothing for days' },
  VmSeconds: { dimensions: ['use'], meaning: 'life of VMs that have ended: `with_run` or `without_run`' },
  AuditCycles: { dimensions: [], meaning: 'audits that have been through everything' },
  AuditMissing: { dimensions: [], meaning: 'expected occurrences without an entry in the ledger' },
  AuditDouble: { dimensions: [], meaning: 'occurrences that are accounted for twice' },
  AuditOrphans: {
    dimensions: [],
    meaning: 'runs without their VM or execution, instances and clocks without their row',
  },
  AuditLeaks: { dimensions: [], meaning: 'places, slots and live runs that are counted and hold nothing' },
  AuditDrifted: { dimensions: [], meaning: 'clocks that do not fire what their row says' },
  AuditUnread: { dimensions: [], meaning: 'how often an audit came upon something that it could not read' },
} as const satisfies Readonly<Record<string, MetricFacts>>;

export type MetricName = keyof typeof METRICS;
type Dimensions<Name extends MetricName> = Readonly<Record<(typeof METRICS)[Name]['dimensions'][number], string>>;
type Rest<Name extends MetricName> = (typeof METRICS)[Name]['dimensions'] extends readonly []
  ? readonly []
  : readonly [Dimensions<Name>];

/** What has been counted since a time: for the status page of one machine. */
export interface MetricTotal {
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

/** Takes measurements. It never throws, and nobody waits for it. */
export interface Metrics {
  put<Name extends MetricName>(name: Name, value: number, ...dimensions: Rest<Name>): void;
  /** Absent where they are kept elsewhere. */
  totals?(): readonly MetricTotal[];
}

export type Unit = 'Seconds' | 'Milliseconds' | 'Count';
export const unitOf = (name: string): Unit =>
  name.endsWith('Milliseconds') ? 'Milliseconds' : name.endsWith('Seconds') ? 'Seconds' : 'Count';
