/** What callers do with agents. Every change is conditional on the version that it was decided on. */
import { isSeen, type Reach, reached } from '../access/grants.ts';
import type { AgentBody, AgentCreate, AgentPatch } from '../contract/agents.ts';
import { isoTime, type Json, type ListBody } from '../contract/common.ts';
import { CandorError, NotFound } from '../errors.ts';
import { agentLimitId, agentVmLimitId } from '../limits/model.ts';
import { admitWaiting } from '../limits/next.ts';
import { foreignCursor } from '../lists.ts';
import { liveRunsOf } from '../live.ts';
import type { Ports } from '../ports.ts';
import { byteLength, checkMetadata, type Precondition, requireVersion } from '../rules.ts';
import { cancelForDelete } from '../runs/cancelForDelete.ts';
import { appendEvent } from '../runs/events.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { AGENT_NAME_PREFIX, SCHEDULE_NAME_PREFIX } from '../table/keys.ts';
import { absent, eq, guard, type Write } from '../table/model.ts';
import { asItem, asRow, asValue, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import { letGoOfFormer } from '../vms/makeRoom.ts';
import { agentBody } from './body.ts';
import { type AgentDefinition, type AgentRow, type AgentVersionRow, OPTIONAL_PARTS, optionalParts } from './model.ts';
import { checkNewSecrets } from './secretRefs.ts';

export interface PrincipalCaller extends Reach {
  readonly principalId: string;
  /** The key that was shown, where it opens less than its account may. */
  readonly cutBy?: string;
}

/** A reserved name: unique among live siblings, and the list of them. */
export interface NameRow extends RowBase {
  readonly id: string;
}

const nameRow = (tenantId: string, name: string, id: string): NameRow => ({
  ...keys.agentName(tenantId, name),
  schemaVersion: SCHEMA_VERSION,
  tenantId,
  id,
});

const definitionOf = (source: AgentDefinition): AgentDefinition => ({
  kind: source.kind,
  command: source.command,
  ...optionalParts(source),
});

const versionRow = (agent: AgentRow): AgentVersionRow => ({
  ...keys.agentVersion(agent.id, agent.version),
  schemaVersion: SCHEMA_VERSION,
  tenantId: agent.tenantId,
  version: agent.version,
  ...definitionOf(agent),
});

const nameTaken = (name: string) =>
  new CandorError('name_taken', `Another agent is called "${name}".`, {
    remedy: 'Choose another name, or rename or delete the other agent.',
    errors: [{ pointer: '/name', message: 'is taken by another agent' }],
  });

/** @throws CandorError `name_taken` */
export async function createAgent(ports: Ports, caller: PrincipalCaller, request: AgentCreate): Promise<AgentBody> {
  checkMetadata(ports.config, request.metadata);
  checkDefinitionSize(request);
  const now = ports.time.now();
  const id = ports.ids.next('agt_', now);
  const agent: AgentRow = {
    ...keys.agent(id),
    schemaVersion: SCHEMA_VERSION,
    tenantId: caller.tenantId,
    id,
    name: request.name,
    status: 'active',
    ...definitionOf(request as AgentDefinition),
    ...(request.metadata !== undefined && { metadata: request.metadata }),
    version: 1,
    scheduleCount: 0,
    createdBy: caller.principalId,
    createdAt: now,
    updatedAt: now,
  };
  return commit<AgentBody>(ports, async (writer) => {
    const name = keys.agentName(caller.tenantId, request.name);
    if ((await ports.store.get(name)) !== undefined) throw nameTaken(request.name);
    const event = changeEvent(ports, agent, 'agent.created', caller, now, writer);
    return {
      writes: [
        { kind: 'put', item: asItem(agent), guards: [guard('agent.createdOnce', absent)] },
        { kind: 'put', item: asItem(versionRow(agent)), guards: [guard('agent.versionOnce', absent)] },
        {
          kind: 'put',
          item: asItem(nameRow(caller.tenantId, request.name, id)),
          guards: [guard('agent.nameFree', absent)],
        },
        event,
      ],
      proof: keys.agentEvent(id, 1),
      result: agentBody(agent, now),
    };
  });
}

const MAX_DEFINITION_BYTES = 64 * 1024;
function checkDefinitionSize(request: object): void {
  const size = byteLength(request);
  if (size > MAX_DEFINITION_BYTES)
    throw new CandorError('invalid_request', `The agent has ${size} bytes, the limit is ${MAX_DEFINITION_BYTES}.`, {
      remedy: 'Put long scripts into a file that the command reads.',
      errors: [
        { pointer: '/command', message: `command and env together may have at most ${MAX_DEFINITION_BYTES} bytes` },
      ],
    });
}

const changeEvent = (
  ports: Ports,
  agent: AgentRow,
  type: string,
  caller: PrincipalCaller,
  now: number,
  writer: string,
  more: Readonly<Record<string, Json>> = {},
): Write =>
  appendEvent(ports.config, {
    tenantId: agent.tenantId,
    subject: 'agent',
    subjectId: agent.id,
    sequence: agent.version,
    type,
    at: now,
    status: agent.status,
    detail: { by: caller.principalId, name: agent.name, ...more },
    writer,
  });

/** @throws NotFound for what is absent, deleted or not seen; CandorError `forbidden` */
export async function loadAgent(ports: Ports, caller: Reach, agentId: string): Promise<AgentRow> {
  const agent = asRow<AgentRow>(await ports.store.get(keys.agent(agentId)));
  if (agent === undefined || agent.status === 'deleted') throw new NotFound('agent', agentId);
  reached(caller, { tenantId: agent.tenantId, agentId }, 'agent', agentId);
  return agent;
}

export async function getAgent(ports: Ports, caller: PrincipalCaller, agentId: string): Promise<AgentBody> {
  return agentBody(await loadAgent(ports, caller, agentId), ports.time.now());
}

export async function listAgents(
  ports: Ports,
  caller: PrincipalCaller,
  query: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<ListBody<AgentBody>> {
  const own = caller.asked === undefined || caller.asked.role !== undefined ? undefined : caller.asked.agents;
  if (own !== undefined) return listOwn(ports, caller, Object.keys(own), query);
  const page = await ports.store.query({
    pk: `TEN#${caller.tenantId}`,
    prefix: AGENT_NAME_PREFIX,
    limit: query.limit,
    ...(query.cursor !== undefined && { after: query.cursor }),
  });
  const names = page.items.map((item) => asRow<NameRow>(item)).filter((row) => row !== undefined);
  const rows = await ports.store.getMany(names.map((row) => keys.agent(row.id)));
  const now = ports.time.now();
  const agents = rows
    .map((item) => asRow<AgentRow>(item))
    .filter((row) => row !== undefined)
    .filter(({ tenantId, id }) => isSeen(caller, { tenantId, agentId: id }));
  return {
    items: agents.map((agent) => agentBody(agent, now)),
    ...(page.next !== undefined && { nextCursor: page.next }),
    asOf: isoTime(now),
  };
}

/** For who sees single agents only: a page of all names would end at one that it does not see, and its cursor tell it. */
async function listOwn(
  ports: Ports,
  caller: PrincipalCaller,
  ids: readonly string[],
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<ListBody<AgentBody>> {
  const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString('utf8');
  if (cursor !== undefined && !after.startsWith(AGENT_NAME_PREFIX)) throw foreignCursor();
  const placeOf = ({ tenantId, name }: AgentRow) => keys.agentName(tenantId, name).sk;
  const rows = (await ports.store.getMany(ids.map(keys.agent)))
    .map((item) => asRow<AgentRow>(item))
    .filter((row) => row !== undefined)
    .filter((row) => row.status === 'active' && isSeen(caller, { tenantId: row.tenantId, agentId: row.id }))
    .sort((left, right) => (placeOf(left) < placeOf(right) ? -1 : 1))
    .filter((row) => placeOf(row) > after);
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const now = ports.time.now();
  return {
    items: shown.map((agent) => agentBody(agent, now)),
    ...(last !== undefined && { nextCursor: Buffer.from(placeOf(last)).toString('base64url') }),
    asOf: isoTime(now),
  };
}

/** @throws VersionConflict when If-Match names another version */
export async function patchAgent(
  ports: Ports,
  caller: PrincipalCaller,
  agentId: string,
  patch: AgentPatch,
  precondition: Precondition,
): Promise<AgentBody> {
  checkMetadata(ports.config, patch.metadata ?? undefined);
  const agent = await commitPatch(ports, caller, agentId, patch, precondition);
  // A raised limit lets in who waits; the watchdog does it where this is cut short.
  for (const limitId of patch.limits === undefined ? [] : [agentLimitId(agentId), agentVmLimitId(agentId)])
    await admitWaiting(ports, limitId).catch((error: unknown) =>
      ports.log.warn('agent.waiting_not_admitted', { agentId, error: String(error) }),
    );
  await letGoOfFormer(ports, agentId, agent.version).catch((error: unknown) =>
    ports.log.warn('agent.former_vms_not_let_go', { agentId, error: String(error) }),
  );
  return agent;
}

function commitPatch(
  ports: Ports,
  caller: PrincipalCaller,
  agentId: string,
  patch: AgentPatch,
  precondition: Precondition,
): Promise<AgentBody> {
  return commit<AgentBody>(ports, async (writer) => {
    const agent = await loadAgent(ports, caller, agentId);
    requireVersion('agent', agent.id, agent.version, precondition);
    const now = ports.time.now();
    const after = patched(agent, patch, now);
    checkDefinitionSize(definitionOf(after));
    checkNewSecrets(caller, agent, after);
    const renames = keys.agentName(agent.tenantId, after.name).sk !== keys.agentName(agent.tenantId, agent.name).sk;
    if (renames && (await ports.store.get(keys.agentName(agent.tenantId, after.name))) !== undefined)
      throw nameTaken(after.name);
    const writes: Write[] = [
      {
        kind: 'update',
        key: keys.agent(agent.id),
        set: {
          name: after.name,
          command: after.command,
          ...Object.fromEntries(OPTIONAL_PARTS.map((part) => [part, asValue(after[part])])),
          metadata: after.metadata,
          version: after.version,
          updatedAt: after.updatedAt,
        },
        guards: [guard('agent.unchanged', eq('version', agent.version))],
      },
      { kind: 'put', item: asItem(versionRow(after)), guards: [guard('agent.versionOnce', absent)] },
      changeEvent(ports, after, 'agent.changed', caller, now, writer),
    ];
    if (renames) {
      writes.push({
        kind: 'delete',
        key: keys.agentName(agent.tenantId, agent.name),
        guards: [guard('agent.nameOurs', eq('id', agent.id))],
      });
      writes.push({
        kind: 'put',
        item: asItem(nameRow(agent.tenantId, after.name, agent.id)),
        guards: [guard('agent.nameFree', absent)],
      });
    }
    return { writes, proof: keys.agentEvent(agentId, after.version), result: agentBody(after, now) };
  });
}

/** A patch laid over a row: `undefined` leaves a field, `null` takes an optional one away. */
export function overlay<T>(present: T | undefined, change: T | null | undefined): T | undefined {
  if (change === undefined) return present;
  return change ?? undefined;
}

function patched(agent: AgentRow, patch: AgentPatch, now: number): AgentRow {
  const { metadata: _, ...rest } = agent;
  const kept = Object.fromEntries(Object.entries(rest).filter(([name]) => !isOptionalPart(name))) as typeof rest;
  const parts = Object.fromEntries(
    OPTIONAL_PARTS.map((part) => [part, overlay<unknown>(agent[part], patch[part])]),
  ) as Partial<AgentDefinition>;
  const metadata = overlay(agent.metadata, patch.metadata);
  return {
    ...kept,
    name: patch.name ?? agent.name,
    command: patch.command ?? agent.command,
    ...optionalParts(parts),
    ...(metadata !== undefined && { metadata }),
    version: agent.version + 1,
    updatedAt: now,
  };
}

const isOptionalPart = (name: string): boolean => (OPTIONAL_PARTS as readonly string[]).includes(name);

/**
 * @throws CandorError `live_schedules` or `live_runs`, naming them, unless the runs are to be cancelled with it
 */
export async function deleteAgent(
  ports: Ports,
  caller: PrincipalCaller,
  agentId: string,
  precondition: Precondition,
  options: { readonly cancelRuns: boolean },
): Promise<void> {
  const agent = await loadAgent(ports, caller, agentId);
  requireVersion('agent', agent.id, agent.version, precondition);
  await refuseLiveSchedules(ports, agent);
  const live = await liveRunsOf(ports, agentId);
  if (live.length > 0 && !options.cancelRuns)
    throw new CandorError('live_runs', `Agent ${agentId} has ${live.length} live runs.`, {
      remedy: 'Wait until they have ended, cancel them, or delete with ?cancelRuns=true.',
      facts: {
        runs: live.slice(0, NAMED_RUNS_MAX).map((run) => ({ runId: run.id, status: run.status })),
        runCount: live.length,
      },
    });
  await commit<void>(ports, async (writer) => {
    const row = await loadAgent(ports, caller, agentId);
    requireVersion('agent', row.id, row.version, precondition);
    if (row.scheduleCount > 0) await refuseLiveSchedules(ports, row);
    const now = ports.time.now();
    const after: AgentRow = { ...row, status: 'deleted', version: row.version + 1, updatedAt: now };
    return {
      writes: [
        {
          kind: 'update',
          key: keys.agent(agentId),
          set: { status: 'deleted', version: after.version, updatedAt: now },
          guards: [
            guard('agent.unchanged', eq('version', row.version)),
            guard('agent.noSchedules', eq('scheduleCount', 0)),
          ],
        },
        {
          kind: 'delete',
          key: keys.agentName(row.tenantId, row.name),
          guards: [guard('agent.nameOurs', eq('id', row.id))],
        },
        changeEvent(ports, after, 'agent.deleted', caller, now, writer, { cancelRuns: options.cancelRuns }),
      ],
      proof: keys.agentEvent(agentId, after.version),
      result: undefined,
    };
  });
  if (!options.cancelRuns) return;
  const rest = (await liveRunsOf(ports, agentId)).slice(0, CANCELLED_AT_ONCE);
  // The delete stands: what goes wrong here, or is too much for one request, is done by the fan-out of its event.
  await cancelForDelete(ports, rest, caller.principalId).catch((error: unknown) =>
    ports.log.warn('agent.runs_not_cancelled', { agentId, error: String(error) }),
  );
}

/** In the request itself; of more runs the caller would wait too long for the answer. */
const CANCELLED_AT_ONCE = 100;
/** A refusal names so many of what is in the way. */
const NAMED_RUNS_MAX = 20;

async function refuseLiveSchedules(ports: Ports, agent: AgentRow): Promise<void> {
  if (agent.scheduleCount === 0) return;
  const page = await ports.store.query({ pk: keys.agent(agent.id).pk, prefix: SCHEDULE_NAME_PREFIX, limit: 20 });
  throw new CandorError('live_schedules', `Agent ${agent.id} has ${agent.scheduleCount} schedules.`, {
    remedy: 'Delete its schedules first.',
    facts: { schedules: page.items.map((item) => item.id ?? null), scheduleCount: agent.scheduleCount },
  });
}
