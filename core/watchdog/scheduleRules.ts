/** What the watchdog does about schedules: a clock out of step, an overdue occurrence, waiting work that nobody called. */
import { GuardFailed } from '../errors.ts';
import { advanceSchedule } from '../schedules/advance.ts';
import { checkOf, spreadMs } from '../schedules/check.ts';
import { syncClock } from '../schedules/clockSync.ts';
import { firstUndecided } from '../schedules/expected.ts';
import { fire } from '../schedules/fire.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { keys } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import type { Action, Rule, RuleContext } from './rule.ts';

export const scheduleRule: Rule<ScheduleRow> = async (context, schedule) => {
  const { ports, now } = context;
  let action: Action | undefined;
  if (schedule.clock.status === 'pending') {
    const { status } = await syncClock(ports, schedule.id);
    action = { rule: 'clock_drift', subject: schedule.id, did: `put its clock right: ${status}` };
  }
  if (schedule.buffer.length > 0 || schedule.waitingRuns.length > 0 || schedule.backfill !== undefined)
    await advanceSchedule(ports, schedule.id);
  const due = firstUndecided(schedule);
  const grace = ports.config.overdueGraceSeconds * 1000;
  if (due !== undefined && due + spreadMs(schedule, due) <= now - grace) {
    const hints = { agentId: schedule.agentId, principalId: schedule.createdBy };
    const result = await fire(ports, { scheduleId: schedule.id, ...hints });
    return { rule: 'occurrence_overdue', subject: schedule.id, did: `settled what was overdue: ${result.outcome}` };
  }
  await alignCheck(context, schedule.id);
  return action;
};

/** The check goes back to where the row says, after whatever moved it has been seen to. */
async function alignCheck({ ports, now }: RuleContext, scheduleId: string): Promise<void> {
  const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
  if (schedule === undefined) return;
  // It has been looked at: what still waits is looked at again an interval later.
  const { attentionAt: _seen, ...unseen } = schedule;
  const { attentionAt, checkIn, checkAt } = checkOf(ports.config, unseen, now);
  // What is due belongs to the clock for now; it is looked at again at the next tick.
  if (schedule.checkAt === checkAt && schedule.checkIn === checkIn && schedule.attentionAt === attentionAt) return;
  const guards = [
    guard('align.scheduleUnchanged', eq('version', schedule.version)),
    guard('align.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
  ];
  await ports.store
    .transact([{ kind: 'update', key: keys.schedule(schedule.id), set: { attentionAt, checkIn, checkAt }, guards }])
    .catch((error: unknown) => {
      if (!(error instanceof GuardFailed)) throw error;
    });
}
