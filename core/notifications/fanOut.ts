/**
 * Fan-out: what follows from an event, at least once (design.md §5.6). On AWS the table's stream delivers events, on one
 * machine an index of unhandled ones is polled. Every step is idempotent: an event is marked handled after it was.
 */
import { isTerminal, type RunStatus } from '../contract/runs.ts';
import type { Ports } from '../ports.ts';
import { abandonAttempt } from '../runs/cancel.ts';
import type { EventRow, RunRow } from '../runs/model.ts';
import { keys } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';

export async function handleEvent(ports: Ports, event: EventRow): Promise<void> {
  if (event.subject !== 'run' || event.status === undefined || !isTerminal(event.status as RunStatus)) return;
  const run = asRow<RunRow>(await ports.store.get(keys.run(event.subjectId)));
  // No VM may start it any more: what is still being launched for it must not wait for its timeout.
  if (run !== undefined && run.vmId === undefined) await abandonAttempt(ports, run);
}
