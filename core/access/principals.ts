/** Who calls. The tenant comes from the credential only. */

import type { Role } from '../contract/roles.ts';
import { GuardFailed } from '../errors.ts';
import type { Store } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { lists } from '../table/keys.ts';
import { absent, guard } from '../table/model.ts';
import { asItem, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import type { Grants, Reach } from './grants.ts';

export type PrincipalKind = 'user' | 'service_account' | 'aws';

export interface PrincipalRow extends RowBase, Grants {
  readonly id: string;
  readonly kind: PrincipalKind;
  readonly name: string;
  readonly status: 'active' | 'revoked';
  /** Of a user: who vouches for it, and how it is called there. */
  readonly issuer?: string;
  readonly subject?: string;
  /** Of a user: who gave the role, where it was the provider, and when it last said so. */
  readonly roleFrom?: 'provider';
  readonly roleSaidAt?: number;
  /** Of an AWS identity: the role or user as it was named. */
  readonly arn?: string;
  /** Absent on rows of before there were roles: then it is 1. */
  readonly version?: number;
  readonly createdBy?: string;
  readonly createdAt?: number;
  readonly updatedAt?: number;
  readonly listIn?: string;
  readonly listAt?: string;
  readonly writer?: string;
}

/** A key of a service account. Its secret is known to whoever was shown it once; here is its hash. */
export interface KeyRow extends RowBase {
  readonly id: string;
  readonly principalId: string;
  readonly name: string;
  /** SHA-256, hex. */
  readonly hash: string;
  readonly status: 'active' | 'revoked';
  /** No more than this, whatever its principal may. */
  readonly role?: Role;
  /** Nothing but these agents. */
  readonly agents?: readonly string[];
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt?: number;
  /** To the hour: a write at every call would cost more than it tells. */
  readonly lastUsedAt?: number;
  readonly replacedBy?: string;
  readonly writer?: string;
}

/** Whom a credential names, and what that opens. */
export type Identity =
  | {
      readonly kind: 'principal';
      readonly tenantId: string;
      readonly principalId: string;
      readonly grants: Grants;
      /** Which credential was shown, where there may be several: a key's id. */
      readonly credentialId?: string;
      /** The key, where it opens less than its account may. */
      readonly cutBy?: string;
    }
  | RunIdentity;

interface RunIdentity {
  readonly kind: 'run';
  readonly tenantId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly vmId: string;
}

/** The authenticated caller of one request. `run` callers may read their own run, and nothing else. */
export type Caller =
  | (Reach & { readonly kind: 'principal'; readonly principalId: string; readonly credentialId?: string })
  | RunIdentity;

/** One machine has one tenant and one administrator. */
export const LOCAL_TENANT = 'local';
export const LOCAL_ADMIN = 'usr_admin';
/** The one tenant of an installation that does not name others. */
export const BOOTSTRAP_TENANT = 'default';

/** The administrator by the installation's own token. A row of before there were roles has none; it has always been one. */
export const grantsOf = (principal: Pick<PrincipalRow, 'id' | 'role' | 'agents'>): Grants => ({
  ...(principal.id === LOCAL_ADMIN
    ? { role: 'admin' as const }
    : principal.role !== undefined && { role: principal.role }),
  ...(principal.agents !== undefined && { agents: principal.agents }),
});

/** An administrator who is there from the start. */
export async function ensurePrincipal(store: Store, tenantId: string, id: string, name: string): Promise<void> {
  const row: PrincipalRow = {
    ...keys.principal(id),
    schemaVersion: SCHEMA_VERSION,
    tenantId,
    id,
    kind: 'user',
    name,
    status: 'active',
    role: 'admin',
    version: 1,
    listIn: lists.principals(tenantId),
    listAt: id,
  };
  try {
    await store.transact([{ kind: 'put', item: asItem(row), guards: [guard('principal.createdOnce', absent)] }]);
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error;
  }
}
