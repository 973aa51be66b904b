/** What is late at a look, for the measurements: how long each promise has been broken, and what the clock should have fired. */
import type { CoreConfig } from '../config.ts';
import { firstUndecided } from '../schedules/expected.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import type { Item } from '../table/model.ts';
import { leaseEnd } from '../vms/change.ts';
import type { VmRow } from '../vms/model.ts';
import { isOverdue } from './rules/schedule.ts';

/** Pure: how long a row's promise has been broken, in milliseconds. */
export function overdueMs(config: CoreConfig, item: Item, now: number): number {
  if (item.pk.startsWith('SCH#')) {
    if (typeof item.checkAt !== 'number' || !isOverdue(config, item as unknown as ScheduleRow, now)) return 0;
    return Math.max(0, now - item.checkAt);
  }
  const promised = item.pk.startsWith('VM#') ? promisedBy(config, item as unknown as VmRow) : item.deadlineAt;
  return typeof promised === 'number' ? Math.max(0, now - promised) : 0;
}

/**
 * A VM at work promises its next heartbeat. Plain heartbeats renew the lease and no deadline, so there the lease is what
 * counts; a VM that is kept without a run has a deadline of its own, and so has one that is on its way out, where nothing on
 * it is waited for.
 */
function promisedBy(config: CoreConfig, vm: VmRow): number | undefined {
  if (vm.status === 'ready' && vm.idleSince === undefined) return leaseEnd(vm, config);
  if (vm.status === 'draining' && vm.slots.length > 0) return Math.max(leaseEnd(vm, config), vm.deadlineAt ?? 0);
  return vm.deadlineAt;
}

/** Pure: what the clock should have fired by now. */
export function overdueOccurrence(config: CoreConfig, item: Item, now: number): readonly number[] {
  if (!item.pk.startsWith('SCH#')) return [];
  const schedule = item as unknown as ScheduleRow;
  const due = firstUndecided(schedule);
  return due !== undefined && isOverdue(config, schedule, now) ? [due] : [];
}
