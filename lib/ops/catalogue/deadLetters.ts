/** What could not be delivered: at once, and when it has been left lying. */
import type { AlarmThresholds } from '../../../config/alarms.ts';
import { DEAD_LETTERS } from '../../control/deadLetters.ts';
import type { AlarmSpec } from '../alarm.ts';

type Queue = (typeof DEAD_LETTERS)[number];

const IMPACTS: Readonly<Record<Queue, string>> = {
  schedule: 'EventBridge Scheduler could not hand a fire to Lambda: its occurrence is left to the watchdog.',
  fire: 'fire has failed three times for an occurrence, which is left to the watchdog.',
  events:
    'What follows from a change of state (a notification, a buffered occurrence, a completed list) has not happened.',
  'execution-ended': 'A run whose execution broke off was not told: its VM and the run wait for the watchdog.',
};

const waiting = (queue: Queue): AlarmSpec => ({
  name: `${queue}-dead-letters`,
  severity: 'ticket',
  impact: IMPACTS[queue],
  firstCommand: `candor dlq peek ${queue} --installation {id}`,
  measure: { from: 'queue', queue, metric: 'ApproximateNumberOfMessagesVisible', statistic: 'Maximum' },
  periodSeconds: 60,
  breaches: 'at_least',
  threshold: 1,
  points: { breaching: 1, of: 1 },
  missing: 'notBreaching',
  clears: 'the queue is empty',
});

const old = (queue: Queue, hours: number): AlarmSpec => ({
  name: `${queue}-dead-letters-old`,
  severity: 'ticket',
  impact: `Nobody has seen to the dead letters of ${queue} for days: after fourteen days they are deleted unread.`,
  firstCommand: `candor dlq peek ${queue} --installation {id}`,
  // Not the oldest one's age: SQS leaves out of it what was received three times, and whoever peeks receives.
  measure: { from: 'queue', queue, metric: 'ApproximateNumberOfMessagesVisible', statistic: 'Maximum' },
  periodSeconds: 3600,
  breaches: 'at_least',
  threshold: 1,
  points: { breaching: hours, of: hours },
  missing: 'notBreaching',
  clears: 'the queue has been empty for an hour',
});

export const deadLetterAlarms = ({ deadLetterAgeHours }: AlarmThresholds): readonly AlarmSpec[] =>
  DEAD_LETTERS.flatMap((queue) => [waiting(queue), old(queue, deadLetterAgeHours)]);
