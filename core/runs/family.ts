/** Reading and sealing the runs that a run has started. */
import { isSeen, type Reach } from '../access/grants.ts';
import { isoTime } from '../contract/common.ts';
import { type ChildrenBody, isTerminal } from '../contract/runs.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { CHILD_PREFIX } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { bodiesOf } from './body.ts';
import { type ChildrenRow, sealChildren } from './children.ts';
import type { RunRow } from './model.ts';
import { loadRun, type PageRequest } from './service.ts';

/** So many of them come with the answer to a seal. */
export const SEALED_LIMIT = 25;

/** In the order of their creation. */
export async function listChildren(
  ports: Ports,
  caller: Reach,
  runId: string,
  page: PageRequest,
): Promise<ChildrenBody> {
  const parent = await loadRun(ports, caller, runId);
  const found = await ports.store.query({
    pk: keys.run(runId).pk,
    prefix: CHILD_PREFIX,
    limit: page.limit,
    ...(page.cursor !== undefined && { after: page.cursor }),
  });
  const [countItem, ...rows] = await ports.store.getMany([
    keys.runChildren(parent.id),
    ...found.items.map((item) => keys.run(item.sk.slice(CHILD_PREFIX.length))),
  ]);
  const count = asRow<ChildrenRow>(countItem);
  const runs = rows
    .map((item) => asRow<RunRow>(item))
    .filter((run) => run !== undefined)
    .filter((run) => isSeen(caller, run));
  return {
    items: await bodiesOf(ports, runs),
    created: count?.created ?? 0,
    pending: count?.pending ?? 0,
    sealed: count?.sealedAt !== undefined || isTerminal(parent.status),
    ...(count?.completedAt !== undefined && { completedAt: isoTime(count.completedAt) }),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(ports.time.now()),
  };
}

/** @throws CandorError `forbidden` for the token of an attempt that was given up */
export async function sealFamily(
  ports: Ports,
  caller: Reach & { readonly by: string; readonly attempt?: number },
  runId: string,
): Promise<ChildrenBody> {
  const run = await loadRun(ports, caller, runId);
  if (caller.attempt !== undefined && caller.attempt !== run.attempt)
    throw new CandorError('forbidden', `The token is of attempt ${caller.attempt} of ${runId}, which was given up.`);
  await sealChildren(ports, run, caller.by);
  return listChildren(ports, caller, runId, { limit: SEALED_LIMIT });
}
