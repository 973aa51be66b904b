/** A schedule: a clock out of step, waiting work that nobody called, a live run that is none, an overdue occurrence. */
import type { CoreConfig } from '../../config.ts';
import { isoSecond } from '../../contract/common.ts';
import { GuardFailed } from '../../errors.ts';
import { advanceSchedule } from '../../schedules/advance.ts';
import { checkOf } from '../../schedules/check.ts';
import { syncClock } from '../../schedules/clockSync.ts';
import { flexibleMs } from '../../schedules/decide.ts';
import { firstUndecided } from '../../schedules/expected.ts';
import { fire } from '../../schedules/fire.ts';
import type { ScheduleRow } from '../../schedules/model.ts';
import * as keys from '../../table/itemKeys.ts';
import { eq, guard } from '../../table/model.ts';
import { asRow } from '../../table/rows.ts';
import { leakedRuns, repairSchedule } from '../repairSchedule.ts';
import { type Action, type RuleContext, rule } from '../rule.ts';

/** What is to be done about one schedule, in this order. */
interface Decision {
  readonly do: 'see_to';
  readonly sync: boolean;
  readonly repair: boolean;
  readonly advance: boolean;
  readonly settle: boolean;
}

export const scheduleRule = rule<ScheduleRow, readonly string[], Decision>({
  evidence: ({ ports }, schedule) => leakedRuns(ports, schedule),
  decide: (schedule, leaked, { now, config }) => ({
    do: 'see_to',
    sync: schedule.clock.status === 'pending',
    repair: leaked.length > 0,
    // fence: watchdog.calls
    advance: schedule.buffer.length > 0 || schedule.waitingRuns.length > 0 || schedule.backfill !== undefined,
    // fence: watchdog.settles
    settle: isOverdue(config, schedule, now),
  }),
  act: async (context, schedule, { sync, repair, advance, settle }) => {
    const { ports } = context;
    const actions: Action[] = [];
    if (sync) {
      const { status } = await syncClock(ports, schedule.id);
      const because = `its clock is to follow version ${schedule.specVersion} of its times, and was not known to`;
      // One that could not be reached is no recovery; it stays pending, and is tried again.
      if (status !== 'pending')
        actions.push({ rule: 'clock_drift', subject: schedule.id, did: `put its clock right: ${status}`, because });
    }
    if (repair) actions.push(...(await repairSchedule(context, schedule.id)));
    if (advance) actions.push(...(await callWaiting(context, schedule)));
    if (settle) actions.push(...(await settleOverdue(context, schedule.id)));
    else await alignCheck(context, schedule.id);
    return actions;
  },
});

/** Pure: whether the first undecided occurrence is older than the grace that its clock has. */
export function isOverdue(config: CoreConfig, schedule: ScheduleRow, now: number): boolean {
  const due = firstUndecided(schedule);
  return due !== undefined && due + flexibleMs(schedule) <= now - config.overdueGraceSeconds * 1000;
}

/** What waits for a run to end is called by its end; where that was cut short, here. */
async function callWaiting({ ports }: RuleContext, seen: ScheduleRow): Promise<readonly Action[]> {
  await advanceSchedule(ports, seen.id);
  const after = asRow<ScheduleRow>(await ports.store.get(keys.schedule(seen.id)));
  const buffered = seen.buffer.filter((at) => after?.buffer.includes(at) !== true);
  const waited = seen.waitingRuns.filter((runId) => after?.waitingRuns.includes(runId) !== true);
  if (after === undefined || buffered.length + waited.length === 0) return [];
  const what = [...buffered.map(isoSecond), ...waited].join(', ');
  const because = `${what} waited, and nothing that it waited for was live any more`;
  return [{ rule: 'waiting_uncalled', subject: seen.id, did: 'called what waited', because }];
}

/** One schedule has at most this much of a tick, or its long silence would starve the others; the next tick goes on. */
const STEPS_PER_TICK = 100;
const MS_PER_TICK = 5000;

/** What each step settled, counted, until nothing is overdue. */
async function settleOverdue({ ports, now }: RuleContext, scheduleId: string): Promise<readonly Action[]> {
  const outcomes = new Map<string, number>();
  let first: number | undefined;
  for (let step = 0; step < STEPS_PER_TICK && ports.time.now() - now <= MS_PER_TICK; step++) {
    const schedule = asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId)));
    if (schedule === undefined || !isOverdue(ports.config, schedule, now)) break;
    first ??= firstUndecided(schedule);
    const hints = { agentId: schedule.agentId, principalId: schedule.createdBy };
    const { outcome } = await fire(ports, { scheduleId, ...hints });
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome === 'ignored') break;
  }
  if (outcomes.size === 0 || first === undefined) return [];
  const what = [...outcomes].map(([outcome, times]) => (times === 1 ? outcome : `${outcome} (${times})`)).join(', ');
  const because = `nobody had decided ${isoSecond(first)} by ${new Date(now).toISOString()}`;
  return [{ rule: 'occurrence_overdue', subject: scheduleId, did: `settled what was overdue: ${what}`, because }];
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
