/**
 * The fleet of functions that have no client of EC2, nor the right to use it: what is called by everybody, or must start
 * fast. What they decide about a VM stands in its row; the stream's consumer and the watchdog act on it.
 */
import type { Fleet, InstanceObservation, Log } from '../../core/ports.ts';

/** What this function was never meant to ask: that it does is a fault of its composition. */
const refuse = (): Promise<never> => Promise.reject(new Error('this function may not use EC2'));

export class EndsLeftToOthers implements Fleet {
  readonly #log: Log;
  readonly plan = refuse;
  readonly launch = refuse;
  readonly list = refuse;
  readonly terminateInstance = refuse;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Not looked at is not known: nothing follows from it. */
  async observe(): Promise<InstanceObservation> {
    return { status: 'unknown', detail: 'this function does not look at instances' };
  }

  async terminate(vmId: string): Promise<void> {
    this.#log.info('vm.end_left_to_others', { vmId });
  }
}
