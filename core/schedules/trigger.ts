/** Trigger: a run of a schedule by hand. */
import type { AgentRow } from '../agents/model.ts';
import type { PrincipalCaller } from '../agents/service.ts';
import { isoSecond, type Json } from '../contract/common.ts';
import type { RunBody } from '../contract/runs.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { checkInput, honourVersion, type Precondition } from '../rules.ts';
import { runBody } from '../runs/body.ts';
import { evidence } from '../runs/change.ts';
import { newRun, runCreation } from '../runs/create.ts';
import type { RunRow } from '../runs/model.ts';
import { payloadRow } from '../runs/payload.ts';
import { placeOrLeave } from '../runs/place.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import type { Write } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import { illegal } from './actions.ts';
import type { Displacement } from './decide.ts';
import { displaceOrLeave } from './displace.ts';
import { liveChange } from './liveChange.ts';
import type { ScheduleRow } from './model.ts';
import { loadLiveSchedule } from './service.ts';

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
  const { run, displaces } = await commit<{ readonly run: RunRow; readonly displaces?: Displacement | undefined }>(
    ports,
    async (writer) => {
      const schedule = await loadLiveSchedule(ports, caller, scheduleId);
      honourVersion('schedule', scheduleId, schedule.version, precondition);
      const agent = asRow<AgentRow>(await ports.store.get(keys.agent(schedule.agentId)));
      if (agent === undefined || agent.status !== 'active') throw illegal(schedule, 'triggered: its agent is gone');
      refuseOverlap(ports, schedule);
      const now = ports.time.now();
      const displaces = displacement(schedule);
      const part = {
        liveRuns: [...schedule.liveRuns, runId],
        ...(displaces !== undefined && { waitingRuns: [...schedule.waitingRuns, runId] }),
      };
      const created = triggeredRun(ports, schedule, agent, runId, request.input !== undefined, caller, now, displaces);
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
        ...liveChange(ports, schedule, part, { now, writer, guardName: 'trigger' }),
      ];
      if (request.input !== undefined) writes.push(inputWrite(schedule.tenantId, runId, request.input));
      return { writes, proof: keys.runEvent(runId, 1), result: { run: created, displaces } };
    },
  );
  if (displaces === undefined) await placeOrLeave(ports, run);
  else await displaceOrLeave(ports, run, displaces);
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
  displaces: Displacement | undefined,
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
      cutBy: caller.cutBy,
      ...(displaces !== undefined && { waitsFor: displaces }),
      evidence: evidence('api', now, `${caller.principalId} triggered it`),
    },
    now,
  );
}

/** skip and the buffering policies forbid a second run by hand: it stands in no occurrence that could wait. */
function refuseOverlap(ports: Ports, schedule: ScheduleRow): void {
  const [blocking] = schedule.liveRuns;
  const full = schedule.liveRuns.length >= ports.config.maxLiveRunsPerSchedule;
  const forbids = ['skip', 'buffer_one', 'buffer_all'].includes(schedule.overlapPolicy);
  if (blocking === undefined || (!forbids && !full)) return;
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

function displacement(schedule: ScheduleRow): Displacement | undefined {
  const { overlapPolicy, liveRuns } = schedule;
  if (liveRuns.length === 0) return undefined;
  if (overlapPolicy === 'cancel_other') return { runIds: liveRuns, how: 'cancel' };
  return overlapPolicy === 'terminate_other' ? { runIds: liveRuns, how: 'terminate' } : undefined;
}
