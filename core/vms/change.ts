/** The one way to change a VM's row, apart from a plain heartbeat and the watchdog's notes of its looks: its next version, and an event where the status changes. */
import type { CoreConfig } from '../config.ts';
import type { Evidence, Json } from '../contract/common.ts';
import { appendEvent, eventKey } from '../runs/events.ts';
import { deadlineAttributes, soonerLook } from '../table/deadline.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, type Guard, guard, type Value, type Write } from '../table/model.ts';
import { asValue } from '../table/rows.ts';
import { freeMark } from './free.ts';
import { checkTransition } from './machine.ts';
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
  if (change.status !== undefined) checkTransition(vm.id, vm.status, change.status);
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
  const writes = [update, ...freeMark(vm, rowAfter(vm, change))];
  if (change.status === undefined) return writes;
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
  return [...writes, event];
}

/** The row that a change leads to. */
export const rowAfter = (vm: VmRow, change: VmChange): VmRow =>
  ({
    ...vm,
    ...change.set,
    ...(change.status !== undefined && { status: change.status }),
    ...(change.evidence !== undefined && { evidence: change.evidence }),
    ...(change.deadlineAt !== undefined && { deadlineAt: change.deadlineAt ?? undefined }),
  }) as VmRow;

/** The proof that a write of this VM was ours: its event where the status changed, otherwise the row itself. */
export const vmProof = (vm: VmRow, change: VmChange) =>
  change.status === undefined ? keys.vm(vm.id) : eventKey('vm', vm.id, vm.version + 1);

type NewCommand = VmCommand extends infer Each ? (Each extends VmCommand ? Omit<Each, 'number'> : never) : never;

/** A command under the VM's next number. */
export function withCommand(vm: VmRow, command: NewCommand): Readonly<Record<string, Value | undefined>> {
  const number = vm.commandCount + 1;
  return { commandCount: number, commands: asValue([...vm.commands, { ...command, number }]) };
}

/** How a VM goes on when a run leaves it: kept for the next one, or let go with its last one. */
export type Afterwards = 'kept' | 'let_go';

/** Takes a run off the VM. With its last run gone it drains (no VM outlives its purpose), unless it is kept for the next. */
export function withoutSlot(
  config: CoreConfig,
  vm: VmRow,
  runId: string,
  evidence: Evidence,
  now: number,
  afterwards: Afterwards = 'let_go',
): VmChange {
  const slots = vm.slots.filter((slot) => slot.runId !== runId);
  const set = { slots: asValue(slots), lastRunId: runId, ...(slots.length === 0 && restedAt(vm, now)) };
  if (slots.length > 0 || vm.status === 'terminated') return { set };
  if (afterwards === 'kept') {
    const { deadlineAt, checkAt } = keptUntil(config, vm, now, vm.leaseUntil ?? now);
    return { set: { ...set, idleSince: now, checkAt: soonerLook(vm.checkAt, checkAt) }, deadlineAt };
  }
  if (vm.commands.some((command) => command.kind === 'stop-vm')) return { set };
  const stop = { ...set, ...withCommand(vm, { kind: 'stop-vm' }), drainingSince: vm.drainingSince ?? now };
  const deadlineAt = now + config.drainSeconds * 1000;
  // Already draining: a drain by order waited for this run. The VM is not changed in its state, but its end is due now.
  return vm.status === 'draining' ? { deadlineAt, set: stop } : { status: 'draining', evidence, deadlineAt, set: stop };
}

/** Without a run from now on: what it has worked is added up. */
const restedAt = (vm: VmRow, now: number) =>
  vm.busySince === undefined ? {} : { busySince: undefined, busyMs: (vm.busyMs ?? 0) + now - vm.busySince };

/** A VM that is kept for a run that waits is let go if that run does not come. */
const HAND_OVER_SECONDS = 5;

/** Until when a VM without a run is kept. It is looked at when its lease runs out, however long that is (I6). */
function keptUntil(config: CoreConfig, vm: VmRow, idleSince: number, leaseUntil: number) {
  const deadlineAt = idleSince + Math.max(vm.warmForSeconds ?? 0, HAND_OVER_SECONDS) * 1000;
  return { deadlineAt, checkAt: Math.min(deadlineAt, leaseEnd({ leaseUntil }, config)) };
}

/** What a VM whose runner has just reported promises: its next report, or, kept warm, what is left of its time. */
export const renewedUntil = (config: CoreConfig, vm: VmRow, leaseUntil: number) =>
  vm.idleSince === undefined
    ? { deadlineAt: leaseUntil, checkAt: leaseUntil }
    : keptUntil(config, vm, vm.idleSince, leaseUntil);

/** From when on a lease has run out, under the largest difference of clocks that is allowed, whoever wrote it (I9). */
export const leaseEnd = (vm: Pick<VmRow, 'leaseUntil'>, config: Pick<CoreConfig, 'maxClockSkewSeconds'>): number =>
  // fence: skew.lease
  (vm.leaseUntil ?? 0) + config.maxClockSkewSeconds * 1000;
