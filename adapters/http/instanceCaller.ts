/**
 * Which EC2 instance calls, by what API Gateway's IAM authorizer has found out. Whoever may assume a role chooses the
 * session's name: only the sessions of the instances' own role, which EC2 alone may assume, are named after instances.
 */
import { CandorError } from '../../core/errors.ts';

const SESSION = /^arn:[\w-]+:sts::\d{12}:assumed-role\/([^/]+)\/(i-[0-9a-f]{8,17})$/;

/**
 * @param userArn of the request's context, written by API Gateway after it has checked the signature
 * @param role the name of the instances' role
 * @throws CandorError `unauthenticated`
 */
export function instanceCaller(userArn: string | undefined, role: string): string {
  const [, found, instanceId] = SESSION.exec(userArn ?? '') ?? [];
  if (instanceId === undefined || found !== role)
    throw new CandorError('unauthenticated', 'The signature is not of an instance of this installation.', {
      remedy: "Sign with the credentials of the instance's own profile.",
    });
  return instanceId;
}
