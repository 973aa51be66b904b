/**
 * The Lambdas' environment: the only file here that reads it. Each part of a function asks for the variables that it needs
 * at its first call, so that no function must be given one that is another's. Plain checks: what `fire` loads is counted.
 */
import { CoreConfig } from '../core/config.ts';

const arnOf = (what: string) => ({ pattern: /^arn:[\w-]+:/, what: `the ARN of ${what}` });
const nameOf = (what: string) => ({ pattern: /./, what: `the name of ${what}` });

/** What a value must look like, in words for whoever set it. */
const VARIABLES = {
  CANDOR_TABLE: nameOf('the table'),
  CANDOR_STATE_MACHINE_ARN: { pattern: /:stateMachine:/, what: 'the ARN of the state machine provision-vm' },
  CANDOR_SCHEDULE_GROUP: nameOf('the schedule group'),
  CANDOR_SCHEDULE_ROLE_ARN: arnOf('the role with which Scheduler calls `fire`'),
  CANDOR_SCHEDULE_DLQ_ARN: arnOf("Scheduler's dead-letter queue"),
  CANDOR_FIRE_FUNCTION_ARN: arnOf('the function `fire`'),
  CANDOR_BUCKET: nameOf('the bucket of logs and artifacts'),
  CANDOR_SIGNING_SECRET_ARN: arnOf('the secret with the signing keys'),
  CANDOR_SEALING_SECRET_ARN: arnOf('the secret that seals the secrets of webhooks'),
  CANDOR_SECRET_PREFIX: { pattern: /./, what: "the prefix of the names of agents' secrets, such as candor/dev/" },
  CANDOR_INSTALLATION: { pattern: /^[\w.-]{1,64}$/, what: 'the id of the installation, the value of its tag' },
  CANDOR_LAUNCH_TEMPLATE_ID: { pattern: /^lt-/, what: 'the id of the launch template' },
  CANDOR_VM_ROLE: { pattern: /^[\w+=,.@-]{1,64}$/, what: "the name of the instances' role" },
  CANDOR_POOLS: { pattern: /^\s*\[/, what: 'the instance pools, as a JSON array' },
} as const;
type Variable = keyof typeof VARIABLES;

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param source for tests; the process's own otherwise
 * @throws Error naming each variable that is missing or wrong, and what it must be
 */
export function variables<Name extends Variable>(
  names: readonly Name[],
  source: Environment = process.env,
): { readonly [name in Name]: string } {
  const problems = names.flatMap((name) => {
    const { pattern, what } = VARIABLES[name];
    const value = source[name];
    if (value === undefined || value === '') return [`${name} is missing: ${what}`];
    return pattern.test(value) ? [] : [`${name} is not ${what}`];
  });
  if (problems.length > 0) throw new Error(`the function's environment is not valid: ${problems.join('; ')}`);
  return Object.fromEntries(names.map((name) => [name, source[name] ?? ''])) as { [name in Name]: string };
}

/** @throws Error naming the setting that is wrong */
export function coreConfig(source: Environment = process.env): CoreConfig {
  const parsed = CoreConfig.safeParse(jsonFrom('CANDOR_CONFIG', source.CANDOR_CONFIG ?? '{}'));
  if (!parsed.success) throw new Error(`CANDOR_CONFIG is not valid: ${parsed.error.message}`);
  return parsed.data;
}

/** @throws Error that names the variable */
export function jsonFrom(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name} is not JSON`);
  }
}

/** What may be set for every function, and need not be. */
export const optionalForAll = (source: Environment = process.env) => ({
  /** A DynamoDB-compatible endpoint, for tests; the SDK's own AWS_ENDPOINT_URL… work by themselves. */
  dynamodbEndpoint: source.CANDOR_DYNAMODB_ENDPOINT,
  metricsNamespace: source.CANDOR_METRICS_NAMESPACE ?? 'Candor',
});

/** What may be set for some, and need not be: apart, because what `fire` loads is counted. */
export const optional = (source: Environment = process.env) => ({
  features: { schedules: source.CANDOR_FEATURES_SCHEDULES !== 'off' },
  /** The identity provider whose users may call, as JSON. */
  oidc: source.CANDOR_OIDC,
  /** The token of the first administrator. */
  adminTokenSecretArn: source.CANDOR_ADMIN_TOKEN_SECRET_ARN,
  launchTemplateVersion: source.CANDOR_LAUNCH_TEMPLATE_VERSION ?? '$Latest',
  /** Of the environment's own, for instances: a JSON object. */
  instanceTags: source.CANDOR_INSTANCE_TAGS ?? '{}',
  /** S3 is reached at another endpoint than its own: an emulator. */
  emulatesS3: (source.AWS_ENDPOINT_URL_S3 ?? source.AWS_ENDPOINT_URL) !== undefined,
});
