/** `/v1/schedules` and the actions on one of them; what became of each occurrence is in `occurrences.ts`. */
import * as z from 'zod';
import { ListBody, PageQuery } from '../../../core/contract/common.ts';
import { RunBody } from '../../../core/contract/runs.ts';
import {
  DryRunBody,
  PauseRequest,
  PreviewBody,
  PreviewRequest,
  ScheduleBody,
  ScheduleCreate,
  SchedulePatch,
  TriggerRequest,
} from '../../../core/contract/schedules.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { dryRunPatch } from '../../../core/schedules/dryRun.ts';
import { previewCadence } from '../../../core/schedules/preview.ts';
import {
  createSchedule,
  getSchedule,
  listAgentSchedules,
  listSchedules,
  patchSchedule,
} from '../../../core/schedules/service.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import { changed, created, json, noContent, resource } from '../answers.ts';
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Call, type Route, route } from '../route.ts';
import { DeleteQuery, PatchQuery } from './query.ts';
import { newRun } from './runs.ts';

const OF_AGENT = '/v1/agents/:agentId/schedules';
const ONE = '/v1/schedules/:scheduleId';

/** What an action on a schedule is answered with, once it has had its effect. */
export const asItStands = {
  done: async ({ ports, caller, param }: Pick<Call<'principal', unknown, unknown>, 'ports' | 'caller' | 'param'>) =>
    changed(await getSchedule(ports, caller, param('scheduleId'))),
};

const ResumeRequest = z.strictObject({});

const previewRoute = route({
  operation: 'previewCadence',
  summary: 'The occurrences that a cadence has, without a schedule.',
  method: 'POST',
  path: '/v1/schedules/preview',
  access: 'principal',
  answers: answers.json('Its occurrences, and what AWS is told.', PreviewBody),
  body: { schema: PreviewRequest },
  handle: async ({ ports, body }) => json(previewCadence(ports, body)),
  repeat: 'harmless',
});

const resourceRoutes: readonly Route[] = [
  route({
    operation: 'listAgentSchedules',
    summary: 'The schedules of an agent, newest first.',
    method: 'GET',
    path: OF_AGENT,
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(ScheduleBody)),
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listAgentSchedules(ports, caller, param('agentId'), query)),
  }),
  route({
    operation: 'createSchedule',
    summary: 'Promise to run an agent at certain times.',
    method: 'POST',
    path: OF_AGENT,
    access: 'principal',
    answers: answers.created(ScheduleBody),
    problems: ['name_taken'],
    body: { schema: ScheduleCreate },
    handle: async ({ ports, caller, param, body }) => {
      const schedule = await createSchedule(ports, caller, param('agentId'), body);
      return created(schedule, `/v1/schedules/${schedule.id}`);
    },
    repeat: {
      created: async ({ ports, caller }, id) => created(await getSchedule(ports, caller, id), `/v1/schedules/${id}`),
    },
  }),
  route({
    operation: 'listSchedules',
    summary: 'All schedules, newest first.',
    method: 'GET',
    path: '/v1/schedules',
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(ScheduleBody)),
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listSchedules(ports, caller, query)),
  }),
  route({
    operation: 'getSchedule',
    summary: 'One schedule.',
    method: 'GET',
    path: ONE,
    access: 'principal',
    answers: answers.resource(ScheduleBody),
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getSchedule(ports, caller, param('scheduleId'))),
  }),
  route({
    operation: 'updateSchedule',
    summary: 'Change a schedule, or with dryRun=true hear what a change would do.',
    description:
      'What is left out stays; null takes an optional field back to its default. A change takes effect from its own time: it never fires into the past.',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    ifMatch: 'for_changes',
    answers: [
      {
        status: 200,
        description: 'The schedule after the change; with dryRun=true what the change would do.',
        body: z.union([ScheduleBody, DryRunBody]),
        possibleHeaders: ['ETag'],
      },
    ],
    problems: ['name_taken'],
    query: PatchQuery,
    body: { schema: SchedulePatch },
    handle: async ({ ports, caller, request, param, query, body }) => {
      const precondition = readIfMatch(request);
      if (query.dryRun) return json(await dryRunPatch(ports, caller, param('scheduleId'), body, precondition));
      return changed(await patchSchedule(ports, caller, param('scheduleId'), body, precondition));
    },
  }),
  route({
    operation: 'deleteSchedule',
    summary: 'Delete a schedule.',
    description: 'Refused while it has live runs that are not to be cancelled with it.',
    method: 'DELETE',
    path: ONE,
    access: 'principal',
    ifMatch: 'required',
    answers: [
      ...answers.none('It is deleted.'),
      ...answers.accepted('It is deleting until its last run has ended.', ScheduleBody, ['ETag']),
    ],
    problems: ['live_runs'],
    query: DeleteQuery,
    handle: async ({ ports, caller, request, param, query }) => {
      const outcome = await deleteSchedule(ports, caller, param('scheduleId'), readIfMatch(request), query);
      if (outcome === 'deleted') return noContent();
      // It is gone when its last run has ended; until then it can be read as `deleting`.
      return changed(await getSchedule(ports, caller, param('scheduleId')), 202);
    },
  }),
];

const actionRoutes: readonly Route[] = [
  route({
    operation: 'pauseSchedule',
    summary: 'Let no further occurrence run.',
    description: 'Live and queued runs go on. Pausing what is paused changes nothing.',
    method: 'POST',
    path: `${ONE}/pause`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.changed(ScheduleBody),
    problems: ['illegal_transition'],
    body: { schema: PauseRequest, optional: true },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await pauseSchedule(ports, caller, param('scheduleId'), body.reason, readIfMatch(request))),
    repeat: asItStands,
  }),
  route({
    operation: 'resumeSchedule',
    summary: 'Let occurrences run again, from now on.',
    method: 'POST',
    path: `${ONE}/resume`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.changed(ScheduleBody),
    problems: ['illegal_transition'],
    body: { schema: ResumeRequest, optional: true },
    handle: async ({ ports, caller, request, param }) =>
      changed(await resumeSchedule(ports, caller, param('scheduleId'), readIfMatch(request))),
    repeat: asItStands,
  }),
  route({
    operation: 'triggerSchedule',
    summary: 'Run a schedule now, outside its occurrences.',
    description: 'A paused schedule runs too: it is asked for. The overlap policy holds.',
    method: 'POST',
    path: `${ONE}/trigger`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.accepted('The run.', RunBody, ['ETag', 'Location']),
    problems: ['overlap', 'illegal_transition'],
    body: { schema: TriggerRequest, optional: true },
    handle: async ({ ports, caller, request, param, body }) => {
      const run = await triggerSchedule(ports, caller, param('scheduleId'), body, readIfMatch(request));
      return created(run, `/v1/runs/${run.id}`, 202);
    },
    repeat: newRun,
  }),
];

/** `preview` comes first: behind the resource it would be taken for an id. */
export const scheduleRoutes: readonly Route[] = [previewRoute, ...resourceRoutes, ...actionRoutes];
