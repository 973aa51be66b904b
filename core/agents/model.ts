/** The stored shape of an agent, and of the immutable copy of each of its versions that runs pin. */
import type { Criteria, Needs, RepositoryDefinition, RetryPolicy, Reuse } from '../contract/agentParts.ts';
import type { Environment, Limits } from '../contract/agents.ts';
import type { RowBase } from '../table/rows.ts';

/** What a run pins. Durations are seconds. */
export interface AgentDefinition {
  readonly kind: 'oneshot';
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  readonly env?: Environment;
  readonly limits?: Limits;
  readonly retry?: RetryPolicy;
  readonly successCriteria?: Criteria;
  /** Globs of files that are collected. */
  readonly artifacts?: readonly string[];
  /** Run once per VM before its first run. */
  readonly setup?: readonly (readonly string[])[];
  readonly repository?: RepositoryDefinition;
  readonly image?: string;
  /** How long an idle VM is kept. */
  readonly warmFor?: number;
  readonly reuse?: Reuse;
  readonly slots?: number;
  /** What its VMs must have. */
  readonly requirements?: Needs;
}

/** Every part of a definition that can be left out, by its name in the API and in the row. */
export const OPTIONAL_PARTS = [
  'workingDirectory',
  'env',
  'limits',
  'retry',
  'successCriteria',
  'artifacts',
  'setup',
  'repository',
  'image',
  'warmFor',
  'reuse',
  'slots',
  'requirements',
] as const satisfies readonly (keyof AgentDefinition)[];

/** The parts that are there. */
export function optionalParts(source: Partial<AgentDefinition>): Partial<AgentDefinition> {
  return Object.fromEntries(
    OPTIONAL_PARTS.flatMap((name) => (source[name] === undefined ? [] : [[name, source[name]] as const])),
  );
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
