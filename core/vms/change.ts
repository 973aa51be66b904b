/** The one way to write a VM's row, apart from a plain heartbeat: its next version, and an event where the status changes. */
import type { CoreConfig } from '../config.ts';
import type { Evidence, Json } from '../contract/common.ts';
import { appendEvent, eventKey } from '../runs/events.ts';
import { deadlineAttributes } from '../table/deadline.ts';
import { keys } from '../table/keys.ts';
import { eq, type Guard, guard, type Value, type Write } from '../table/model.ts';
import { asValue } from '../table/rows.ts';
import type { VmCommand, VmRow, VmStatus } from './model.ts';

export interface VmChange {
  readonly status?: VmStatus;
  readonly evidence?: Evidence;
  readonly set?: Readonly<Record<string, Value | undefined>>;
  readonly detail?: Readonly<Record<string, Json | undefined>>;
  readonly deadlineAt?: number | null;
  /** Where the decision read what a plain heartbeat changes: the version does not tell that. */
  readonly guards?: readonly Guard[];
}

export function changeVm(
  config: CoreConfig,
  vm: VmRow,
  change: VmChange,
  now: number,
  writer: string,
): readonly Write[] {
  const version = vm.version + 1;
  const deadline = deadlineAttributes(config, 'VM', vm.id, change.deadlineAt);
  const update: Write = {
    kind: 'update',
    key: keys.vm(vm.id),
    set: {
      ...(change.status !== undefined && { status: change.status }),
      ...(change.evidence !== undefined && { evidence: asValue(change.evidence) }),
      ...deadline,
      ...change.set,
      version,
      writer,
    },
    guards: [guard('vm.unchanged', eq('version', vm.version)), ...(change.guards ?? [])],
  };
  if (change.status === undefined) return [update];
  const event = appendEvent(config, {
    tenantId: vm.tenantId,
    subject: 'vm',
    subjectId: vm.id,
    sequence: version,
    type: `vm.${change.status}`,
    at: now,
    status: change.status,
    detail: { ...change.detail, ...(change.evidence !== undefined && { evidence: { ...change.evidence } }) },
    writer,
  });
  return [update, event];
}

/** The proof that a write of this VM was ours: its event where the status changed, otherwise the row itself. */
export const vmProof = (vm: VmRow, change: VmChange) =>
  change.status === undefined ? keys.vm(vm.id) : eventKey('vm', vm.id, vm.version + 1);

type NewCommand = VmCommand extends infer Each ? (Each extends VmCommand ? Omit<Each, 'number'> : never) : never;

/** A command under the VM's next number. */
export function withCommand(vm: VmRow, command: NewCommand): Readonly<Record<string, Value | undefined>> {
  const number = vm.commandCount + 1;
  return { commandCount: number, commands: asValue([...vm.commands, { ...command, number }]) };
}

/** Takes a run off the VM; the last one gone, the VM drains: it is told to stop and is released (no VM outlives its purpose). */
export function withoutSlot(config: CoreConfig, vm: VmRow, runId: string, evidence: Evidence, now: number): VmChange {
  const slots = vm.slots.filter((slot) => slot.runId !== runId);
  const set = { slots: asValue(slots) };
  if (slots.length > 0 || vm.status === 'draining' || vm.status === 'terminated') return { set };
  return {
    status: 'draining',
    evidence,
    deadlineAt: now + config.drainSeconds * 1000,
    set: { ...set, ...withCommand(vm, { kind: 'stop-vm' }), drainingSince: now },
  };
}
