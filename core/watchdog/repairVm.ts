/** A slot that a VM holds for a run that has ended, or is another VM's: given back, by the base rows (design.md §5.9). */
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { changeVm, vmProof, withoutSlot } from '../vms/change.ts';
import type { VmRow } from '../vms/model.ts';
import { type HeldSlot, heldSlots, isLeaked } from '../vms/slots.ts';
import type { Action } from './rule.ts';

/** What leaves the VM between its reading and that of its runs takes its slot along: the repair then finds nothing to do. */
export const leakedSlots = async (ports: Pick<Ports, 'store'>, vm: VmRow): Promise<readonly string[]> =>
  leakedOf(vm, await heldSlots(ports, vm));

export const leakedOf = (vm: VmRow, held: readonly HeldSlot[]): readonly string[] =>
  held.filter((each) => isLeaked(vm, each)).map(({ slot }) => slot.runId);

export async function repairVm(
  { ports, now }: { readonly ports: Ports; readonly now: number },
  seen: VmRow,
  runIds: readonly string[],
): Promise<readonly Action[]> {
  const because = `${runIds.join(', ')} ended or left it, and its slot was not given back`;
  const actions: Action[] = [];
  for (const runId of runIds) {
    const freed = await commit<boolean>(ports, async (writer) => {
      const vm = asRow<VmRow>(await ports.store.get(keys.vm(seen.id)));
      const slot = vm?.slots.find((each) => each.runId === runId);
      if (vm === undefined || slot === undefined || vm.status === 'terminated') return { done: false };
      // An end or a next attempt is final; so what was seen of the run once is true of this slot for ever.
      const run = asRow<RunRow>(await ports.store.get(keys.run(runId)));
      if (!isLeaked(vm, { slot, run })) return { done: false };
      const change = withoutSlot(ports.config, vm, runId, evidence('watchdog', now, because), now);
      return { writes: changeVm(ports.config, vm, change, now, writer), proof: vmProof(vm, change), result: true };
    });
    if (freed) actions.push({ rule: 'slot_leaked', subject: seen.id, did: `gave the slot of ${runId} back`, because });
  }
  if (actions.length > 0) for (const limitId of seen.places ?? []) await admitWaiting(ports, limitId);
  return actions;
}
