/** API Gateway (HTTP API, payload 2.0) → the API, and the runners' door. */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { createApp } from '../adapters/http/app.ts';
import { bootstrapAuthenticate } from '../adapters/http/bootstrap.ts';
import { OidcConfig, oidcUsers } from '../adapters/http/oidc.ts';
import { BOOTSTRAP_TENANT } from '../core/access/principals.ts';
import { jsonFrom, optional } from './environment.ts';
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
    return serve(unsignedPath(event), context);
  });

/** Under this path API Gateway lets through only requests that somebody's AWS credentials have signed. */
const SIGNED = '/iam/v1/';

/** The same API stands behind both doors. */
function unsignedPath(event: LambdaEvent): LambdaEvent {
  if (!('rawPath' in event) || !event.rawPath.startsWith(SIGNED)) return event;
  return { ...event, rawPath: event.rawPath.slice(SIGNED.indexOf('/v1/')) };
}

/** Written by API Gateway's IAM authorizer, and by nobody else. */
function signerOf(environment: unknown): string | undefined {
  const { requestContext } = environment as { readonly requestContext?: unknown };
  const { authorizer } = (requestContext ?? {}) as {
    readonly authorizer?: { readonly iam?: { readonly userArn?: string } };
  };
  return authorizer?.iam?.userArn;
}

function makeApp() {
  const parts = ports();
  const secret = adminTokenSecret();
  const { features, oidc } = optional();
  const users = oidc ? oidcUsers(parts, OidcConfig.parse(jsonFrom('CANDOR_OIDC', oidc)), BOOTSTRAP_TENANT) : undefined;
  const authenticate = bootstrapAuthenticate(parts, secret && (() => secret.read()), users);
  return createApp({ ports: parts, authenticate, features, signer: signerOf });
}
