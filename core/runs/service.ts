/** What callers do with runs: create, list, read. Cancelling is in `cancel.ts`, doing one again in `retry.ts`. */
import { authorityOf, reachOf } from '../access/authority.ts';
import { isSeen, type Reach, reached } from '../access/grants.ts';
import type { AgentRow } from '../agents/model.ts';
import { loadAgent, type PrincipalCaller } from '../agents/service.ts';
import { isoSecond, isoTime, type Json, type ListBody } from '../contract/common.ts';
import { isTerminal, type RunBody, type RunOverrides, type RunStatus } from '../contract/runs.ts';
import { NotFound } from '../errors.ts';
import { placeInQueue } from '../limits/next.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import { checkInput } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { LIST_SHARDS, lists } from '../table/keys.ts';
import { eq, guard, type Write } from '../table/model.ts';
import { asItem, asRow } from '../table/rows.ts';
import { bodiesOf, runBody } from './body.ts';
import { evidence } from './change.ts';
import { type ChildrenRow, checkMayStart, childCreation } from './children.ts';
import { newRun, runCreation } from './create.ts';
import { artifactsOf, billedAfterCancel } from './detail.ts';
import type { RunRow } from './model.ts';
import { payloadRow } from './payload.ts';
import { placeOrLeave } from './place.ts';

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Who starts a run: a principal, or a run by its own token, whose child the new one is. */
export type Starter =
  | (PrincipalCaller & { readonly kind?: 'principal' })
  | (Reach & { readonly kind: 'run'; readonly runId: string; readonly attempt: number });

/** @throws InvalidRequest, NotFound for the agent; CandorError where a run may start no (further) runs */
export async function createRun(
  ports: Ports,
  caller: Starter,
  agentId: string,
  input: Json,
  overrides?: RunOverrides,
): Promise<RunBody> {
  checkInput(ports.config, input);
  const now = ports.time.now();
  const id = ports.ids.next('run_', now);
  const by = caller.kind === 'run' ? caller.runId : caller.principalId;
  const run = await commit<RunRow>(ports, async (writer) => {
    const family = caller.kind === 'run' ? await readFamily(ports, caller) : undefined;
    const agent = await loadAgent(ports, family?.reach ?? caller, agentId);
    const created = newRun(
      ports.config,
      {
        id,
        agent,
        trigger: { kind: caller.kind === 'run' ? 'run' : 'api', by },
        displayName: `${agent.name} · ${isoSecond(Math.floor(now / 1000) * 1000)}`,
        inputKey: keys.runInput(id),
        overrides,
        ...(family === undefined
          ? { cutBy: 'cutBy' in caller ? caller.cutBy : undefined }
          : { parent: family.parent, ...family.authority }),
        evidence: evidence('api', now, `${by} asked for it`),
      },
      now,
    );
    return {
      writes: [
        ...apiCreation(ports, created, agent, input, writer),
        ...(family === undefined ? [] : childCreation(ports, family.parent, family.children, id, now, writer)),
      ],
      proof: keys.runEvent(id, 1),
      result: created,
    };
  });
  await placeOrLeave(ports, run);
  return runBody(ports, run);
}

/** The writes of a run that stands in no schedule: with an input of its own, and the agent as it was read. */
export const apiCreation = (
  ports: Ports,
  run: RunRow,
  agent: AgentRow,
  input: Json,
  writer: string,
): readonly Write[] => [
  ...runCreation(ports.config, run, writer),
  { kind: 'put', item: asItem(payloadRow(keys.runInput(run.id), agent.tenantId, input)) },
  // A delete or an edit that has been acknowledged meanwhile wins: the run pins the version that stands.
  { kind: 'check', key: keys.agent(agent.id), guards: [guard('run.agentUnchanged', eq('version', agent.version))] },
];

/** A run may start what whoever it goes back to may start now: its token lends it no more. */
async function readFamily(ports: Ports, caller: Extract<Starter, { kind: 'run' }>) {
  const [runItem, childrenItem] = await ports.store.getMany([keys.run(caller.runId), keys.runChildren(caller.runId)]);
  const parent = asRow<RunRow>(runItem);
  const children = asRow<ChildrenRow>(childrenItem);
  if (parent === undefined || parent.tenantId !== caller.tenantId) throw new NotFound('run', caller.runId);
  checkMayStart(ports, parent, caller.attempt, children);
  const authority = await authorityOf(ports, parent);
  return { parent, children, authority, reach: await reachOf(ports, parent.tenantId, authority) };
}

/** @throws NotFound for what is absent or not seen; CandorError `forbidden` */
export async function loadRun(ports: Ports, caller: Reach, runId: string): Promise<RunRow> {
  const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
  return reached(caller, run, 'run', runId);
}

/** A run in full: with its place in a queue, its artifacts, and what its VM cost after a cancel. */
export async function getRun(ports: Ports, caller: Reach, runId: string): Promise<RunBody> {
  const run = await loadRun(ports, caller, runId);
  const [body, place, artifacts, billed] = await Promise.all([
    runBody(ports, run),
    run.waiting?.limit === undefined ? undefined : placeInQueue(ports, caller, run.waiting.limit, run),
    artifactsOf(ports, run),
    billedAfterCancel(ports, run),
  ]);
  return {
    ...body,
    ...(body.waiting !== undefined && { waiting: { ...body.waiting, ...place } }),
    ...(body.cancel !== undefined && billed !== undefined && { cancel: { ...body.cancel, billed } }),
    ...(artifacts !== undefined && { artifacts }),
  };
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
  caller: Reach,
  filter: RunFilter,
  page: PageRequest,
): Promise<ListBody<RunBody>> {
  const partitions = Array.from({ length: LIST_SHARDS }, (_, shard) => lists.runs(caller.tenantId, shard));
  const found = await mergedPage<RunRow>(ports, partitions, page, (run) => isSeen(caller, run) && matches(run, filter));
  return {
    items: await bodiesOf(ports, found.rows),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(ports.time.now()),
  };
}
