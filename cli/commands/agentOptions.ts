/** What the options of an agent say: shared by creating and changing one. */
import { type Command, Option } from 'commander';
import { REUSE } from '../../core/contract/agentParts.ts';
import type { Environment } from '../../core/contract/agents.ts';
import { collect, collectPair, mergedFields, mergedPairs, NONE, wholeNumber, wholeNumberOrNone } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { type RequirementOptions, requirementFields, requirementOptions } from './requirementOptions.ts';
import {
  orNoneText,
  type RetryOptions,
  retryFields,
  retryOptions,
  type TimeoutOptions,
  timeoutFields,
  timeoutOptions,
} from './timeoutOptions.ts';

const CONCURRENT_MAX = 10_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;
const SLOTS_MAX = 16;

type Pairs = Readonly<Record<string, string>>;
type Count = number | typeof NONE;

export interface AgentOptions extends TimeoutOptions, RetryOptions, RequirementOptions {
  readonly file?: string;
  readonly name?: string;
  readonly env?: Pairs;
  readonly secretEnv?: Pairs;
  readonly unsetEnv?: readonly string[];
  readonly cwd?: string;
  readonly setupTimeout?: string;
  readonly maxConcurrentRuns?: Count;
  readonly maxConcurrentVms?: Count;
  readonly maxOutputBytes?: Count;
  readonly artifact?: readonly string[];
  readonly warmFor?: string;
  readonly reuse?: string;
  readonly slots?: Count;
  readonly repository?: string;
  readonly ref?: string;
  readonly repositorySecret?: string;
  readonly metadata?: Pairs;
  readonly unsetMetadata?: readonly string[];
}

/** @param isChange a change can also take a field back to its default, with `none` */
export function agentOptions(command: Command, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  command
    .option('--name <name>', isChange ? 'a new name' : 'its name, unique among the agents')
    .option('--file <file>', 'its fields as the API has them, as JSON; - reads standard input; options win over it')
    .option('--env <name=value>', 'a variable of its environment (repeatable)', collectPair)
    .option('--secret-env <name=id>', 'a variable whose value is the secret with this id (repeatable)', collectPair);
  if (isChange) command.option('--unset-env <name>', 'remove a variable (repeatable)', collect);
  command.option(
    '--cwd <dir>',
    `its working directory, an absolute path on the VM (default: a fresh folder per run)${orNone}`,
  );
  limitOptions(retryOptions(timeoutOptions(command, 'a run', isChange), isChange), isChange);
  requirementOptions(machineOptions(command, isChange), isChange).option(
    '--metadata <name=value>',
    'a note of yours (repeatable)',
    collectPair,
  );
  if (isChange) command.option('--unset-metadata <name>', 'remove a note (repeatable)', collect);
  return command;
}

function limitOptions(command: Command, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  const number = isChange ? wholeNumberOrNone : wholeNumber;
  return command
    .option('--setup-timeout <duration>', `how long its setup commands, or a checkout, may take${orNone}`)
    .option(
      '--max-concurrent-runs <count>',
      `how many of its runs may be at work at once; others wait${orNone}`,
      number(1, CONCURRENT_MAX),
    )
    .option(
      '--max-concurrent-vms <count>',
      `how many VMs it may have at once, warm ones included${orNone}`,
      number(1, CONCURRENT_MAX),
    )
    .option('--max-output-bytes <count>', `how much of a run's output is kept${orNone}`, number(1, OUTPUT_BYTES_MAX))
    .option(
      '--artifact <glob>',
      `files of its working folder to keep, such as 'out/*.pdf' (repeatable${isChange ? `; replaces those that stand, ${NONE} keeps nothing` : ''})`,
      collect,
    );
}

function machineOptions(command: Command, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  const number = isChange ? wholeNumberOrNone : wholeNumber;
  const reuse = new Option('--reuse <rule>', `whether its VMs serve several of its runs${orNone}`);
  return command
    .option('--warm-for <duration>', `keep a VM so long for the next run${orNone}`)
    .addOption(reuse.choices(isChange ? [...REUSE, NONE] : REUSE))
    .option('--slots <n>', `runs side by side on one VM${orNone}`, number(1, SLOTS_MAX))
    .option('--repository <url>', `the git repository to check out for each run${isChange ? `, or ${NONE}` : ''}`)
    .option('--ref <ref>', 'its branch, tag or full commit id')
    .option('--repository-secret <id>', `the secret that opens it${isChange ? `, or ${NONE}` : ''}`);
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The fields that the options name, over what stands; `null` takes one back to its default.
 * @param base the agent as it is, or as the file says: what the options leave out of a part of it is kept
 * @throws UsageError where the options contradict each other or do not fit what stands
 */
export function agentFields(options: AgentOptions, command: readonly string[], base: Fields): Fields {
  const parts = {
    env: mergedPairs(partOf(base, 'env'), environmentOf(options), options.unsetEnv),
    limits: mergedFields(partOf(base, 'limits'), {
      ...timeoutFields(options),
      setupTimeout: options.setupTimeout,
      maxConcurrentRuns: options.maxConcurrentRuns,
      maxConcurrentVms: options.maxConcurrentVms,
      maxOutputBytes: options.maxOutputBytes,
    }),
    retry: retryFields(options, partOf(base, 'retry')),
    requirements: requirementFields(options, partOf(base, 'requirements')),
    artifacts: artifactsOf(options.artifact),
    repository: repositoryOf(options, base),
    metadata: mergedPairs(partOf(base, 'metadata'), options.metadata, options.unsetMetadata),
  };
  const plain = {
    name: options.name,
    command: command.length === 0 ? undefined : command,
    workingDirectory: orNull(options.cwd),
    warmFor: orNull(options.warmFor),
    reuse: orNull(options.reuse),
    slots: orNull(options.slots),
    image: orNull(options.image),
  };
  return Object.fromEntries(Object.entries({ ...plain, ...parts }).filter(([, value]) => value !== undefined));
}

const orNull = <Value extends string | number>(value: Value | undefined) => (value === NONE ? null : value);

/** What is no object cannot be added to: laid under the options it would be lost without a word. */
function partOf(base: Fields, name: string): Record<string, never> | undefined {
  const part = base[name] ?? undefined;
  if (part === undefined) return undefined;
  if (typeof part !== 'object' || Array.isArray(part))
    throw new UsageError(`The field ${name} of the file is not an object.`);
  return part as Record<string, never>;
}

function environmentOf({ env, secretEnv }: AgentOptions): Environment | undefined {
  if (env === undefined && secretEnv === undefined) return undefined;
  const twice = Object.keys(secretEnv ?? {}).find((name) => Object.hasOwn(env ?? {}, name));
  if (twice !== undefined) throw new UsageError(`The variable ${twice} is set by --env and by --secret-env.`);
  const secrets = Object.entries(secretEnv ?? {}).map(([name, secret]) => [name, { secret }] as const);
  return Object.fromEntries([...Object.entries(env ?? {}), ...secrets]);
}

function artifactsOf(globs: readonly string[] | undefined): readonly string[] | null | undefined {
  if (!globs?.includes(NONE)) return globs;
  if (globs.length > 1) throw new UsageError(`--artifact ${NONE} does not go with other globs.`);
  return null;
}

function repositoryOf(options: AgentOptions, base: Fields): object | null | undefined {
  const { repository: url, ref, repositorySecret: secret } = options;
  if (url === undefined && ref === undefined && secret === undefined) return undefined;
  if (url === NONE) {
    if (ref === undefined && secret === undefined) return null;
    throw new UsageError(`--repository ${NONE} does not go with --ref and --repository-secret.`);
  }
  const standing: Fields = partOf(base, 'repository') ?? {};
  if (url !== undefined && secret === undefined && standing.secret !== undefined && standing.url !== url)
    throw new UsageError('The secret of the present repository would go to another URL.', {
      remedy: `Say so with --repository-secret ${String(standing.secret)}, or --repository-secret ${NONE}.`,
    });
  const { secret: standingSecret, ...rest } = standing;
  const kept = secret === NONE ? undefined : (secret ?? standingSecret);
  const repository = {
    ...rest,
    ...(url !== undefined && { url }),
    ...(ref !== undefined && { ref }),
    ...(kept !== undefined && { secret: kept }),
  };
  if (!('url' in repository && 'ref' in repository))
    throw new UsageError('A repository needs its URL and what to check out.', {
      remedy: 'Give --repository URL and --ref BRANCH, TAG or COMMIT.',
    });
  return repository;
}
