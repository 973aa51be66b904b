/** Runs on a VM: past their time, cancelled in vain, left without their VM, or ended without a word. */
import { expect } from 'vitest';
import { cancelRun } from '../../../../core/runs/cancel.ts';
import * as keys from '../../../../core/table/itemKeys.ts';
import { takeLeftOutcomes } from '../../../../core/vms/leftOutcomes.ts';
import { observeVm } from '../../../../core/vms/release.ts';
import type { Recovery } from '../../../../core/watchdog/recoveries.ts';
import type { World } from '../../../support/world.ts';
import { ended, entry, MINUTE, running, runningRun, runRow, SECOND, vmRow } from '../../support.ts';
import { CANCEL, dies, stuckBesideOther } from '../../vms/support.ts';
import { keyOf, losing, type RuleCase, type Scene } from '../scene.ts';

const cancel = (world: World, id: string) => cancelRun(world.ports, world.caller, id, CANCEL);

/** The VM's end is recorded, and what would have ended its run is lost on the way. */
async function vmGoneRunLeft({ world }: Scene, { id, vmId }: { readonly id: string; readonly vmId: string }) {
  dies(world, vmId);
  await observeVm(
    losing(world, (write) => keyOf(write).pk === keys.run(id).pk),
    vmId,
  );
  expect((await vmRow(world, vmId)).status).toBe('terminated');
}

const cancelEscalated: readonly RuleCase[] = [
  {
    stuck: 'the process outlives every signal',
    found: async (scene) => {
      const { world } = scene;
      const { id, vmId, runner } = await runningRun(world);
      await cancel(world, id);
      await scene.pass(119 * SECOND, () => runner.beat([running(id)]));
      expect(world.terminations).toEqual([]);
      await scene.pass(SECOND, () => runner.beat([running(id)]));
      expect(world.terminations).toEqual([vmId]);
      expect((await runRow(world, id)).status).toBe('cancelling');
      dies(world, vmId);
      await scene.pass(70 * SECOND);
      expect(await runRow(world, id)).toMatchObject({ status: 'cancelled', reason: 'vm_terminated_after_cancel' });
      return { pk: keys.run(id).pk, because: /not carried out within 120 s/, did: new RegExp(`terminated ${vmId}`) };
    },
    almost: 'it ends in the last second before that',
    besides: ['vm_lingering'],
    leftAlone: async (scene) => {
      const { id, runner } = await runningRun(scene.world);
      await cancel(scene.world, id);
      await scene.pass(119 * SECOND, () => runner.beat([running(id)]));
      await runner.beat([ended(id, { signal: 'SIGKILL', terminatedBy: 'cancel' })]);
      await scene.pass(MINUTE);
      expect(await runRow(scene.world, id)).toMatchObject({ status: 'cancelled', reason: 'cancelled' });
    },
  },
  {
    stuck: 'it shares its VM with other work, which is well',
    found: async (scene) => {
      const { id, vmId, other, beat } = await stuckBesideOther(scene.world);
      await scene.pass(5 * MINUTE, beat);
      expect(scene.world.terminations).toEqual([]);
      expect(await vmRow(scene.world, vmId)).toMatchObject({ status: 'draining', drain: { requestedBy: 'watchdog' } });
      expect((await runRow(scene.world, other)).status).toBe('running');
      expect(scene.rules.filter((rule) => rule === 'cancel_escalated')).toHaveLength(1);
      return { pk: keys.run(id).pk, because: /not carried out within 120 s/, did: /drains .* other work/ };
    },
    almost: 'it ends in time, and the VM goes on with the other work',
    leftAlone: async (scene) => {
      const { id, vmId, runner, other, beat } = await stuckBesideOther(scene.world);
      await scene.pass(110 * SECOND, beat);
      await runner.beat([ended(id, { terminatedBy: 'cancel', signal: 'SIGKILL' }), running(other)]);
      await scene.pass(3 * MINUTE, () => runner.beat([running(other)]));
      expect((await vmRow(scene.world, vmId)).status).toBe('ready');
    },
  },
];

const runWithoutVm: readonly RuleCase[] = [
  {
    stuck: 'the end of its VM was recorded, and that of the run was lost: found at its own deadline at the latest',
    found: async (scene) => {
      const started = await runningRun(scene.world, { limits: { runTimeout: 'PT5M' } });
      await vmGoneRunLeft(scene, started);
      expect((await runRow(scene.world, started.id)).status).toBe('running');
      await scene.pass(5 * MINUTE);
      expect(await runRow(scene.world, started.id)).toMatchObject({
        status: 'lost',
        reason: 'vm_terminated',
        evidence: { source: 'fleet' },
      });
      return { pk: keys.run(started.id).pk, because: /was seen to be gone/, did: /gave it the end/ };
    },
    almost: 'its VM is said to be gone once, and reports again',
    leftAlone: async (scene) => {
      const { id, vmId, runner } = await runningRun(scene.world, { limits: { runTimeout: 'PT5M' } });
      dies(scene.world, vmId);
      await scene.pass(2 * MINUTE, () => runner.beat([running(id)]));
      expect((await runRow(scene.world, id)).status).toBe('running');
    },
  },
  {
    stuck: 'the same while it is being cancelled',
    found: async (scene) => {
      const started = await runningRun(scene.world);
      await cancel(scene.world, started.id);
      await vmGoneRunLeft(scene, started);
      expect((await runRow(scene.world, started.id)).status).toBe('cancelling');
      await scene.pass(MINUTE);
      expect(await runRow(scene.world, started.id)).toMatchObject({
        status: 'cancelled',
        reason: 'vm_terminated_after_cancel',
      });
      return { pk: keys.run(started.id).pk, because: /was seen to be gone/, did: /the end that its VM left it/ };
    },
    almost: 'its VM is still on its way out, and its runner reports the end',
    besides: ['vm_lingering'],
    leftAlone: async (scene) => {
      const { id, runner } = await runningRun(scene.world);
      await cancel(scene.world, id);
      await scene.pass(50 * SECOND, () => runner.beat([entry(id, 'ending', { signalsSent: ['SIGINT'] })]));
      await runner.beat([ended(id, { signal: 'SIGINT', terminatedBy: 'cancel' })]);
      await scene.pass(MINUTE);
      expect(await runRow(scene.world, id)).toMatchObject({ status: 'cancelled', reason: 'cancelled' });
    },
  },
];

export const AT_WORK_CASES = {
  run_timeout: [
    {
      stuck: 'the work goes on past its runTimeout',
      found: async (scene) => {
        const { id, runner } = await runningRun(scene.world, { limits: { runTimeout: 'PT5M' } });
        const beat = () => runner.beat([running(id)]);
        const { startedAt } = await runRow(scene.world, id);
        await scene.pass((startedAt ?? 0) + 5 * MINUTE - scene.world.now, beat);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'cancelling', cancel: { cause: 'timeout' } });
        await runner.beat([ended(id, { signal: 'SIGTERM', terminatedBy: 'timeout' })]);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'timed_out', reason: 'run_timeout' });
        return { pk: keys.run(id).pk, because: /longer than its runTimeout of 300 s/, did: /told the runner/ };
      },
      almost: 'it ends a second before that',
      leftAlone: async (scene) => {
        const { id, runner } = await runningRun(scene.world, { limits: { runTimeout: 'PT5M' } });
        const { startedAt } = await runRow(scene.world, id);
        await scene.pass((startedAt ?? 0) + 5 * MINUTE - SECOND - scene.world.now, () => runner.beat([running(id)]));
        await runner.beat([ended(id)]);
        await scene.pass(20 * SECOND);
        expect((await runRow(scene.world, id)).status).toBe('succeeded');
      },
    },
  ],
  run_without_vm: runWithoutVm,
  cancel_resent: [
    {
      stuck: 'the runner took the command and forgot it when it was started anew',
      found: async (scene) => {
        const { id, runner } = await runningRun(scene.world);
        await cancel(scene.world, id);
        await runner.beat([running(id)]);
        await runner.beat([]);
        scene.world.now += 59 * SECOND;
        await scene.look();
        expect(scene.rules).toEqual(['vm_silent']);
        scene.world.now += SECOND;
        await scene.look();
        expect((await runner.beat([running(id)])).commands).toMatchObject([{ kind: 'cancel', runId: id }]);
        return { pk: keys.run(id).pk, because: /has not acknowledged the cancel/, did: /told the runner again/ };
      },
      almost: 'it has acknowledged, and ends the work slowly',
      leftAlone: async (scene) => {
        const { id, runner } = await runningRun(scene.world);
        await cancel(scene.world, id);
        await runner.beat([running(id)]);
        const ending = () => runner.beat([entry(id, 'ending', { signalsSent: ['SIGINT'] })]);
        await scene.pass(110 * SECOND, ending);
        expect((await runRow(scene.world, id)).status).toBe('cancelling');
      },
    },
  ],
  cancel_escalated: cancelEscalated,
  ended_unreported: [
    {
      stuck: 'its runner was started anew without its journal, and does not name it in two reports',
      found: async (scene) => {
        const { id, runner } = await runningRun(scene.world);
        await runner.beat([]);
        await runner.beat([]);
        expect(await runRow(scene.world, id)).toMatchObject({
          status: 'lost',
          reason: 'ended_unreported',
          evidence: { source: `runner ${runner.vmId}` },
        });
        return { pk: keys.run(id).pk, event: 'run.lost', because: /ended_unreported/, did: /./ };
      },
      almost: 'it is missing in one report, and the next one brings its outcome',
      besides: ['vm_lingering'],
      leftAlone: async (scene) => {
        const { id, runner } = await runningRun(scene.world);
        await runner.beat([]);
        await runner.beat([ended(id, { exitCode: 0 })]);
        await scene.pass(MINUTE);
        expect((await runRow(scene.world, id)).status).toBe('succeeded');
      },
    },
  ],
  idle_timeout: [
    {
      stuck: 'it waits for an answer that never comes, without output or CPU time',
      found: async (scene) => {
        const { id, runner } = await runningRun(scene.world, { limits: { idleTimeout: 'PT5M' } });
        await runner.beat([entry(id, 'running', { pid: 4711, startedAgoMs: 400_000, idleForMs: 300_000 })]);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'cancelling', cancel: { cause: 'idle' } });
        return { pk: keys.run(id).pk, event: 'run.cancelling', because: /idleTimeout is 300 s/, did: /./ };
      },
      almost: 'it is quiet for a millisecond less, and where no idleTimeout is set for a day',
      leftAlone: async (scene) => {
        for (const [limits, idleForMs] of [
          [{ idleTimeout: 'PT5M' }, 299_999],
          [{}, 24 * 3_600_000],
        ] as const) {
          const { id, runner } = await runningRun(scene.world, { limits });
          await runner.beat([entry(id, 'running', { pid: 4711, startedAgoMs: 400_000, idleForMs })]);
          expect((await runRow(scene.world, id)).status).toBe('running');
        }
      },
    },
  ],
  outcome_corrected: [
    {
      stuck: 'the VM was killed after the work had ended and before that was told: its journal is read later',
      found: async (scene) => {
        const { id, vmId } = await runningRun(scene.world);
        dies(scene.world, vmId);
        await scene.pass(MINUTE);
        expect((await runRow(scene.world, id)).status).toBe('lost');
        for (let twice = 0; twice < 2; twice++) await takeLeftOutcomes(scene.world.ports, vmId, [ended(id)]);
        expect(await runRow(scene.world, id)).toMatchObject({ status: 'lost', correction: { status: 'succeeded' } });
        return { pk: keys.run(id).pk, event: 'run.corrected', because: /succeeded/, did: /./ };
      },
      almost: 'its journal is read before its end is judged: that is no correction but the verdict',
      leftAlone: async (scene) => {
        const { id, vmId } = await runningRun(scene.world);
        await takeLeftOutcomes(scene.world.ports, vmId, [ended(id, { exitCode: 3 })]);
        dies(scene.world, vmId);
        await scene.pass(MINUTE);
        const run = await runRow(scene.world, id);
        expect(run).toMatchObject({ status: 'failed', exitCode: 3 });
        expect(run.correction).toBeUndefined();
      },
    },
  ],
} satisfies Partial<Record<Recovery, readonly RuleCase[]>>;
