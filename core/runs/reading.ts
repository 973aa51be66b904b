/** What a run has left to read: its events, its captured output. */
import type { Reach } from '../access/grants.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import { type EventBody, isTerminal, type LogPageBody } from '../contract/runs.ts';
import { NotFound } from '../errors.ts';
import { foreignCursor } from '../lists.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { EVENT_PREFIX } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { artifactsOf } from './detail.ts';
import type { EventRow } from './model.ts';
import { loadRun, type PageRequest } from './service.ts';

/** In order of their sequence, which has no gaps. */
export async function listRunEvents(
  ports: Ports,
  caller: Reach,
  runId: string,
  page: PageRequest,
): Promise<ListBody<EventBody>> {
  await loadRun(ports, caller, runId);
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
/** What carries the answer takes 6 MB (a Lambda) at most; a chunk that is larger than this stands on a page of its own. */
const LOG_BYTES_PER_PAGE = 4 * 1024 * 1024;

/** Captured output from a cursor on; the cursor of an unfinished log can be asked again. */
export async function readRunLogs(
  ports: Ports,
  caller: Reach,
  runId: string,
  query: { readonly cursor?: string | undefined; readonly attempt?: number | undefined },
): Promise<LogPageBody> {
  // The run is read first: what it says of its end was true before the log was read, so `complete` never comes too early.
  const run = await loadRun(ports, caller, runId);
  const attempt = query.attempt ?? run.attempt;
  const from = decodeChunk(query.cursor) ?? 0;
  const address = { tenantId: run.tenantId, runId, attempt };
  const { records, next } = await ports.logs.read(address, from, LOG_CHUNKS_PER_PAGE, LOG_BYTES_PER_PAGE);
  const expected = run.attempt === attempt ? run.logChunks : undefined;
  const ended = isTerminal(run.status) || attempt < run.attempt;
  return {
    items: records,
    nextCursor: String(next),
    complete: ended && (expected === undefined ? next === from : next >= expected),
    asOf: isoTime(ports.time.now()),
  };
}

function decodeChunk(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (!/^\d{1,15}$/.test(cursor)) throw foreignCursor();
  return Number(cursor);
}

/** @throws NotFound for a path that is none of its artifacts, or whose bytes are not there any more */
export async function readArtifact(ports: Ports, caller: Reach, runId: string, path: string) {
  const run = await loadRun(ports, caller, runId);
  const artifact = (await artifactsOf(ports, run))?.find((each) => each.path === path);
  const address = { tenantId: run.tenantId, runId, attempt: run.attempt };
  const content = artifact === undefined ? undefined : await ports.artifacts.get(address, artifact);
  if (artifact === undefined || content === undefined)
    throw new NotFound('artifact', path, `Read /v1/runs/${runId}: its artifacts are listed there.`);
  return { artifact, content };
}
