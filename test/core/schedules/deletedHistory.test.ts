/** What stays of a schedule that was deleted: everything that happened, by its id. Its name does not. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import type { EventRow } from '../../../core/runs/model.ts';
import { listScheduleRuns } from '../../../core/runs/service.ts';
import { deleteSchedule } from '../../../core/schedules/actions.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences, listRevisions, listUpcoming } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, listAgentSchedules, listSchedules, patchSchedule } from '../../../core/schedules/service.ts';
import { keys } from '../../../core/table/keys.ts';
import { createHttpWorld, makeAgent, makeSchedule } from '../../support/httpWorld.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { finishAs, MINUTE, page, scheduleRow } from '../support.ts';

const STEP = 5 * MINUTE;
const FIRST = MONDAY_NOON + STEP;
const any = { kind: 'any' } as const;
