/** What really happened: which process of which attempt ran where, and how it ended. Candor's words are measured by it. */
import { isTerminal } from '../../core/contract/runStatus.ts';
import type { RunRow } from '../../core/runs/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { type Address, keyOf } from '../../runner/state.ts';
import type { Machine } from './machine.ts';
import type { Simulation } from './world.ts';

export interface End {
  /** `machine`: it ended with its machine. */
  readonly by: 'self' | 'signal' | 'machine';
  readonly exitCode?: number;
  readonly signal?: string;
  readonly detail?: string;
}

export interface Process {
  readonly address: Address;
  readonly machine: Machine;
  readonly startedAt: number;
  readonly isIdle: boolean;
  signalled?: boolean;
  end?: End & { readonly at: number };
}

export class Truth {
  readonly #world: Simulation;
  readonly #byRun = new Map<string, Process[]>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  of = ({ runId, attempt }: Address): Process | undefined =>
    this.#byRun.get(runId)?.find((each) => each.address.attempt === attempt);

  live = (runId: string): readonly Process[] => (this.#byRun.get(runId) ?? []).filter(({ end }) => end === undefined);

  all = (): readonly Process[] => [...this.#byRun.values()].flat();

  isIdle = (key: string): boolean => {
    const [runId = '', attempt] = key.split('.');
    return this.of({ runId, attempt: Number(attempt) })?.isIdle === true;
  };

  started(address: Address, machine: Machine): void {
    const { runId, attempt } = address;
    this.#world.note(`process of ${keyOf(address)} starts on ${machine.instanceId}`);
    const [other] = this.live(runId);
    if (other !== undefined)
      this.#world.broken(
        'I2',
        `attempt ${attempt} of ${runId} starts on ${machine.instanceId} while attempt ${other.address.attempt} is at work on ${other.machine.instanceId}`,
      );
    if (this.of(address) !== undefined) this.#world.broken('I2', `attempt ${attempt} of ${runId} is started twice`);
    const run = this.#world.table.get(keys.run(runId)) as RunRow | undefined;
    if (run === undefined) this.#world.broken('I2', `${runId} starts and nobody knows it`);
    else if (isTerminal(run.status)) this.#world.broken('I2', `${runId} starts after it was said to be ${run.status}`);
    else if (run.attempt !== attempt)
      this.#world.broken('I2', `attempt ${attempt} of ${runId} starts, which is at attempt ${run.attempt}`);
    else if (run.vmId !== machine.vmId)
      this.#world.broken('I2', `${runId} starts on ${machine.vmId}, and its marker names ${run.vmId}`);
    if (run?.scheduleId !== undefined) this.#beside(run.scheduleId, runId);
    const processes = this.#byRun.get(runId) ?? [];
    this.#byRun.set(runId, processes);
    const isIdle = this.#world.random.chance(0.15);
    processes.push({ address, machine, startedAt: this.#world.time.now, isIdle });
  }

  /** Runs of one schedule are at work side by side only where its policy allows that. */
  #beside(scheduleId: string, runId: string): void {
    const { rows, policies } = this.#world.checker.runs;
    const isAlone = (id: string) => policies.get(id) !== 'allow_all';
    if (!isAlone(runId)) return;
    for (const { address, end, machine } of this.all()) {
      const other = rows.get(address.runId);
      if (end !== undefined || other?.scheduleId !== scheduleId || other.id === runId || !isAlone(other.id)) continue;
      this.#world.broken(
        'I10',
        `${runId} (${policies.get(runId)}) starts beside ${other.id} (${policies.get(other.id)}), which is at work on ${machine.instanceId}`,
      );
    }
  }

  ended(address: Address, how: End): void {
    const process = this.of(address);
    this.#world.note(`process of ${keyOf(address)} ends: ${how.by} ${how.exitCode ?? how.signal ?? ''}`);
    if (process !== undefined && process.end === undefined) process.end = { ...how, at: this.#world.time.now };
  }
}
