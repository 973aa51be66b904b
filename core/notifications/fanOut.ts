/**
 * Fan-out: what follows from an event, at least once (design.md §5.6). On AWS the table's stream delivers events, on one
 * machine an index of unhandled ones is polled. Every step is idempotent: an event is marked handled after it was.
 */
import { isTerminal, type RunStatus } from '../contract/runs.ts';
import { liveRunsOf } from '../live.ts';
import type { Ports } from '../ports.ts';
import { abandonAttempt } from '../runs/cancel.ts';
import { cancelForDelete } from '../runs/cancelForDelete.ts';
import type { EventRow, RunRow } from '../runs/model.ts';
import { advanceSchedule } from '../schedules/advance.ts';
import { syncClock } from '../schedules/clockSync.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { readOnce, tellWebhooks } from '../webhooks/fanOut.ts';

/** @param webhooksOf one for a batch, whose events then share what they read */
export async function handleEvent(ports: Ports, event: EventRow, webhooksOf = readOnce(ports)): Promise<void> {
  await followUp(ports, event);
  // Last: nothing of Candor's own work waits for those outside.
  await tellWebhooks(ports, event, webhooksOf);
}

async function followUp(ports: Ports, event: EventRow): Promise<void> {
  if (event.subject === 'run') return afterRun(ports, event);
  // A schedule that paused or completed by itself: nobody else tells its clock.
  if (event.subject === 'schedule' && event.status !== undefined) await syncClock(ports, event.subjectId);
  if (event.subject === 'schedule' && event.status === 'deleting') await cancelLiveRuns(ports, event);
  if (event.type === 'agent.deleted' && event.detail.cancelRuns === true) await cancelLiveRuns(ports, event);
}

async function afterRun(ports: Ports, event: EventRow): Promise<void> {
  if (event.status === undefined || !isTerminal(event.status as RunStatus)) return;
  ports.metrics.put('RunsEnded', 1, { status: event.status });
  const run = asRow<RunRow>(await ports.store.get(keys.run(event.subjectId)));
  if (run === undefined) return;
  // No VM may start it any more: what is still being launched for it must not wait for its timeout.
  if (run.vmId === undefined) await abandonAttempt(ports, run);
  if (run.scheduleId !== undefined) await advanceSchedule(ports, run.scheduleId);
}

/** The delete has been acknowledged with its runs, or died before it could cancel them: nobody else would. */
async function cancelLiveRuns(ports: Ports, { tenantId, subject, subjectId, detail }: EventRow): Promise<void> {
  const by = typeof detail.by === 'string' ? detail.by : 'candor';
  if (subject === 'agent') return cancelForDelete(ports, await liveRunsOf(ports, subjectId), by);
  const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(subjectId)));
  const runs = (schedule?.liveRuns ?? []).map((id) => ({ tenantId, id }));
  await cancelForDelete(ports, runs, by, 'schedule');
}
