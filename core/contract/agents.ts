/** Agents: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import {
  ArtifactGlob,
  type Criteria,
  Image,
  type Needs,
  REUSE,
  Repository,
  type RepositoryDefinition,
  Requirements,
  Retry,
  type RetryBody,
  type Reuse,
  SecretId,
  SuccessCriteria,
  type Timeouts,
  type TimeoutsBody,
  timeoutFields,
  timeoutsToBody,
} from './agentParts.ts';
import { Duration, formatDuration, Metadata, Name } from './common.ts';

const Argument = z
  .string()
  .max(8192, 'must have at most 8192 characters')
  .refine((text) => !text.includes('\0'), 'must not contain NUL');

export const Command = z
  .array(Argument)
  .min(1, 'must name a program')
  .max(256, 'must have at most 256 arguments')
  .refine((argv) => argv[0] !== '', 'must name a program');

const RESERVED_ENV = /^CANDOR_/;
/** A variable's value, or the name of the secret that holds it. */
export const EnvironmentVariables = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and _')
      .refine((name) => !RESERVED_ENV.test(name), 'must not begin with CANDOR_: those are set by Candor'),
    z.union([Argument, z.strictObject({ secret: SecretId })], 'must be text or {"secret": "<its id>"}'),
  )
  .refine((variables) => Object.keys(variables).length <= 100, 'must have at most 100 variables');
export type Environment = Readonly<Record<string, string | { readonly secret: string }>>;

const Count = (maximum: number) =>
  z.int('must be a whole number').min(1, 'must be at least 1').max(maximum, `must be at most ${maximum}`);

export const AgentLimits = z.strictObject({
  ...timeoutFields,
  /** Runs on their way or at work at once; the others wait in order. Absent: no limit. */
  maxConcurrentRuns: Count(10_000).optional(),
  /** VMs that exist at once, warm ones and those on their way included. */
  maxConcurrentVms: Count(10_000).optional(),
  /** Of the output; what is longer is kept in part. The installation's limit stands above it. */
  maxOutputBytes: Count(1024 * 1024).optional(),
  /** For the setup commands together, and for a checkout. */
  setupTimeout: Duration({ minSeconds: 1, maxSeconds: 6 * 3600 }).optional(),
});

export const AgentCreate = z.strictObject({
  name: Name,
  kind: z.enum(['oneshot'], 'must be oneshot (session agents are not built yet)').default('oneshot'),
  command: Command,
  workingDirectory: z.string().min(1).max(1024).regex(/^\//, 'must be an absolute path').optional(),
  env: EnvironmentVariables.optional(),
  limits: AgentLimits.optional(),
  retry: Retry.optional(),
  successCriteria: SuccessCriteria.optional(),
  artifacts: z.array(ArtifactGlob).max(20, 'must have at most 20 globs').optional(),
  setup: z.array(Command).max(20, 'must have at most 20 commands').optional(),
  repository: Repository.optional(),
  image: Image.optional(),
  warmFor: Duration({ minSeconds: 0, maxSeconds: 86_400 }).optional(),
  reuse: z.enum(REUSE, `must be one of ${REUSE.join(', ')}`).optional(),
  /** Runs side by side on one VM. */
  slots: Count(16).optional(),
  requirements: Requirements.optional(),
  metadata: Metadata.optional(),
});
export type AgentCreate = z.output<typeof AgentCreate>;
export type AgentCreateInput = z.input<typeof AgentCreate>;

/** A field that is left out stays; `null` takes an optional field back to its default. `kind` does not change. */
export const AgentPatch = z
  .strictObject({
    name: Name,
    command: Command,
    workingDirectory: AgentCreate.shape.workingDirectory.unwrap().nullable(),
    env: EnvironmentVariables.nullable(),
    limits: AgentLimits.nullable(),
    retry: Retry.nullable(),
    successCriteria: SuccessCriteria.nullable(),
    artifacts: AgentCreate.shape.artifacts.unwrap().nullable(),
    setup: AgentCreate.shape.setup.unwrap().nullable(),
    repository: Repository.nullable(),
    image: Image.nullable(),
    warmFor: AgentCreate.shape.warmFor.unwrap().nullable(),
    reuse: AgentCreate.shape.reuse.unwrap().nullable(),
    slots: AgentCreate.shape.slots.unwrap().nullable(),
    requirements: Requirements.nullable(),
    metadata: Metadata.nullable(),
  })
  .partial();
export type AgentPatch = z.output<typeof AgentPatch>;

export interface LimitsBody extends TimeoutsBody {
  readonly maxConcurrentRuns?: number;
  readonly maxConcurrentVms?: number;
  readonly maxOutputBytes?: number;
  readonly setupTimeout?: string;
}

export interface AgentBody {
  readonly id: string;
  readonly name: string;
  readonly kind: 'oneshot';
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  readonly env?: Environment;
  readonly limits?: LimitsBody;
  readonly retry?: RetryBody;
  readonly successCriteria?: Criteria;
  readonly artifacts?: readonly string[];
  readonly setup?: readonly (readonly string[])[];
  readonly repository?: RepositoryDefinition;
  readonly image?: string;
  readonly warmFor?: string;
  readonly reuse?: Reuse;
  readonly slots?: number;
  readonly requirements?: Needs;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly version: number;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly asOf: string;
}

/** Durations in seconds. */
export interface Limits extends Timeouts {
  readonly maxConcurrentRuns?: number | undefined;
  readonly maxConcurrentVms?: number | undefined;
  readonly maxOutputBytes?: number | undefined;
  readonly setupTimeout?: number | undefined;
}

export const limitsToBody = (limits: Limits): LimitsBody => ({
  ...timeoutsToBody(limits),
  ...(limits.maxConcurrentRuns !== undefined && { maxConcurrentRuns: limits.maxConcurrentRuns }),
  ...(limits.maxConcurrentVms !== undefined && { maxConcurrentVms: limits.maxConcurrentVms }),
  ...(limits.maxOutputBytes !== undefined && { maxOutputBytes: limits.maxOutputBytes }),
  ...(limits.setupTimeout !== undefined && { setupTimeout: formatDuration(limits.setupTimeout) }),
});
