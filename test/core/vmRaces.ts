/** Interleavings around VMs, their heartbeats and the watchdog’s looks at them; played in `guards.test.ts`. */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { cancelRun } from '../../core/runs/cancel.ts';
import { createRun, listRuns } from '../../core/runs/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { giveUp } from '../../core/vms/drain.ts';
import { LaunchThrottled } from '../../core/vms/launchErrors.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { releaseVm } from '../../core/vms/release.ts';
import { tick } from '../../core/watchdog/tick.ts';
import type { World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { FIRST, fireFirst } from './schedules/support.ts';
import {
  apiRun,
  ended,
  FakeRunner,
  finishAs,
  interleaved,
  MINUTE,
  page,
  running,
  runningRun,
  runRow,
  SECOND,
  startingRun,
  vmRow,
} from './support.ts';
import { givenTo, stuckBesideOther, stuckRun, warmVm } from './vms/support.ts';

/** Another command for the VM. */
async function addCancel(world: World, vmId: string): Promise<void> {
  const vm = await vmRow(world, vmId);
  const [slot] = vm.slots;
  await cancelRun(world.ports, world.caller, slot?.runId ?? '', { by: 'me', reason: '', cause: 'request' });
}

/** A run that does not end, and another one that waits on its VM for its start. */
async function stuckBesideStart(world: World) {
  const at = await stuckRun(world);
  await at.runner.beat([running(at.id)]);
  await givenTo(world, at);
  return at;
}

export const VM_RACES: readonly Race[] = [
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
      const { id, vmId, runner } = await stuckBesideStart(world);
      world.now += 3 * MINUTE;
      const ports = interleaved(world, () => giveUp(world.ports, vmId, id, world.now), keys.vm(vmId));
      const { commands } = await runner.beat([running(id)], ports);
      expect((await vmRow(world, vmId)).status).toBe('draining');
      return commands.every((command) => command.kind !== 'start' || command.impossible !== undefined);
    },
  },
  {
    without: ['heartbeat.sameOrder'],
    when: 'a VM that drained by order is given up between a heartbeat’s read and its write',
    breaks: 'I9: a run is started on a VM whose end is decided',
    held: async (world) => {
      const { id, vmId, runner } = await stuckBesideStart(world);
      await giveUp(world.ports, vmId, id, world.now);
      expect((await vmRow(world, vmId)).drain).toBeDefined();
      world.now += 3 * MINUTE;
      const ports = interleaved(world, () => giveUp(world.ports, vmId, id, world.now), keys.vm(vmId));
      const { commands } = await runner.beat([running(id)], ports);
      expect((await vmRow(world, vmId)).drain).toBeUndefined();
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
    when: 'a heartbeat comes between the watchdog’s look at a VM that drains, and whose lease has run out, and that word',
    breaks: 'I9: work with fresh evidence is ended with a run that does not end',
    held: async (world) => {
      const { id, vmId, beat } = await stuckBesideOther(world);
      await giveUp(world.ports, vmId, id, world.now);
      expect((await vmRow(world, vmId)).status).toBe('draining');
      world.now += 2 * MINUTE;
      return (await giveUp(interleaved(world, beat, keys.vm(vmId)), vmId, id, world.now)).kind === 'draining';
    },
  },
  {
    without: ['escalate.noHeartbeatSince'],
    when: 'a heartbeat comes between the watchdog’s look at a VM whose lease has run out and its word that it is given up',
    breaks: 'I9: work with fresh evidence is ended with a run that does not end',
    held: async (world) => {
      const { id, vmId, beat } = await stuckBesideOther(world);
      world.now += 2 * MINUTE;
      const given = await giveUp(interleaved(world, beat, keys.vm(vmId)), vmId, id, world.now);
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
];
