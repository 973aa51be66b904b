/** A clean stop gives every live run a verdict: cancelled through the same door as anybody's cancel. */
import { isTerminal } from '../../core/contract/runs.ts';
import { CandorError } from '../../core/errors.ts';
import { liveRuns, liveVms } from '../../core/live.ts';
import type { Ports } from '../../core/ports.ts';
import { cancelRun } from '../../core/runs/cancel.ts';
import { observeVm, terminateVm } from '../../core/vms/release.ts';

const POLL_MS = 50;
/** For the runner's report after the last signal. */
const REPORT_MS = 3000;

export async function endLiveWork(
  ports: Ports,
  options: { readonly hurry: Promise<unknown>; readonly say: (line: string) => void },
): Promise<void> {
  let hurried = false;
  void options.hurry.then(() => {
    hurried = true;
  });
  const asked = new Set<string>();
  await askForTheEnd(ports, asked, options.say);
  const { cancelInterruptSeconds, cancelTerminateSeconds } = ports.config;
  const limit = ports.time.now() + (cancelInterruptSeconds + cancelTerminateSeconds) * 1000 + REPORT_MS;
  while (!hurried && ports.time.now() < limit && (await anyLeft(ports))) {
    await pause(POLL_MS);
    // The API still answers, as the runners need it: a run may have been accepted meanwhile.
    await askForTheEnd(ports, asked, options.say);
  }
  // What is left gets its end from the fleet's own observation, which is the evidence then.
  for (const vm of await liveVms(ports)) {
    await terminateVm(ports, vm).catch((error: unknown) =>
      ports.log.warn('stop.terminate_failed', { vmId: vm.id, error: String(error) }),
    );
    await observeVm(ports, vm.id).catch(() => undefined);
  }
}

/** Cancels the live runs that have not been asked yet. */
async function askForTheEnd(ports: Ports, asked: Set<string>, say: (line: string) => void): Promise<void> {
  const live = (await liveRuns(ports)).filter((run) => !isTerminal(run.status) && !asked.has(run.id));
  if (live.length > 0)
    say(`${live.length} live run${live.length === 1 ? '' : 's'}: ${live.map(({ id }) => id).join(', ')}`);
  for (const run of live) {
    asked.add(run.id);
    await cancelRun(ports, run, run.id, {
      by: 'candor dev',
      reason: 'candor dev stops',
      cause: 'shutdown',
    }).catch((error: unknown) => {
      if (!(error instanceof CandorError && error.code === 'run_ended')) throw error;
    });
  }
}

/** Runs that have not ended, or VMs that have not been seen to go. */
async function anyLeft(ports: Ports): Promise<boolean> {
  const runs = await liveRuns(ports);
  if (runs.some((run) => !isTerminal(run.status))) return true;
  for (const vm of await liveVms(ports)) {
    await observeVm(ports, vm.id).catch(() => undefined);
  }
  return (await liveVms(ports)).length > 0;
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
