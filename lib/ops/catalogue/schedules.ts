/** Does what was promised begin, and in time. */
import type { AlarmThresholds } from '../../../config/alarms.ts';
import type { AlarmSpec } from '../alarm.ts';

export const scheduleAlarms = (thresholds: AlarmThresholds): readonly AlarmSpec[] => [
  {
    name: 'scheduler-dead',
    severity: 'page',
    impact:
      'EventBridge Scheduler does not fire: runs of schedules begin minutes late, and only because the watchdog makes up for it.',
    firstCommand: 'candor doctor',
    measure: { from: 'candor', metric: 'ClockMisses', statistic: 'Maximum' },
    periodSeconds: 60,
    breaches: 'at_least',
    threshold: thresholds.clockMisses,
    points: { breaching: 3, of: 3 },
    // The watchdog says it with every tick: without one, nobody can say that the clock fires.
    missing: 'breaching',
    clears: 'an occurrence is fired in time and the watchdog ticks',
  },
  {
    name: 'occurrences-missed',
    severity: 'page',
    impact:
      'Occurrences have passed their catch-up window: their runs were promised and will not happen by themselves.',
    firstCommand:
      'aws logs tail /aws/lambda/{id}-events --since 1h --filter-pattern \'{ $.message = "occurrence.missed" }\'',
    measure: { from: 'candor', metric: 'OccurrencesMissed', statistic: 'Sum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'nothing more was missed for five minutes; what was missed stays missed',
  },
  {
    name: 'fires-late',
    severity: 'page',
    impact: 'Scheduled runs begin late: one in a hundred by more than was promised, or one of few.',
    firstCommand: 'aws logs tail /aws/lambda/{id}-events --since 30m --filter-pattern \'{ $.message = "fire.late" }\'',
    measure: { from: 'candor', metric: 'FireLatenessSeconds', statistic: 'p99' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: thresholds.fireLatenessSeconds,
    points: { breaching: 2, of: 3 },
    missing: 'notBreaching',
    clears: 'two of the last three periods of five minutes were in time, or had nothing to fire',
  },
  {
    name: 'clock-failures',
    severity: 'ticket',
    impact:
      'Clocks are not set in EventBridge Scheduler: edits of schedules take effect late, and fires lean on the watchdog.',
    firstCommand:
      'aws logs filter-log-events --log-group-name /aws/lambda/{id}-api --start-time $(($(date +%s) - 3600))000 --filter-pattern \'{ $.message = "clock.sync_failed" }\'',
    measure: { from: 'candor', metric: 'ClockFailures', dimensions: { kind: 'failed' }, statistic: 'Sum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 3,
    points: { breaching: 2, of: 3 },
    missing: 'notBreaching',
    clears: 'at most one of the last three periods of five minutes had three failed calls',
  },
  {
    name: 'clock-dropped',
    severity: 'ticket',
    impact:
      'EventBridge Scheduler gave up calling fire and could keep no message of it; the watchdog decides what was due.',
    firstCommand: 'aws scheduler get-schedule-group --name {id}',
    measure: { from: 'scheduler', metric: 'InvocationsFailedToBeSentToDeadLetterCount', statistic: 'Sum' },
    periodSeconds: 300,
    breaches: 'at_least',
    threshold: 1,
    points: { breaching: 1, of: 1 },
    missing: 'notBreaching',
    clears: 'five minutes without a call that was lost',
  },
];
