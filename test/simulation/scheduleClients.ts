/** Those who change, start and skip schedules that are there. */
import { SchedulePatch } from '../../core/contract/schedules.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../core/schedules/actions.ts';
import { cancelBackfill, startBackfill } from '../../core/schedules/backfill.ts';
import { nextExpected } from '../../core/schedules/expected.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import { patchSchedule } from '../../core/schedules/service.ts';
import { skipOccurrence, unskipOccurrence } from '../../core/schedules/skips.ts';
import { triggerSchedule } from '../../core/schedules/trigger.ts';
import { scheduleThere } from './calendar.ts';
import { type Ask, CALLER, preconditionOf } from './callers.ts';
import { Random } from './random.ts';
import { MINUTE, type Operation } from './workload.ts';
import type { Simulation } from './world.ts';

export class ScheduleClients {
  readonly #world: Simulation;
  readonly #seed: number;
  readonly #ask: Ask;

  constructor(world: Simulation, seed: number, ask: Ask) {
    this.#world = world;
    this.#seed = seed;
    this.#ask = ask;
  }

  async once(operation: Operation): Promise<void> {
    const all = [...this.#world.checker.ledger.rows.values()];
    const schedule = all[operation.pick % all.length];
    if (schedule === undefined) return;
    const { id } = schedule;
    const { kind, how } = operation;
    const loose = preconditionOf(operation, schedule.version, false);
    switch (kind) {
      case 'patch_schedule':
        return this.#patch(operation, schedule);
      case 'trigger':
        await this.#ask(kind, (ports) =>
          triggerSchedule(ports, CALLER, id, how % 2 === 0 ? { input: { how } } : {}, loose),
        );
        return;
      case 'skip':
      case 'unskip':
        return this.#skip(kind, operation, schedule);
      case 'backfill': {
        const to = Math.floor(this.#world.time.now / 1000) * 1000;
        const request = {
          from: to - (5 + (how % 20)) * MINUTE,
          to,
          overlapPolicy: how % 2 === 0 ? 'buffer_all' : 'allow_all',
          again: how % 3 === 0,
        } as const;
        await this.#ask(kind, (ports) => startBackfill(ports, CALLER, id, request, loose));
        return;
      }
      case 'cancel_backfill': {
        const backfillId = schedule.backfill?.id;
        if (backfillId !== undefined)
          await this.#ask(kind, (ports) => cancelBackfill(ports, CALLER, id, backfillId, loose));
        return;
      }
      default:
        return this.#move(operation, schedule);
    }
  }

  /** To another status; what was acknowledged was so at some moment between the question and the answer. */
  async #move(operation: Operation, { id, version }: ScheduleRow): Promise<void> {
    const { kind, how } = operation;
    const asked = this.#world.time.now;
    const loose = preconditionOf(operation, version, false);
    if (kind === 'pause') {
      if ((await this.#ask(kind, (ports) => pauseSchedule(ports, CALLER, id, 'a whim', loose))) !== undefined)
        this.#stoodAs(id, ['paused'], asked, 'a pause');
    } else if (kind === 'resume') {
      if ((await this.#ask(kind, (ports) => resumeSchedule(ports, CALLER, id, loose))) !== undefined)
        this.#stoodAs(id, ['active', 'completed', 'paused'], asked, 'a resume');
    } else if (kind === 'delete_schedule') {
      const strict = preconditionOf(operation, version, true);
      const options = { cancelRuns: how % 2 === 0 };
      const gone = await this.#ask(kind, (ports) => deleteSchedule(ports, CALLER, id, strict, options));
      if (gone !== undefined) this.#stoodAs(id, ['deleting', 'deleted'], asked, 'a delete');
    } else throw new Error(`nobody asks for ${kind} of a schedule`);
  }

  #stoodAs(id: string, statuses: readonly string[], since: number, what: string): void {
    const stood = this.#world.checker.ledger.history.get(id) ?? [];
    const held = stood.some(
      ({ status }, index) => statuses.includes(status) && (stood[index + 1]?.from ?? Number.POSITIVE_INFINITY) >= since,
    );
    if (!held) this.#world.broken('I4', `${what} of ${id} was acknowledged, and it was never ${statuses.join(' or ')}`);
  }

  async #patch(operation: Operation, { id, version }: ScheduleRow): Promise<void> {
    const { how } = operation;
    const drawn = scheduleThere(this.#world, new Random(this.#seed * 2000 + how), how, how);
    const { overlapPolicy, cadence, input } = drawn;
    const patches = [
      { overlapPolicy },
      { cadence, confirmFrequency: true },
      { input },
      { name: `schedule ${how % 3}` },
    ];
    const patch = SchedulePatch.parse(patches[how % patches.length] ?? {});
    const strict = preconditionOf(operation, version, true);
    await this.#ask('patch_schedule', (ports) => patchSchedule(ports, CALLER, id, patch, strict));
  }

  async #skip(kind: 'skip' | 'unskip', operation: Operation, schedule: ScheduleRow): Promise<void> {
    const next = nextExpected(schedule, this.#world.time.now + (operation.how % 4) * MINUTE);
    if (next === undefined) return;
    const request = { occurrence: next, reason: 'a whim' };
    const loose = preconditionOf(operation, schedule.version, false);
    const act = kind === 'skip' ? skipOccurrence : unskipOccurrence;
    await this.#ask(kind, (ports) => act(ports, CALLER, schedule.id, request, loose));
  }
}
