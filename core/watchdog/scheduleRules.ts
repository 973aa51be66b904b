/** What the watchdog does about schedules: a clock out of step, an overdue occurrence, waiting work that nobody called. */
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { advanceSchedule } from '../schedules/advance.ts';
import { checkOf } from '../schedules/check.ts';
import { syncClock } from '../schedules/clockSync.ts';
import { flexibleMs } from '../schedules/decide.ts';
import { firstUndecided } from '../schedules/expected.ts';
import { fire } from '../schedules/fire.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { keys } from '../table/keys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import type { Action, Rule, RuleContext } from './rule.ts';

export const scheduleRule: Rule<ScheduleRow> = async (context, schedule) => {
  const { ports } = context;
  let action: Action | undefined;
  if (schedule.clock.status === 'pending') {
    const { status } = await syncClock(ports, schedule.id);
    action = { rule: 'clock_drift', subject: schedule.id, did: `put its clock right: ${status}` };
  }
  if (schedule.buffer.length > 0 || schedule.waitingRuns.length > 0 || schedule.backfill !== undefined)
    await advanceSchedule(ports, schedule.id);
  const settled = await settleOverdue(context, schedule);
  if (settled !== undefined)
    return { rule: 'occurrence_overdue', subject: schedule.id, did: `settled what was overdue: ${settled}` };
  await alignCheck(context, schedule.id);
  return action;
};

/** One schedule has at most this much of a tick, or its long silence would starve the others; the next tick goes on. */
const STEPS_PER_TICK = 100;
const MS_PER_TICK = 5000;

/** What each step settled, counted, until nothing is overdue; undefined where nothing was. */
async function settleOverdue({ ports, now }: RuleContext, seen: ScheduleRow): Promise<string | undefined> {
  const outcomes = new Map<string, number>();
  let schedule: ScheduleRow | undefined = seen;
  for (let step = 0; step < STEPS_PER_TICK && ports.time.now() - now <= MS_PER_TICK; step++) {
    if (schedule === undefined || !isOverdue(ports, schedule, now)) break;
    const hints = { agentId: schedule.agentId, principalId: schedule.createdBy };
    const { outcome } = await fire(ports, { scheduleId: schedule.id, ...hints });
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome === 'ignored') break;
    schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(schedule.id)));
  }
  if (outcomes.size === 0) return undefined;
  return [...outcomes].map(([outcome, times]) => (times === 1 ? outcome : `${outcome} (${times})`)).join(', ');
}

function isOverdue(ports: Ports, schedule: ScheduleRow, now: number): boolean {
  const due = firstUndecided(schedule);
  return due !== undefined && due + flexibleMs(schedule) <= now - ports.config.overdueGraceSeconds * 1000;
}

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
