/** `/v1/schedules` and the actions on one of them; what became of each occurrence is in `occurrences.ts`. */
import * as z from 'zod';
import { PageQuery } from '../../../core/contract/common.ts';
import {
  PauseRequest,
  PreviewRequest,
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
  method: 'POST',
  path: '/v1/schedules/preview',
  access: 'principal',
  body: { schema: PreviewRequest },
  handle: async ({ ports, body }) => json(previewCadence(ports, body)),
  repeat: 'harmless',
});

const resourceRoutes: readonly Route[] = [
  route({
    operation: 'listAgentSchedules',
    method: 'GET',
    path: OF_AGENT,
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listAgentSchedules(ports, caller, param('agentId'), query)),
  }),
  route({
    operation: 'createSchedule',
    method: 'POST',
    path: OF_AGENT,
    access: 'principal',
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
    method: 'GET',
    path: '/v1/schedules',
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listSchedules(ports, caller, query)),
  }),
  route({
    operation: 'getSchedule',
    method: 'GET',
    path: ONE,
    access: 'principal',
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getSchedule(ports, caller, param('scheduleId'))),
  }),
  route({
    operation: 'updateSchedule',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
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
    method: 'DELETE',
    path: ONE,
    access: 'principal',
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
    method: 'POST',
    path: `${ONE}/pause`,
    access: 'principal',
    body: { schema: PauseRequest, optional: true },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await pauseSchedule(ports, caller, param('scheduleId'), body.reason, readIfMatch(request))),
    repeat: asItStands,
  }),
  route({
    operation: 'resumeSchedule',
    method: 'POST',
    path: `${ONE}/resume`,
    access: 'principal',
    body: { schema: ResumeRequest, optional: true },
    handle: async ({ ports, caller, request, param }) =>
      changed(await resumeSchedule(ports, caller, param('scheduleId'), readIfMatch(request))),
    repeat: asItStands,
  }),
  route({
    operation: 'triggerSchedule',
    method: 'POST',
    path: `${ONE}/trigger`,
    access: 'principal',
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
