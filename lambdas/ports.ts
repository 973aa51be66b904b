/** The ports of the Lambdas: one composition per function instance, made at its first call. */
import { Logger } from '@aws-lambda-powertools/logger';
import { SFNClient } from '@aws-sdk/client-sfn';
import { dynamoClient } from '../adapters/aws/client.ts';
import { DynamoStore } from '../adapters/aws/store.ts';
import { StepFunctionsWorkflow } from '../adapters/aws/workflow.ts';
import { randomIds } from '../adapters/system/ids.ts';
import { systemTime } from '../adapters/system/time.ts';
import type { ArtifactStore, Fleet, Log, LogStore, Ports, ScheduleClock, Secrets, Tokens } from '../core/ports.ts';
import { LaunchMisconfigured } from '../core/vms/launchErrors.ts';
import { type LambdaEnvironment, readEnvironment } from './environment.ts';

export const logger = new Logger({ serviceName: 'candor' });

const log: Log = {
  info: (event, facts = {}) => logger.info(event, { ...facts }),
  warn: (event, facts = {}) => logger.warn(event, { ...facts }),
  error: (event, facts = {}) => logger.error(event, { ...facts }),
};

let composed: Ports | undefined;

/** The function's ports. Environment errors surface at the first call, named one by one. */
export function lambdaPorts(): Ports {
  composed ??= compose(readEnvironment());
  return composed;
}

function compose(environment: LambdaEnvironment): Ports {
  const { dynamodbEndpoint, tableName, stateMachineArn, config } = environment;
  const client = dynamoClient(dynamodbEndpoint === undefined ? {} : { endpoint: dynamodbEndpoint });
  return {
    store: new DynamoStore(client, tableName),
    workflow: new StepFunctionsWorkflow(new SFNClient({}), stateMachineArn),
    clock: absentClock,
    fleet: absentFleet,
    logs: absentLogs,
    artifacts: absentArtifacts,
    secrets: absentSecrets,
    tokens: absentTokens,
    ids: randomIds,
    time: systemTime,
    log,
    config,
  };
}

/*
 * The AWS implementations of these ports are not built yet. What needs them fails in the open: a schedule's clock
 * stays `pending`, a launch is refused as misconfigured and the run says so; nothing pretends to have worked.
 */
const notBuilt = (what: string) => new Error(`${what} on AWS is not built yet`);

const absentClock: ScheduleClock = {
  put: () => Promise.reject(notBuilt('the schedule clock')),
  delete: () => Promise.reject(notBuilt('the schedule clock')),
};
const absentFleet: Fleet = {
  plan: () => Promise.reject(new LaunchMisconfigured('the EC2 fleet is not built yet')),
  launch: () => Promise.reject(new LaunchMisconfigured('the EC2 fleet is not built yet')),
  observe: () => Promise.reject(notBuilt('the fleet')),
  terminate: () => Promise.reject(notBuilt('the fleet')),
};
const absentLogs: LogStore = {
  putChunk: () => Promise.reject(notBuilt('the log store')),
  read: () => Promise.reject(notBuilt('the log store')),
};
const absentTokens: Tokens = {
  sign: () => Promise.reject(notBuilt('token signing')),
  verify: () => Promise.reject(notBuilt('token signing')),
};
const absentArtifacts: ArtifactStore = {
  put: () => Promise.reject(notBuilt('the artifact store')),
  get: () => Promise.reject(notBuilt('the artifact store')),
};
/** No secret can be read: a run that needs one says so, and does not start. */
const absentSecrets: Secrets = { read: async () => undefined };
