/** Principals and their keys: what is sent and what is answered. */
import * as z from 'zod';
import { awsIdentity } from './awsIdentity.ts';
import { type Answered, asOf, Duration, Name, PrincipalId, Time, Version } from './common.ts';
import { ROLES } from './roles.ts';

export const RoleName = z.enum(ROLES, `must be one of ${ROLES.join(', ')}`);

const AgentId = z.string().regex(/^agt_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the id of an agent, such as agt_…');
const AGENTS_MAX = 100;

/** Roles over single agents. */
const AgentRoles = z
  .record(AgentId, RoleName)
  .refine((roles) => Object.keys(roles).length <= AGENTS_MAX, `must name at most ${AGENTS_MAX} agents`);

/**
 * People come by themselves, through the identity provider; what is made here is a service account, or with `arn` the
 * entry of an AWS role or user, which signs its requests.
 */
export const PrincipalCreate = z.strictObject({
  name: Name,
  arn: z
    .string()
    .max(2048)
    .refine(
      (arn) => awsIdentity(arn) !== undefined,
      'must be the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/ci',
    )
    .optional(),
  role: RoleName.optional(),
  agents: AgentRoles.optional(),
});
export type PrincipalCreate = z.output<typeof PrincipalCreate>;

export const PrincipalPatch = z
  .strictObject({
    name: Name.optional(),
    role: RoleName.nullable().optional().describe('null: no role over the tenant.'),
    agents: AgentRoles.optional().describe('Replaces all of them.'),
    status: z.enum(['active', 'revoked'], 'must be active or revoked').optional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'must name at least one field to change');
export type PrincipalPatch = z.output<typeof PrincipalPatch>;

const MINUTE = 60;
const YEAR = 365 * 24 * 3600;
export const KEY_LIFE_DEFAULT_SECONDS = 90 * 24 * 3600;
export const KEY_OVERLAP_DEFAULT_SECONDS = 24 * 3600;

const KEY = {
  role: 'No more than this role, whatever the service account has.',
  agents: 'For these agents only.',
} as const;

export const KeyCreate = z.strictObject({
  name: Name,
  role: RoleName.optional().describe(KEY.role),
  agents: z.array(AgentId).min(1, 'must name an agent, or be left out').max(AGENTS_MAX).optional().describe(KEY.agents),
  expiresIn: Duration({ minSeconds: MINUTE, maxSeconds: YEAR }).default(KEY_LIFE_DEFAULT_SECONDS),
});
export type KeyCreate = z.output<typeof KeyCreate>;

export const KeyRotate = z.strictObject({
  overlap: Duration({ minSeconds: 0, maxSeconds: 30 * 24 * 3600 })
    .default(KEY_OVERLAP_DEFAULT_SECONDS)
    .describe('For so long the old key works beside the new one.'),
  expiresIn: Duration({ minSeconds: MINUTE, maxSeconds: YEAR }).default(KEY_LIFE_DEFAULT_SECONDS),
});
export type KeyRotate = z.output<typeof KeyRotate>;

const grantFields = {
  role: z.enum(ROLES).exactOptional().describe('Over the whole tenant.'),
  agents: z.record(z.string(), z.enum(ROLES)).exactOptional().describe('Roles over single agents, by their ids.'),
} as const;

export const PrincipalBody = z
  .strictObject({
    id: PrincipalId,
    kind: z.enum(['user', 'service_account', 'aws']),
    name: z.string(),
    status: z.enum(['active', 'revoked']),
    ...grantFields,
    issuer: z.string().exactOptional().describe('Of a user: the identity provider.'),
    subject: z.string().exactOptional().describe("Of a user: the identity provider's name for them."),
    arn: z.string().exactOptional().describe('Of an AWS role or user.'),
    version: Version,
    createdBy: PrincipalId.exactOptional(),
    createdAt: Time.exactOptional(),
    updatedAt: Time.exactOptional(),
    asOf,
  })
  .meta({ id: 'Principal', description: 'Who calls: a person or a service account.' });
export type PrincipalBody = Answered<typeof PrincipalBody>;

const keyFields = {
  id: z.string(),
  principalId: PrincipalId,
  name: z.string(),
  status: z.enum(['active', 'expired', 'revoked']),
  role: z.enum(ROLES).exactOptional().describe(KEY.role),
  agents: z.array(z.string()).exactOptional().describe(KEY.agents),
  createdBy: PrincipalId,
  createdAt: Time,
  expiresAt: Time.exactOptional(),
  lastUsedAt: Time.exactOptional().describe('To the hour. Absent: never.'),
  replacedBy: z.string().exactOptional().describe('The key that took its place.'),
  asOf,
} as const;
export const KeyBody = z
  .strictObject(keyFields)
  .meta({ id: 'Key', description: 'A key, without what is secret of it.' });
export type KeyBody = Answered<typeof KeyBody>;

export const NewKeyBody = z
  .strictObject({ ...keyFields, key: z.string().describe('The secret: it goes into the Authorization header.') })
  .meta({ id: 'NewKey', description: 'The only answer that ever shows a key.' });
export type NewKeyBody = Answered<typeof NewKeyBody>;

export const MeBody = z
  .strictObject({
    tenantId: z.string(),
    principalId: PrincipalId,
    name: z.string(),
    kind: z.enum(['user', 'service_account', 'aws']),
    credentialId: z.string().exactOptional().describe('The id of the key that was shown, or admin_token.'),
    ...grantFields,
    asOf,
  })
  .meta({ id: 'Me', description: 'Who the caller is, and what its credential opens.' });
export type MeBody = Answered<typeof MeBody>;
