/** Principals and their keys: what is sent and what is answered. */
import * as z from 'zod';
import { awsIdentity } from './awsIdentity.ts';
import { Duration, Name } from './common.ts';
import { ROLES, type Role } from './roles.ts';

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
    /** `null`: no role over the tenant. */
    role: RoleName.nullable().optional(),
    /** Replaces all of them. */
    agents: AgentRoles.optional(),
    status: z.enum(['active', 'revoked'], 'must be active or revoked').optional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'must name at least one field to change');
export type PrincipalPatch = z.output<typeof PrincipalPatch>;

const MINUTE = 60;
const YEAR = 365 * 24 * 3600;
export const KEY_LIFE_DEFAULT_SECONDS = 90 * 24 * 3600;
export const KEY_OVERLAP_DEFAULT_SECONDS = 24 * 3600;

export const KeyCreate = z.strictObject({
  name: Name,
  /** No more than this role, whatever the service account has. */
  role: RoleName.optional(),
  /** For these agents only. */
  agents: z.array(AgentId).min(1, 'must name an agent, or be left out').max(AGENTS_MAX).optional(),
  expiresIn: Duration({ minSeconds: MINUTE, maxSeconds: YEAR }).default(KEY_LIFE_DEFAULT_SECONDS),
});
export type KeyCreate = z.output<typeof KeyCreate>;

export const KeyRotate = z.strictObject({
  /** For so long the old key works beside the new one. */
  overlap: Duration({ minSeconds: 0, maxSeconds: 30 * 24 * 3600 }).default(KEY_OVERLAP_DEFAULT_SECONDS),
  expiresIn: Duration({ minSeconds: MINUTE, maxSeconds: YEAR }).default(KEY_LIFE_DEFAULT_SECONDS),
});
export type KeyRotate = z.output<typeof KeyRotate>;

export interface GrantsBody {
  readonly role?: Role;
  readonly agents?: Readonly<Record<string, Role>>;
}

export interface PrincipalBody extends GrantsBody {
  readonly id: string;
  readonly kind: 'user' | 'service_account' | 'aws';
  readonly name: string;
  readonly status: 'active' | 'revoked';
  /** Of a user: the identity provider and its name for them. */
  readonly issuer?: string;
  readonly subject?: string;
  /** Of an AWS role or user. */
  readonly arn?: string;
  readonly version: number;
  readonly createdBy?: string;
  readonly createdAt?: string;
  readonly updatedAt?: string;
  readonly asOf: string;
}

export interface KeyBody {
  readonly id: string;
  readonly principalId: string;
  readonly name: string;
  readonly status: 'active' | 'expired' | 'revoked';
  readonly role?: Role;
  readonly agents?: readonly string[];
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  /** To the hour. Absent: never. */
  readonly lastUsedAt?: string;
  /** The key that took its place. */
  readonly replacedBy?: string;
  readonly asOf: string;
}

/** The only answer that ever shows a key. */
export interface NewKeyBody extends KeyBody {
  readonly key: string;
}

/** Who the caller is, and what its credential opens. */
export interface MeBody extends GrantsBody {
  readonly tenantId: string;
  readonly principalId: string;
  readonly name: string;
  readonly kind: 'user' | 'service_account' | 'aws';
  /** The id of the key that was shown, or `admin_token`. */
  readonly credentialId?: string;
  readonly asOf: string;
}
