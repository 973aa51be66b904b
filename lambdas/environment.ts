/** The Lambdas' environment: the only file here that reads it, validated once at start. */
import * as z from 'zod';
import { CoreConfig } from '../core/config.ts';

const Environment = z.object({
  CANDOR_TABLE: z.string().min(1),
  CANDOR_STATE_MACHINE_ARN: z.string().includes(':stateMachine:'),
  /** Overrides of `core/config.ts`, as JSON. */
  CANDOR_CONFIG: z.string().default('{}'),
  /** Feature flags of the environment. */
  CANDOR_FEATURES_SCHEDULES: z.enum(['on', 'off']).default('on'),
  /** A DynamoDB-compatible endpoint, for tests; absent on AWS. */
  CANDOR_DYNAMODB_ENDPOINT: z.url().optional(),
});

export interface LambdaEnvironment {
  readonly tableName: string;
  readonly stateMachineArn: string;
  readonly config: CoreConfig;
  readonly features: { readonly schedules: boolean };
  readonly dynamodbEndpoint?: string;
}

/** @throws Error naming each variable that is missing or wrong */
export function readEnvironment(source: NodeJS.ProcessEnv = process.env): LambdaEnvironment {
  const parsed = Environment.safeParse(source);
  if (!parsed.success) throw new Error(`the function's environment is not valid: ${z.prettifyError(parsed.error)}`);
  const endpoint = parsed.data.CANDOR_DYNAMODB_ENDPOINT;
  return {
    tableName: parsed.data.CANDOR_TABLE,
    stateMachineArn: parsed.data.CANDOR_STATE_MACHINE_ARN,
    features: { schedules: parsed.data.CANDOR_FEATURES_SCHEDULES === 'on' },
    config: CoreConfig.parse(JSON.parse(parsed.data.CANDOR_CONFIG)),
    ...(endpoint !== undefined && { dynamodbEndpoint: endpoint }),
  };
}
