/** The DynamoDB client: on AWS by the environment's region and role, elsewhere by an endpoint. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { patience } from './requests.ts';

export interface ClientOptions {
  /** Any DynamoDB-compatible endpoint; absent on AWS. */
  readonly endpoint?: string;
  readonly maxSockets?: number;
  /** For tests. */
  readonly requestTimeoutMs?: number;
  readonly maxAttempts?: number;
}

export function dynamoClient(options: ClientOptions = {}): DynamoDBClient {
  const { endpoint } = options;
  const client = new DynamoDBClient({
    ...(options.maxAttempts !== undefined && { maxAttempts: options.maxAttempts }),
    ...(endpoint !== undefined && {
      endpoint,
      region: 'local',
      // A local engine wants some credential and checks none.
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    }),
    requestHandler: new NodeHttpHandler({
      ...patience(options.requestTimeoutMs),
      httpAgent: { keepAlive: true, maxSockets: options.maxSockets ?? 64 },
    }),
  });
  // It copies every request and answer for a log that nobody keeps: a third of a call's CPU time. Candor logs by itself.
  client.middlewareStack.remove('loggerMiddleware');
  return client;
}
