/** The saved queries as data. A test holds each message and each field against the code that writes them. */
import type { MetricName } from '../../core/metrics.ts';

export interface QuerySpec {
  readonly name: string;
  readonly question: string;
  /** Functions by their handler's file; `access`: API Gateway's own log. */
  readonly logs: readonly string[] | 'every function' | 'access';
  /** What is looked for: an event of the operating log, or a metric's line. */
  readonly reads:
    | { readonly message: string; readonly fields: readonly string[] }
    | { readonly metric: MetricName }
    | { readonly fields: readonly string[] };
  /** Without the bars between them. */
  readonly lines: readonly string[];
}

const LIMIT = 'limit 50';

const recovered = (name: string, question: string, rules: string): QuerySpec => ({
  name,
  question,
  logs: ['watchdog'],
  reads: { message: 'watchdog.recovered', fields: ['rule', 'subject', 'did', 'because'] },
  lines: [
    `filter message = "watchdog.recovered" and ${rules}`,
    'stats count(*) as times, latest(@timestamp) as last, latest(did) as lastDid, latest(because) as lastSeen by subject, rule',
    'sort times desc',
    LIMIT,
  ],
});

export const QUERIES: readonly QuerySpec[] = [
  recovered('late-schedules', 'Which schedules did the clock leave to the watchdog?', 'rule = "occurrence_overdue"'),
  {
    name: 'missed-occurrences',
    question: 'Which schedules missed occurrences?',
    logs: ['events'],
    reads: { message: 'occurrence.missed', fields: ['tenantId', 'scheduleId', 'occurrence', 'through', 'count'] },
    lines: [
      'filter message = "occurrence.missed"',
      'stats sum(count) as missed, latest(occurrence) as lastMissed, latest(through) as lastThrough, latest(@timestamp) as last by scheduleId, tenantId',
      'sort missed desc',
      LIMIT,
    ],
  },
  {
    name: 'late-fires',
    question: 'Which schedules began late, and by how much?',
    logs: ['events'],
    reads: { message: 'fire.late', fields: ['tenantId', 'scheduleId', 'occurrence', 'lateSeconds'] },
    lines: [
      'filter message = "fire.late"',
      'stats count(*) as times, max(lateSeconds) as latestBy, latest(occurrence) as lastOccurrence, latest(@timestamp) as last by scheduleId, tenantId',
      'sort latestBy desc',
      LIMIT,
    ],
  },
  recovered('stuck-runs', 'Which runs had to be moved or ended by the watchdog?', 'subject like /^run_/'),
  recovered('dead-vms', 'Which VMs had to be ended by the watchdog?', 'subject like /^vm_/'),
  recovered('recoveries', 'What has been put right, and how often?', 'ispresent(rule)'),
  {
    name: 'lateness',
    question: 'How late are occurrences decided, minute by minute?',
    logs: ['fire', 'watchdog'],
    reads: { metric: 'FireLatenessSeconds' },
    lines: [
      'filter ispresent(FireLatenessSeconds)',
      'stats count(*) as occurrences, pct(FireLatenessSeconds, 99) as p99, max(FireLatenessSeconds) as latest by bin(1m)',
      LIMIT,
    ],
  },
  {
    name: 'poisoned-items',
    question: 'Which items can the watchdog not look at, and why?',
    logs: ['watchdog'],
    reads: { message: 'watchdog.item_failed', fields: ['key', 'error'] },
    lines: [
      'filter message = "watchdog.item_failed"',
      'stats count(*) as times, latest(@timestamp) as last, latest(error) as lastError by key',
      'sort times desc',
      LIMIT,
    ],
  },
  {
    name: 'pools-without-capacity',
    question: 'Which pools refused launches, with which answer?',
    logs: ['launch-vm'],
    reads: {
      message: 'launch.refused',
      fields: ['class', 'code', 'type', 'availabilityZone', 'market', 'said', 'runId'],
    },
    lines: [
      'filter message = "launch.refused"',
      'stats count(*) as times, count_distinct(runId) as runs, latest(@timestamp) as last, latest(said) as answer by class, code, type, availabilityZone, market',
      'sort times desc',
      LIMIT,
    ],
  },
  {
    name: 'runs-without-capacity',
    question: 'Which runs were refused a VM, and by how many pools?',
    logs: ['launch-vm'],
    reads: { message: 'launch.refused', fields: ['runId', 'vmId', 'class', 'code'] },
    lines: [
      'filter message = "launch.refused"',
      'stats count(*) as refusals, latest(class) as lastClass, latest(code) as lastCode, latest(@timestamp) as last by runId, vmId',
      'sort last desc',
      LIMIT,
    ],
  },
  {
    name: 'api-5xx',
    question: 'Who gets 5xx, and from what?',
    logs: 'access',
    reads: { fields: ['status', 'method', 'path', 'sourceIp', 'integrationError', 'requestId', 'latencyMs'] },
    lines: [
      'filter status like /^5/',
      'stats count(*) as failures, latest(@timestamp) as last, max(latencyMs) as slowestMs, latest(integrationError) as gatewaySays by sourceIp, method, path, status',
      'sort failures desc',
      LIMIT,
    ],
  },
  {
    name: 'api-errors',
    question: 'What do failed requests say in the log?',
    logs: ['api'],
    reads: { message: 'http.internal_error', fields: ['requestId', 'method', 'path', 'error'] },
    lines: [
      'filter message = "http.internal_error"',
      'fields @timestamp, method, path, requestId, error',
      'sort @timestamp desc',
      LIMIT,
    ],
  },
  {
    name: 'failed-clocks',
    question: 'Which schedules could not have their clock set?',
    logs: ['api', 'watchdog', 'events', 'audit'],
    reads: { message: 'clock.sync_failed', fields: ['scheduleId', 'error'] },
    lines: [
      'filter message = "clock.sync_failed"',
      'stats count(*) as times, latest(@timestamp) as last, latest(error) as lastError by scheduleId',
      'sort times desc',
      LIMIT,
    ],
  },
  {
    name: 'stray-instances',
    question: 'Which instances does no VM account for?',
    logs: ['watchdog'],
    reads: { message: 'fleet.stray_marked', fields: ['instanceId', 'vmId', 'because'] },
    lines: [
      'filter message = "fleet.stray_marked"',
      'fields @timestamp, instanceId, vmId, because',
      'sort @timestamp desc',
      LIMIT,
    ],
  },
  {
    name: 'audit-findings',
    question: 'What did the audits find, of all tenants?',
    logs: ['audit'],
    reads: { message: 'audit.found', fields: ['kind', 'tenantId', 'subject', 'detail', 'did'] },
    lines: [
      'filter message = "audit.found"',
      'stats count(*) as times, latest(@timestamp) as last, latest(detail) as found, latest(did) as lastDid by kind, subject, tenantId',
      'sort last desc',
      LIMIT,
    ],
  },
  {
    name: 'failed-records',
    question: 'Which records of the stream does fan-out fail on?',
    logs: ['events'],
    reads: { message: 'events.record_failed', fields: ['sequenceNumber', 'error'] },
    lines: [
      'filter message = "events.record_failed"',
      'stats count(*) as tries, latest(@timestamp) as last, latest(error.message) as lastError by sequenceNumber',
      'sort tries desc',
      LIMIT,
    ],
  },
  {
    name: 'errors',
    question: 'Which functions fail, and with what?',
    logs: 'every function',
    reads: { fields: ['level', 'function_name', 'message', 'error'] },
    lines: [
      'filter level = "ERROR"',
      'stats count(*) as times, latest(@timestamp) as last, latest(error.name) as lastName, latest(error.message) as lastError by function_name, message',
      'sort times desc',
      LIMIT,
    ],
  },
];
