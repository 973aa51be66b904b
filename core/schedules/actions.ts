/** Pause, resume, trigger, delete. Idempotent without If-Match; with it, a stale version is refused. */
import type { AgentRow } from '../agents/model.ts';
import type { PrincipalCaller } from '../agents/service.ts';
import { isoSecond, type Json } from '../contract/common.ts';
import type { RunBody } from '../contract/runs.ts';
import type { ScheduleBody } from '../contract/schedules.ts';
import { CandorError, InvalidRequest } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { checkInput, honourVersion, type Precondition, requireVersion } from '../rules.ts';
import { cancelRun } from '../runs/cancel.ts';
import { evidence } from '../runs/change.ts';
import { newRun, runCreation } from '../runs/create.ts';
import type { RunRow } from '../runs/model.ts';
import { payloadRow } from '../runs/payload.ts';
import { placeRun } from '../runs/place.ts';
import { runBody } from '../runs/service.ts';
import { commit } from '../table/commit.ts';
import { keys } from '../table/keys.ts';
import { absent, eq, guard, type Write } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import { changeSchedule, revised } from './change.ts';
import { syncClock } from './clockSync.ts';
import { nextExpected, nextWithheld } from './expected.ts';
import type { OccurrenceRow, ScheduleRow } from './model.ts';
import { bodyOf, loadLiveSchedule, loadSchedule } from './service.ts';

/** Nothing is dispatched after this has been acknowledged, whatever is on its way (I4). */
export async function pauseSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  reason: string,
  precondition: Precondition,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.status === 'paused') return { done: undefined };
    if (schedule.status !== 'active') throw illegal(schedule, 'paused');
    const now = ports.time.now();
    const after: ScheduleRow = {
      ...revised(schedule, revisionOf(schedule, now, false, caller)),
      status: 'paused',
      pause: { kind: 'user', reason, by: caller.principalId, at: now },
    };
    return {
      writes: changeSchedule(
        ports,
        schedule,
        { type: 'schedule.paused', after, by: caller.principalId, detail: { reason } },
        now,
        writer,
      ),
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
  await syncClock(ports, scheduleId);
  return bodyOf(ports, await loadSchedule(ports, caller.tenantId, scheduleId));
}

/** Takes effect from now: what fell into the pause is recorded as one skipped range and never fires. */
export async function resumeSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  precondition: Precondition,
): Promise<ScheduleBody> {
  await commit<void>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.status === 'active') return { done: undefined };
    if (schedule.status !== 'paused') throw illegal(schedule, 'resumed');
    const now = ports.time.now();
    const { pause, ...unpaused } = schedule;
    const after: ScheduleRow = { ...revised(unpaused, revisionOf(schedule, now, true, caller)), status: 'active' };
    if (nextExpected(after, now) === undefined)
      throw new InvalidRequest('Nothing is left to resume: the schedule has no future occurrence.', [
        { pointer: '/cadence', message: 'has no occurrence after now; change it first' },
      ]);
    const range = pausedRange(schedule, now, writer);
    return {
      writes: [
        ...changeSchedule(
          ports,
          schedule,
          {
            type: 'schedule.resumed',
            after,
            by: caller.principalId,
            detail: { pausedSince: pause === undefined ? null : isoSecond(pause.at) },
          },
          now,
          writer,
        ),
        ...(range === undefined
          ? []
          : [{ kind: 'put', item: asItem(range), guards: [guard('resume.rangeOnce', absent)] } as const]),
      ],
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: undefined,
    };
  });
  await syncClock(ports, scheduleId);
  return bodyOf(ports, await loadSchedule(ports, caller.tenantId, scheduleId));
}

const revisionOf = (schedule: ScheduleRow, now: number, active: boolean, caller: PrincipalCaller) => ({
  from: now,
  active,
  cadence: schedule.cadence,
  ...(schedule.window !== undefined && { window: schedule.window }),
  by: caller.principalId,
});

/** A pause of years with a minutely cadence is counted up to here, and said to be at least as many. */
const RANGE_COUNT_LIMIT = 100_000;

function pausedRange(schedule: ScheduleRow, now: number, writer: string): OccurrenceRow | undefined {
  const first = nextWithheld(schedule, schedule.pause?.at ?? schedule.settledThrough);
  if (first === undefined || first >= now) return undefined;
  let through = first;
  let count = 1;
  for (; count < RANGE_COUNT_LIMIT; count++) {
    const next = nextWithheld(schedule, through);
    if (next === undefined || next >= now) break;
    through = next;
  }
  const more = count === RANGE_COUNT_LIMIT ? ' (and more: counting stopped here)' : '';
  return {
    ...keys.occurrence(schedule.id, first),
    schemaVersion: SCHEMA_VERSION,
    tenantId: schedule.tenantId,
    scheduleId: schedule.id,
    at: first,
    ...(count > 1 && { through, count }),
    disposition: 'skipped',
    reason: 'paused',
    specVersion: schedule.specVersion,
    decidedAt: now,
    evidence: evidence('resume', now, `${count} occurrences fell into the pause${more}`),
    writer,
  };
}

const illegal = (schedule: ScheduleRow, action: string) =>
  new CandorError('illegal_transition', `Schedule ${schedule.id} is ${schedule.status}, so it cannot be ${action}.`, {
    remedy:
      schedule.status === 'completed'
        ? 'Give it a cadence or window with a future occurrence first.'
        : 'Read the schedule again.',
    facts: { currentStatus: schedule.status },
  });

/** A run that stands in no occurrence (I11): the ledger's neighbour, so that a schedule's runs are one query. */
export interface ScheduleRunRow extends RowBase {
  readonly scheduleId: string;
  readonly runId: string;
  readonly at: number;
}

/**
 * Runs now, by hand: never consumes an occurrence, and a paused schedule runs too, because this is explicit.
 * @throws CandorError `overlap` naming the blocking run
 */
export async function triggerSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  request: { readonly input?: Json | undefined },
  precondition: Precondition,
): Promise<RunBody> {
  if (request.input !== undefined) checkInput(ports.config, request.input);
  const createdAt = ports.time.now();
  const runId = ports.ids.next('run_', createdAt);
  const run = await commit<RunRow>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    honourVersion('schedule', scheduleId, schedule.version, precondition);
    const agent = asRow<AgentRow>(await ports.store.get(keys.agent(schedule.agentId)));
    if (agent === undefined || agent.status !== 'active') throw illegal(schedule, 'triggered: its agent is gone');
    refuseOverlap(ports, schedule);
    const now = ports.time.now();
    const created = triggeredRun(ports, schedule, agent, runId, request.input !== undefined, caller, now);
    const link: ScheduleRunRow = {
      ...keys.scheduleRun(scheduleId, runId),
      schemaVersion: SCHEMA_VERSION,
      tenantId: schedule.tenantId,
      scheduleId,
      runId,
      at: now,
    };
    const writes: Write[] = [
      ...runCreation(ports.config, created, writer),
      { kind: 'put', item: asItem(link) },
      {
        kind: 'update',
        key: keys.schedule(scheduleId),
        set: { liveRuns: [...schedule.liveRuns, runId], liveSeq: schedule.liveSeq + 1 },
        guards: [
          guard('trigger.scheduleUnchanged', eq('version', schedule.version)),
          guard('trigger.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
        ],
      },
    ];
    if (request.input !== undefined) writes.push(inputWrite(schedule.tenantId, runId, request.input));
    return { writes, proof: keys.runEvent(runId, 1), result: created };
  });
  await placeRun(ports, run);
  return runBody(ports, run);
}

export const inputWrite = (tenantId: string, runId: string, input: Json): Write => ({
  kind: 'put',
  item: asItem(payloadRow(keys.runInput(runId), tenantId, input)),
});

function triggeredRun(
  ports: Ports,
  schedule: ScheduleRow,
  agent: AgentRow,
  runId: string,
  ownInput: boolean,
  caller: PrincipalCaller,
  now: number,
): RunRow {
  return newRun(
    ports.config,
    {
      id: runId,
      agent,
      trigger: { kind: 'trigger', by: caller.principalId },
      displayName: `${schedule.name} · triggered ${isoSecond(Math.floor(now / 1000) * 1000)}`,
      inputKey: ownInput ? keys.runInput(runId) : keys.scheduleInput(schedule.id, schedule.inputVersion),
      overrides: schedule.overrides,
      scheduleId: schedule.id,
      evidence: evidence('api', now, `${caller.principalId} triggered it`),
    },
    now,
  );
}

function refuseOverlap(ports: Ports, schedule: ScheduleRow): void {
  const [blocking] = schedule.liveRuns;
  const full = schedule.liveRuns.length >= ports.config.maxLiveRunsPerSchedule;
  if (blocking === undefined || (schedule.overlapPolicy !== 'skip' && !full)) return;
  throw new CandorError(
    'overlap',
    full
      ? `Schedule ${schedule.id} has ${schedule.liveRuns.length} live runs.`
      : `Run ${blocking} of this schedule is live.`,
    {
      remedy: 'Wait until it has ended, cancel it, or set overlapPolicy to allow_all.',
      facts: { blockingRunId: blocking, liveRuns: schedule.liveRuns },
    },
  );
}

/**
 * @throws CandorError `live_runs` naming them, unless they are to be cancelled: then the schedule is `deleting` until the
 * last of them has ended
 */
export async function deleteSchedule(
  ports: Ports,
  caller: PrincipalCaller,
  scheduleId: string,
  precondition: Precondition,
  options: { readonly cancelRuns: boolean },
): Promise<'deleted' | 'deleting'> {
  const live = await commit<readonly string[]>(ports, async (writer) => {
    const schedule = await loadLiveSchedule(ports, caller.tenantId, scheduleId);
    requireVersion('schedule', scheduleId, schedule.version, precondition);
    if (schedule.liveRuns.length > 0 && !options.cancelRuns)
      throw new CandorError('live_runs', `Schedule ${scheduleId} has ${schedule.liveRuns.length} live runs.`, {
        remedy: 'Wait until they have ended, cancel them, or delete with ?cancelRuns=true.',
        facts: { runs: schedule.liveRuns.map((runId) => ({ runId })) },
      });
    const now = ports.time.now();
    const status = schedule.liveRuns.length === 0 ? ('deleted' as const) : ('deleting' as const);
    const after: ScheduleRow = { ...revised(schedule, revisionOf(schedule, now, false, caller)), status };
    return {
      writes: [
        ...changeSchedule(ports, schedule, { type: `schedule.${status}`, after, by: caller.principalId }, now, writer),
        // The name is free again at once; what happened stays readable by id.
        {
          kind: 'delete',
          key: keys.scheduleName(schedule.agentId, schedule.name),
          guards: [guard('schedule.nameOurs', eq('id', scheduleId))],
        },
        {
          kind: 'update',
          key: keys.agent(schedule.agentId),
          add: { scheduleCount: -1 },
          guards: [guard('schedule.agentCounts', { op: 'ge', attribute: 'scheduleCount', value: 1 })],
        },
      ],
      proof: keys.scheduleEvent(scheduleId, schedule.version + 1),
      result: schedule.liveRuns,
    };
  });
  await syncClock(ports, scheduleId);
  for (const runId of live)
    await cancelRun(ports, caller.tenantId, runId, {
      by: caller.principalId,
      reason: 'the schedule was deleted',
      cause: 'request',
    }).catch((error: unknown) => {
      // It ended by itself in between: then there is nothing to cancel.
      if (!(error instanceof CandorError && error.code === 'run_ended')) throw error;
    });
  return live.length === 0 ? 'deleted' : 'deleting';
}
