/** Do the parts live that keep the rest honest: watchdog, audit, fan-out, API, the functions that nobody waits for. */
import type { AlarmThresholds } from '../../../config/alarms.ts';
import type { AlarmSpec } from '../alarm.ts';

const hour = 3600;

const errorsOf = (name: string, impact: string, threshold: number): AlarmSpec => ({
  name: `${name}-errors`,
  severity: 'ticket',
  impact,
  firstCommand: `aws logs tail /aws/lambda/{id}-${name} --since 30m --filter-pattern '{ $.level = "ERROR" }'`,
  measure: { from: 'function', function: name, metric: 'Errors', statistic: 'Sum' },
  periodSeconds: 300,
  breaches: 'at_least',
  threshold,
  points: { breaching: 2, of: 2 },
  missing: 'notBreaching',
  clears: 'five minutes with fewer errors',
});

const watchdogAlarms: readonly AlarmSpec[] = [
  {
    name: 'watchdog-dead',
    severity: 'page',
    impact: 'No tick of the watchdog has come to its end for three minutes: what goes wrong now stays wrong.',
    firstCommand: 'aws logs tail /aws/lambda/{id}-watchdog --since 15m',
    measure: { from: 'candor', metric: 'WatchdogTicks', statistic: 'Sum' },
    periodSeconds: 60,
    breaches: 'less_than',
    threshold: 1,
    points: { breaching: 3, of: 3 },
    missing: 'breaching',
    clears: 'a tick has come to its end',
  },
  {
    name: 'watchdog-behind',
    severity: 'ticket',
    impact: 'The watchdog does not get through what is due within its minute: recoveries come late.',
    firstCommand: 'candor doctor',
    measure: { from: 'candor', metric: 'WatchdogLeftOver', statistic: 'Minimum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 3, of: 3 },
    missing: 'notBreaching',
    clears: 'a tick has looked at all that was due',
  },
  {
    name: 'watchdog-holding',
    severity: 'ticket',
    impact: 'The watchdog has given no verdict for a quarter of an hour: dead VMs and stuck runs stay as they are.',
    firstCommand: 'candor doctor',
    measure: { from: 'candor', metric: 'WatchdogHolding', statistic: 'Minimum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 3, of: 3 },
    missing: 'notBreaching',
    clears: 'a tick has come in time after the one before it',
  },
  {
    name: 'watchdog-poison',
    severity: 'ticket',
    impact: 'Items cannot be looked at by the watchdog: whatever they stand for does not recover by itself.',
    firstCommand:
      'aws logs tail /aws/lambda/{id}-watchdog --since 1h --filter-pattern \'{ $.message = "watchdog.item_failed" || $.message = "watchdog.fleet_failed" || $.message = "watchdog.index_failed" }\'',
    measure: { from: 'candor', metric: 'WatchdogItemFailures', statistic: 'Sum' },
    // An item that fails is looked at again after a quarter of an hour at the latest.
    periodSeconds: 900,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 2, of: 3 },
    missing: 'notBreaching',
    clears: 'two of the last three quarters of an hour were without a failure',
  },
];

const auditAlarms = (thresholds: AlarmThresholds): readonly AlarmSpec[] => [
  {
    name: 'audit-silent',
    severity: 'ticket',
    impact: 'No audit has been through for hours: that nothing is missing or doubled is not known any more.',
    firstCommand: 'aws logs tail /aws/lambda/{id}-audit --since 2h',
    measure: { from: 'candor', metric: 'AuditCycles', statistic: 'Sum' },
    periodSeconds: hour,
    breaches: 'less_than',
    threshold: 1,
    points: { breaching: thresholds.auditSilentHours, of: thresholds.auditSilentHours },
    missing: 'breaching',
    clears: 'an audit has been through everything',
  },
  {
    name: 'audit-missing',
    severity: 'page',
    impact: 'Occurrences that were due are in no ledger: runs were promised, did not happen, and nothing says why.',
    firstCommand: 'candor audit',
    measure: { from: 'candor', metric: 'AuditMissing', statistic: 'Maximum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'ignore',
    clears: 'an audit finds none; it looks back three hours, or to where the one before it began',
  },
  {
    name: 'audit-double',
    severity: 'page',
    impact: 'Occurrences are accounted for twice: work may have been done twice.',
    firstCommand: 'candor audit',
    measure: { from: 'candor', metric: 'AuditDouble', statistic: 'Maximum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'ignore',
    clears: 'an audit finds none; it looks back three hours, or to where the one before it began',
  },
  {
    name: 'audit-not-clean',
    severity: 'ticket',
    impact:
      'Runs, VMs, executions, clocks or places do not fit together, or could not be read, and the watchdog has not repaired it before the audit came.',
    // Not "candor audit": a clock or an instance without a row is no tenant's, and no tenant's report shows it.
    firstCommand:
      'aws logs tail /aws/lambda/{id}-audit --since 2h --filter-pattern \'{ $.message = "audit.found" || $.message = "audit.item_failed" }\'',
    measure: {
      from: 'formula',
      formula: 'orphans + leaks + drifted + unread',
      label: 'orphans, leaks, drifted clocks and what could not be read',
      // One audit writes all four.
      metrics: {
        orphans: { from: 'candor', metric: 'AuditOrphans', statistic: 'Maximum' },
        leaks: { from: 'candor', metric: 'AuditLeaks', statistic: 'Maximum' },
        drifted: { from: 'candor', metric: 'AuditDrifted', statistic: 'Maximum' },
        unread: { from: 'candor', metric: 'AuditUnread', statistic: 'Maximum' },
      },
    },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'ignore',
    clears: 'an audit, which comes every hour, finds none of it',
  },
];

export const partAlarms = (thresholds: AlarmThresholds): readonly AlarmSpec[] => [
  ...watchdogAlarms,
  ...auditAlarms(thresholds),
  {
    name: 'api-5xx',
    severity: 'page',
    impact: 'The API fails for its callers, runners among them: a VM that is not answered ends its work in the end.',
    firstCommand: 'aws logs tail /aws/lambda/{id}-api --since 15m --filter-pattern \'{ $.level = "ERROR" }\'',
    measure: {
      from: 'formula',
      formula: 'IF(FILL(failures, 0) >= 5, 100 * failures / requests, 0)',
      label: 'percent of requests that failed, where five did',
      // No request, or none that failed, is no failure.
      metrics: {
        failures: { from: 'api', metric: '5xx', statistic: 'Sum' },
        requests: { from: 'api', metric: 'Count', statistic: 'Sum' },
      },
    },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: thresholds.api5xxPercent,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'five minutes with fewer than five failures, or a smaller part of the requests',
  },
  {
    name: 'events-behind',
    severity: 'ticket',
    impact: 'Fan-out is behind the table: notifications, buffered occurrences and “all children complete” are late.',
    firstCommand: 'aws logs tail /aws/lambda/{id}-events --since 15m',
    measure: { from: 'function', function: 'events', metric: 'IteratorAge', statistic: 'Maximum' },
    periodSeconds: 60,
    breaches: 'at_least',
    threshold: thresholds.streamAgeSeconds * 1000,
    points: { breaching: 5, of: 5 },
    missing: 'notBreaching',
    clears: 'a minute in which no record was so old',
  },
  errorsOf(
    'fire',
    'Fires fail again and again: their occurrences are left to the watchdog.',
    thresholds.functionErrors,
  ),
  errorsOf(
    'events',
    'Fan-out fails again and again: what follows from changes of state is late.',
    thresholds.functionErrors,
  ),
  errorsOf(
    'execution-ended',
    'The line behind the state machine’s own Catch fails: runs whose execution broke off wait for the watchdog.',
    thresholds.functionErrors,
  ),
  errorsOf(
    'register',
    'VMs start and cannot register: their runs wait until their start deadline and then fail.',
    thresholds.functionErrors,
  ),
];
