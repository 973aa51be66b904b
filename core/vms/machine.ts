/**
 * The VM's transition table, as data (design.md §3): for each status the ones that may follow it. Everything else is a
 * defect of ours, and is refused before it is written.
 */
import type { VmStatus } from './model.ts';

export const VM_TRANSITIONS: Readonly<Record<VmStatus, readonly VmStatus[]>> = {
  /** Its instance was answered; its runner was faster than that answer; it was given up; it was seen to be gone. */
  launching: ['booting', 'ready', 'draining', 'terminated'],
  booting: ['ready', 'draining', 'terminated'],
  // fence: table.vmBoots
  ready: ['unresponsive', 'draining', 'terminated'],
  /** It reports again, as what it was: at work, or draining by order. */
  // fence: table.vmBoots
  unresponsive: ['ready', 'draining', 'terminated'],
  /** A drain by order waits for work, and the VM may fall silent meanwhile. */
  // fence: table.vmBoots, table.vmRegisters
  draining: ['unresponsive', 'terminated'],
  // fence: table.vmGone
  terminated: [],
};

/** @throws RangeError for a change that the table does not have */
export function checkTransition(vmId: string, from: VmStatus, to: VmStatus): void {
  if (!VM_TRANSITIONS[from].includes(to)) throw new RangeError(`VM ${vmId} cannot go from ${from} to ${to}`);
}
