/** Agents: what is sent and what is answered (design.md §7). */
import * as z from 'zod';
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
export const EnvironmentVariables = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and _')
      .refine((name) => !RESERVED_ENV.test(name), 'must not begin with CANDOR_: those are set by Candor'),
    Argument,
  )
  .refine((variables) => Object.keys(variables).length <= 100, 'must have at most 100 variables');

const DAY = 86_400;
export const AgentLimits = z.strictObject({
  startTimeout: Duration({ minSeconds: 10, maxSeconds: DAY }).optional(),
  runTimeout: Duration({ minSeconds: 1, maxSeconds: 30 * DAY }).optional(),
  /** Runs on their way or at work at once; the others wait in order. Absent: no limit. */
  maxConcurrentRuns: z.int().min(1, 'must be at least 1').max(10_000, 'must be at most 10000').optional(),
});

export const AgentCreate = z.strictObject({
  name: Name,
  kind: z.enum(['oneshot'], 'must be oneshot (session agents are not built yet)').default('oneshot'),
  command: Command,
  workingDirectory: z.string().min(1).max(1024).regex(/^\//, 'must be an absolute path').optional(),
  env: EnvironmentVariables.optional(),
  limits: AgentLimits.optional(),
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
    metadata: Metadata.nullable(),
  })
  .partial();
export type AgentPatch = z.output<typeof AgentPatch>;

export interface AgentBody {
  readonly id: string;
  readonly name: string;
  readonly kind: 'oneshot';
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly limits?: {
    readonly startTimeout?: string;
    readonly runTimeout?: string;
    readonly maxConcurrentRuns?: number;
  };
  readonly metadata?: Readonly<Record<string, string>>;
  readonly version: number;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly asOf: string;
}

export const limitsToBody = (limits: {
  readonly startTimeout?: number | undefined;
  readonly runTimeout?: number | undefined;
  readonly maxConcurrentRuns?: number | undefined;
}) => ({
  ...(limits.startTimeout !== undefined && { startTimeout: formatDuration(limits.startTimeout) }),
  ...(limits.runTimeout !== undefined && { runTimeout: formatDuration(limits.runTimeout) }),
  ...(limits.maxConcurrentRuns !== undefined && { maxConcurrentRuns: limits.maxConcurrentRuns }),
});
