/** What holds for launches (I2): one instance for each, however often it is asked for, and none that stays beside its VM's own. */
import type { VmRow } from '../../core/vms/model.ts';
import type { Ec2Instance } from './ec2.ts';
import type { Simulation } from './world.ts';

/**
 * Where one launch was refused that had brought an instance unheard, the next one brings another: the watchdog ends the one
 * that is nobody's at its second look. It has seen it twice by then, by any clock, once nothing goes wrong any more.
 */
export const BESIDE_MS_MAX = 360_000;

export class LaunchRules {
  readonly #world: Simulation;
  /** By token: which launch it was written down for. What is asked for anew before there is an answer is the same one. */
  readonly #launches = new Map<string, string>();
  /** Of each VM: how many there were. */
  readonly #counts = new Map<string, number>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  isMeant = (token: string): boolean => this.#launches.has(token);

  intended(before: VmRow | undefined, { id, intent }: VmRow): void {
    if (intent.clientToken === undefined) return;
    const count = (this.#counts.get(id) ?? 0) + (before?.intent.open === true ? 0 : 1);
    this.#counts.set(id, count);
    this.#launches.set(intent.clientToken, `${id} ${count}`);
  }

  launched(instance: Ec2Instance): void {
    const beside = this.#besides(instance);
    const launch = this.#launches.get(instance.token);
    const again = beside.find(({ token }) => this.#launches.get(token) === launch);
    if (launch !== undefined && again !== undefined)
      this.#world.broken('I2', `${instance.vmId} gets ${instance.id} and ${again.id} for one launch`);
    for (const other of beside) this.#watch(instance, other);
  }

  /** Its VM's others that nobody is ending. What EC2 brings beyond the number that was asked for is nobody's from the start. */
  #besides(instance: Ec2Instance): readonly Ec2Instance[] {
    if (instance.isSurplus) return [];
    return this.#world.ec2.instances.filter(
      (each) => each !== instance && each.vmId === instance.vmId && !each.isSurplus && isWanted(each),
    );
  }

  /** Until faults stop the watchdog itself may stand still: what counts is the time after that. */
  #watch(one: Ec2Instance, other: Ec2Instance): void {
    const { time } = this.#world;
    const wasCalm = this.#world.isCalm;
    time.after(BESIDE_MS_MAX, () => {
      if (!isWanted(one) || !isWanted(other)) return;
      if (!wasCalm) this.#watch(one, other);
      else this.#world.broken('I2', `${one.vmId} has ${other.id} and ${one.id}, and nobody ends either`);
    });
  }
}

const isWanted = ({ state }: Ec2Instance): boolean => state === 'pending' || state === 'running';
