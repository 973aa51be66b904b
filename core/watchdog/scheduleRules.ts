/** What the watchdog does about schedules: a clock that is not in step is put right, an overdue occurrence goes through fire. */
import { GuardFailed } from '../errors.ts';
import { scheduleCheck } from '../schedules/change.ts';
import { syncClock } from '../schedules/clockSync.ts';
import { firstUnsettled } from '../schedules/expected.ts';
import { fire } from '../schedules/fire.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { keys } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import type { Action, Rule, RuleContext } from './rule.ts';

export const scheduleRule: Rule<ScheduleRow> = async (context, schedule) => {
  const { ports, now } = context;
  let action: Action | undefined;
  let { clock } = schedule;
  if (schedule.clock.status === 'pending') {
    const synced = await syncClock(ports, schedule.id);
    clock = { ...clock, status: synced };
    action = {
      rule: 'clock_drift',
      subject: schedule.id,
      did: synced === 'synced' ? 'put its clock right' : 'tried to put its clock right',
    };
  }
  const due = firstUnsettled(schedule);
  if (due === undefined || due > now) {
    await alignCheck(context, { ...schedule, clock }, due);
    return action;
  }
  if (due > now - ports.config.overdueGraceSeconds * 1000) return action;
  const result = await fire(ports, {
    scheduleId: schedule.id,
    agentId: schedule.agentId,
    principalId: schedule.createdBy,
  });
  return { rule: 'occurrence_overdue', subject: schedule.id, did: `settled what was overdue: ${result.outcome}` };
};

/** The check goes to the first unsettled occurrence; while the clock cannot be put right, to the next try. */
async function alignCheck({ ports, now }: RuleContext, schedule: ScheduleRow, due: number | undefined): Promise<void> {
  const set = scheduleCheck(ports.config, schedule, due, now);
  const guards = [
    guard('align.scheduleUnchanged', eq('version', schedule.version)),
    guard('align.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
  ];
  await ports.store
    .transact([{ kind: 'update', key: keys.schedule(schedule.id), set, guards }])
    .catch((error: unknown) => {
      if (!(error instanceof GuardFailed)) throw error;
    });
}
