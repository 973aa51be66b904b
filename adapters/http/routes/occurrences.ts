/** What becomes of a schedule's occurrences: the ledger, why, what is to come, and changes of single ones. */
import * as z from 'zod';
import { PageQuery } from '../../../core/contract/common.ts';
import {
  type BackfillBody,
  BackfillRequest,
  ExplainQuery,
  OccurrenceListQuery,
  SkipRequest,
  UnskipRequest,
} from '../../../core/contract/schedules.ts';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../../core/schedules/backfill.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { listOccurrences, listRevisions, listUpcoming } from '../../../core/schedules/ledgerLists.ts';
import { skipOccurrence, unskipOccurrence } from '../../../core/schedules/skips.ts';
import { accepted, changed, json } from '../answers.ts';
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
    method: 'GET',
    path: `${ONE}/occurrences`,
    access: 'principal',
    query: OccurrencesQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listOccurrences(ports, caller, param('scheduleId'), query, query)),
  }),
  route({
    operation: 'listUpcoming',
    method: 'GET',
    path: `${ONE}/upcoming`,
    access: 'principal',
    query: UpcomingQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listUpcoming(ports, caller, param('scheduleId'), query.count)),
  }),
  route({
    operation: 'listScheduleRuns',
    method: 'GET',
    path: `${ONE}/runs`,
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listScheduleRuns(ports, caller, param('scheduleId'), query)),
  }),
  route({
    operation: 'explainSchedule',
    method: 'GET',
    path: `${ONE}/explain`,
    access: 'principal',
    query: ExplainQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await explainOccurrence(ports, caller, param('scheduleId'), query.at)),
  }),
  route({
    operation: 'listRevisions',
    method: 'GET',
    path: `${ONE}/revisions`,
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) =>
      json(await listRevisions(ports, caller, param('scheduleId'), query)),
  }),
];

const skipRoutes: readonly Route[] = [
  route({
    operation: 'skipOccurrence',
    method: 'POST',
    path: `${ONE}/skip`,
    access: 'principal',
    body: { schema: SkipRequest },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await skipOccurrence(ports, caller, param('scheduleId'), body, readIfMatch(request))),
    repeat: asItStands,
  }),
  route({
    operation: 'unskipOccurrence',
    method: 'POST',
    path: `${ONE}/unskip`,
    access: 'principal',
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
    method: 'POST',
    path: `${ONE}/backfill`,
    access: 'principal',
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
    method: 'GET',
    path: BACKFILL,
    access: 'principal',
    handle: async ({ ports, caller, param }) =>
      json(await getBackfill(ports, caller, param('scheduleId'), param('backfillId'))),
  }),
  route({
    operation: 'cancelBackfill',
    method: 'POST',
    path: `${BACKFILL}/cancel`,
    access: 'principal',
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
