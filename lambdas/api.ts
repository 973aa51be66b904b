/** API Gateway (HTTP API, payload 2.0) → the API, and the runners' door. */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { TableRates } from '../adapters/aws/rates.ts';
import { createApp } from '../adapters/http/app.ts';
import { bootstrapAuthenticate } from '../adapters/http/bootstrap.ts';
import { OidcConfig, oidcUsers } from '../adapters/http/oidc.ts';
import { signerOf, unsignedPath } from '../adapters/http/signer.ts';
import { BOOTSTRAP_TENANT } from '../core/access/principals.ts';
import { jsonFrom, optional } from './environment.ts';
import { logger } from './log.ts';
import { composed } from './ports/base.ts';
import { bucketPorts } from './ports/bucket.ts';
import { clockPort } from './ports/clock.ts';
import { adminTokenSecret, secretsPort, tokensPort } from './ports/secrets.ts';
import { webhookPorts } from './ports/webhooks.ts';

const ports = composed(() => ({
  ...clockPort(),
  ...bucketPorts(),
  ...tokensPort(),
  ...secretsPort(),
  ...webhookPorts(),
}));

let serve: ReturnType<typeof handle> | undefined;

export const handler = middy<LambdaEvent, unknown, Error, Context>()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .handler(async (event, context) => {
    serve ??= handle(makeApp());
    return serve(unsignedPath(event), context);
  });

function makeApp() {
  const parts = ports();
  const secret = adminTokenSecret();
  const { features, oidc } = optional();
  const users = oidc ? oidcUsers(parts, OidcConfig.parse(jsonFrom('CANDOR_OIDC', oidc)), BOOTSTRAP_TENANT) : undefined;
  const authenticate = bootstrapAuthenticate(parts, secret && (() => secret.read()), users);
  return createApp({ ports: parts, authenticate, rates: new TableRates(parts), features, signer: signerOf });
}
