/** A run that has ended and that its schedule counts as live still: taken out, by the base rows (design.md §5.9). */
import { isTerminal } from '../contract/runs.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import { advanceSchedule } from '../schedules/advance.ts';
import { liveChange } from '../schedules/liveChange.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { Action } from './rule.ts';

/** The runs are read after the schedule: what ends in between leaves the schedule with its end, and the repair reads both anew. */
export async function leakedRuns(
  ports: Pick<Ports, 'store'>,
  schedule: Pick<ScheduleRow, 'liveRuns'>,
): Promise<readonly string[]> {
  if (schedule.liveRuns.length === 0) return [];
  const runs = await ports.store.getMany(schedule.liveRuns.map((runId) => keys.run(runId)));
  return schedule.liveRuns.filter((_, index) => {
    const run = asRow<RunRow>(runs[index]);
    return run === undefined || isTerminal(run.status);
  });
}

export async function repairSchedule(
  { ports, now }: { readonly ports: Ports; readonly now: number },
  scheduleId: string,
): Promise<readonly Action[]> {
  const taken = await commit<readonly string[]>(ports, async (writer) => {
    const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
    const leaked = schedule === undefined ? [] : await leakedRuns(ports, schedule);
    if (schedule === undefined || leaked.length === 0) return { done: [] };
    const part = {
      liveRuns: schedule.liveRuns.filter((runId) => !leaked.includes(runId)),
      waitingRuns: schedule.waitingRuns.filter((runId) => !leaked.includes(runId)),
    };
    return {
      writes: liveChange(ports, schedule, part, { now, writer, guardName: 'advance' }),
      proof: keys.schedule(scheduleId),
      result: leaked,
    };
  });
  if (taken.length === 0) return [];
  await advanceSchedule(ports, scheduleId);
  const because = `${taken.join(', ')} had ended, and the schedule counted it as live still`;
  return [{ rule: 'live_run_leaked', subject: scheduleId, did: 'took it out of the live runs', because }];
}
