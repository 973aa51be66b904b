/**
 * The worst moment: one incarnation has read and decided, and is about to commit. It is held up, and somebody else is quicker
 * at the very same thing: a client, another delivery, another watchdog, the runner, the power supply.
 */
import { fire } from '../../core/schedules/fire.ts';
import { advanceSchedule } from '../../core/schedules/advance.ts';
import { syncClock } from '../../core/schedules/clockSync.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Write } from '../../core/table/model.ts';
import { observeVm } from '../../core/vms/release.ts';
import { tick } from '../../core/watchdog/tick.ts';
import type { Clients } from './clients.ts';
import type { Incarnation } from './incarnations.ts';
import type { Simulation } from './world.ts';

const WATCHDOG_BUDGET_MS = 48_000;
/** At the same time: an ambush does not draw others without end. */
const AT_ONCE = 3;

export const watchdogTick = (world: Simulation) =>
  world.invoke('watchdog', (ports) => tick(ports, { owner: 'simulated', budgetMs: WATCHDOG_BUDGET_MS }));

export class Rivals {
  readonly #world: Simulation;
  readonly #clients: Clients;
  readonly #share: number;
  #under = 0;

  constructor(world: Simulation, clients: Clients, share: number) {
    this.#world = world;
    this.#clients = clients;
    this.#share = share;
  }

  /** @returns for how long the incarnation is held up */
  ambush(inc: Incarnation, writes: readonly Write[]): number {
    const { random, time, isCalm } = this.#world;
    if (isCalm || this.#under >= AT_ONCE || this.#share === 0 || !random.chance(this.#share)) return 0;
    const write = random.pick(writes);
    const { pk } = write.kind === 'put' ? write.item : write.key;
    const heldUpMs = random.spread(300, 20_000);
    this.#under++;
    time.after(heldUpMs, () => {
      this.#under--;
    });
    this.#world.note(`${inc.kind}-${inc.number} is ambushed at ${pk}`);
    this.#strike(pk);
    return heldUpMs;
  }

  #strike(pk: string): void {
    const world = this.#world;
    const { random } = world;
    const id = pk.slice(pk.indexOf('#') + 1);
    if (random.chance(0.2)) return void watchdogTick(world);
    if (pk.startsWith('SCH#')) return this.#strikeSchedule(pk, id);
    if (pk.startsWith('RUN#')) {
      const { vmId, scheduleId } = world.checker.runs.rows.get(id) ?? {};
      if (vmId !== undefined && random.chance(0.5)) return this.#strikeVm(vmId);
      if (scheduleId !== undefined && random.chance(0.3)) return this.#strikeSchedule(keys.schedule(scheduleId).pk, scheduleId);
    }
    if (pk.startsWith('VM#') && random.chance(0.8)) return this.#strikeVm(id);
    this.#clients.rival(pk);
  }

  #strikeSchedule(pk: string, scheduleId: string): void {
    const world = this.#world;
    const { random, time } = world;
    switch (random.below(7)) {
      case 0:
      case 1: {
        const row = world.table.get(keys.schedule(scheduleId)) as unknown as ScheduleRow | undefined;
        const specs = row === undefined ? {} : { agentId: row.agentId, principalId: row.createdBy };
        return void world.invoke('fire', (ports) => fire(ports, { scheduleId, ...specs }));
      }
      case 2:
        return void world.invoke('events', (ports) => advanceSchedule(ports, scheduleId));
      case 3:
        return void world.invoke('events', (ports) => syncClock(ports, scheduleId));
      case 4: {
        // A run of it ends just now.
        const [runId] = (world.table.get(keys.schedule(scheduleId))?.liveRuns ?? []) as readonly string[];
        const vmId = runId === undefined ? undefined : world.checker.runs.rows.get(runId)?.vmId;
        if (vmId !== undefined) return this.#strikeVm(vmId);
        if (runId !== undefined) return this.#clients.rival(keys.run(runId).pk);
        return;
      }
      default:
        time.after(0, () => this.#clients.rival(pk));
    }
  }

  #strikeVm(vmId: string): void {
    const world = this.#world;
    const instance = world.ec2.instances.findLast((each) => each.vmId === vmId);
    switch (world.random.below(6)) {
      case 0:
        return this.#clients.rival(keys.vm(vmId).pk);
      case 1:
        return void world.invoke('watchdog', (ports) => observeVm(ports, vmId));
      case 2:
        if (instance !== undefined && world.random.chance(0.3)) world.ec2.end(instance, 'Server.InternalError');
        return;
      case 3:
        return instance?.machine.endSomething();
      default:
        return instance?.machine.poke();
    }
  }
}
