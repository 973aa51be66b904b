/** Place: a queued run gets its way to a VM, once every limit has room for it (design.md §5.2). Repeating it is harmless. */
import { admitRun } from '../limits/admit.ts';
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import { startExecution } from './execution.ts';
import type { RunRow } from './model.ts';

export type Placement = 'started' | 'exists' | 'waiting';

export async function placeRun(ports: Ports, run: RunRow): Promise<Placement> {
  if (run.limited !== true || run.admitted !== undefined) return startExecution(ports, run);
  const admission = await admitRun(ports, run.id);
  switch (admission.kind) {
    case 'admitted':
      return startExecution(ports, run);
    case 'moved_on':
      return 'exists';
    case 'waiting':
      // The last one to free a place may have found nobody in the queue: it is looked at once more from here.
      return (await admitWaiting(ports, admission.limitId)).includes(run.id) ? 'started' : 'waiting';
  }
}
