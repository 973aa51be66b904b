/** Interleavings around schedules, their fires and backfills; played in `guards.test.ts`. */
import { deleteAgent } from '../../core/agents/service.ts';
import { ScheduleCreate } from '../../core/contract/schedules.ts';
import { CandorError } from '../../core/errors.ts';
import type { Ports } from '../../core/ports.ts';
import { finishRun } from '../../core/runs/finish.ts';
import { listRuns } from '../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule } from '../../core/schedules/actions.ts';
import { advanceSchedule } from '../../core/schedules/advance.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../core/schedules/backfill.ts';
import { createSchedule, patchSchedule } from '../../core/schedules/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { MONDAY_NOON, type World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { buffering, FIRST, fireFirst, scheduled, trigger } from './schedules/support.ts';
import { afterRead, any, finishAs, interleaved, MINUTE, none, page, runRow, SECOND, scheduleRow } from './support.ts';

const remove = (ports: Ports, world: World, scheduleId: string) =>
  deleteSchedule(ports, world.caller, scheduleId, any, { cancelRuns: false });

async function liveRunsOf(world: World): Promise<number> {
  const found = await listRuns(world.ports, world.caller, { status: 'live' }, page);
  return found.items.length;
}

const verdict = (world: World) =>
  ({
    status: 'succeeded',
    evidence: { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' },
  }) as const;

/** A schedule with a backfill of two occurrences, neither of which has its run yet. */
async function backfilling(world: World) {
  const schedule = await scheduled(world);
  const blocking = await trigger(world.ports, world, schedule.id);
  const request = { from: MONDAY_NOON - 10 * MINUTE, to: MONDAY_NOON - 5 * MINUTE } as const;
  const more = { overlapPolicy: 'buffer_all', again: false } as const;
  const { backfillId } = await startBackfill(world.ports, world.caller, schedule.id, { ...request, ...more }, none);
  await finishAs(world, blocking.id);
  return { schedule, backfillId };
}

export const SCHEDULE_RACES: readonly Race[] = [
  {
    without: ['fire.scheduleUnchanged'],
    when: 'a pause is acknowledged between a fire’s read and its write',
    breaks: 'I4',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST + SECOND;
      const pause = () => pauseSchedule(world.ports, world.caller, schedule.id, '', none);
      await fireFirst(interleaved(world, pause), schedule.id);
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['fire.scheduleUnchanged'],
    when: 'a delete is acknowledged between a fire’s read and its write',
    breaks: 'I4',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST + SECOND;
      await fireFirst(
        interleaved(world, () => remove(world.ports, world, schedule.id)),
        schedule.id,
      );
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['fire.scheduleUnchanged'],
    when: 'an edit of the policy is acknowledged between a fire’s read and its write',
    breaks: 'I4',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST + SECOND;
      const edit = () => patchSchedule(world.ports, world.caller, schedule.id, { input: 'new' }, any);
      await fireFirst(interleaved(world, edit), schedule.id);
      const [run] = (await listRuns(world.ports, world.caller, {}, page)).items;
      return run?.input === 'new';
    },
  },
  {
    without: ['fire.liveSetUnchanged'],
    when: 'a trigger comes between a fire’s read and its write',
    breaks: 'I10: one live run under the policy skip',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST + SECOND;
      await fireFirst(
        interleaved(world, () => trigger(world.ports, world, schedule.id)),
        schedule.id,
      );
      return (await liveRunsOf(world)) === 1;
    },
  },
  {
    without: ['fire.liveSetUnchanged'],
    when: 'a finish comes between a fire’s read and its write',
    breaks: 'I4: skipped behind a run that had ended',
    held: async (world) => {
      const schedule = await scheduled(world);
      const run = await trigger(world.ports, world, schedule.id);
      world.now = FIRST + SECOND;
      const result = await fireFirst(
        interleaved(world, () => finishAs(world, run.id)),
        schedule.id,
      );
      return result.outcome === 'dispatched';
    },
  },
  {
    without: ['fire.occurrenceOnce', 'fire.liveSetUnchanged', 'run.createdOnce', 'event.appendedOnce'],
    when: 'the same occurrence is delivered twice',
    breaks: 'I1',
    held: async (world) => {
      const schedule = await scheduled(world, { overlapPolicy: 'allow_all' });
      world.now = FIRST + SECOND;
      const second = await fireFirst(
        interleaved(world, () => fireFirst(world.ports, schedule.id)),
        schedule.id,
      );
      return 'duplicate' in second && second.duplicate;
    },
  },
  {
    without: ['finish.liveSetUnchanged'],
    when: 'a trigger comes between a finish’s read and its write',
    breaks: 'I10: a live run is counted nowhere',
    held: async (world) => {
      const schedule = await scheduled(world, { overlapPolicy: 'allow_all' });
      const one = await trigger(world.ports, world, schedule.id);
      const key = keys.schedule(schedule.id);
      const ports = interleaved(world, () => trigger(world.ports, world, schedule.id), key);
      await finishRun(ports, one.id, verdict(world), { attempt: 1 });
      return (await scheduleRow(world, schedule.id)).liveRuns.length === (await liveRunsOf(world));
    },
  },
  {
    without: ['finish.scheduleUnchanged'],
    when: 'a delete is committed (and dies before its cancels) between the last finish’s read and its write',
    breaks: 'I14: a schedule that stays deleting for ever',
    held: async (world) => {
      const schedule = await scheduled(world);
      const run = await trigger(world.ports, world, schedule.id);
      const dies = afterRead(world, keys.run(run.id), () => Promise.reject(new CandorError('internal_error', 'crash')));
      const rival = () => tolerant(deleteSchedule(dies, world.caller, schedule.id, any, { cancelRuns: true }));
      await finishRun(interleaved(world, rival), run.id, verdict(world), { attempt: 1 });
      return (await scheduleRow(world, schedule.id)).status === 'deleted';
    },
  },
  {
    without: ['trigger.scheduleUnchanged'],
    when: 'a delete is acknowledged between a trigger’s read and its write',
    breaks: 'I4',
    held: async (world) => {
      const schedule = await scheduled(world);
      const ports = interleaved(world, () => remove(world.ports, world, schedule.id));
      await tolerant(trigger(ports, world, schedule.id));
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['trigger.liveSetUnchanged'],
    when: 'another trigger comes between a trigger’s read and its write',
    breaks: 'I10: one live run under the policy skip',
    held: async (world) => {
      const schedule = await scheduled(world);
      const ports = interleaved(world, () => trigger(world.ports, world, schedule.id));
      await tolerant(trigger(ports, world, schedule.id));
      return (await liveRunsOf(world)) === 1;
    },
  },
  {
    without: ['schedule.liveSetUnchanged'],
    when: 'a fire comes between an edit’s read and its write',
    breaks: 'I5: a settled occurrence becomes unsettled again',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST + SECOND;
      const ports = interleaved(world, () => fireFirst(world.ports, schedule.id));
      await patchSchedule(ports, world.caller, schedule.id, { name: 'renamed' }, any);
      return (await scheduleRow(world, schedule.id)).settledThrough >= FIRST;
    },
  },
  {
    without: ['schedule.unchanged', 'event.appendedOnce', 'schedule.revisionOnce'],
    when: 'another edit comes between an edit’s read and its write',
    breaks: 'I8: a lost update',
    held: async (world) => {
      const schedule = await scheduled(world);
      const rival = () => patchSchedule(world.ports, world.caller, schedule.id, { metadata: { kept: 'yes' } }, any);
      const precondition = { kind: 'version', version: 1 } as const;
      const victim = interleaved(world, rival);
      // The same field: an edit writes no others than those that it changes.
      await tolerant(patchSchedule(victim, world.caller, schedule.id, { metadata: { lost: 'no' } }, precondition));
      return (await scheduleRow(world, schedule.id)).metadata?.kept === 'yes';
    },
  },
  {
    without: ['schedule.nameFree'],
    when: 'another schedule takes the name between a create’s look and its write',
    breaks: 'a name is unique among live siblings',
    held: async (world) => {
      const agent = await world.agent();
      const request = ScheduleCreate.parse({ name: 'nightly', cadence: { every: 'PT5M' } });
      const rival = () => createSchedule(world.ports, world.caller, agent.id, request);
      return (await tolerant(createSchedule(interleaved(world, rival), world.caller, agent.id, request))) === undefined;
    },
  },
  {
    without: ['schedule.agentActive'],
    when: 'the agent is deleted between a schedule’s look at it and its write',
    breaks: 'no schedule of an agent that is gone',
    held: async (world) => {
      const agent = await world.agent();
      const request = ScheduleCreate.parse({ name: 'nightly', cadence: { every: 'PT5M' } });
      const rival = () => deleteAgent(world.ports, world.caller, agent.id, any, { cancelRuns: false });
      return (await tolerant(createSchedule(interleaved(world, rival), world.caller, agent.id, request))) === undefined;
    },
  },
  {
    without: ['advance.scheduleUnchanged'],
    when: 'a delete is acknowledged between the advance’s look at a backfill and its next run',
    breaks: 'I4',
    held: async (world) => {
      const { schedule } = await backfilling(world);
      const ports = interleaved(world, () => remove(world.ports, world, schedule.id));
      await tolerant(advanceSchedule(ports, schedule.id));
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['advance.liveSetUnchanged'],
    when: 'a trigger comes between the advance’s look at a buffer and its turn',
    breaks: 'I10: one live run under the policy buffer_one',
    held: async (world) => {
      const { schedule, live } = await buffering(world);
      await finishAs(world, live);
      await advanceSchedule(
        interleaved(world, () => trigger(world.ports, world, schedule.id)),
        schedule.id,
      );
      return (await liveRunsOf(world)) === 1;
    },
  },
  {
    without: ['buffer.stillWaiting', 'advance.scheduleUnchanged'],
    when: 'a pause is acknowledged between the advance’s look at a buffer and its turn',
    breaks: 'I4',
    held: async (world) => {
      const { schedule, live } = await buffering(world);
      await finishAs(world, live);
      const pause = () => pauseSchedule(world.ports, world.caller, schedule.id, '', none);
      await advanceSchedule(interleaved(world, pause), schedule.id);
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['backfill.occurrenceOnce', 'advance.liveSetUnchanged', 'run.createdOnce', 'event.appendedOnce'],
    when: 'another advance starts a backfill’s next run, which ends, between the look and the write',
    breaks: 'I1, I3: a run that has ended is made again',
    held: async (world) => {
      const { schedule } = await backfilling(world);
      let ended = '';
      const rival = async () => {
        await advanceSchedule(world.ports, schedule.id);
        [ended = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
        await finishAs(world, ended);
      };
      await advanceSchedule(interleaved(world, rival), schedule.id);
      return (await runRow(world, ended)).status === 'succeeded';
    },
  },
  {
    without: ['backfill.stillRunning', 'advance.liveSetUnchanged'],
    when: 'a cancel of a backfill is acknowledged between the advance’s look at it and the note of its completion',
    breaks: '§1.7: an end changes no more',
    held: async (world) => {
      const { schedule, backfillId } = await backfilling(world);
      await advanceSchedule(world.ports, schedule.id);
      const [runId = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
      await finishAs(world, runId);
      const cancel = () => cancelBackfill(world.ports, world.caller, schedule.id, backfillId, none);
      await advanceSchedule(interleaved(world, cancel, keys.backfill(schedule.id, backfillId)), schedule.id);
      return (await getBackfill(world.ports, world.caller, schedule.id, backfillId)).status === 'cancelled';
    },
  },
];
