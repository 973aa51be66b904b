/** What the slots of a VM hold. */
import type { CoreConfig } from '../config.ts';
import { isTerminal } from '../contract/runStatus.ts';
import type { Ports } from '../ports.ts';
import type { CancelRecord, RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { Slot, VmRow } from './model.ts';

export interface HeldSlot {
  readonly slot: Slot;
  readonly run: RunRow | undefined;
}

/** The runs are read after the VM: what leaves it in between takes its slot along. */
export async function heldSlots(ports: Pick<Ports, 'store'>, { slots }: VmRow): Promise<readonly HeldSlot[]> {
  if (slots.length === 0) return [];
  const runs = await ports.store.getMany(slots.map(({ runId }) => keys.run(runId)));
  return slots.map((slot, index) => ({ slot, run: asRow<RunRow>(runs[index]) }));
}

/** Pure: a run that has ended, has gone on to another attempt or stands on another VM does not need this slot. */
export const isLeaked = (vm: Pick<VmRow, 'id'>, { slot, run }: HeldSlot): boolean =>
  run === undefined || isTerminal(run.status) || run.attempt !== slot.attempt || run.vmId !== vm.id;

/** From when on a run that was told to end, and has not, is ended with its VM. Epoch milliseconds. */
export const escalatesAt = (config: CoreConfig, { requestedAt }: CancelRecord): number =>
  requestedAt + config.cancelEscalateSeconds * 1000;

/** Pure: nobody wants its end, or it has its time for that still. What is meant for another run spares it (I9). */
export const isToStay = (config: CoreConfig, vm: Pick<VmRow, 'id'>, held: HeldSlot, now: number): boolean => {
  const { cancel } = held.run ?? {};
  return !isLeaked(vm, held) && (cancel === undefined || now < escalatesAt(config, cancel));
};
