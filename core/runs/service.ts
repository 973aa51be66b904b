/** What callers do with runs: create, list, read, follow. Cancelling is in `cancel.ts`. */
import type { PrincipalCaller } from '../agents/service.ts';
import { loadAgent } from '../agents/service.ts';
import { isoSecond, isoTime, type Json, type ListBody } from '../contract/common.ts';
import { type EventBody, isTerminal, type LogPageBody, type RunBody, type RunStatus } from '../contract/runs.ts';
import { InvalidRequest, NotFound } from '../errors.ts';
import { placeInQueue } from '../limits/next.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import { checkInput } from '../rules.ts';
import type { OccurrenceRow } from '../schedules/model.ts';
import { commit } from '../table/commit.ts';
import { EVENT_PREFIX, keys, LIST_SHARDS, lists, OCCURRENCE_PREFIX, SCHEDULE_RUN_PREFIX } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import { asItem, asRow } from '../table/rows.ts';
import { evidence } from './change.ts';
import { newRun, runCreation } from './create.ts';
import type { CancelRecord, EventRow, RunRow } from './model.ts';
import { payloadOf, payloadRow } from './payload.ts';
import { placeRun } from './place.ts';

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** @throws InvalidRequest, NotFound for the agent */
export async function createRun(ports: Ports, caller: PrincipalCaller, agentId: string, input: Json): Promise<RunBody> {
  checkInput(ports.config, input);
  const now = ports.time.now();
  const id = ports.ids.next('run_', now);
  const run = await commit<RunRow>(ports, async (writer) => {
    const agent = await loadAgent(ports, caller.tenantId, agentId);
    const facts = {
      id,
      agent,
      trigger: { kind: 'api', by: caller.principalId } as const,
      displayName: `${agent.name} · ${isoSecond(Math.floor(now / 1000) * 1000)}`,
      inputKey: keys.runInput(id),
      evidence: evidence('api', now, `${caller.principalId} asked for it`),
    };
    const created = newRun(ports.config, facts, now);
    return {
      writes: [
        ...runCreation(ports.config, created, writer),
        { kind: 'put', item: asItem(payloadRow(keys.runInput(id), agent.tenantId, input)) },
        // A delete or an edit that has been acknowledged meanwhile wins: the run pins the version that stands.
        {
          kind: 'check',
          key: keys.agent(agentId),
          guards: [guard('run.agentUnchanged', eq('version', agent.version))],
        },
      ],
      proof: keys.runEvent(id, 1),
      result: created,
    };
  });
  await placeRun(ports, run);
  return runBody(ports, run);
}

/** @throws NotFound for what is absent or another tenant's */
export async function loadRun(ports: Ports, tenantId: string, runId: string): Promise<RunRow> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
  if (run === undefined || run.tenantId !== tenantId) throw new NotFound('run', runId);
  return run;
}

export async function getRun(ports: Ports, caller: { readonly tenantId: string }, runId: string): Promise<RunBody> {
  const run = await loadRun(ports, caller.tenantId, runId);
  const body = await runBody(ports, run);
  if (run.waiting?.limit === undefined || body.waiting === undefined) return body;
  const place = await placeInQueue(ports, run.waiting.limit, run);
  return { ...body, waiting: { ...body.waiting, ...place } };
}

export interface RunFilter {
  readonly status?: RunStatus | 'live' | undefined;
  readonly agentId?: string | undefined;
}

const matches = (run: RunRow, filter: RunFilter): boolean =>
  (filter.agentId === undefined || run.agentId === filter.agentId) &&
  (filter.status === undefined || (filter.status === 'live' ? !isTerminal(run.status) : run.status === filter.status));

/** Newest first. */
export async function listRuns(
  ports: Ports,
  caller: { readonly tenantId: string },
  filter: RunFilter,
  page: PageRequest,
): Promise<ListBody<RunBody>> {
  const partitions = Array.from({ length: LIST_SHARDS }, (_, shard) => lists.runs(caller.tenantId, shard));
  const found = await mergedPage<RunRow>(ports, partitions, page, (run) => matches(run, filter));
  return {
    items: await bodiesOf(ports, found.rows),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(ports.time.now()),
  };
}

/** A schedule's runs: those of its ledger and those triggered by hand, newest first. */
export async function listScheduleRuns(
  ports: Ports,
  caller: { readonly tenantId: string },
  scheduleId: string,
  page: PageRequest,
): Promise<ListBody<RunBody>> {
  const schedule = await ports.store.get(keys.schedule(scheduleId));
  if (schedule === undefined || schedule.tenantId !== caller.tenantId) throw new NotFound('schedule', scheduleId);
  const before = decodePlace(page.cursor);
  const { pk } = keys.schedule(scheduleId);
  const [ledger, triggered] = await Promise.all([
    ports.store.query({ pk, prefix: OCCURRENCE_PREFIX, descending: true, limit: 500 }),
    ports.store.query({ pk, prefix: SCHEDULE_RUN_PREFIX, descending: true, limit: 500 }),
  ]);
  const ids = [
    ...ledger.items.map((item) => asRow<OccurrenceRow>(item)?.runId),
    ...triggered.items.map((item) => item.runId as string | undefined),
  ].filter((id) => id !== undefined);
  const rows = await ports.store.getMany(ids.map((id) => keys.run(id)));
  const runs = rows
    .map((item) => asRow<RunRow>(item))
    .filter((run) => run !== undefined)
    .filter((run) => before === undefined || placeOf(run) < before)
    .sort((left, right) => (placeOf(left) < placeOf(right) ? 1 : -1));
  const shown = runs.slice(0, page.limit);
  const last = shown.at(-1);
  return {
    items: await bodiesOf(ports, shown),
    ...(runs.length > shown.length && last !== undefined && { nextCursor: placeOf(last) }),
    asOf: isoTime(ports.time.now()),
  };
}

/** Where a run stands in its schedule's list: several may be created in one millisecond, so the time alone is no place. */
const placeOf = (run: RunRow): string => `${String(run.createdAt).padStart(15, '0')}.${run.id}`;

function decodePlace(cursor: string | undefined): string | undefined {
  if (cursor !== undefined && !/^\d{15}\.run_[0-9a-z]{26}$/.test(cursor)) throw foreignCursor();
  return cursor;
}

const foreignCursor = () =>
  new InvalidRequest('The cursor is not one of ours.', [
    { pointer: 'cursor', message: 'must be the nextCursor of the page before' },
  ]);

function decodeChunk(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (!/^\d{1,15}$/.test(cursor)) throw foreignCursor();
  return Number(cursor);
}

/** In order of their sequence, which has no gaps. */
export async function listRunEvents(
  ports: Ports,
  caller: { readonly tenantId: string },
  runId: string,
  page: PageRequest,
): Promise<ListBody<EventBody>> {
  await loadRun(ports, caller.tenantId, runId);
  const found = await ports.store.query({
    pk: keys.run(runId).pk,
    prefix: EVENT_PREFIX,
    limit: page.limit,
    ...(page.cursor !== undefined && { after: page.cursor }),
  });
  return {
    items: found.items
      .map((item) => asRow<EventRow>(item))
      .filter((row) => row !== undefined)
      .map(eventBody),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(ports.time.now()),
  };
}

export const eventBody = (event: EventRow): EventBody => ({
  sequence: event.sequence,
  type: event.type,
  at: isoTime(event.at),
  ...(event.status !== undefined && { status: event.status }),
  detail: event.detail,
});

const LOG_CHUNKS_PER_PAGE = 50;

/** Captured output from a cursor on; the cursor of an unfinished log can be asked again. */
export async function readRunLogs(
  ports: Ports,
  caller: { readonly tenantId: string },
  runId: string,
  query: { readonly cursor?: string | undefined; readonly attempt?: number | undefined },
): Promise<LogPageBody> {
  // The run is read first: what it says of its end was true before the log was read, so `complete` never comes too early.
  const run = await loadRun(ports, caller.tenantId, runId);
  const attempt = query.attempt ?? run.attempt;
  const from = decodeChunk(query.cursor) ?? 0;
  const address = { tenantId: run.tenantId, runId, attempt };
  const { records, next } = await ports.logs.read(address, from, LOG_CHUNKS_PER_PAGE);
  const expected = run.attempt === attempt ? run.logChunks : undefined;
  const ended = isTerminal(run.status) || attempt < run.attempt;
  return {
    items: records,
    nextCursor: String(next),
    complete: ended && (expected === undefined ? next === from : next >= expected),
    asOf: isoTime(ports.time.now()),
  };
}

async function bodiesOf(ports: Ports, runs: readonly RunRow[]): Promise<readonly RunBody[]> {
  const inputs = await ports.store.getMany(runs.map((run) => run.inputKey));
  const outputs = await ports.store.getMany(
    runs.filter((run) => run.hasOutput === true).map((run) => keys.runOutput(run.id)),
  );
  const outputOf = new Map(outputs.map((item) => [item?.pk, payloadOf(item)]));
  const now = ports.time.now();
  return runs.map((run, index) =>
    bodyFrom(run, payloadOf(inputs[index]) ?? null, outputOf.get(keys.run(run.id).pk), now),
  );
}

export async function runBody(ports: Ports, run: RunRow): Promise<RunBody> {
  const [body] = await bodiesOf(ports, [run]);
  if (body === undefined) throw new NotFound('run', run.id);
  return body;
}

const optionalTime = <Name extends string>(name: Name, value: number | undefined) =>
  (value === undefined ? {} : { [name]: isoTime(value) }) as { readonly [key in Name]?: string };

function bodyFrom(run: RunRow, input: Json, output: Json | undefined, now: number): RunBody {
  return {
    id: run.id,
    agentId: run.agentId,
    agentVersion: run.agentVersion,
    ...(run.scheduleId !== undefined && { scheduleId: run.scheduleId }),
    ...(run.occurrence !== undefined && { occurrence: isoSecond(run.occurrence) }),
    ...(run.backfillId !== undefined && { backfillId: run.backfillId }),
    trigger: run.trigger,
    displayName: run.displayName,
    status: run.status,
    attempt: run.attempt,
    input,
    ...(output !== undefined && { output }),
    ...(run.exitCode !== undefined && { exitCode: run.exitCode }),
    ...(run.signal !== undefined && { signal: run.signal }),
    ...(run.terminatedBy !== undefined && { terminatedBy: run.terminatedBy }),
    ...(run.reason !== undefined && { reason: run.reason }),
    evidence: run.evidence,
    ...(run.correction !== undefined && { correction: run.correction }),
    ...(run.cancel !== undefined && { cancel: cancelBody(run.cancel) }),
    ...(run.waiting !== undefined && { waiting: waitingBody(run.waiting) }),
    ...(run.vmId !== undefined && { vmId: run.vmId }),
    createdAt: isoTime(run.createdAt),
    queuedAt: isoTime(run.queuedAt),
    ...optionalTime('provisionedAt', run.provisionedAt),
    ...optionalTime('startedAt', run.startedAt),
    ...optionalTime('endedAt', run.endedAt),
    ...optionalTime('deadlineAt', run.deadlineAt),
    version: run.version,
    asOf: isoTime(now),
  };
}

const waitingBody = (waiting: NonNullable<RunRow['waiting']>) => ({
  reason: waiting.reason,
  ...(waiting.tried !== undefined && { tried: waiting.tried }),
  ...optionalTime('nextTryAt', waiting.nextTryAt),
  ...(waiting.maximum !== undefined && { maximum: waiting.maximum }),
  ...(waiting.blockedBy !== undefined && { blockedBy: waiting.blockedBy }),
});

const cancelBody = (cancel: CancelRecord) => ({
  requestedAt: isoTime(cancel.requestedAt),
  requestedBy: cancel.requestedBy,
  reason: cancel.reason,
  cause: cancel.cause,
  ...optionalTime('acknowledgedAt', cancel.acknowledgedAt),
  ...optionalTime('processGoneAt', cancel.processGoneAt),
  ...optionalTime('vmTerminatedAt', cancel.vmTerminatedAt),
  ...(cancel.signals !== undefined && { signals: cancel.signals }),
});
