/** API Gateway (HTTP API, payload 2.0) → the API, and the runners' door. */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { TableRates } from '../adapters/aws/rates.ts';
import { createApp } from '../adapters/http/app.ts';
import { bootstrapAuthenticate } from '../adapters/http/bootstrap.ts';
import { optional } from './environment.ts';
import { logger } from './log.ts';
import { composed } from './ports/base.ts';
import { bucketPorts } from './ports/bucket.ts';
import { clockPort } from './ports/clock.ts';
import { adminTokenSecret, secretsPort, tokensPort } from './ports/secrets.ts';

const ports = composed(() => ({ ...clockPort(), ...bucketPorts(), ...tokensPort(), ...secretsPort() }));

let serve: ReturnType<typeof handle> | undefined;

export const handler = middy<LambdaEvent, unknown, Error, Context>()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .handler(async (event, context) => {
    serve ??= handle(makeApp());
    return serve(event, context);
  });

function makeApp() {
  const parts = ports();
  const secret = adminTokenSecret();
  const authenticate = bootstrapAuthenticate(parts, secret === undefined ? undefined : () => secret.read());
  return createApp({ ports: parts, authenticate, rates: new TableRates(parts), features: optional().features });
}
