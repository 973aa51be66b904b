/** What becomes of a schedule's occurrences: the ledger, why, what is to come, and changes of single ones. */
import * as z from 'zod';
import { ListBody, PageQuery } from '../../../core/contract/common.ts';
import { RunBody } from '../../../core/contract/runs.ts';
import {
  BackfillBody,
  BackfillRequest,
  ExplainBody,
  ExplainQuery,
  OccurrenceBody,
  OccurrenceListQuery,
  RevisionBody,
  ScheduleBody,
  SkipRequest,
  UnskipRequest,
  UpcomingBody,
} from '../../../core/contract/schedules.ts';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../../core/schedules/backfill.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { listOccurrences, listRevisions, listUpcoming } from '../../../core/schedules/ledgerLists.ts';
import { skipOccurrence, unskipOccurrence } from '../../../core/schedules/skips.ts';
import { accepted, changed, json } from '../answers.ts';
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';
import { asItStands } from './schedules.ts';

const ONE = '/v1/schedules/:scheduleId';
const BACKFILL = `${ONE}/backfills/:backfillId`;

const UpcomingQuery = z.strictObject({
  count: z.coerce
    .number()
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(100, 'must be at most 100')
    .default(10),
});

/** The ledger has no entry before 1970, and its keys cannot name a time before it. */
const inLedger = (at: number | undefined) => (at === undefined ? undefined : Math.max(at, 0));

const OccurrencesQuery = z
  .strictObject({ ...PageQuery.shape, ...OccurrenceListQuery.shape })
  .refine(({ from, to }) => from === undefined || to === undefined || from <= to, {
    path: ['to'],
    message: 'must not be before from',
  })
  .transform((query) => ({ ...query, from: inLedger(query.from), to: inLedger(query.to) }));

const ledgerRoutes: readonly Route[] = [
  route({
    operation: 'listOccurrences',
    summary: 'What became of each occurrence, newest first.',
    method: 'GET',
    path: `${ONE}/occurrences`,
    access: 'principal',
    answers: answers.json('A page of the ledger.', ListBody(OccurrenceBody)),
    query: OccurrencesQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listOccurrences(ports, caller, param('scheduleId'), query, query)),
  }),
  route({
    operation: 'listUpcoming',
    summary: 'The occurrences that are expected.',
    method: 'GET',
    path: `${ONE}/upcoming`,
    access: 'principal',
    answers: answers.json('The next ones.', ListBody(UpcomingBody)),
    query: UpcomingQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listUpcoming(ports, caller, param('scheduleId'), query.count)),
  }),
  route({
    operation: 'listScheduleRuns',
    summary: 'The runs of a schedule, newest first.',
    method: 'GET',
    path: `${ONE}/runs`,
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(RunBody)),
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listScheduleRuns(ports, caller, param('scheduleId'), query)),
  }),
  route({
    operation: 'explainSchedule',
    summary: 'Why a schedule did run, or did not run, at a time.',
    method: 'GET',
    path: `${ONE}/explain`,
    access: 'principal',
    answers: answers.json('The reason.', ExplainBody),
    query: ExplainQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await explainOccurrence(ports, caller, param('scheduleId'), query.at)),
  }),
  route({
    operation: 'listRevisions',
    summary: 'Every edit of what the clock follows, oldest first.',
    method: 'GET',
    path: `${ONE}/revisions`,
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(RevisionBody)),
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listRevisions(ports, caller, param('scheduleId'), query)),
  }),
];

const skipRoutes: readonly Route[] = [
  route({
    operation: 'skipOccurrence',
    summary: 'Take one future occurrence out.',
    method: 'POST',
    path: `${ONE}/skip`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.changed(ScheduleBody),
    body: { schema: SkipRequest },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await skipOccurrence(ports, caller, param('scheduleId'), body, readIfMatch(request))),
    repeat: asItStands,
  }),
  route({
    operation: 'unskipOccurrence',
    summary: 'Put an occurrence back that was taken out.',
    method: 'POST',
    path: `${ONE}/unskip`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.changed(ScheduleBody),
    body: { schema: UnskipRequest },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await unskipOccurrence(ports, caller, param('scheduleId'), body, readIfMatch(request))),
    repeat: asItStands,
  }),
];

const pathOf = ({ scheduleId, backfillId }: BackfillBody) => `/v1/schedules/${scheduleId}/backfills/${backfillId}`;

const CancelBackfillRequest = z.strictObject({});

const backfillRoutes: readonly Route[] = [
  route({
    operation: 'startBackfill',
    summary: 'Make runs for past occurrences.',
    method: 'POST',
    path: `${ONE}/backfill`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.accepted('The runs to come.', BackfillBody, ['Location']),
    problems: ['illegal_transition'],
    body: { schema: BackfillRequest },
    handle: async ({ ports, caller, request, param, body }) => {
      const backfill = await startBackfill(ports, caller, param('scheduleId'), body, readIfMatch(request));
      return accepted(backfill, pathOf(backfill));
    },
    repeat: {
      created: async ({ ports, caller, param }, id) => {
        const backfill = await getBackfill(ports, caller, param('scheduleId'), id);
        return accepted(backfill, pathOf(backfill));
      },
    },
  }),
  route({
    operation: 'getBackfill',
    summary: 'One backfill.',
    method: 'GET',
    path: BACKFILL,
    access: 'principal',
    answers: answers.json('The backfill.', BackfillBody),
    handle: async ({ ports, caller, param }) =>
      json(await getBackfill(ports, caller, param('scheduleId'), param('backfillId'))),
  }),
  route({
    operation: 'cancelBackfill',
    summary: 'Make no further runs of a backfill.',
    method: 'POST',
    path: `${BACKFILL}/cancel`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.json('The backfill.', BackfillBody),
    body: { schema: CancelBackfillRequest, optional: true },
    handle: async ({ ports, caller, request, param }) =>
      json(await cancelBackfill(ports, caller, param('scheduleId'), param('backfillId'), readIfMatch(request))),
    repeat: {
      done: async ({ ports, caller, param }) =>
        json(await getBackfill(ports, caller, param('scheduleId'), param('backfillId'))),
    },
  }),
];

export const occurrenceRoutes: readonly Route[] = [...ledgerRoutes, ...skipRoutes, ...backfillRoutes];
