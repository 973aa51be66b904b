/** The API's second door on AWS: the same paths behind API Gateway's IAM authorizer, which says whose signature it checked. */
import type { LambdaEvent } from 'hono/aws-lambda';

/** Under this path API Gateway lets through only requests that somebody's AWS credentials have signed. */
const SIGNED = '/iam/v1/';

/** The event as the API's routes know it: one set of them stands behind both doors. */
export function unsignedPath(event: LambdaEvent): LambdaEvent {
  if (!('rawPath' in event) || !event.rawPath.startsWith(SIGNED)) return event;
  return { ...event, rawPath: event.rawPath.slice('/iam'.length) };
}

/** The signer's ARN, from the request's context: written by API Gateway, and by nobody else. */
export function signerOf(environment: unknown): string | undefined {
  const { requestContext = {} } = environment as {
    readonly requestContext?: { readonly authorizer?: { readonly iam?: { readonly userArn?: string } } };
  };
  return requestContext.authorizer?.iam?.userArn;
}
