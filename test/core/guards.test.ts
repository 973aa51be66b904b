/**
 * Guard removal: every guard of the core stands in one of two lists. What is in `RACES` is needed: in the interleaving
 * that is played here, with that guard (and nothing else, or with the ones named beside it that cover it) taken out, an
 * invariant breaks; with it, it holds. What is in `COVERED` breaks nothing alone, because another guard of the same
 * transaction says the same.
 */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePrincipal } from '../../core/access/principals.ts';
import { createPrincipal, getPrincipal, patchPrincipal } from '../../core/access/service.ts';
import { createAgent, deleteAgent, getAgent, patchAgent } from '../../core/agents/service.ts';
import { AgentCreate } from '../../core/contract/agents.ts';
import { ScheduleCreate } from '../../core/contract/schedules.ts';
import { CandorError } from '../../core/errors.ts';
import { agentLimitId } from '../../core/limits/model.ts';
import type { Ports } from '../../core/ports.ts';
import { cancelRun } from '../../core/runs/cancel.ts';
import { claimDispatch } from '../../core/runs/dispatch.ts';
import { finishRun } from '../../core/runs/finish.ts';
import { createRun, listRuns } from '../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule } from '../../core/schedules/actions.ts';
import { advanceSchedule } from '../../core/schedules/advance.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../core/schedules/backfill.ts';
import { syncClock } from '../../core/schedules/clockSync.ts';
import { firstUndecided } from '../../core/schedules/expected.ts';
import { fire } from '../../core/schedules/fire.ts';
import { createSchedule, patchSchedule } from '../../core/schedules/service.ts';
import { skipOccurrence } from '../../core/schedules/skips.ts';
import { triggerSchedule } from '../../core/schedules/trigger.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { giveUp } from '../../core/vms/drain.ts';
import { LaunchThrottled } from '../../core/vms/launchErrors.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { releaseVm } from '../../core/vms/release.ts';
import { tick } from '../../core/watchdog/tick.ts';
import { guardsOfCore } from '../simulation/guards.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../support/world.ts';
import { CHILD_GUARDS_COVERED, CHILD_RACES } from './childRaces.ts';
import { DEPOSIT_RACES } from './depositRaces.ts';
import { DRAWN_AGAIN_RACES } from './drawnAgainRaces.ts';
import { FEED_RACES, GARBAGE_RACES } from './feedRaces.ts';
import { IDEMPOTENCY_RACES } from './idempotencyRaces.ts';
import { tolerant as played, type Race } from './race.ts';
import {
  afterRead,
  apiRun,
  ended,
  eventsOf,
  FakeRunner,
  finishAs,
  interleaved,
  MINUTE,
  page,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingRun,
  vmRow,
} from './support.ts';
import { warmVm } from './vms/support.ts';
import { WATCHDOG_GUARDS_COVERED, WATCHDOG_RACES } from './watchdogRaces.ts';
import { WEBHOOK_GUARDS_COVERED, WEBHOOK_RACES } from './webhookRaces.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;
const none = { kind: 'none' } as const;
const any = { kind: 'any' } as const;

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const tolerant = <T>(promise: Promise<T>) => played(promise, (error) => error instanceof CandorError);

async function scheduled(world: World, overrides: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, overrides);
}

const fireFirst = (ports: Ports, scheduleId: string) => fire(ports, { scheduleId, scheduledTime: FIRST });
const trigger = (ports: Ports, world: World, scheduleId: string) =>
  triggerSchedule(ports, world.caller, scheduleId, {}, none);
const remove = (ports: Ports, world: World, scheduleId: string) =>
  deleteSchedule(ports, world.caller, scheduleId, any, { cancelRuns: false });

async function liveRunsOf(world: World): Promise<number> {
  const found = await listRuns(world.ports, world.caller, { status: 'live' }, page);
  return found.items.length;
}

/** The check of a schedule with a synced clock stands at what is due next, and nowhere else. */
async function checkIsRight(world: World, scheduleId: string): Promise<boolean> {
  const row = await scheduleRow(world, scheduleId);
  return row.clock.status === 'pending' || row.checkAt === firstUndecided(row);
}

const RACES: readonly Race[] = [
  ...CHILD_RACES,
  ...DEPOSIT_RACES,
  ...DRAWN_AGAIN_RACES,
  ...FEED_RACES,
  ...GARBAGE_RACES,
  ...IDEMPOTENCY_RACES,
  ...WATCHDOG_RACES,
  ...WEBHOOK_RACES,
  {
    without: ['limit.free'],
    when: 'another run takes the last place between an admission’s read and its write',
    breaks: 'I10',
    held: async (world) => {
      const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
      const create = (ports: Ports) => createRun(ports, world.caller, agent.id, {});
      const limit = keys.limit(agentLimitId(agent.id));
      await create(interleaved(world, () => create(world.ports), limit));
      return (await world.ports.store.get(limit))?.used === 1;
    },
  },
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
    without: ['fire.driftOfThisSpec'],
    when: 'an edit comes between the sight of a drift and its note',
    breaks: 'I8: the clock’s record goes back to the older spec',
    held: async (world) => {
      const schedule = await scheduled(world);
      world.now = FIRST - MINUTE;
      const cadence = { cron: '7 * * * *', timezone: 'UTC' };
      const edit = () => patchSchedule(world.ports, world.caller, schedule.id, { cadence }, any);
      await fire(interleaved(world, edit), { scheduleId: schedule.id, scheduledTime: FIRST - 2 * MINUTE });
      return (await scheduleRow(world, schedule.id)).clock.specVersion === 2;
    },
  },
  {
    without: ['fire.driftSeenAtRest'],
    when: 'two triggers come between the sight of a drift and its note',
    breaks: 'I8: liveSeq goes back, to where another fire has read it',
    held: async (world) => {
      const schedule = await scheduled(world, { overlapPolicy: 'allow_all' });
      world.now = FIRST - MINUTE;
      const rival = async () => {
        await trigger(world.ports, world, schedule.id);
        await trigger(world.ports, world, schedule.id);
      };
      await fire(interleaved(world, rival), { scheduleId: schedule.id, scheduledTime: FIRST - 2 * MINUTE });
      return (await scheduleRow(world, schedule.id)).liveSeq === 2;
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
    without: ['agent.noSchedules'],
    when: 'a schedule is created between a delete’s look at the agent and its write',
    breaks: 'no schedule of an agent that is gone',
    held: async (world) => {
      const agent = await world.agent();
      const ports = interleaved(world, () => world.schedule(agent.id));
      await tolerant(deleteAgent(ports, world.caller, agent.id, any, { cancelRuns: false }));
      return (await tolerant(getAgent(world.ports, world.caller, agent.id))) !== undefined;
    },
  },
  {
    without: ['agent.nameFree'],
    when: 'another agent takes the name between a create’s look and its write',
    breaks: 'a name is unique among live siblings',
    held: async (world) => {
      const request = AgentCreate.parse({ name: 'worker', command: ['true'] });
      const rival = () => createAgent(world.ports, world.caller, request);
      return (await tolerant(createAgent(interleaved(world, rival), world.caller, request))) === undefined;
    },
  },
  {
    without: ['agent.unchanged', 'agent.versionOnce', 'event.appendedOnce'],
    when: 'another edit comes between an edit’s read and its write',
    breaks: 'I8: a lost update',
    held: async (world) => {
      const agent = await world.agent();
      const rival = () => patchAgent(world.ports, world.caller, agent.id, { metadata: { kept: 'yes' } }, any);
      const patched = patchAgent(
        interleaved(world, rival),
        world.caller,
        agent.id,
        { command: ['false'] },
        {
          kind: 'version',
          version: 1,
        },
      );
      await tolerant(patched);
      return (await getAgent(world.ports, world.caller, agent.id)).metadata?.kept === 'yes';
    },
  },
  {
    without: ['run.agentUnchanged'],
    when: 'the agent is deleted between a run’s look at it and its write',
    breaks: 'I4: a run of an agent whose delete was acknowledged',
    held: async (world) => {
      const agent = await world.agent();
      const rival = () => deleteAgent(world.ports, world.caller, agent.id, any, { cancelRuns: false });
      await tolerant(createRun(interleaved(world, rival), world.caller, agent.id, null));
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['run.unchanged', 'event.appendedOnce'],
    when: 'another verdict comes between a finish’s read and its write',
    breaks: 'I3: a terminal state changes',
    held: async (world) => {
      const { id } = await apiRun(world);
      const rival = () => finishAs(world, id, 'succeeded');
      await finishRun(interleaved(world, rival), id, { ...verdict(world), status: 'failed' }, { attempt: 1 });
      return (await runRow(world, id)).status === 'succeeded';
    },
  },
  {
    without: ['event.appendedOnce', 'run.unchanged'],
    when: 'another verdict comes between a finish’s read and its write',
    breaks: 'I13: an event is overwritten',
    held: async (world) => {
      const { id } = await apiRun(world);
      const rival = () => finishAs(world, id, 'succeeded');
      await finishRun(interleaved(world, rival), id, { ...verdict(world), status: 'failed' }, { attempt: 1 });
      return (await eventsOf(world, keys.run(id).pk)).at(-1)?.type === 'run.succeeded';
    },
  },
  {
    without: ['launch.oneVmPerAttempt', 'run.unchanged', 'event.appendedOnce'],
    when: 'another LaunchVm of the attempt comes between the look and the write',
    breaks: 'I2: the first instance is forgotten',
    held: async (world) => {
      const { input } = await apiRun(world);
      const rival = () => launchVm(world.ports, input);
      let stored: string | undefined;
      const ports = interleaved(world, rival);
      const { vmId } = await launchVm(
        {
          ...ports,
          fleet: {
            ...ports.fleet,
            launch: async (spec) => {
              stored = (await vmRow(world, spec.vmId)).instanceId;
              return ports.fleet.launch(spec);
            },
          },
        },
        input,
      );
      return stored === undefined && world.launches.length === 1 && (await vmRow(world, vmId)).version === 2;
    },
  },
  {
    without: ['vm.unchanged'],
    when: 'another run takes a warm VM between a fire’s look at it and the transaction that creates its run',
    breaks: 'I10: one slot, two runs',
    held: async (world) => {
      const { agentId, vmId, runner } = await warmVm(world);
      const schedule = await world.schedule(agentId);
      world.now = FIRST + SECOND;
      await runner.beat();
      const rival = () => createRun(world.ports, world.caller, agentId, {});
      await fireFirst(interleaved(world, rival, keys.vm(vmId)), schedule.id);
      const runs = (await listRuns(world.ports, world.caller, { status: 'live' }, page)).items;
      return runs.filter((run) => run.vmId === vmId).length === 1;
    },
  },
  {
    without: ['vm.unchanged'],
    when: 'a cancel comes between a heartbeat’s read and its acknowledgement of commands',
    breaks: 'every command is delivered',
    held: async (world) => {
      const { id, vmId, runner } = await startingRun(world);
      await runner.beat();
      const ports = interleaved(world, () => addCancel(world, vmId), keys.vm(vmId));
      await tolerant(runner.beat([running(id)], ports));
      return (await vmRow(world, vmId)).commands.some((command) => command.kind === 'cancel');
    },
  },
  {
    without: ['heartbeat.inOrder'],
    when: 'a later heartbeat overtakes one between its read and its write',
    breaks: 'I8: the order of heartbeats goes back',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world);
      await runner.beat([running(id)]);
      const seq = runner.seq;
      const ports = interleaved(world, () => runner.send([running(id)], seq + 2, runner.acks));
      await tolerant(runner.send([running(id)], seq + 1, runner.acks, ports));
      return (await vmRow(world, vmId)).heartbeatSeq === seq + 2;
    },
  },
  {
    without: ['heartbeat.inOrder'],
    when: 'a later heartbeat overtakes one that acknowledges commands',
    breaks: 'I8: the order of heartbeats goes back',
    held: async (world) => {
      const { id, vmId, runner } = await startingRun(world);
      const ports = interleaved(world, () => runner.send([running(id)], 9, 0));
      await tolerant(runner.send([], 5, 1, ports));
      return (await vmRow(world, vmId)).heartbeatSeq === 9;
    },
  },
  {
    without: ['heartbeat.sameGeneration'],
    when: 'a newer registration comes between an old runner’s read and its write',
    breaks: 'I7: the older generation is fenced off, the newer one is not',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world);
      await runner.beat([running(id)]);
      const newer = new FakeRunner(world, vmId);
      await tolerant(
        runner.beat(
          [ended(id)],
          interleaved(world, () => newer.register()),
        ),
      );
      return (
        (await runRow(world, id)).status === 'running' && (await tolerant(newer.beat([running(id)]))) !== undefined
      );
    },
  },
  {
    without: ['heartbeat.sameStatus'],
    when: 'the VM’s end is recorded between a heartbeat’s read and its write',
    breaks: 'a VM that has been seen gone stays as it was recorded',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world);
      await runner.beat([running(id)]);
      await finishAs(world, id);
      world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
      world.now += SECOND;
      let recorded: unknown;
      const rival = async () => {
        await releaseVm(world.ports, vmId, 'test');
        recorded = await vmRow(world, vmId);
      };
      await tolerant(runner.send([], runner.seq + 1, 0, interleaved(world, rival)));
      expect(recorded).toMatchObject({ status: 'terminated' });
      return isDeepStrictEqual(await vmRow(world, vmId), recorded);
    },
  },
  {
    without: ['heartbeat.sameStatus'],
    when: 'the VM is given up between a heartbeat’s read and its write',
    breaks: 'I9: a run is started on a VM whose end is decided',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world, { slots: 2 });
      await runner.beat([running(id)]);
      const other = (await createRun(world.ports, world.caller, (await runRow(world, id)).agentId, {})).id;
      await claimDispatch(world.ports, other, 1, vmId);
      world.now += 3 * MINUTE;
      const ports = interleaved(world, () => giveUp(world.ports, vmId, id), keys.vm(vmId));
      const { commands } = await runner.beat([running(id)], ports);
      expect((await vmRow(world, vmId)).status).toBe('draining');
      return commands.every((command) => command.kind !== 'start' || command.impossible !== undefined);
    },
  },
  {
    without: ['missing.runUnchanged'],
    when: 'the run ends between a report that does not name it and the note of that',
    breaks: 'I3: what has ended changes no more',
    held: async (world) => {
      const { id, runner } = await runningRun(world);
      await runner.beat([running(id)]);
      let recorded: unknown;
      const rival = async () => {
        await finishAs(world, id);
        recorded = await runRow(world, id);
      };
      await runner.beat([], interleaved(world, rival, keys.run(id)));
      return isDeepStrictEqual(await runRow(world, id), recorded);
    },
  },
  {
    without: ['waiting.runUnchanged'],
    when: 'the run ends between a launch without an answer and the note of when it is tried again',
    breaks: 'I3: what has ended changes no more',
    held: async (world) => {
      const { id, input } = await apiRun(world);
      world.launchFault = new LaunchThrottled('no answer', [], { unanswered: true });
      await launchVm(world.ports, input).catch(() => undefined);
      let recorded: unknown;
      const rival = async () => {
        await finishAs(world, id);
        recorded = await runRow(world, id);
      };
      await launchVm(interleaved(world, rival, keys.run(id)), input).catch(() => undefined);
      return isDeepStrictEqual(await runRow(world, id), recorded);
    },
  },
  {
    without: ['silent.noHeartbeatSince'],
    when: 'a heartbeat comes between the watchdog’s last look and its word that the VM is silent',
    breaks: 'I9: a VM with a fresh lease is called unresponsive',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world);
      await runner.beat([running(id)]);
      world.now += MINUTE;
      const ports = interleaved(world, () => runner.beat([running(id)]), keys.vm(vmId));
      await tick(ports, { owner: 'test', budgetMs: MINUTE });
      return (await vmRow(world, vmId)).status === 'ready';
    },
  },
  {
    without: ['escalate.noHeartbeatSince'],
    when: 'a heartbeat comes between the watchdog’s look at a VM whose lease has run out and its word that it is given up',
    breaks: 'I9: work with fresh evidence is ended with a run that does not end',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world, { slots: 2 });
      const other = (await createRun(world.ports, world.caller, (await runRow(world, id)).agentId, {})).id;
      await claimDispatch(world.ports, other, 1, vmId);
      await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
      const both = () => runner.beat([running(id), running(other)]);
      await both();
      await both();
      world.now += 2 * MINUTE;
      const given = await giveUp(interleaved(world, both, keys.vm(vmId)), vmId, id);
      return given.kind === 'draining';
    },
  },
  {
    without: ['check.rowUnchanged'],
    when: 'the run ends between the watchdog’s look at its VM and the move of the VM’s check',
    breaks: '§1.6: a promise is looked at when it is due',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world);
      world.now += 44 * SECOND;
      await runner.beat([running(id)]);
      world.now += 2 * SECOND;
      const ports = interleaved(world, () => finishAs(world, id), keys.vm(vmId));
      await tick(ports, { owner: 'test', budgetMs: MINUTE });
      const vm = await vmRow(world, vmId);
      expect(vm.status).toBe('draining');
      return vm.checkAt === vm.deadlineAt;
    },
  },
  {
    without: ['align.liveSetUnchanged'],
    when: 'a buffer is drained between the watchdog’s look at a schedule and the move of its check',
    breaks: 'the check stands at what is due next',
    held: async (world) => {
      const { schedule, live } = await buffering(world);
      world.now += MINUTE;
      const rival = async () => {
        await finishAs(world, live);
        await advanceSchedule(world.ports, schedule.id);
      };
      await tick(atAlign(world, schedule.id, rival), { owner: 'test', budgetMs: MINUTE });
      return checkIsRight(world, schedule.id);
    },
  },
  {
    without: ['align.scheduleUnchanged'],
    when: 'a pause comes between the watchdog’s look at a schedule and the move of its check',
    breaks: 'the check stands at what is due next',
    held: async (world) => {
      const { schedule } = await buffering(world);
      world.now += MINUTE;
      const rival = () => pauseSchedule(world.ports, world.caller, schedule.id, '', none);
      await tick(atAlign(world, schedule.id, rival), { owner: 'test', budgetMs: MINUTE });
      return checkIsRight(world, schedule.id);
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
  {
    without: ['clock.scheduleUnchanged'],
    when: 'an edit whose own sync fails comes between a put and its mark',
    breaks: 'the clock is called in step with a spec that it does not have',
    held: async (world) => {
      const schedule = await drifted(world);
      const deaf = { ...world.ports, clock: { ...world.ports.clock, put: () => Promise.reject(new Error('down')) } };
      const cadence = { cron: '7 * * * *', timezone: 'UTC' };
      const rival = () => patchSchedule(deaf, world.caller, schedule.id, { cadence }, any);
      await syncClock(interleaved(world, rival), schedule.id);
      const { clock, specVersion } = await scheduleRow(world, schedule.id);
      const told = world.clocks.get(schedule.id)?.specVersion;
      return clock.status === 'pending' || (clock.specVersion === specVersion && told === specVersion);
    },
  },
  {
    without: ['clock.scheduleUnchanged'],
    when: 'an occurrence is taken out between a put and its mark',
    breaks: 'what was taken out stays out',
    held: async (world) => {
      const schedule = await drifted(world);
      const request = { occurrence: FIRST + 5 * MINUTE, reason: '' };
      const rival = () => skipOccurrence(world.ports, world.caller, schedule.id, request, none);
      await syncClock(interleaved(world, rival), schedule.id);
      return (await scheduleRow(world, schedule.id)).skips.includes(request.occurrence);
    },
  },
  {
    without: ['clock.liveSetUnchanged'],
    when: 'a fire comes between a put and its mark',
    breaks: 'the check stands at what is due next',
    held: async (world) => {
      const schedule = await drifted(world);
      const rival = async () => {
        world.now = FIRST;
        await fireFirst(world.ports, schedule.id);
      };
      await syncClock(interleaved(world, rival), schedule.id);
      return checkIsRight(world, schedule.id);
    },
  },
  {
    without: ['principal.unchanged', 'event.appendedOnce'],
    when: 'an administrator renames a service account while another revokes it',
    breaks: 'two changes share one version (I8), and one of them leaves no event (I13)',
    held: async (world) => {
      const { ports, caller } = world;
      const { id } = await createPrincipal(ports, caller, { name: 'ci' });
      const any = { kind: 'any' } as const;
      const revoke = () => patchPrincipal(ports, caller, id, { status: 'revoked' }, any);
      const late = afterRead(world, keys.principal(id), revoke);
      await patchPrincipal(late, caller, id, { name: 'builds' }, any);
      const after = await getPrincipal(ports, caller, id);
      return after.version === 3 && (await ports.store.get(keys.principalEvent(id, 3))) !== undefined;
    },
  },
  {
    without: ['principal.createdOnce'],
    when: 'a program that ensures its principal starts again after the principal was revoked',
    breaks: 'a revocation stands',
    held: async (world) => {
      const key = keys.principal(world.caller.principalId);
      await world.ports.store.transact([{ kind: 'update', key, set: { status: 'revoked' }, guards: [] }]);
      await ensurePrincipal(world.ports.store, world.caller.tenantId, world.caller.principalId, 'Admin');
      return (await world.ports.store.get(key))?.status === 'revoked';
    },
  },
];

/** Why a guard alone protects nothing more: candidates for deletion, or kept as a second lock on the same door. */
const COVERED: Readonly<Record<string, string>> = {
  ...CHILD_GUARDS_COVERED,
  ...WATCHDOG_GUARDS_COVERED,
  ...WEBHOOK_GUARDS_COVERED,
  'run.createdOnce': 'fire.occurrenceOnce and fire.liveSetUnchanged; elsewhere the id is new',
  'run.sameAttempt': 'run.unchanged: every change of the attempt is a new version',
  'dispatch.noMarker': 'run.unchanged: the marker is set with a new version',
  'correction.once': 'run.unchanged: the correction is stored with a new version',
  'withheld.rangeOnce': 'schedule.unchanged: two resumes collide there first',
  'principal.asSeen': 'event.appendedOnce: two first calls of one user append the same event',
  'agent.createdOnce': 'agent.versionOnce and event.appendedOnce: both stand under its id',
  'agent.versionOnce': 'agent.unchanged',
  'agent.nameOurs': 'agent.unchanged: a rename is a new version',
  'schedule.createdOnce': 'schedule.revisionOnce and event.appendedOnce: both stand under its id',
  'schedule.revisionOnce': 'schedule.unchanged and the like: a new spec comes with a new version',
  'schedule.nameOurs': 'schedule.unchanged: a rename is a new version',
  'schedule.agentCounts': 'schedule.unchanged: a schedule is counted off once',
  'check.stillDue': 'check.rowUnchanged: what comes to rest is a new version',
};

const verdict = (world: World) =>
  ({
    status: 'succeeded',
    evidence: { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' },
  }) as const;

/** A schedule with a clock that is known to be out of step. */
async function drifted(world: World) {
  const schedule = await scheduled(world);
  world.now = FIRST - MINUTE;
  await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST - 2 * MINUTE });
  return schedule;
}

/** A schedule with a live run and an occurrence that waits for its end: the watchdog looks at it every minute. */
async function buffering(world: World) {
  const schedule = await scheduled(world, { overlapPolicy: 'buffer_one' });
  const live = (await trigger(world.ports, world, schedule.id)).id;
  world.now = FIRST + SECOND;
  await fireFirst(world.ports, schedule.id);
  return { schedule, live };
}

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

/** Ports whose rival comes just before the watchdog moves a schedule's check, not before its clock is marked. */
function atAlign(world: World, scheduleId: string, rival: () => Promise<unknown>): Ports {
  const { pk } = keys.schedule(scheduleId);
  let done = false;
  return {
    ...world.ports,
    store: new Proxy(world.ports.store, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        if (name !== 'transact') return member.bind(target) as unknown;
        return async (writes: Parameters<typeof target.transact>[0]) => {
          const [first] = writes;
          const moves = first?.kind === 'update' && first.key.pk === pk && first.set?.clock === undefined;
          if (moves && !done) {
            done = true;
            await rival();
          }
          return target.transact(writes);
        };
      },
    }),
  };
}

/** Another command for the VM. */
async function addCancel(world: World, vmId: string): Promise<void> {
  const vm = await vmRow(world, vmId);
  const [slot] = vm.slots;
  await cancelRun(world.ports, world.caller, slot?.runId ?? '', { by: 'me', reason: '', cause: 'request' });
}

describe.each(RACES)('$without.0, when $when', ({ without, breaks, held }) => {
  it(`is needed: without it, ${breaks}`, async () => {
    const world = await engine.world({}, (guards) => guards.filter((each) => !without.includes(each.name)));
    expect(await held(world)).toBe(false);
  });

  it('holds, and no two conditions of a write have one name', async () => {
    const repeated: string[] = [];
    const world = await engine.world({}, (guards) => {
      const names = guards.map(({ name }) => name);
      repeated.push(...names.filter((name, at) => names.indexOf(name) !== at));
      return guards;
    });
    expect(await held(world)).toBe(true);
    expect(repeated).toEqual([]);
  });
});

describe('the guards that another one covers', () => {
  it.each(RACES.filter((race) => race.without.length > 1))(
    'hold $without.0 alone taken out, in every race, by $without.1',
    async ({ without, held }) => {
      const world = await engine.world({}, (guards) => guards.filter((each) => each.name !== without[0]));
      expect(await held(world)).toBe(true);
    },
  );

  it('are not needed in any race that is played here', async () => {
    const names = Object.keys(COVERED);
    for (const { held } of RACES) {
      const world = await engine.world({}, (guards) => guards.filter((each) => !names.includes(each.name)));
      expect(await held(world)).toBe(true);
    }
    // Every race there is, one after the other.
  }, 120_000);
});

it('lists every guard of the core: a new one comes with its proof', () => {
  const names = guardsOfCore();
  const known = new Set([...RACES.map((race) => race.without[0]), ...Object.keys(COVERED)]);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
  expect([...known].filter((name) => !names.includes(name)).sort()).toEqual([]);
});
