/** API Gateway (HTTP API, payload 2.0) → the API. */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { createApp } from '../adapters/http/app.ts';
import type { Authenticate } from '../adapters/http/authenticate.ts';
import { readEnvironment } from './environment.ts';
import { lambdaPorts, logger } from './ports.ts';

/** Who calls is decided by identity providers that are not connected yet: until then nobody gets in but `/v1/health`. */
const authenticate: Authenticate = async () => undefined;

let serve: ReturnType<typeof handle> | undefined;

export const handler = middy<LambdaEvent, unknown, Error, Context>()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .handler(async (event, context) => {
    serve ??= handle(createApp({ ports: lambdaPorts(), authenticate, features: readEnvironment().features }));
    return serve(event, context);
  });
