/** Every alarm of an installation. */
import type { AlarmThresholds } from '../../config/alarms.ts';
import type { AlarmSpec, Severity } from './alarm.ts';
import { deadLetterAlarms } from './catalogue/deadLetters.ts';
import { partAlarms } from './catalogue/parts.ts';
import { runAlarms } from './catalogue/runs.ts';
import { scheduleAlarms } from './catalogue/schedules.ts';

export const alarmCatalogue = (thresholds: AlarmThresholds): readonly AlarmSpec[] => [
  ...scheduleAlarms(thresholds),
  ...runAlarms(thresholds),
  ...partAlarms(thresholds),
  ...deadLetterAlarms(thresholds),
];

/** Every alarm that stands for this installation, in one table. */
const WHICH =
  "aws cloudwatch describe-alarms --alarm-name-prefix {id}- --state-value ALARM --query 'MetricAlarms[].[AlarmName,StateUpdatedTimestamp,AlarmDescription]' --output text";

/** The composite alarm of each severity, which bears its name. */
export const COMPOSITES: Readonly<Record<Severity, Pick<AlarmSpec, 'impact' | 'firstCommand' | 'clears'>>> = {
  page: {
    impact: 'Something that people rely on does not work now; the alarms under it name what.',
    firstCommand: WHICH,
    clears: 'no alarm under it is on',
  },
  ticket: {
    impact: 'Something is wrong that people will feel if nobody sees to it; the alarms under it name what.',
    firstCommand: WHICH,
    clears: 'no alarm under it is on',
  },
};
