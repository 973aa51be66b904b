/** The stored shape of an agent, and of the immutable copy of each of its versions that runs pin. */
import type { RowBase } from '../table/rows.ts';

export interface AgentDefinition {
  readonly kind: 'oneshot';
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly limits?: {
    readonly startTimeout?: number;
    readonly runTimeout?: number;
    readonly maxConcurrentRuns?: number;
  };
}

export interface AgentVersionRow extends RowBase, AgentDefinition {
  readonly version: number;
}

export interface AgentRow extends RowBase, AgentDefinition {
  readonly id: string;
  readonly name: string;
  readonly status: 'active' | 'deleted';
  readonly metadata?: Readonly<Record<string, string>>;
  readonly version: number;
  /** Schedules that are not deleted; the agent cannot be deleted while there are any. Not part of the version. */
  readonly scheduleCount: number;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}
