/** Do runs move, and do they get their VMs. */
import type { AlarmThresholds } from '../../../config/alarms.ts';
import type { AlarmSpec } from '../alarm.ts';

const quarter = 900;

const launchVmLog = (message: string, since = '1h') =>
  `aws logs tail /aws/lambda/{id}-launch-vm --since ${since} --filter-pattern '{ $.message = "${message}" }'`;

export const runAlarms = (thresholds: AlarmThresholds): readonly AlarmSpec[] => [
  {
    name: 'runs-stuck',
    severity: 'page',
    impact: 'Runs, VMs or schedules are past a promised time, and the watchdog has not been able to move them.',
    firstCommand: 'candor runs list --status live',
    measure: { from: 'candor', metric: 'OldestOverdueSeconds', statistic: 'Maximum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: thresholds.overdueSeconds,
    // What cannot be moved is looked at ever more seldom, at last every quarter of an hour.
    points: { breaching: 2, of: 6 },
    missing: 'ignore',
    clears: 'at most one of the last six periods of five minutes met something so long overdue',
  },
  {
    name: 'queue-age',
    severity: 'ticket',
    impact: 'Runs wait long for their turn: a limit is reached, or what holds its places does not end.',
    firstCommand: 'candor runs list --status queued',
    measure: { from: 'candor', metric: 'QueueAgeSeconds', statistic: 'Maximum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: thresholds.queueAgeSeconds,
    points: { breaching: 3, of: 3 },
    missing: 'notBreaching',
    clears: 'no run that was looked at in five minutes has waited so long',
  },
  {
    name: 'executions-failed',
    severity: 'page',
    impact:
      'Runs get no VM: attempts to provide one have failed for good, and their runs are tried again later or have failed.',
    firstCommand: 'candor runs list --status failed --limit 10',
    measure: { from: 'stateMachine', metric: 'ExecutionsFailed', statistic: 'Sum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: thresholds.executionsFailed,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'fewer executions than that failed in five minutes',
  },
  {
    name: 'executions-timed-out',
    severity: 'ticket',
    impact: 'An execution of provision-vm has outlived every deadline of its run: its own steps did not end it.',
    firstCommand: 'candor vms list',
    measure: { from: 'stateMachine', metric: 'ExecutionsTimedOut', statistic: 'Sum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'five minutes without another',
  },
  {
    name: 'launch-capacity',
    severity: 'ticket',
    impact:
      'No pool that some runs could use has had room for a quarter of an hour: they wait for VMs until their start deadline.',
    firstCommand: launchVmLog('launch.refused', '30m'),
    measure: {
      from: 'candor',
      metric: 'LaunchFailures',
      dimensions: { class: 'CapacityUnavailable' },
      statistic: 'Sum',
    },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: thresholds.capacityFailures,
    points: { breaching: 3, of: 3 },
    missing: 'notBreaching',
    clears: 'launches found room in some pool throughout five minutes, or none was asked for',
  },
  {
    name: 'launch-quota',
    severity: 'ticket',
    impact: 'A quota of the account is used up: runs wait for their VMs until it is raised or other VMs end.',
    firstCommand: launchVmLog('launch.quota'),
    measure: { from: 'candor', metric: 'LaunchFailures', dimensions: { class: 'QuotaExceeded' }, statistic: 'Sum' },
    // A run that met a quota asks again after up to ten minutes.
    periodSeconds: quarter,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'a quarter of an hour in which no launch met a quota',
  },
  {
    name: 'launch-misconfigured',
    severity: 'ticket',
    impact: 'EC2 refuses launches as they are configured: runs that depend on it fail at once, others lose a pool.',
    firstCommand: launchVmLog('launch.misconfigured'),
    measure: { from: 'candor', metric: 'LaunchRefusals', dimensions: { class: 'CONFIG' }, statistic: 'Sum' },
    periodSeconds: quarter,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'a quarter of an hour in which EC2 refused nothing so',
  },
  {
    name: 'launch-unknown-code',
    severity: 'ticket',
    impact:
      'EC2 answers launches with a code that Candor does not know, which it takes for a fault that lasts: runs fail.',
    firstCommand: launchVmLog('launch.unknown_code'),
    measure: { from: 'candor', metric: 'LaunchRefusals', dimensions: { class: 'UNKNOWN' }, statistic: 'Sum' },
    periodSeconds: quarter,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'a quarter of an hour without such a code',
  },
  {
    name: 'orphan-instances',
    severity: 'ticket',
    impact: 'Instances run and cost money that no VM accounts for, and the watchdog has not got rid of them.',
    firstCommand:
      "aws ec2 describe-instances --filters Name=tag:candor:installation,Values={id} Name=instance-state-name,Values=pending,running --query 'Reservations[].Instances[].[InstanceId,LaunchTime,InstanceType]' --output table",
    measure: { from: 'candor', metric: 'OrphanInstances', statistic: 'Maximum' },
    // Looked at every five minutes; a stray is marked at the first look and ended at a later one.
    periodSeconds: 600,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 3, of: 3 },
    missing: 'ignore',
    clears: 'a look at all instances finds none',
  },
];
