/** What holds for VMs: I2, I6, I7, I8, I9, I13, and that nothing is called gone that is there. */
import type { HeartbeatRequest, RunnerCommand } from '../../core/contract/runner.ts';
import { isTerminal } from '../../core/contract/runStatus.ts';
import type { RunRow } from '../../core/runs/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { isGivenUp, type VmRow } from '../../core/vms/model.ts';
import type { Ec2Instance } from './ec2.ts';
import type { Commit } from './invariants.ts';
import { SilenceRules } from './silenceRules.ts';
import type { Simulation } from './world.ts';

/** Before an end is asked for, the row says that the VM is given up. */
const WANTED: ReadonlySet<VmRow['status']> = new Set(['launching', 'booting', 'ready']);

/** What may follow what (design.md §3), in words of our own: the core's table is one of the things that are taken out. */
const FOLLOWS: Readonly<Record<VmRow['status'], readonly VmRow['status'][]>> = {
  launching: ['booting', 'ready', 'draining', 'terminated'],
  booting: ['ready', 'draining', 'terminated'],
  ready: ['unresponsive', 'draining', 'terminated'],
  unresponsive: ['ready', 'draining', 'terminated'],
  draining: ['unresponsive', 'terminated'],
  terminated: [],
};

/** Whoever waits as long as a launch may take to settle, by clocks that differ, has seen by then what it has brought. */
const APPEARS_MS = 45_000;

export class VmRules {
  readonly #world: Simulation;
  readonly rows = new Map<string, VmRow>();
  /** Since when those that are there carry no run. */
  readonly restsSince = new Map<string, number>();
  /** The heartbeat that was taken last on a VM that had been given up, as generation and seq. */
  readonly #heardGivenUp = new Map<string, string>();
  /** By no clock but the world's: when the last report of each VM came in; it may be taken in much later. */
  readonly #heardAt = new Map<string, number>();
  readonly silence: SilenceRules;

  constructor(world: Simulation) {
    this.#world = world;
    this.silence = new SilenceRules(world);
  }

  /** A heartbeat has been taken within the lease: nobody may call it silent. */
  isFresh(vmId: string): boolean {
    const heardAt = this.#heardAt.get(vmId);
    return heardAt !== undefined && this.#world.time.now - heardAt < this.#world.config.leaseSeconds * 1000;
  }

  changed(commit: Commit, before: VmRow | undefined, after: VmRow | undefined): void {
    const { inc, find } = commit;
    const fail = (invariant: string, what: string) =>
      this.#world.broken(invariant, `${inc.kind}: ${after?.id ?? before?.id} ${what}`);
    if (after === undefined) {
      fail('§1.7', 'is taken away');
      return;
    }
    this.rows.set(after.id, after);
    if (after.slots.length > 0 || after.status === 'terminated') this.restsSince.delete(after.id);
    else if (!this.restsSince.has(after.id)) this.restsSince.set(after.id, this.#world.time.now);
    this.#world.checker.launches.intended(before, after);
    if (before === undefined) return;
    if (after.version !== before.version && after.version !== before.version + 1)
      fail('I8', `goes from version ${before.version} to ${after.version}`);
    const moved = after.status !== before.status;
    if (moved) {
      if (!FOLLOWS[before.status].includes(after.status)) fail('I3', `goes from ${before.status} to ${after.status}`);
      const event = keys.vmEvent(after.id, after.version);
      if (find(event.pk, event.sk) === undefined) fail('I13', `is ${after.status} without an event`);
    }
    if (before.status === 'terminated' && after.slots.length > 0) fail('I3', 'is gone, and takes a run');
    if (before.status === 'terminated' && after.checkAt !== undefined) fail('I3', 'is gone, and is to be looked at');
    if (before.instanceId !== undefined && after.instanceId !== before.instanceId)
      fail('I2', `was ${before.instanceId}, and is ${after.instanceId}`);
    const { intent } = before;
    if (intent.open && after.intent.open && after.intent.clientToken !== intent.clientToken)
      fail('I2', 'asks for another instance, and the request before has not been answered');
    this.#heard(commit, before, after, fail);
    this.#slots(after, fail);
    if (moved && after.status === 'terminated') this.#gone(after, fail);
    if (moved && after.status === 'unresponsive' && this.isFresh(after.id))
      fail('I9', 'is called silent, and was heard within its lease');
    const heardAt = this.#heardAt.get(after.id);
    const isForSilence = before.status === 'unresponsive' && after.evidence.detail.startsWith('silent since');
    if (isForSilence && isGivenUp(after) && heardAt !== undefined && this.silence.spares(commit, heardAt))
      fail('I9', `is given up (${after.evidence.detail}), and nobody is heard`);
    const condemned = after.evidence.detail.includes('it is given up') && !isGivenUp(before) && isGivenUp(after);
    if (condemned && this.isFresh(after.id) && this.#worksWell(after))
      fail('I9', `is given up (${after.evidence.detail}), and carries work that is well`);
  }

  #heard({ inc }: Commit, before: VmRow, after: VmRow, fail: (invariant: string, what: string) => void): void {
    if (after.generation < before.generation) fail('I7', `goes back to generation ${after.generation}`);
    if (after.generation !== before.generation) this.#heardAt.set(after.id, inc.startedAt);
    if (after.generation !== before.generation || after.heartbeatSeq === before.heartbeatSeq) return;
    this.#heardAt.set(after.id, inc.startedAt);
    if (after.heartbeatSeq < before.heartbeatSeq) fail('I8', `goes back to heartbeat ${after.heartbeatSeq}`);
    if (before.status === 'terminated') fail('I7', 'is gone, and is heard');
    if (isGivenUp(before)) this.#heardGivenUp.set(after.id, `${after.generation}-${after.heartbeatSeq}`);
    const { actsFor } = inc;
    if (actsFor?.vmId !== after.id || actsFor.generation !== before.generation)
      fail('I7', `of generation ${before.generation} is renewed by ${actsFor?.vmId} of ${actsFor?.generation}`);
  }

  /** What a heartbeat is answered: what began on a VM that had been given up by then would be ended with it. */
  answered({ vmId, generation, seq }: HeartbeatRequest, commands: readonly RunnerCommand[]): void {
    if (this.#heardGivenUp.get(vmId) !== `${generation}-${seq}`) return;
    const start = commands.find((command) => command.kind === 'start' && command.impossible === undefined);
    if (start !== undefined)
      this.#world.broken('I9', `${vmId} has been given up, and is told to start (${start.number})`);
  }

  /** Each slot is a live run's that says the same. */
  #slots(vm: VmRow, fail: (invariant: string, what: string) => void): void {
    if (vm.slots.length > (vm.slotCount ?? 1)) fail('I10', `carries ${vm.slots.length} runs`);
    for (const { runId, attempt } of vm.slots) {
      const run = this.#world.table.get(keys.run(runId)) as RunRow | undefined;
      if (run === undefined || isTerminal(run.status) || run.vmId !== vm.id || run.attempt !== attempt)
        fail('I10', `has a slot for ${runId}, which is ${run?.status} at attempt ${run?.attempt} on ${run?.vmId}`);
      else if (run.agentId !== vm.agentId || run.tenantId !== vm.tenantId || run.agentVersion !== vm.agentVersion)
        fail('I12', `of ${vm.agentId} carries ${runId} of ${run.agentId}`);
      else if (vm.reuse === 'never' && runId !== vm.purpose.runId) fail('I12', `is not to be reused, and is`);
    }
  }

  #gone(vm: VmRow, fail: (invariant: string, what: string) => void): void {
    const { instances } = this.#world.ec2;
    const { instanceId, intent } = vm;
    const instance =
      instanceId === undefined
        ? instances.find((each) => each.vmId === vm.id && (each.shown[0]?.from ?? 0) < intent.openedAt + APPEARS_MS)
        : instances.find(({ id }) => id === instanceId);
    if (instance !== undefined && instance.state !== 'terminated')
      fail('truth', `is said to be gone (${vm.evidence.detail}), and ${instance.id} is ${instance.state}`);
  }

  /** Something on it is at work, wanted, and not being ended. */
  #worksWell(vm: VmRow): boolean {
    return vm.slots.some(({ runId }) => {
      const run = this.#world.table.get(keys.run(runId)) as RunRow | undefined;
      return (
        run !== undefined &&
        (run.status === 'running' || run.status === 'starting') &&
        this.#world.truth.live(runId).length > 0
      );
    });
  }

  /** Somebody has EC2 end an instance: nothing that is well may be on it (I9). */
  ending(kind: string, instance: Ec2Instance): void {
    const vm = this.rows.get(instance.vmId);
    if (
      kind === 'watchdog' &&
      vm !== undefined &&
      WANTED.has(vm.status) &&
      // What was launched for it, and not what comes of a request that was asked for again and refused.
      (vm.instanceId === undefined ? vm.intent.clientToken === instance.token : vm.instanceId === instance.id)
    )
      this.#world.broken(
        'I9',
        `${kind} ends ${instance.id} of ${vm.id}, which is ${vm.status}: nobody has given it up`,
      );
    if (vm === undefined || !this.isFresh(vm.id)) return;
    const well = this.#world.truth
      .all()
      .find(
        ({ machine, end, address }) =>
          machine === instance.machine &&
          end === undefined &&
          (this.#world.table.get(keys.run(address.runId)) as RunRow | undefined)?.status === 'running',
      );
    if (well !== undefined)
      this.#world.broken(
        'I9',
        `${kind} ends ${instance.id} of ${vm.id}, on which ${well.address.runId} is at work and well`,
      );
  }
}
