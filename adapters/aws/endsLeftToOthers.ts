/**
 * The fleet of functions that have no client of EC2, nor the right to use it: what is called by everybody, or must start
 * fast. What they decide about a VM stands in its row; the stream's consumer and the watchdog act on it.
 */
import type { Fleet, InstanceObservation, Launched, LaunchPlan, Log } from '../../core/ports.ts';

export class EndsLeftToOthers implements Fleet {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  plan(): Promise<LaunchPlan> {
    return Promise.reject(new Error('this function launches nothing'));
  }

  launch(): Promise<Launched> {
    return Promise.reject(new Error('this function launches nothing'));
  }

  /** Not looked at is not known: nothing follows from it. */
  async observe(): Promise<InstanceObservation> {
    return { status: 'unknown', detail: 'this function does not look at instances' };
  }

  async terminate(vmId: string): Promise<void> {
    this.#log.info('vm.end_left_to_others', { vmId });
  }
}
