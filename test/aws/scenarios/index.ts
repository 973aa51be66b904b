/** All scenarios, in the order in which they are played. */
import type { Scenario } from '../scenario.ts';
import { burstScenarios } from './burst.ts';
import { cancelScenarios } from './cancels.ts';
import { capacityScenarios } from './capacity.ts';
import { contractScenarios } from './contract.ts';
import { deadLetterScenarios } from './deadLetters.ts';
import { endingScenarios } from './endings.ts';
import { lostAnswerScenarios } from './lostAnswers.ts';
import { resultScenarios } from './results.ts';
import { scheduleScenarios } from './schedules.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...scheduleScenarios,
  ...resultScenarios,
  ...lostAnswerScenarios,
  ...capacityScenarios,
  ...cancelScenarios,
  ...endingScenarios,
  ...contractScenarios,
  ...deadLetterScenarios,
  ...burstScenarios,
];
