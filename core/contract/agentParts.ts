/** Parts of an agent that have rules of their own: how it is tried again, what proves success, what it needs on its VM. */
import * as z from 'zod';
import { type Answered, Duration, formatDuration, Iso8601Duration, type Json } from './common.ts';
import { normalGlob } from './glob.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;

const TIMEOUTS = {
  queueTimeout:
    'Waiting for a place or for other runs longer than this ends the run. Absent: it waits for as long as it takes.',
  startTimeout: "From admission until the process starts; absent: the installation's.",
  runTimeout: "How long the process may work; absent: the installation's.",
  idleTimeout: 'Neither output nor CPU time for so long ends the run. Absent: never.',
} as const;

/** Timeouts of a run: of the agent, and of a schedule or a single run over it. */
export const timeoutFields = {
  queueTimeout: Duration({ minSeconds: 10, maxSeconds: 30 * DAY })
    .optional()
    .describe(TIMEOUTS.queueTimeout),
  startTimeout: Duration({ minSeconds: 10, maxSeconds: DAY }).optional().describe(TIMEOUTS.startTimeout),
  runTimeout: Duration({ minSeconds: 1, maxSeconds: 30 * DAY })
    .optional()
    .describe(TIMEOUTS.runTimeout),
  idleTimeout: Duration({ minSeconds: 10, maxSeconds: 30 * DAY })
    .optional()
    .describe(TIMEOUTS.idleTimeout),
} as const;

/** The same as they are answered. */
export const timeoutBodyFields = {
  queueTimeout: Iso8601Duration.exactOptional().describe(TIMEOUTS.queueTimeout),
  startTimeout: Iso8601Duration.exactOptional().describe(TIMEOUTS.startTimeout),
  runTimeout: Iso8601Duration.exactOptional().describe(TIMEOUTS.runTimeout),
  idleTimeout: Iso8601Duration.exactOptional().describe(TIMEOUTS.idleTimeout),
} as const;
const TimeoutsBody = z.strictObject(timeoutBodyFields);
export type TimeoutsBody = Answered<typeof TimeoutsBody>;

export interface Timeouts {
  readonly queueTimeout?: number | undefined;
  readonly startTimeout?: number | undefined;
  readonly runTimeout?: number | undefined;
  readonly idleTimeout?: number | undefined;
}

export const timeoutsToBody = ({ queueTimeout, startTimeout, runTimeout, idleTimeout }: Timeouts): TimeoutsBody => ({
  ...(queueTimeout !== undefined && { queueTimeout: formatDuration(queueTimeout) }),
  ...(startTimeout !== undefined && { startTimeout: formatDuration(startTimeout) }),
  ...(runTimeout !== undefined && { runTimeout: formatDuration(runTimeout) }),
  ...(idleTimeout !== undefined && { idleTimeout: formatDuration(idleTimeout) }),
});

const RETRY = {
  whole:
    'What is tried again when the infrastructure fails. What the agent itself does is never tried again by itself.',
  maxAttempts: 'All attempts, the first one included.',
  backoff: 'Before the second attempt; it doubles with each further one, up to an hour.',
  afterStart: "Also after the agent's process has started: it may have had effects, and will have them again.",
} as const;

/**
 * What is tried again when the infrastructure fails: a VM that is gone, a start that was refused. What the agent itself
 * does (its exit code, its timeout) is never tried again by itself.
 */
export const Retry = z
  .strictObject({
    maxAttempts: z
      .int('must be a whole number')
      .min(1, 'must be at least 1')
      .max(10, 'must be at most 10')
      .optional()
      .describe(RETRY.maxAttempts),
    backoff: Duration({ minSeconds: 0, maxSeconds: HOUR }).optional().describe(RETRY.backoff),
    afterStart: z.boolean().optional().describe(RETRY.afterStart),
  })
  .describe(RETRY.whole);

export interface RetryPolicy {
  readonly maxAttempts?: number | undefined;
  readonly backoff?: number | undefined;
  readonly afterStart?: boolean | undefined;
}

export const RetryBody = z
  .strictObject({
    maxAttempts: z.int().exactOptional().describe(RETRY.maxAttempts),
    backoff: Iso8601Duration.exactOptional().describe(RETRY.backoff),
    afterStart: z.boolean().exactOptional().describe(RETRY.afterStart),
  })
  .describe(RETRY.whole);
export type RetryBody = Answered<typeof RetryBody>;

export const retryToBody = ({ maxAttempts, backoff, afterStart }: RetryPolicy): RetryBody => ({
  ...(maxAttempts !== undefined && { maxAttempts }),
  ...(backoff !== undefined && { backoff: formatDuration(backoff) }),
  ...(afterStart !== undefined && { afterStart }),
});

/** Kept in its normal form, so that the runner that collects by it and the criteria that ask for it mean the same. */
export const ArtifactGlob = z
  .string()
  .min(1, 'must not be empty')
  .max(256, 'must have at most 256 characters')
  .refine(
    (glob) => !glob.startsWith('/') && !glob.split('/').includes('..') && !glob.includes('\0'),
    'must be relative to the working folder, without ..',
  )
  .refine(
    (glob) => glob === '' || glob.startsWith('/') || normalGlob(glob) !== '',
    'must name something in the working folder; ** stands for all that is in it',
  )
  .overwrite(normalGlob);

const SCHEMA_BYTES_MAX = 16 * 1024;
/** A pattern that takes for ever would take the control plane's time, not the agent's. */
const REFUSED_KEYWORDS = new Set(['pattern', 'patternProperties', '$ref', '$dynamicRef']);

/** A JSON Schema that {@link outputMatches} can judge by. */
const OutputSchema = z.record(z.string(), z.json()).superRefine((schema, context) => {
  const refused = keywordsOf(schema).find((keyword) => REFUSED_KEYWORDS.has(keyword));
  const fault =
    JSON.stringify(schema).length > SCHEMA_BYTES_MAX
      ? `must have at most ${SCHEMA_BYTES_MAX} bytes`
      : refused !== undefined
        ? `must not use ${refused}; say it with enum, minLength, format or plain nested schemas`
        : (unkept(schema as Json) ?? schemaFault(schema as Json));
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
});

/** Keywords of a schema, those of the schemas within it included; names of properties are no keywords. */
function keywordsOf(schema: unknown): readonly string[] {
  if (Array.isArray(schema)) return schema.flatMap(keywordsOf);
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([keyword, value]) => {
    if (['const', 'enum', 'default', 'examples'].includes(keyword)) return [];
    const byName = ['properties', '$defs', 'definitions', 'dependentSchemas', 'patternProperties'].includes(keyword);
    return [keyword, ...(byName ? Object.values(value as object).flatMap(keywordsOf) : keywordsOf(value))];
  });
}

const SCHEMA_LEVELS_MAX = 24;
/** DynamoDB's own limits, AWS, "Supported data types and naming rules in Amazon DynamoDB". */
const [NUMBER_MAX, NUMBER_LEAST] = [1e126, 1e-130];

/** Why a schema could not be stored as it is: it stands among the fields of its agent. */
function unkept(value: Json, level = 0): string | undefined {
  if (typeof value === 'number') {
    const size = Math.abs(value);
    const fits = size === 0 || (size < NUMBER_MAX && size >= NUMBER_LEAST);
    return fits ? undefined : 'must hold no number beyond 1e126, and none that is nearer to 0 than 1e-130';
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (level >= SCHEMA_LEVELS_MAX) return `must not be nested deeper than ${SCHEMA_LEVELS_MAX} levels`;
  if (!Array.isArray(value) && '' in value) return 'must hold no empty name';
  for (const member of Object.values(value)) {
    const fault = unkept(member, level + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function schemaFault(schema: Json): string | undefined {
  try {
    z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
    return undefined;
  } catch (error) {
    return `must be a JSON Schema that Candor understands: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What is wrong with an output by the schema, or undefined if nothing is. */
export function outputFault(schema: Json, output: Json | undefined): string | undefined {
  if (output === undefined) return 'there is no output';
  const result = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(output);
  if (result.success) return undefined;
  const [issue] = result.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at /${issue.path.join('/')}`;
  return `${issue?.message ?? 'it does not match'}${where}`;
}

/** What proves that a run has done its work. A run that ends without it is shown as `unverified`. */
export const SuccessCriteria = z
  .strictObject({
    exitCode: z
      .int('must be a whole number')
      .min(0, 'must be at least 0')
      .max(255, 'must be at most 255')
      .exactOptional()
      .describe('The exit code that stands for success, where it is not 0.'),
    artifact: ArtifactGlob.exactOptional().describe('At least one artifact with a path like this one must be there.'),
    outputSchema: OutputSchema.exactOptional().describe('A JSON Schema for the output.'),
  })
  .refine((criteria) => Object.keys(criteria).length > 0, 'must name exitCode, artifact or outputSchema')
  .meta({
    minProperties: 1,
    description: 'What proves that a run has done its work. A run that ends without it is shown as unverified.',
  });

export interface Criteria {
  readonly exitCode?: number;
  readonly artifact?: string;
  readonly outputSchema?: { readonly [name: string]: Json };
}

const GIT_URL = /^((https?|ssh|git|file):[/]{2}\S+|[\w.-]+@[\w.-]+:\S+)$/;
const withoutNul = (text: string): boolean => !text.includes('\0');
export const SecretId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'must be 1 to 100 letters, digits, dots, dashes or underscores');

/** Some put a token in the place of the user, or behind a question mark: the URL is shown to whoever sees the agent. */
const holdsCredential = (url: string): boolean =>
  /^\w+:\/\/[^/@]*(?::|%3a)[^/]*@/i.test(url) ||
  /^https?:\/\/(?:gh[a-z]_|github_pat_|glpat-|[^/@]{40,})[^/]*@/i.test(url) ||
  /^https?:.*[?#]/i.test(url);

export const Repository = z.strictObject({
  url: z
    .string()
    .max(2048)
    .regex(GIT_URL, 'must be a git URL such as https://host/project.git')
    .refine(withoutNul, 'must not contain NUL')
    .refine((url) => !holdsCredential(url), 'must not hold a password or token: name it with secret'),
  ref: z
    .string()
    .regex(/^[A-Za-z0-9_][^\s~^:?*[\\]{0,254}$/, 'must be a branch, a tag or a full commit id')
    .refine(withoutNul, 'must not contain NUL')
    .describe('A branch, a tag or a full commit id.'),
  secret: SecretId.exactOptional().describe('The id of the secret that opens it.'),
});
export interface RepositoryDefinition {
  readonly url: string;
  readonly ref: string;
  readonly secret?: string;
}

export const MARKETS = ['spot', 'on_demand'] as const;
export type Market = (typeof MARKETS)[number];
export const MARKET_WISHES = [...MARKETS, 'spot_first'] as const;
export const ARCHITECTURES = ['x86_64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** What a VM must have at least. On one machine they are kept and not looked at: there is one kind of VM. */
export const Requirements = z
  .strictObject({
    vcpu: z.int('must be a whole number').min(1, 'must be at least 1').max(512, 'must be at most 512').exactOptional(),
    memoryMiB: z.int('must be a whole number').min(128, 'must be at least 128').max(8_388_608).exactOptional(),
    architecture: z.enum(ARCHITECTURES, `must be one of ${ARCHITECTURES.join(', ')}`).exactOptional(),
    instanceTypes: z
      .array(
        z
          .string()
          .regex(/^[a-z0-9-]+\.[a-z0-9-]+$/, 'must be an EC2 instance type such as m7g.large')
          .max(64),
      )
      .min(1, 'must name an instance type')
      .max(20, 'must have at most 20 instance types')
      .exactOptional()
      .describe('Only these, as far as the installation has them.'),
    diskGiB: z
      .int('must be a whole number')
      .min(8, 'must be at least 8')
      .max(16_384, 'must be at most 16384')
      .exactOptional(),
    market: z
      .enum(MARKET_WISHES, `must be one of ${MARKET_WISHES.join(', ')}`)
      .exactOptional()
      .describe(
        'spot_first takes an on-demand one where there is no spot instance; absent: as the installation has it.',
      ),
  })
  .refine((needs) => Object.keys(needs).length > 0, 'must name what is required')
  .meta({ minProperties: 1, description: 'What a VM must have at least.' });

/** What a VM is asked for with. */
export interface Needs {
  readonly vcpu?: number;
  readonly memoryMiB?: number;
  readonly diskGiB?: number;
  readonly architecture?: Architecture;
  readonly instanceTypes?: readonly string[];
  readonly market?: (typeof MARKET_WISHES)[number];
}

/** An AMI of one's own; absent: the installation's for the architecture. */
export const Image = z.string().regex(/^ami-[0-9a-f]{8,17}$/, 'must be the id of an AMI such as ami-0123456789abcdef0');

export const REUSE = ['same_agent', 'never'] as const;
export type Reuse = (typeof REUSE)[number];
