/** Every alarm of an installation. */
import type { AlarmThresholds } from '../../config/alarms.ts';
import type { AlarmSpec } from './alarm.ts';
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
