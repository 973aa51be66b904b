/** An installation's queues, functions and stream, with the credentials of whoever calls. */
import { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SQSClient } from '@aws-sdk/client-sqs';
import { CliError, EXIT, NoServer, NotResolved, UsageError } from '../errors.ts';
import { caller } from './functions.ts';
import type { QueueName } from './letters.ts';
import { Mailbox } from './mailbox.ts';
import type { RedriveParts } from './redrive.ts';
import { recordsIn } from './stream.ts';

export interface Installation {
  readonly id: string;
  readonly region: string | undefined;
}

export interface Aws {
  readonly mailbox: (queue: QueueName) => Promise<Mailbox>;
  readonly parts: (mailbox: Mailbox) => RedriveParts;
}

/** `execution-ended` and `events` may take two minutes; a call is given up only after its function would have been. */
const CALL_TIMEOUT_MS = 150_000;
const TIMEOUT_MS = 15_000;

/** Runs work on an installation's AWS; what AWS refuses becomes an error of the command. */
export async function onAws<T>(installation: Installation, work: (aws: Aws) => Promise<T>): Promise<T> {
  const { id, region } = installation;
  const options = (requestTimeout: number) => ({
    ...(region !== undefined && { region }),
    requestHandler: { connectionTimeout: 3000, requestTimeout, throwOnRequestTimeout: true },
  });
  // What SQS names as a queue's address need not be where this machine reaches it: a VPC endpoint, an emulator.
  const sqs = new SQSClient({ ...options(TIMEOUT_MS), useQueueUrlAsEndpoint: false });
  const streams = new DynamoDBStreamsClient(options(TIMEOUT_MS));
  const lambda = new LambdaClient(options(CALL_TIMEOUT_MS));
  const call = caller(lambda);
  try {
    return await work({
      mailbox: (queue) => Mailbox.open(sqs, `${id}-${queue}-dead-letters`),
      parts: (mailbox) => ({
        mailbox,
        call,
        records: (range) => recordsIn(streams, range),
        functionName: (short) => `${id}-${short}`,
      }),
    });
  } catch (error) {
    throw translated(error, id);
  } finally {
    for (const client of [sqs, streams, lambda]) client.destroy();
  }
}

const NO_CREDENTIALS = ['CredentialsProviderError', 'TokenProviderError'];
const REFUSED =
  /^(AccessDenied|UnrecognizedClient|InvalidClientTokenId|ExpiredToken|InvalidSignature|SignatureDoesNot)/;

function translated(error: unknown, installation: string): unknown {
  if (!(error instanceof Error) || error instanceof CliError) return error;
  const { name, message } = error;
  const cause = error;
  if (NO_CREDENTIALS.includes(name))
    return new UsageError(`AWS is asked with your own credentials, and there are none: ${message}`, {
      remedy: 'Sign in (aws sso login), or set AWS_PROFILE.',
      cause,
    });
  if (message === 'Region is missing')
    return new UsageError('No AWS region is set.', { remedy: 'Add --region, or set AWS_REGION.', cause });
  if (name === 'QueueDoesNotExist' || name.startsWith('AWS.SimpleQueueService.NonExistent'))
    return new NotResolved(`There is no installation ${installation} in this account and region.`, {
      remedy: 'Check --installation (candor-<environment>), --region and the account: aws sts get-caller-identity',
      cause,
    });
  const status = statusOf(error);
  if (REFUSED.test(name) || status === 403)
    return new CliError('forbidden', EXIT.refused, `AWS refuses: ${message}`, {
      remedy: 'docs/dead-letters.md lists the rights that this needs.',
      cause,
    });
  if (status === undefined)
    return isNetwork(error) ? new NoServer(`AWS does not answer: ${message}`, { cause }) : error;
  const code = status >= 500 ? EXIT.serverFailed : EXIT.refused;
  return new CliError('aws', code, `AWS answered ${name}: ${message}`, { cause });
}

const isNetwork = (error: Error): boolean =>
  error.name === 'TimeoutError' || ('code' in error && typeof error.code === 'string' && /^E[A-Z_]+$/.test(error.code));

function statusOf(error: object): number | undefined {
  const { $metadata } = error as { readonly $metadata?: { readonly httpStatusCode?: number } };
  return $metadata?.httpStatusCode;
}
