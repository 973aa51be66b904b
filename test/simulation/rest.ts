/** What is left to do, once nothing goes wrong any more: I6 and I14. */

import { flexibleMs } from '../../core/schedules/decide.ts';
import { nextExpected } from '../../core/schedules/expected.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import { DELIVERY_PREFIX, STRAY_INSTANCES } from '../../core/table/keys.ts';
import { STANDS_STILL_MS_MAX } from './incarnations.ts';
import type { Simulation } from './world.ts';

/** Of all that must have come to an end, the first that has not; undefined at rest. */
export function leftOver(world: Simulation): string | undefined {
  const { checker, table } = world;
  const [run] = [...checker.runs.live];
  if (run !== undefined) return `run ${run} is ${checker.runs.rows.get(run)?.status}`;
  for (const vm of checker.vms.rows.values()) if (vm.status !== 'terminated') return `VM ${vm.id} is ${vm.status}`;
  const [instance] = world.ec2.live();
  if (instance !== undefined) return `instance ${instance.id} of ${instance.vmId} is ${instance.state}`;
  const [execution] = world.workflow.open();
  if (execution !== undefined) return `execution ${execution} is open`;
  for (const schedule of checker.ledger.rows.values()) {
    if (schedule.status !== 'deleted') return `schedule ${schedule.id} is ${schedule.status}`;
    const due = nextExpected(schedule, schedule.decidedThrough);
    if (due !== undefined) return `occurrence ${new Date(due).toISOString()} of ${schedule.id} is undecided`;
    if (schedule.buffer.length + schedule.liveRuns.length + schedule.waitingRuns.length > 0)
      return `schedule ${schedule.id} counts runs or waits for some`;
    if (schedule.clock.status !== 'synced') return `the clock of ${schedule.id} is ${schedule.clock.status}`;
  }
  const [clock] = world.clock.specs();
  if (clock !== undefined) return `there is a clock for ${clock.scheduleId}`;
  if (!world.stream.isEmpty) return 'events are on their way';
  for (const item of table.scan('LIM#')) {
    const { places, tooMany } = world.leaks.at(item.pk.slice('LIM#'.length));
    if (item.sk !== 'META' && !places.includes(String(item.runId))) return `${item.pk} has ${item.sk}`;
    // Under a limit for which nobody asks any more, what has leaked is found by the next one who does.
    if (item.sk === 'META' && item.used !== places.length + tooMany) return `${item.pk} counts ${item.used}`;
  }
  for (const item of table.scan('AGT#'))
    if (item.sk.startsWith('FREE#') || item.sk.startsWith('WANT#')) return `${item.pk} has ${item.sk}`;
  const [delivery] = checker.webhooks.waiting();
  if (delivery !== undefined) return `delivery ${delivery.id} is at try ${delivery.attemptCount}`;
  // Deliveries of a webhook that is off are cancelled when their time comes, hours later perhaps.
  for (const item of table.scan())
    if (!item.pk.startsWith(DELIVERY_PREFIX) && item.checkIn !== undefined && !String(item.checkIn).startsWith('OLD'))
      return `${item.pk} ${item.sk} waits for a look`;
  const [mark] = [...table.scan(STRAY_INSTANCES)];
  if (mark !== undefined) return `${mark.sk} is marked as a stray`;
  return undefined;
}

/** The grace, a tick of the watchdog, and what it puts off after a first failure. */
export const graceMs = ({ config }: Simulation): number =>
  (config.overdueGraceSeconds + 2 * config.watchdogIntervalSeconds) * 1000;

/**
 * The watchdog could not look at it, and its next look has only just come, or has not. But when nothing goes wrong any more,
 * and whoever stood still has gone on, nothing is put off.
 */
export const awaitsItsLook = (world: Simulation, schedule: ScheduleRow): boolean => {
  const { others } = world.checker;
  return (
    others.isPutOff(schedule) &&
    (schedule.checkAt ?? 0) > world.time.now - graceMs(world) &&
    others.putOffAt(schedule) <= (world.calmAt ?? world.time.now) + STANDS_STILL_MS_MAX
  );
};

/** The first occurrence that nobody has decided, or called, although it was due long ago; undefined where every ledger is up to date. */
export function ledgerBehind(world: Simulation): string | undefined {
  const { now } = world.time;
  const since = now - graceMs(world);
  const { rows, uncalled } = world.checker.ledger;
  for (const [id, from] of uncalled) {
    const schedule = rows.get(id);
    if (from < since && (schedule === undefined || !awaitsItsLook(world, schedule)))
      return `what waits in the buffer of ${id} is not called, and nothing is live`;
  }
  for (const schedule of rows.values()) {
    if (schedule.status !== 'active' || awaitsItsLook(world, schedule)) continue;
    // What stood still for minutes may have made or changed it just now, as of a time that is long over.
    const changedAt = world.checker.ledger.history.get(schedule.id)?.at(-1)?.from ?? 0;
    if (changedAt > since) continue;
    const due = nextExpected(schedule, schedule.decidedThrough);
    if (due !== undefined && due + flexibleMs(schedule) < since)
      return `occurrence ${new Date(due).toISOString()} of ${schedule.id} is undecided`;
  }
  return undefined;
}
