/** Create, read and edit schedules. Pausing, triggering and deleting are in `actions.ts`. */

import { isSeen, type Reach, reached } from '../access/grants.ts';
import type { AgentRow } from '../agents/model.ts';
import { loadAgent, type NameRow, type PrincipalCaller } from '../agents/service.ts';
import { isoTime, type Json, type ListBody } from '../contract/common.ts';
import type { ScheduleBody, ScheduleCreate, SchedulePatch } from '../contract/schedules.ts';
import { CandorError, InvalidRequest, NotFound } from '../errors.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import { checkInput, checkMetadata, type Precondition, requireVersion } from '../rules.ts';
import { appendEvent } from '../runs/events.ts';
import type { PayloadRow } from '../runs/model.ts';
import { payloadOf, payloadRow } from '../runs/payload.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { LIST_SHARDS, lists, SCHEDULE_NAME_PREFIX, shardOf } from '../table/keys.ts';
import { absent, eq, guard, type Write } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { scheduleBody } from './body.ts';
import { acceptCadence, refuseUnconfirmed, sameFields } from './cadenceRequest.ts';
import { changeSchedule, revisionRow } from './change.ts';
import { derivedOf } from './check.ts';
import { type SyncResult, syncClock } from './clockSync.ts';
import { deletionWrites } from './deletion.ts';
import type { Revision, ScheduleRow, Window } from './model.ts';
import { patchedSchedule } from './patch.ts';
import { withheldRange } from './withheld.ts';

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

const nameTaken = (name: string) =>
  new CandorError('name_taken', `Another schedule of this agent is called "${name}".`, {
    remedy: 'Choose another name, or rename or delete the other schedule.',
    errors: [{ pointer: '/name', message: 'is taken by another schedule of this agent' }],
  });

const nameRow = (schedule: ScheduleRow): NameRow => ({
  ...keys.scheduleName(schedule.agentId, schedule.name),
  schemaVersion: SCHEMA_VERSION,
  tenantId: schedule.tenantId,
  id: schedule.id,
});

const inputRow = (schedule: ScheduleRow, input: Json): PayloadRow =>
  payloadRow(keys.scheduleInput(schedule.id, schedule.inputVersion), schedule.tenantId, input);

/** @throws InvalidRequest, NotFound for the agent, CandorError `name_taken` */
export async function createSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  agentId: string,
  request: ScheduleCreate,
): Promise<ScheduleBody> {
  checkInput(ports.config, request.input);
  checkMetadata(ports.config, request.metadata);
  const now = ports.time.now();
  const agent = await loadAgent(ports, caller, agentId);
  const schedule = newSchedule(ports, caller, agent, request, now);
  await commit<void>(ports, async (writer) => {
    const name = nameRow(schedule);
    if ((await ports.store.get(name)) !== undefined) throw nameTaken(request.name);
    // The agent may have been deleted since it was read.
    await loadAgent(ports, caller, agentId);
    return {
      writes: [
        { kind: 'put', item: asItem(schedule), guards: [guard('schedule.createdOnce', absent)] },
        { kind: 'put', item: asItem(inputRow(schedule, request.input)) },
        { kind: 'put', item: asItem(name), guards: [guard('schedule.nameFree', absent)] },
        {
          kind: 'update',
          key: keys.agent(agentId),
          add: { scheduleCount: 1 },
          guards: [guard('schedule.agentActive', eq('status', 'active'))],
        },
        revisionRow(schedule),
        createdEvent(ports, schedule, now, writer),
      ],
      proof: keys.scheduleEvent(schedule.id, 1),
      result: undefined,
    };
  });
  const synced = await syncClock(ports, schedule.id);
  if (synced.status === 'rejected') await discard(ports, caller, schedule.id);
  refuseRejected(synced);
  return getSchedule(ports, caller, schedule.id);
}

/** A schedule whose clock will not have it was never in service: it is taken back, and its name is free. */
function discard(ports: Ports, caller: PrincipalCaller, scheduleId: string): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const schedule = await loadSchedule(ports, caller, scheduleId);
    if (schedule.status === 'deleted' || schedule.status === 'deleting') return { done: undefined };
    return {
      writes: deletionWrites(ports, schedule, caller.principalId, ports.time.now(), writer),
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
}

/** @throws InvalidRequest with what the clock said */
export function refuseRejected(result: SyncResult): void {
  if (result.status !== 'rejected') return;
  const stands =
    result.now === 'paused'
      ? 'the schedule is paused'
      : 'its times were put back to those that the clock took; other fields of the change stand';
  throw new InvalidRequest(
    `The clock refuses this; ${stands}.`,
    [{ pointer: '/cadence', message: result.problem }],
    'Change the cadence, the window or the flexible window as the message says.',
  );
}

const createdEvent = (ports: Ports, schedule: ScheduleRow, now: number, writer: string): Write =>
  appendEvent(ports.config, {
    tenantId: schedule.tenantId,
    subject: 'schedule',
    subjectId: schedule.id,
    sequence: 1,
    type: 'schedule.created',
    at: now,
    status: schedule.status,
    detail: { by: schedule.createdBy, name: schedule.name },
    writer,
  });

function newSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  agent: AgentRow,
  request: ScheduleCreate,
  now: number,
): ScheduleRow {
  const window = request.window as Window | undefined;
  const cadence = acceptCadence(request.cadence, window, now);
  refuseUnconfirmed(cadence, ports.config.confirmFiresPerDay, request.confirmFrequency);
  const id = ports.ids.next('sch_', now);
  const revision: Revision = {
    specVersion: 1,
    // What falls on the very instant of the creation is not expected: nobody could have seen it coming.
    from: now + 1,
    active: !request.paused,
    cadence,
    ...(window !== undefined && { window }),
    by: caller.principalId,
  };
  const row: ScheduleRow = {
    ...keys.schedule(id),
    schemaVersion: SCHEMA_VERSION,
    tenantId: caller.tenantId,
    id,
    agentId: agent.id,
    name: request.name,
    status: request.paused ? 'paused' : 'active',
    ...(request.paused && { pause: { kind: 'user', reason: 'created paused', by: caller.principalId, at: now } }),
    cadence,
    ...(window !== undefined && { window }),
    overlapPolicy: request.overlapPolicy,
    ...(request.catchupWindow !== undefined && { catchupWindowSeconds: request.catchupWindow }),
    ...(request.flexibleWindow !== undefined && { flexibleWindowSeconds: request.flexibleWindow }),
    ...(request.pauseOnFailure !== undefined && { pauseOnFailure: request.pauseOnFailure }),
    failureStreak: 0,
    ...(request.remainingRuns !== undefined && { remainingRuns: request.remainingRuns }),
    inputVersion: 1,
    ...(request.overrides !== undefined && { overrides: request.overrides as NonNullable<ScheduleRow['overrides']> }),
    ...(request.metadata !== undefined && { metadata: request.metadata }),
    version: 1,
    specVersion: 1,
    liveSeq: 0,
    revisions: [revision],
    decidedThrough: now,
    settledThrough: now,
    liveRuns: [],
    waitingRuns: [],
    buffer: [],
    skips: [],
    clock: { status: 'pending', specVersion: 0 },
    createdBy: caller.principalId,
    ...(caller.cutBy !== undefined && { cutBy: caller.cutBy }),
    createdAt: now,
    updatedAt: now,
    listIn: lists.schedules(caller.tenantId, shardOf(id, LIST_SHARDS)),
    listAt: id,
  };
  return { ...row, ...derivedOf(ports.config, row, now) } as ScheduleRow;
}

/** @throws NotFound for what is absent or not seen; CandorError `forbidden` */
export async function loadSchedule(ports: Ports, caller: Reach, scheduleId: string): Promise<ScheduleRow> {
  const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
  return reached(caller, schedule, 'schedule', scheduleId);
}

/** As {@link loadSchedule}, but a deleted one is not there to be changed. */
export async function loadLiveSchedule(ports: Ports, caller: Reach, scheduleId: string): Promise<ScheduleRow> {
  const schedule = await loadSchedule(ports, caller, scheduleId);
  if (schedule.status === 'deleted' || schedule.status === 'deleting') throw new NotFound('schedule', scheduleId);
  return schedule;
}

export async function bodyOf(ports: Ports, schedule: ScheduleRow): Promise<ScheduleBody> {
  const [body] = await bodiesOf(ports, [schedule]);
  if (body === undefined) throw new NotFound('schedule', schedule.id);
  return body;
}

async function bodiesOf(ports: Ports, schedules: readonly ScheduleRow[]): Promise<readonly ScheduleBody[]> {
  const inputs = await ports.store.getMany(schedules.map((each) => keys.scheduleInput(each.id, each.inputVersion)));
  const now = ports.time.now();
  return schedules.map((schedule, index) =>
    scheduleBody(ports.config, schedule, payloadOf(inputs[index]) ?? null, now),
  );
}

/** A deleted schedule stays readable by its id, with the status `deleted`. */
export async function getSchedule(ports: Ports, caller: Reach, scheduleId: string): Promise<ScheduleBody> {
  return bodyOf(ports, await loadSchedule(ports, caller, scheduleId));
}

export async function listAgentSchedules(
  ports: Ports,
  caller: Reach,
  agentId: string,
  page: PageRequest,
): Promise<ListBody<ScheduleBody>> {
  await loadAgent(ports, caller, agentId);
  const names = await ports.store.query({
    pk: keys.agent(agentId).pk,
    prefix: SCHEDULE_NAME_PREFIX,
    limit: page.limit,
    ...(page.cursor !== undefined && { after: page.cursor }),
  });
  const ids = names.items.map((item) => asRow<NameRow>(item)).filter((row) => row !== undefined);
  const rows = await ports.store.getMany(ids.map((row) => keys.schedule(row.id)));
  const schedules = rows.map((item) => asRow<ScheduleRow>(item)).filter((row) => row !== undefined);
  return {
    items: await bodiesOf(ports, schedules),
    ...(names.next !== undefined && { nextCursor: names.next }),
    asOf: isoTime(ports.time.now()),
  };
}

export async function listSchedules(ports: Ports, caller: Reach, page: PageRequest): Promise<ListBody<ScheduleBody>> {
  const partitions = Array.from({ length: LIST_SHARDS }, (_, shard) => lists.schedules(caller.tenantId, shard));
  // As in the agent's list: what is being deleted is readable by its id.
  const keep = (row: ScheduleRow) => isSeen(caller, row) && row.status !== 'deleted' && row.status !== 'deleting';
  const found = await mergedPage<ScheduleRow>(ports, partitions, page, keep);
  return {
    items: await bodiesOf(ports, found.rows),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(ports.time.now()),
  };
}

/** @throws CandorError `name_taken` */
export async function refuseTakenName(ports: Ports, schedule: ScheduleRow, after: ScheduleRow): Promise<void> {
  const name = nameRow(after);
  if (name.sk !== nameRow(schedule).sk && (await ports.store.get(name)) !== undefined) throw nameTaken(after.name);
}

/** @throws VersionConflict, InvalidRequest, CandorError `name_taken`, NotFound */
export async function patchSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  request: SchedulePatch,
  precondition: Precondition,
): Promise<ScheduleBody> {
  const { confirmFrequency = false, ...patch } = request;
  if (patch.input !== undefined) checkInput(ports.config, patch.input);
  checkMetadata(ports.config, patch.metadata ?? undefined);
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller, scheduleId);
    requireVersion('schedule', schedule.id, schedule.version, precondition);
    const now = ports.time.now();
    const after = patchedSchedule(schedule, patch, caller.principalId, now);
    if (!sameFields(after.cadence, schedule.cadence))
      refuseUnconfirmed(after.cadence, ports.config.confirmFiresPerDay, confirmFrequency);
    const writes: Write[] = [
      ...changeSchedule(
        ports,
        schedule,
        { type: 'schedule.changed', after, by: caller.principalId, detail: { fields: Object.keys(patch) } },
        now,
        writer,
      ),
    ];
    if (schedule.status === 'completed' && after.status === 'active')
      writes.push(...withheldRange(schedule, 'completed', now, writer));
    if (patch.input !== undefined) writes.push({ kind: 'put', item: asItem(inputRow(after, patch.input)) });
    const oldName = nameRow(schedule);
    const newName = nameRow(after);
    if (oldName.sk !== newName.sk) {
      await refuseTakenName(ports, schedule, after);
      writes.push({
        kind: 'delete',
        key: { pk: oldName.pk, sk: oldName.sk },
        guards: [guard('schedule.nameOurs', eq('id', scheduleId))],
      });
      writes.push({ kind: 'put', item: asItem(newName), guards: [guard('schedule.nameFree', absent)] });
    }
    return { writes, proof: keys.scheduleEvent(scheduleId, schedule.version + 1), result: undefined };
  });
  refuseRejected(await syncClock(ports, scheduleId));
  return getSchedule(ports, caller, scheduleId);
}
