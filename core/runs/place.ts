/** Place: a queued run gets its way to a VM, once every limit has room for it (design.md §5.2). Repeating it is harmless. */
import { admitRun, type LetIn } from '../limits/admit.ts';
import { countsVms } from '../limits/model.ts';
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import { makeRoom } from '../vms/makeRoom.ts';
import { giveVm } from './giveVm.ts';
import { isTooSoon, type RunRow } from './model.ts';

export type Placement = 'started' | 'exists' | 'waiting';

/**
 * Place, for whoever has just been promised the run: it is committed, so what goes wrong here is no failure of the request,
 * which would only be sent again. The run's check brings it to the watchdog.
 */
export async function placeOrLeave(ports: Ports, run: RunRow): Promise<void> {
  try {
    await placeRun(ports, run);
  } catch (error) {
    ports.log.warn('place.left_to_watchdog', { runId: run.id, error: String(error) });
  }
}

export async function placeRun(ports: Ports, seen: RunRow): Promise<Placement> {
  if (isTooSoon(seen, ports.time.now())) return 'waiting';
  let run: LetIn = seen;
  if (seen.limited === true && seen.admitted === undefined) {
    const admission = await admitRun(ports, seen.id);
    if (admission.kind === 'waiting') {
      // The last one to free a place may have found nobody in the queue: it is looked at once more from here.
      if ((await admitWaiting(ports, admission.limitId)).includes(run.id)) return 'started';
      if (countsVms(admission.limitId)) await makeRoom(ports, admission.limitId, `run ${run.id} waits for a VM`);
      return 'waiting';
    }
    if (admission.kind !== 'admitted') return admission.kind === 'moved_on' ? 'exists' : 'waiting';
    run = admission.run;
  }
  const { placement, freed } = await giveVm(ports, run);
  for (const limitId of freed) await admitWaiting(ports, limitId);
  return placement;
}
