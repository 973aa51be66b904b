/** `candor dev --fleet none`: a fleet that starts nothing. What exists from before is observed and ended as ever. */
import type { Fleet } from '../../core/ports.ts';
import { LaunchMisconfigured } from '../../core/vms/launchErrors.ts';

/** @param fleet the one that does all the rest */
export const withoutLaunches = (fleet: Fleet): Fleet => ({
  plan: (...of) => fleet.plan(...of),
  launch: async () => {
    throw new LaunchMisconfigured('this server launches no VM: it was started with --fleet none');
  },
  observe: (...of) => fleet.observe(...of),
  terminate: (...of) => fleet.terminate(...of),
  list: (...of) => fleet.list(...of),
  terminateInstance: (...of) => fleet.terminateInstance(...of),
});
