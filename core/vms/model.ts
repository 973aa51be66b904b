/** The stored shape of a VM. Times are epoch milliseconds. */
import type { Evidence } from '../contract/common.ts';
import type { RowBase } from '../table/rows.ts';

export const VM_STATUSES = ['launching', 'booting', 'ready', 'unresponsive', 'draining', 'terminated'] as const;
export type VmStatus = (typeof VM_STATUSES)[number];

/** A request that leaves, or may have left: written before the call, closed by any answer (design.md §5.3). */
export interface LaunchIntent {
  readonly number: number;
  readonly clientToken: string;
  readonly openedAt: number;
  readonly open: boolean;
}

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
}

export interface VmRow extends RowBase {
  readonly id: string;
  readonly agentId: string;
  readonly status: VmStatus;
  readonly instanceId?: string;
  readonly intent: LaunchIntent;
  /** The run and attempt that it was launched for. */
  readonly purpose: Slot;
  readonly slots: readonly Slot[];
  readonly nonce?: string;
  /** Counts registrations; 0 before the first. */
  readonly generation: number;
  readonly heartbeatSeq: number;
  readonly lastHeartbeatAt?: number;
  readonly leaseUntil?: number;
  /** When the runner last got a token. */
  readonly tokenIssuedAt?: number;
  readonly taskToken?: string;
  readonly registeredAt?: number;
  readonly commandCount: number;
  /** Commands that have not been acknowledged, oldest first. */
  readonly commands: readonly VmCommand[];
  readonly evidence: Evidence;
  readonly createdAt: number;
  readonly drainingSince?: number;
  readonly unresponsiveSince?: number;
  readonly terminatedAt?: number;
  /** Bumped by every change but a plain heartbeat. */
  readonly version: number;
  readonly deadlineAt?: number;
  readonly listIn: string;
  readonly listAt: string;
  readonly checkIn?: string;
  readonly checkAt?: number;
}
