/** The stored shape of a VM. Times are epoch milliseconds. */
import type { Reuse } from '../contract/agentParts.ts';
import type { Evidence } from '../contract/common.ts';
import type { LaunchPlan } from '../ports.ts';
import type { RowBase } from '../table/rows.ts';

export const VM_STATUSES = ['launching', 'booting', 'ready', 'unresponsive', 'draining', 'terminated'] as const;
export type VmStatus = (typeof VM_STATUSES)[number];

/** A request that leaves, or may have left: written before the call, closed by any answer (design.md §5.3). */
export interface LaunchIntent {
  readonly number: number;
  /** Kept only while it is open: an answered request is never sent again. */
  readonly clientToken?: string;
  /** When it was asked for last: until a while after that its instance may appear. */
  readonly openedAt: number;
  readonly open: boolean;
  /** A request of this VM was not answered before it was sent again: what it has brought may appear though a later one is refused. */
  readonly unanswered?: true;
  /** What is asked for; kept only while it is open. Absent in rows from before there were plans. */
  readonly plan?: LaunchPlan;
}

/** After its answer: what was asked for, and under which token, needs no keeping. */
export const closedIntent = ({ intent: { number, openedAt, unanswered } }: Pick<VmRow, 'intent'>): LaunchIntent => ({
  number,
  openedAt,
  open: false,
  ...(unanswered && { unanswered }),
});

/** What the runner is told, as references: the payload is composed when a heartbeat fetches it. */
export type VmCommand =
  | { readonly number: number; readonly kind: 'start'; readonly runId: string; readonly attempt: number }
  | {
      readonly number: number;
      readonly kind: 'cancel';
      readonly runId: string;
      readonly attempt: number;
      readonly cause: 'cancel' | 'timeout' | 'idle';
      readonly force?: boolean;
    }
  | { readonly number: number; readonly kind: 'stop-vm' };

export interface Slot {
  readonly runId: string;
  readonly attempt: number;
  /** The registration and the heartbeat that had been taken last when the slot was: the start goes out after that one. */
  readonly after?: { readonly generation: number; readonly seq: number };
}

/** Its end has been decided: nothing begins on it any more, whatever is on it. A drain by order waits for the work. It stays so. */
export const isGivenUp = (vm: Pick<VmRow, 'status' | 'drain'>): boolean =>
  vm.status === 'draining' && vm.drain === undefined;

/** No heartbeat has been answered since the slot was taken: so no runner can have got the start. */
export const startNeverSent = (vm: VmRow, slot: Slot): boolean =>
  slot.after !== undefined && slot.after.generation === vm.generation && slot.after.seq === vm.heartbeatSeq;

/** The slots after a registration or a heartbeat that no start goes out with: what had not gone out before has not yet. */
export const stillUnsent = (vm: VmRow, generation: number, seq: number): readonly Slot[] =>
  vm.slots.some((slot) => startNeverSent(vm, slot))
    ? vm.slots.map((slot) => (startNeverSent(vm, slot) ? { ...slot, after: { generation, seq } } : slot))
    : vm.slots;

export interface VmRow extends RowBase {
  readonly id: string;
  readonly agentId: string;
  /** The agent's version that it was launched for; its slots, its reuse and how long it is kept are that version's. */
  readonly agentVersion?: number;
  readonly slotCount?: number;
  readonly reuse?: Reuse;
  readonly warmForSeconds?: number;
  readonly status: VmStatus;
  readonly instanceId?: string;
  readonly intent: LaunchIntent;
  /** The run and attempt that it was launched for. */
  readonly purpose: Slot;
  readonly slots: readonly Slot[];
  /** Since when it carries at least one run, and for how long it had in all before that. */
  readonly busySince?: number;
  readonly busyMs?: number;
  /** Whose end freed a slot last. */
  readonly lastRunId?: string;
  /** Kept without a run since then: for a moment, or for as long as its agent says. */
  readonly idleSince?: number;
  /** Somebody has asked for its end: it takes no further run, and goes with its last one. */
  readonly drain?: { readonly requestedAt: number; readonly requestedBy: string };
  /** The limits under which it holds a place, until it is seen to be gone. */
  readonly places?: readonly string[];
  /** Of the registration that stands, and of those before it. */
  readonly nonce?: string;
  readonly pastNonces?: readonly string[];
  /** Counts registrations; 0 before the first. */
  readonly generation: number;
  readonly heartbeatSeq: number;
  readonly lastHeartbeatAt?: number;
  readonly leaseUntil?: number;
  /** When the runner last got a token, which number it has, and the highest that it has used. Absent numbers are 0. */
  readonly tokenIssuedAt?: number;
  readonly tokenNumber?: number;
  readonly tokenUsed?: number;
  /** In rows from before it had an item of its own. */
  readonly taskToken?: string;
  readonly registeredAt?: number;
  readonly commandCount: number;
  /** Commands that have not been acknowledged, oldest first. */
  readonly commands: readonly VmCommand[];
  readonly evidence: Evidence;
  readonly createdAt: number;
  readonly drainingSince?: number;
  /** When the watchdog first asked the fleet for its end. */
  readonly endOrderedAt?: number;
  readonly unresponsiveSince?: number;
  readonly terminatedAt?: number;
  /** Bumped by every change but a plain heartbeat and the watchdog's notes of its looks. */
  readonly version: number;
  readonly deadlineAt?: number;
  readonly listIn: string;
  readonly listAt: string;
  readonly checkIn?: string;
  readonly checkAt?: number;
}
