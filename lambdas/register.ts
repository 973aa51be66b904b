/**
 * API Gateway with the IAM authorizer, `POST /runner/v1/register` → registration of a runner on an EC2 instance. Who calls
 * is in the request's context, written by API Gateway after it has checked the signature: never in what the caller sends.
 */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { APIGatewayProxyEventV2WithIAMAuthorizer, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { instanceCaller } from '../adapters/http/instanceCaller.ts';
import { problemResponse } from '../adapters/http/problem.ts';
import { registrationOf } from '../adapters/http/registration.ts';
import { addSecurityHeaders } from '../adapters/http/securityHeaders.ts';
import type { RegisterRequest } from '../core/contract/runner.ts';
import { CandorError } from '../core/errors.ts';
import { registerInstance } from '../core/vms/registerInstance.ts';
import { variables } from './environment.ts';
import { log, logger } from './log.ts';
import { composed } from './ports/base.ts';
import { tokensPort } from './ports/secrets.ts';

const PATH = '/runner/v1/register';

const ports = composed(tokensPort);

export const handler = middy<
  APIGatewayProxyEventV2WithIAMAuthorizer,
  APIGatewayProxyStructuredResultV2,
  Error,
  Context
>()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .handler(async (event, { awsRequestId: requestId }) => {
    const { status, headers, body } = await answer(event, requestId);
    headers.set('X-Request-Id', requestId);
    // API Gateway speaks nothing but https.
    addSecurityHeaders(headers, { https: true });
    return { statusCode: status, headers: Object.fromEntries(headers), body: await new Response(body).text() };
  });

async function answer(event: APIGatewayProxyEventV2WithIAMAuthorizer, requestId: string): Promise<Response> {
  try {
    return Response.json(await registerInstance(ports(), caller(event), bodyOf(event)));
  } catch (error) {
    const problem = problemResponse(error, { requestId, method: 'POST', path: PATH, log });
    // A fault of ours fails the function: so Lambda counts it, and an alarm watches that. The runner tries again either way.
    if (problem.status >= 500 && !isPartOfAStart(error)) throw error;
    return problem;
  }
}

/** Its instance is not written down yet, or somebody else was at its row. */
const isPartOfAStart = (error: unknown): boolean =>
  error instanceof CandorError && (error.code === 'try_again' || error.code === 'contended');

const caller = (event: APIGatewayProxyEventV2WithIAMAuthorizer): string =>
  instanceCaller(event.requestContext.authorizer?.iam?.userArn, variables(['CANDOR_VM_ROLE']).CANDOR_VM_ROLE);

const bodyOf = ({ body = '', isBase64Encoded }: APIGatewayProxyEventV2WithIAMAuthorizer): RegisterRequest =>
  registrationOf(isBase64Encoded ? Buffer.from(body, 'base64').toString() : body);
