/** Who calls. The tenant comes from the credential only. */

import { GuardFailed } from '../errors.ts';
import type { Store } from '../ports.ts';
import { keys } from '../table/keys.ts';
import { absent, guard } from '../table/model.ts';
import { asItem, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';

export interface PrincipalRow extends RowBase {
  readonly id: string;
  readonly kind: 'user' | 'service_account';
  readonly name: string;
  readonly status: 'active' | 'revoked';
}

/** The authenticated caller of one request. `run` callers may read their own run, and nothing else. */
export type Caller =
  | {
      readonly kind: 'principal';
      readonly tenantId: string;
      readonly principalId: string;
      /** Which of its credentials it showed, where it may have several. */
      readonly credentialId?: string;
    }
  | {
      readonly kind: 'run';
      readonly tenantId: string;
      readonly runId: string;
      readonly attempt: number;
      readonly vmId: string;
    };

/** One machine has one tenant and one administrator. */
export const LOCAL_TENANT = 'local';
export const LOCAL_ADMIN = 'usr_admin';
/** The one tenant of an installation that has no identity provider yet. */
export const BOOTSTRAP_TENANT = 'default';

export async function ensurePrincipal(store: Store, tenantId: string, id: string, name: string): Promise<void> {
  const row: PrincipalRow = {
    ...keys.principal(id),
    schemaVersion: SCHEMA_VERSION,
    tenantId,
    id,
    kind: 'user',
    name,
    status: 'active',
  };
  try {
    await store.transact([{ kind: 'put', item: asItem(row), guards: [guard('principal.createdOnce', absent)] }]);
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error;
  }
}
