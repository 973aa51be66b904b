/** AWS identities as principals: API Gateway has checked the signature, and says whose it is. */

const SIGNER_ROLE = /^arn:[\w-]+:sts::(\d{12}):assumed-role\/([\w+=,.@-]+)\/[\w+=,.@-]+$/;
const ROLE = /^arn:[\w-]+:iam::(\d{12}):role\/(?:[\x21-\x7e]+\/)?([\w+=,.@-]+)$/;
const USER = /^arn:[\w-]+:iam::(\d{12}):user\/([\x21-\x7e]+)$/;

/**
 * One name for a role or user, however its ARN is written: a session says its role without the role's path.
 * Answers undefined for anything else, the account's root user among it.
 */
export function awsIdentity(arn: string): string | undefined {
  const [, account, name] = SIGNER_ROLE.exec(arn) ?? ROLE.exec(arn) ?? [];
  if (account !== undefined && name !== undefined) return `role ${account} ${name}`;
  const [, home, user] = USER.exec(arn) ?? [];
  return home !== undefined && user !== undefined ? `user ${home} ${user}` : undefined;
}
