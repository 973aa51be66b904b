/** A VM that is `draining`: watched until it has been seen to be gone, and terminated where it lingers (I6). */

import type { Ports } from '../../ports.ts';
import * as keys from '../../table/itemKeys.ts';
import { asRow } from '../../table/rows.ts';
import { leaseEnd } from '../../vms/change.ts';
import { isSpared } from '../../vms/heard.ts';
import { isGivenUp, type VmRow } from '../../vms/model.ts';
import { observeVm, terminateVm } from '../../vms/release.ts';
import { heldSlots, isToStay } from '../../vms/slots.ts';
import { isFirstOrder, moveCheck } from '../checks.ts';
import { leakedOf, repairVm } from '../repairVm.ts';
import { type Action, byDeadline, isHolding, type RuleContext, rule } from '../rule.ts';
import { markSilent } from './ready.ts';

type Decision =
  | { readonly do: 'free_slots'; readonly runIds: readonly string[] }
  /** `spares`: it is not asked for. */
  | { readonly do: 'look_for_its_end'; readonly wronged: boolean; readonly spares: boolean };

interface Evidence {
  /** Runs whose slots it holds for nothing. */
  readonly leaked: readonly string[];
  /** Given up in a silence, and with work on it that nobody wants ended. */
  readonly wronged: boolean;
}

export const drainingRule = rule<VmRow, Evidence, Decision>({
  evidence: async ({ ports, config, now }, vm) => {
    const held = await heldSlots(ports, vm);
    const wronged = isGivenUp(vm) && held.some((each) => isToStay(config, vm, each, now));
    return { leaked: leakedOf(vm, held), wronged };
  },
  decide: (vm, { leaked, wronged }, view) => {
    if (leaked.length > 0) return { do: 'free_slots', runIds: leaked };
    const end = leaseEnd(vm, view.config);
    // A drain by order waits for the work that is on the VM, and that is well; so does whoever finds it well after all (I9).
    if (isAtWork(vm) && view.now <= end) return { do: 'look_again', at: end };
    if (wronged && view.now <= end) return { do: 'look_again', at: byDeadline(vm, end, view.now) };
    if (wronged && isHolding(view)) return { do: 'hold' };
    // Given up or not, its silence counts as any other's: from the second deadline on, and where others are heard.
    const silentLongEnough = view.now > end + view.config.unresponsiveSeconds * 1000 && !isSpared(vm, view);
    return { do: 'look_for_its_end', wronged, spares: wronged && !silentLongEnough };
  },
  act: async (context, vm, decision) =>
    decision.do === 'free_slots' ? repairVm(context, vm, decision.runIds) : lookForItsEnd(context, vm, decision),
});

/** Drained by order, with work on it. */
export const isAtWork = (vm: VmRow): boolean => vm.slots.length > 0 && vm.drain !== undefined;

async function lookForItsEnd(
  context: RuleContext,
  vm: VmRow,
  { wronged, spares }: { readonly wronged: boolean; readonly spares: boolean },
): Promise<readonly Action[]> {
  const { ports, now, config } = context;
  // What is seen to be gone is recorded by the look itself.
  const observation = await observeVm(ports, vm.id);
  if (observation === undefined) return [];
  const again = now + config.drainSeconds * 1000;
  const deadlineAt = vm.deadlineAt ?? 0;
  if (observation.status === 'terminated') {
    // Its launch may still be answered: only another look after a while settles it.
    await moveCheck(ports, vm, byDeadline(vm, again, now));
    return [];
  }
  if (isAtWork(vm)) {
    if (!isHolding(context)) return markSilent(context, vm, observation.detail);
    await moveCheck(ports, vm, context.holdUntil);
    return [];
  }
  // What is well on it is ended by a silence that proves something, and that is not over by now (I9).
  if (spares || (wronged && (await isHeardSince(ports, vm)))) {
    await moveCheck(ports, vm, byDeadline(vm, now + config.leaseSeconds * 1000, now));
    return [];
  }
  if (now < deadlineAt) {
    await moveCheck(ports, vm, deadlineAt);
    return [];
  }
  await terminateVm(ports, vm);
  await moveCheck(ports, vm, again);
  if (!(await isFirstOrder(ports, vm, now))) return [];
  const because = `it drains since ${new Date(vm.drainingSince ?? now).toISOString()}, and: ${observation.detail}`;
  return [{ rule: 'vm_lingering', subject: vm.id, did: 'terminated it: it had not stopped by itself', because }];
}

async function isHeardSince({ store }: Pick<Ports, 'store'>, seen: VmRow): Promise<boolean> {
  const vm = asRow<VmRow>(await store.get(keys.vm(seen.id)));
  return vm?.heartbeatSeq !== seen.heartbeatSeq || vm.generation !== seen.generation;
}
