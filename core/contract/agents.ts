/** Agents: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
import {
  ArtifactGlob,
  Image,
  REUSE,
  Repository,
  Requirements,
  Retry,
  RetryBody,
  SecretId,
  SuccessCriteria,
  type Timeouts,
  timeoutBodyFields,
  timeoutFields,
  timeoutsToBody,
} from './agentParts.ts';
import {
  AgentId,
  type Answered,
  asOf,
  Duration,
  formatDuration,
  Iso8601Duration,
  Metadata,
  MetadataBody,
  Name,
  PrincipalId,
  Time,
  Version,
} from './common.ts';

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

const LIMITS = {
  maxConcurrentRuns: 'Runs on their way or at work at once; the others wait in order. Absent: no limit.',
  maxConcurrentVms: 'VMs that exist at once, warm ones and those on their way included.',
  maxOutputBytes: "Of the output; what is longer is kept in part. The installation's limit stands above it.",
  setupTimeout: 'For the setup commands together, and for a checkout.',
} as const;

export const AgentLimits = z.strictObject({
  ...timeoutFields,
  maxConcurrentRuns: Count(10_000).optional().describe(LIMITS.maxConcurrentRuns),
  maxConcurrentVms: Count(10_000).optional().describe(LIMITS.maxConcurrentVms),
  maxOutputBytes: Count(1024 * 1024)
    .optional()
    .describe(LIMITS.maxOutputBytes),
  setupTimeout: Duration({ minSeconds: 1, maxSeconds: 6 * 3600 })
    .optional()
    .describe(LIMITS.setupTimeout),
});

const AGENT = {
  env: 'Variables of its environment: a value, or the name of the secret that holds it.',
  artifacts: 'Files that are collected besides those in CANDOR_ARTIFACTS: globs, relative to the working folder.',
  setup: 'Commands that are run once per VM, before its first run.',
  repository: 'Checked out into the working folder before the process starts.',
  image: "An AMI of one's own; absent: the installation's for the architecture.",
  warmFor: 'How long a VM without a run is kept for the next one.',
  reuse: 'Whether a VM may serve one run after another of the same agent. Default: same_agent.',
  slots: 'Runs side by side on one VM.',
} as const;

export const AgentCreate = z.strictObject({
  name: Name,
  kind: z.enum(['oneshot'], 'must be oneshot (session agents are not built yet)').default('oneshot'),
  command: Command,
  workingDirectory: z.string().min(1).max(1024).regex(/^\//, 'must be an absolute path').optional(),
  env: EnvironmentVariables.optional().describe(AGENT.env),
  limits: AgentLimits.optional(),
  retry: Retry.optional(),
  successCriteria: SuccessCriteria.optional(),
  artifacts: z.array(ArtifactGlob).max(20, 'must have at most 20 globs').optional().describe(AGENT.artifacts),
  setup: z.array(Command).max(20, 'must have at most 20 commands').optional().describe(AGENT.setup),
  repository: Repository.optional().describe(AGENT.repository),
  image: Image.optional().describe(AGENT.image),
  warmFor: Duration({ minSeconds: 0, maxSeconds: 86_400 }).optional().describe(AGENT.warmFor),
  reuse: z
    .enum(REUSE, `must be one of ${REUSE.join(', ')}`)
    .optional()
    .describe(AGENT.reuse),
  slots: Count(16).optional().describe(AGENT.slots),
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

export const LimitsBody = z.strictObject({
  ...timeoutBodyFields,
  maxConcurrentRuns: z.int().exactOptional().describe(LIMITS.maxConcurrentRuns),
  maxConcurrentVms: z.int().exactOptional().describe(LIMITS.maxConcurrentVms),
  maxOutputBytes: z.int().exactOptional().describe(LIMITS.maxOutputBytes),
  setupTimeout: Iso8601Duration.exactOptional().describe(LIMITS.setupTimeout),
});
export type LimitsBody = Answered<typeof LimitsBody>;

export const AgentBody = z
  .strictObject({
    id: AgentId,
    name: z.string(),
    kind: z.enum(['oneshot']).describe('oneshot: gets its input, works, exits.'),
    command: z.array(z.string()).describe('The program and its arguments.'),
    workingDirectory: z.string().exactOptional(),
    env: z
      .record(z.string(), z.union([z.string(), z.strictObject({ secret: z.string() })]))
      .exactOptional()
      .describe(AGENT.env),
    limits: LimitsBody.exactOptional(),
    retry: RetryBody.exactOptional(),
    successCriteria: SuccessCriteria.exactOptional(),
    artifacts: z.array(z.string()).exactOptional().describe(AGENT.artifacts),
    setup: z.array(z.array(z.string())).exactOptional().describe(AGENT.setup),
    repository: Repository.exactOptional().describe(AGENT.repository),
    image: z.string().exactOptional().describe(AGENT.image),
    warmFor: Iso8601Duration.exactOptional().describe(AGENT.warmFor),
    reuse: z.enum(REUSE).exactOptional().describe(AGENT.reuse),
    slots: z.int().exactOptional().describe(AGENT.slots),
    requirements: Requirements.exactOptional(),
    metadata: MetadataBody.exactOptional(),
    version: Version,
    createdBy: PrincipalId,
    createdAt: Time,
    updatedAt: Time,
    asOf,
  })
  .meta({ id: 'Agent', description: 'A registered worker: how to start it, what it needs, its limits.' });
export type AgentBody = Answered<typeof AgentBody>;

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
