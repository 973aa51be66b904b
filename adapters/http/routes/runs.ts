/** `/v1/runs`: start, list, read, cancel and follow. A run's own token reads what concerns that run. */
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { ListBody, PageQuery } from '../../../core/contract/common.ts';
import {
  CancelRequest,
  ChildrenBody,
  EventBody,
  LogPageBody,
  RetryRequest,
  RunBody,
  RunCreate,
  RunExplainBody,
  RunListQuery,
} from '../../../core/contract/runs.ts';
import type { Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { explainRun } from '../../../core/runs/explain.ts';
import { listChildren, SEALED_LIMIT, sealFamily } from '../../../core/runs/family.ts';
import { listRunEvents, readArtifact, readRunLogs } from '../../../core/runs/reading.ts';
import { retryRun } from '../../../core/runs/retry.ts';
import { createRun, getRun, listRuns, loadRun } from '../../../core/runs/service.ts';
import { changed, created, json, resource } from '../answers.ts';
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';

const ONE = '/v1/runs/:runId';

const RunsQuery = z.strictObject({ ...PageQuery.shape, ...RunListQuery.shape });

/** How long a reader may be kept waiting: within the 29 s that API Gateway allows. */
const LOG_WAIT_SECONDS_MAX = 20;
const LOG_POLL_MS = 250;

const LogsQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,8}$/, 'must be the nextCursor of the page before')
    .optional(),
  attempt: z.coerce
    .number()
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(1_000_000, 'must be at most 1000000')
    .optional(),
  wait: z.coerce
    .number()
    .min(0, 'must be at least 0')
    .max(LOG_WAIT_SECONDS_MAX, `must be at most ${LOG_WAIT_SECONDS_MAX} (seconds)`)
    .default(0),
});

/** What every request that makes a run is answered with, once the run is there. */
export const newRun = {
  created: async (
    { ports, caller }: { readonly ports: Ports; readonly caller: { readonly tenantId: string } },
    id: string,
  ) => created(await getRun(ports, caller, id), `/v1/runs/${id}`, 202),
};

export const runRoutes: readonly Route[] = [
  route({
    operation: 'createRun',
    summary: 'Run an agent once, now.',
    description: 'With the token of a run the new run is its child.',
    method: 'POST',
    path: '/v1/agents/:agentId/runs',
    access: 'starter',
    answers: answers.accepted('The run.', RunBody, ['ETag', 'Location']),
    problems: ['run_ended', 'illegal_transition', 'children_limit'],
    body: { schema: RunCreate, optional: true },
    handle: async ({ ports, caller, param, body }) => {
      const run = await createRun(ports, caller, param('agentId'), body.input, body.overrides);
      return created(run, `/v1/runs/${run.id}`, 202);
    },
    repeat: newRun,
  }),
  route({
    operation: 'listRuns',
    summary: 'Runs, newest first.',
    method: 'GET',
    path: '/v1/runs',
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(RunBody)),
    query: RunsQuery,
    handle: async ({ ports, caller, query }) => json(await listRuns(ports, caller, query, query)),
  }),
  route({
    operation: 'getRun',
    summary: 'One run: what is known of it, who saw it and when.',
    method: 'GET',
    path: ONE,
    access: 'own_run',
    answers: answers.resource(RunBody),
    handle: async ({ ports, caller, request, param }) => resource(request, await getRun(ports, caller, param('runId'))),
  }),
  route({
    operation: 'cancelRun',
    summary: 'Ask a run to end.',
    method: 'POST',
    path: `${ONE}/cancel`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.accepted('The run, with the stages of its cancel.', RunBody, ['ETag']),
    problems: ['run_ended'],
    body: { schema: CancelRequest, optional: true },
    handle: async ({ ports, caller, request, param, body }) => {
      await loadRun(ports, caller, param('runId'));
      await cancelRun(ports, caller, param('runId'), {
        by: caller.principalId,
        reason: body.reason,
        cause: 'request',
        precondition: readIfMatch(request),
      });
      return changed(await getRun(ports, caller, param('runId')), 202);
    },
    repeat: { done: async ({ ports, caller, param }) => changed(await getRun(ports, caller, param('runId')), 202) },
  }),
  route({
    operation: 'retryRun',
    summary: 'Do an ended run again, as a new run.',
    description: 'With the same input, unless another one is sent.',
    method: 'POST',
    path: `${ONE}/retry`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.accepted('The new run.', RunBody, ['ETag', 'Location']),
    problems: ['run_live'],
    body: { schema: RetryRequest, optional: true },
    handle: async ({ ports, caller, request, param, body }) => {
      const run = await retryRun(ports, caller, param('runId'), body.input, readIfMatch(request));
      return created(run, `/v1/runs/${run.id}`, 202);
    },
    repeat: newRun,
  }),
  route({
    operation: 'explainRun',
    summary: 'Why a run is not running, or why it ended as it did.',
    method: 'GET',
    path: `${ONE}/explain`,
    access: 'own_run',
    answers: answers.json('The reason.', RunExplainBody),
    handle: async ({ ports, caller, param }) => json(await explainRun(ports, caller, param('runId'))),
  }),
  route({
    operation: 'listChildren',
    summary: 'The runs that a run has started, oldest first.',
    method: 'GET',
    path: `${ONE}/children`,
    access: 'own_run',
    answers: answers.json('A page of them.', ChildrenBody),
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) => json(await listChildren(ports, caller, param('runId'), query)),
  }),
  route({
    operation: 'sealChildren',
    summary: 'Say that a run starts no further runs.',
    description: 'When the last child has ended after that, the family is complete.',
    method: 'POST',
    path: `${ONE}/children/seal`,
    access: 'own_run',
    answers: answers.json('Its children so far.', ChildrenBody),
    handle: async ({ ports, caller, param }) => {
      const by = caller.kind === 'run' ? caller.runId : caller.principalId;
      const attempt = caller.kind === 'run' ? { attempt: caller.attempt } : {};
      return json(await sealFamily(ports, { ...caller, by, ...attempt }, param('runId')));
    },
    repeat: {
      done: async ({ ports, caller, param }) =>
        json(await listChildren(ports, caller, param('runId'), { limit: SEALED_LIMIT })),
    },
  }),
  route({
    operation: 'getArtifact',
    summary: 'The bytes of a file that a run has left.',
    description: 'Where they are kept elsewhere the answer leads there: follow it without the credential.',
    method: 'GET',
    path: `${ONE}/artifacts/content`,
    access: 'own_run',
    answers: answers.bytes(),
    query: z.strictObject({ path: z.string().min(1).max(1024) }),
    handle: async ({ ports, caller, param, query }) => artifactContent(ports, caller, param('runId'), query.path),
  }),
  route({
    operation: 'listRunEvents',
    summary: "Every change of a run's state, in order.",
    method: 'GET',
    path: `${ONE}/events`,
    access: 'own_run',
    answers: answers.json('A page of them.', ListBody(EventBody)),
    query: PageQuery,
    handle: async ({ ports, caller, param, query }) => json(await listRunEvents(ports, caller, param('runId'), query)),
  }),
  route({
    operation: 'getRunLogs',
    summary: 'What a run has written.',
    description: 'With wait the answer is held back until there is something new, or the time is over.',
    method: 'GET',
    path: `${ONE}/logs`,
    access: 'own_run',
    answers: answers.json('A part of it.', LogPageBody),
    query: LogsQuery,
    handle: async ({ ports, caller, request, param, query }) =>
      json(await followLogs(ports, caller, param('runId'), query, request.signal)),
  }),
];

async function artifactContent(
  ports: Ports,
  caller: { readonly tenantId: string },
  runId: string,
  path: string,
): Promise<Response> {
  const { artifact, content } = await readArtifact(ports, caller, runId, path);
  if (content.kind === 'elsewhere') return new Response(null, { status: 307, headers: { Location: content.url } });
  const name = encodeURIComponent(path.split('/').at(-1) ?? path);
  return new Response(content.body, {
    headers: {
      // What an agent has written is never shown as a page of ours.
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': `attachment; filename*=UTF-8''${name}`,
      'Content-Length': String(artifact.bytes),
      ETag: `"${artifact.sha256}"`,
    },
  });
}

/** Waits for something new until `wait` is over, the log is complete, or the reader has gone. */
async function followLogs(
  ports: Ports,
  caller: { readonly tenantId: string },
  runId: string,
  query: z.output<typeof LogsQuery>,
  reader: AbortSignal,
): Promise<LogPageBody> {
  // A duration, so it is measured on the monotonic clock: the wall clock may be set meanwhile.
  const until = performance.now() + Math.min(query.wait, ports.config.maxWaitSeconds) * 1000;
  for (;;) {
    const page = await readRunLogs(ports, caller, runId, query);
    const leftMs = until - performance.now();
    if (page.items.length > 0 || page.complete || leftMs <= 0 || reader.aborted) return page;
    await sleep(Math.min(LOG_POLL_MS, leftMs), undefined, { signal: reader }).catch((error: unknown) => {
      if (!reader.aborted) throw error;
    });
  }
}
