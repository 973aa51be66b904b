/**
 * API Gateway with the IAM authorizer, `POST /runner/v1/register` → registration of a runner on an EC2 instance. Who calls
 * is in the request's context, written by API Gateway after it has checked the signature: never in what the caller sends.
 */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { APIGatewayProxyEventV2WithIAMAuthorizer, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { problemResponse } from '../adapters/http/problem.ts';
import { RegisterRequest } from '../core/contract/runner.ts';
import { CandorError } from '../core/errors.ts';
import { registerInstance } from '../core/vms/registerInstance.ts';
import { logger } from './log.ts';
import { composed } from './ports/base.ts';
import { tokensPort } from './ports/secrets.ts';

/** An instance profile's credentials: the session is named after the instance. */
const SESSION = /^arn:[\w-]+:sts::\d{12}:assumed-role\/[^/]+\/(i-[0-9a-f]{8,17})$/;
const PATH = '/runner/v1/register';

const ports = composed(tokensPort);

export const handler = middy<
  APIGatewayProxyEventV2WithIAMAuthorizer,
  APIGatewayProxyStructuredResultV2,
  Error,
  Context
>()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .handler(async (event, context) => {
    const parts = ports();
    try {
      const answer = await registerInstance(parts, instanceOf(event), bodyOf(event));
      return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(answer) };
    } catch (error) {
      const { awsRequestId: requestId } = context;
      const response = problemResponse(error, { requestId, method: 'POST', path: PATH, log: parts.log });
      return {
        statusCode: response.status,
        headers: Object.fromEntries(response.headers),
        body: await response.text(),
      };
    }
  });

function instanceOf(event: APIGatewayProxyEventV2WithIAMAuthorizer): string {
  const instanceId = SESSION.exec(event.requestContext.authorizer?.iam?.userArn ?? '')?.[1];
  if (instanceId === undefined)
    throw new CandorError('unauthenticated', 'The signature is not of an instance.', {
      remedy: "Sign with the credentials of the instance's own profile.",
    });
  return instanceId;
}

function bodyOf(event: APIGatewayProxyEventV2WithIAMAuthorizer): RegisterRequest {
  const text = event.isBase64Encoded === true ? Buffer.from(event.body ?? '', 'base64').toString() : (event.body ?? '');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CandorError('malformed_json', 'The body is not JSON.');
  }
  const parsed = RegisterRequest.safeParse(value);
  if (!parsed.success) throw new CandorError('invalid_request', 'The registration is not valid.');
  return parsed.data;
}
