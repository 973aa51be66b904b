/** What an on-call engineer asks first, and what answers it: numbers, and the alarms that judge them. */
import type { OneMetric } from './alarm.ts';

export interface Question {
  readonly question: string;
  readonly values: readonly { readonly label: string; readonly measure: OneMetric }[];
  /** Of the catalogue. */
  readonly alarms: readonly string[];
}

export const QUESTIONS: readonly Question[] = [
  {
    question: 'Is it late?',
    values: [
      { label: 'lateness p99', measure: { from: 'candor', metric: 'FireLatenessSeconds', statistic: 'p99' } },
      { label: 'left to the watchdog', measure: { from: 'candor', metric: 'ClockMisses', statistic: 'Maximum' } },
    ],
    alarms: ['scheduler-dead', 'fires-late', 'events-behind'],
  },
  {
    question: 'Is something missing?',
    values: [
      { label: 'missed', measure: { from: 'candor', metric: 'OccurrencesMissed', statistic: 'Sum' } },
      { label: 'in no ledger', measure: { from: 'candor', metric: 'AuditMissing', statistic: 'Maximum' } },
      { label: 'double', measure: { from: 'candor', metric: 'AuditDouble', statistic: 'Maximum' } },
    ],
    alarms: ['occurrences-missed', 'audit-missing', 'audit-double', 'audit-silent'],
  },
  {
    question: 'Is something stuck?',
    values: [
      {
        label: 'oldest broken promise',
        measure: { from: 'candor', metric: 'OldestOverdueSeconds', statistic: 'Maximum' },
      },
      { label: 'not looked at', measure: { from: 'candor', metric: 'WatchdogItemFailures', statistic: 'Sum' } },
    ],
    alarms: ['runs-stuck', 'watchdog-dead', 'watchdog-poison', 'watchdog-behind', 'watchdog-holding'],
  },
  {
    question: 'Is it failing?',
    values: [
      {
        label: 'runs lost',
        measure: { from: 'candor', metric: 'RunsEnded', dimensions: { status: 'lost' }, statistic: 'Sum' },
      },
      {
        label: 'runs failed',
        measure: { from: 'candor', metric: 'RunsEnded', dimensions: { status: 'failed' }, statistic: 'Sum' },
      },
      { label: 'API 5xx', measure: { from: 'api', metric: '5xx', statistic: 'Sum' } },
    ],
    alarms: [
      'executions-failed',
      'api-5xx',
      'fire-errors',
      'events-errors',
      'execution-ended-errors',
      'register-errors',
    ],
  },
  {
    question: 'Out of capacity?',
    values: [
      {
        label: 'no room',
        measure: {
          from: 'candor',
          metric: 'LaunchFailures',
          dimensions: { class: 'CapacityUnavailable' },
          statistic: 'Sum',
        },
      },
      {
        label: 'quota',
        measure: { from: 'candor', metric: 'LaunchFailures', dimensions: { class: 'QuotaExceeded' }, statistic: 'Sum' },
      },
      { label: 'oldest in queue', measure: { from: 'candor', metric: 'QueueAgeSeconds', statistic: 'Maximum' } },
    ],
    alarms: ['launch-capacity', 'launch-quota', 'queue-age', 'launch-misconfigured'],
  },
];
