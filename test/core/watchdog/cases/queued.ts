/** Runs that wait for their turn, for others or for a VM, and get it from nobody but the watchdog. */
import { expect } from 'vitest';
import { agentLimitId } from '../../../../core/limits/model.ts';
import { handleEvent } from '../../../../core/notifications/fanOut.ts';
import { cancelRun } from '../../../../core/runs/cancel.ts';
import type { EventRow } from '../../../../core/runs/model.ts';
import { createRun } from '../../../../core/runs/service.ts';
import { fire } from '../../../../core/schedules/fire.ts';
import * as keys from '../../../../core/table/itemKeys.ts';
import { launchVm } from '../../../../core/vms/provision.ts';
import type { Recovery } from '../../../../core/watchdog/recoveries.ts';
import { MONDAY_NOON, type World } from '../../../support/world.ts';
import {
  apiRun,
  ended,
  eventsOf,
  finishAs,
  MINUTE,
  running,
  runRow,
  SECOND,
  startingFrom,
  startingRun,
  vmRow,
} from '../../support.ts';
import { dyingBeforePlacement, keyOf, losing, type RuleCase, type Scene } from '../scene.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;

/** A run of the second occurrence has to displace that of the first, and whoever committed it was killed before it said so. */
async function displacing({ world }: Scene, tells: boolean) {
  const agent = await world.agent();
  const schedule = await world.schedule(agent.id, { overlapPolicy: 'cancel_other' });
  world.now = FIRST;
  const first = await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
  const old = 'runId' in first ? first.runId : '';
  const { runner } = await startingFrom(world, old);
  await runner.beat();
  await runner.beat([running(old)]);
  world.now += 5 * MINUTE;
  await runner.beat([running(old)]);
  const killed = losing(world, () => false);
  const transact = killed.store.transact;
  Object.assign(killed.store, {
    transact: async (writes: Parameters<typeof transact>[0]) => {
      if (writes.some((write) => keyOf(write).pk === keys.run(old).pk)) throw new Error('killed');
      await transact(writes);
    },
  });
  const firing = fire(tells ? world.ports : killed, { scheduleId: schedule.id, scheduledTime: world.now });
  await firing.catch((error: unknown) => expect(String(error)).toContain('killed'));
  const { items } = await world.ports.store.query({ pk: keys.schedule(schedule.id).pk, prefix: 'OCC#', limit: 10 });
  const next = String(items.at(-1)?.runId);
  expect((await runRow(world, next)).waiting).toMatchObject({ reason: 'overlap', blockedBy: [old] });
  return { old, next, runner };
}

async function oneAtWorkOneWaiting(world: World) {
  const limits = { maxConcurrentRuns: 1, startTimeout: 'PT1H', queueTimeout: 'PT10M' };
  const agent = await world.agent({ limits });
  const create = async () => (await createRun(world.ports, world.caller, agent.id, {})).id;
  const [first, second] = [await create(), await create()];
  expect((await runRow(world, second)).waiting?.limit).toBe(agentLimitId(agent.id));
  return { first, second };
}

const over = { status: 'failed', error: 'States.Runtime', detail: 'it failed: States.Runtime' } as const;
const unknown = { status: 'unknown', detail: 'no such execution' } as const;

/** The machine that had its executions in memory is gone: they are started again by whoever asks. */
function forgetsExecutions({ world, ports }: Scene): void {
  const started: string[] = [];
  Object.assign(ports.workflow, {
    describe: async (name: string) => (started.includes(name) ? { status: 'running', detail: 'it runs' } : unknown),
    start: async (name: string, input: (typeof world.executions)[number]['input']) => {
      world.executions.push({ name, input });
      if (started.includes(name)) return 'exists';
      started.push(name);
      return 'started';
    },
  });
}

const startTimeouts: readonly RuleCase[] = [
  {
    stuck: 'EC2 has room for nobody: the run stands queued to its start deadline',
    found: async (scene) => {
      const { id } = await apiRun(scene.world);
      await scene.pass(15 * MINUTE - SECOND);
      expect(scene.rules).toEqual([]);
      await scene.pass(SECOND);
      expect(await runRow(scene.world, id)).toMatchObject({
        status: 'failed',
        reason: 'start_timeout',
        evidence: { source: 'watchdog' },
      });
      expect(scene.world.stopped).toEqual([`${id}-1`]);
      return { pk: keys.run(id).pk, because: /no VM within 900 s/, did: /failed it/ };
    },
    almost: 'a run of the next second, whose VM comes in time',
    leftAlone: async (scene) => {
      const { id } = await apiRun(scene.world);
      await scene.pass(15 * MINUTE - SECOND);
      const { runner } = await startingFrom(scene.world, id);
      await runner.beat();
      await runner.beat([running(id)]);
      await scene.pass(MINUTE, () => runner.beat([running(id)]));
      expect((await runRow(scene.world, id)).status).toBe('running');
    },
  },
  {
    stuck: 'its VM boots for ever',
    found: async (scene) => {
      const { id, input } = await apiRun(scene.world);
      const { vmId } = await launchVm(scene.world.ports, input);
      await scene.pass(15 * MINUTE);
      expect((await runRow(scene.world, id)).status).toBe('failed');
      expect((await vmRow(scene.world, vmId)).status).toBe('draining');
      expect(scene.world.terminations).toContain(vmId);
      return { pk: keys.run(id).pk, because: /no VM within 900 s/, did: /failed it/ };
    },
    almost: 'one that boots a second less than that',
    leftAlone: async (scene) => {
      const { id, input } = await apiRun(scene.world);
      await launchVm(scene.world.ports, input);
      await scene.pass(15 * MINUTE - SECOND);
      expect((await runRow(scene.world, id)).status).toBe('provisioning');
    },
  },
  {
    stuck: 'its runner lives and never takes up the start',
    found: async (scene) => {
      const { id, runner } = await startingRun(scene.world);
      const deaf = () => runner.send([], ++runner.seq, 0);
      await scene.pass(15 * MINUTE - SECOND, deaf);
      expect(scene.rules).toEqual([]);
      await scene.pass(SECOND, deaf);
      expect(await runRow(scene.world, id)).toMatchObject({ status: 'cancelling', cancel: { cause: 'timeout' } });
      return { pk: keys.run(id).pk, because: /no process within its startTimeout of 900 s/, did: /told the runner/ };
    },
    almost: 'one that starts it just in time',
    leftAlone: async (scene) => {
      const { id, runner } = await startingRun(scene.world);
      await scene.pass(15 * MINUTE - SECOND, () => runner.send([], ++runner.seq, 0));
      await runner.beat();
      await runner.beat([running(id)]);
      await scene.pass(MINUTE, () => runner.beat([running(id)]));
      expect((await runRow(scene.world, id)).status).toBe('running');
    },
  },
];

export const QUEUED_CASES = {
  queued_unplaced: [
    {
      stuck: 'fire was killed between its commit and the placement',
      found: async (scene) => {
        const { world } = scene;
        const schedule = await world.schedule((await world.agent()).id);
        world.now = FIRST;
        const order = { scheduleId: schedule.id, scheduledTime: FIRST };
        await expect(fire(dyingBeforePlacement(world), order)).rejects.toThrow('killed');
        await scene.pass(19 * SECOND);
        expect(world.executions).toEqual([]);
        await scene.pass(SECOND);
        const [execution] = world.executions;
        return { pk: keys.run(execution?.input.runId ?? '').pk, because: /nobody had placed it/, did: /placed it/ };
      },
      almost: 'the delivery is repeated within the grace',
      leftAlone: async (scene) => {
        const { world } = scene;
        const schedule = await world.schedule((await world.agent()).id);
        world.now = FIRST;
        const order = { scheduleId: schedule.id, scheduledTime: FIRST };
        await expect(fire(dyingBeforePlacement(world), order)).rejects.toThrow('killed');
        await scene.pass(19 * SECOND);
        await fire(world.ports, order);
        await scene.pass(3 * MINUTE);
        expect(new Set(world.executions.map(({ name }) => name)).size).toBe(1);
      },
    },
  ],
  queue_timeout: [
    {
      stuck: 'the run that holds the only place does not end',
      found: async (scene) => {
        const { second } = await oneAtWorkOneWaiting(scene.world);
        await scene.pass(10 * MINUTE);
        expect(await runRow(scene.world, second)).toMatchObject({
          status: 'timed_out',
          reason: 'queue_timeout',
          evidence: { source: 'watchdog' },
        });
        return { pk: keys.run(second).pk, because: /waited 600 s for its turn/, did: /ended it/ };
      },
      almost: 'that run ends in the last second',
      leftAlone: async (scene) => {
        const { first, second } = await oneAtWorkOneWaiting(scene.world);
        await scene.pass(10 * MINUTE - SECOND);
        await finishAs(scene.world, first);
        await scene.pass(5 * MINUTE);
        expect(await runRow(scene.world, second)).toMatchObject({ status: 'queued' });
      },
    },
  ],
  overlap_waiting: [
    {
      stuck: 'fire was killed between its commit and the cancel of the run that it displaces',
      found: async (scene) => {
        const { old, next, runner } = await displacing(scene, false);
        expect((await runRow(scene.world, old)).status).toBe('running');
        await scene.pass(30 * SECOND, () => runner.beat([running(old)]));
        expect(await runRow(scene.world, old)).toMatchObject({ status: 'cancelling', cancel: { cause: 'overlap' } });
        return { pk: keys.run(next).pk, because: new RegExp(`waits for ${old}`), did: /told the runs/ };
      },
      almost: 'it was told, and takes a minute to end',
      leftAlone: async (scene) => {
        const { old, next, runner } = await displacing(scene, true);
        await scene.pass(MINUTE, () => runner.beat([running(old)]));
        await runner.beat([ended(old, { signal: 'SIGTERM', terminatedBy: 'cancel' })]);
        for (const event of (await eventsOf(scene.world, keys.run(old).pk)).slice(-1) as EventRow[])
          await handleEvent(scene.world.ports, event);
        expect((await runRow(scene.world, next)).waiting).toBeUndefined();
      },
    },
  ],
  start_timeout: startTimeouts,
  execution_missing: [
    {
      stuck: 'the machine that ran the executions was killed, and knows of none',
      found: async (scene) => {
        const { id, input } = await apiRun(scene.world);
        await launchVm(scene.world.ports, input);
        forgetsExecutions(scene);
        await scene.pass(70 * SECOND);
        expect(scene.world.executions.map(({ name }) => name)).toEqual([`${id}-1`, `${id}-1`]);
        expect((await runRow(scene.world, id)).status).toBe('provisioning');
        return { pk: keys.run(id).pk, because: /no such execution/, did: /started its execution again/ };
      },
      almost: 'it is there, and only its description lags behind',
      leftAlone: async (scene) => {
        const { id, input } = await apiRun(scene.world);
        await launchVm(scene.world.ports, input);
        scene.world.executionLooks.set(`${id}-1`, unknown);
        await scene.pass(5 * MINUTE);
        expect((await runRow(scene.world, id)).status).toBe('provisioning');
      },
    },
  ],
  execution_over: [
    {
      stuck: 'its execution failed outside of its own catches, with a VM on its way',
      found: async (scene) => {
        const { id, input } = await apiRun(scene.world);
        const { vmId } = await launchVm(scene.world.ports, input);
        scene.world.executionLooks.set(`${id}-1`, over);
        await scene.pass(70 * SECOND);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'queued', attempt: 2 });
        expect((await vmRow(scene.world, vmId)).status).toBe('draining');
        return { pk: keys.run(id).pk, because: /States\.Runtime/, did: /another attempt, and released its VM/ };
      },
      almost: 'it is under way to the start deadline',
      leftAlone: async (scene) => {
        const { id, input } = await apiRun(scene.world);
        await launchVm(scene.world.ports, input);
        await scene.pass(14 * MINUTE);
        expect((await runRow(scene.world, id)).status).toBe('provisioning');
      },
    },
    {
      stuck: 'its execution failed before it could open an intent, for a reason that no other VM would change',
      found: async (scene) => {
        const { id } = await apiRun(scene.world);
        const failure = { status: 'failed', error: 'LaunchMisconfigured', detail: 'no such image' } as const;
        scene.world.executionLooks.set(`${id}-1`, failure);
        await scene.pass(30 * SECOND);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'failed', reason: 'launch_misconfigured' });
        return { pk: keys.run(id).pk, because: /no such image/, did: /failed it with the cause/ };
      },
      almost: 'its run was cancelled, which is why its execution ended',
      leftAlone: async (scene) => {
        const { id } = await apiRun(scene.world);
        await cancelRun(scene.world.ports, scene.world.caller, id, { by: 'me', reason: '', cause: 'request' });
        scene.world.executionLooks.set(`${id}-1`, { status: 'failed', error: 'aborted', detail: 'it was stopped' });
        await scene.pass(2 * MINUTE);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'cancelled', attempt: 1 });
      },
    },
  ],
} satisfies Partial<Record<Recovery, readonly RuleCase[]>>;
