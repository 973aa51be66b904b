/** From a credential to an identity, by what stands in the table now: what was revoked is worth nothing from then on. */

import { awsIdentity } from '../contract/awsIdentity.ts';
import type { Role } from '../contract/roles.ts';
import { derivedId, hashSecret } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { appendEvent } from '../runs/events.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { lists } from '../table/keys.ts';
import { absent, eq, guard } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { narrowed } from './grants.ts';
import { type Caller, grantsOf, type Identity, type KeyRow, type PrincipalRow } from './principals.ts';

const KEY_FORM = /^candor_([0-9a-hjkmnp-tv-z]{26})_([0-9a-hjkmnp-tv-z]{26})_([\w-]{43})$/;
const LAST_USED_MS = 3600_000;

/** What is shown once: it names its account and itself, so that looking it up is one read. */
export const keyText = (principalId: string, keyId: string, secret: string): string =>
  `candor_${principalId.slice('sac_'.length)}_${keyId.slice('key_'.length)}_${secret}`;

/** Answers undefined for what is not a key, or not one that stands. */
export async function identityOfKey(
  ports: Pick<Ports, 'store' | 'time'>,
  bearer: string,
): Promise<Identity | undefined> {
  const [, account, id, secret = ''] = KEY_FORM.exec(bearer) ?? [];
  if (account === undefined || id === undefined) return undefined;
  const [principalId, keyId] = [`sac_${account}`, `key_${id}`];
  const items = await ports.store.getMany([keys.principal(principalId), keys.apiKey(principalId, keyId)]);
  const principal = asRow<PrincipalRow>(items[0]);
  const key = asRow<KeyRow>(items[1]);
  const now = ports.time.now();
  if (principal?.status !== 'active' || key?.status !== 'active') return undefined;
  if (key.hash !== hashSecret(secret)) return undefined;
  if (key.expiresAt !== undefined && key.expiresAt <= now) return undefined;
  if (now - (key.lastUsedAt ?? 0) >= LAST_USED_MS) await markUsed(ports, key, now);
  const cut = {
    ...(key.role !== undefined && { role: key.role }),
    ...(key.agents !== undefined && { agents: key.agents }),
  };
  const { tenantId } = principal;
  return {
    kind: 'principal',
    tenantId,
    principalId,
    credentialId: keyId,
    ...(Object.keys(cut).length > 0 && { cutBy: keyId }),
    grants: narrowed(grantsOf(principal), cut),
  };
}

/** For whoever asks which keys are still in use. Nobody waits for it, nobody fails by it. */
async function markUsed({ store }: Pick<Ports, 'store'>, key: KeyRow, now: number): Promise<void> {
  const set = { lastUsedAt: now };
  await store
    .transact([{ kind: 'update', key: keys.apiKey(key.principalId, key.id), set, guards: [] }])
    .catch(() => undefined);
}

/** One AWS role or user is one principal of one tenant. */
export const awsPrincipalId = (identity: string): string => derivedId('iam_', 0, identity);

/** Whoever signed a request, where an administrator has entered them. */
export async function identityOfSigner(ports: Pick<Ports, 'store'>, signerArn: string): Promise<Identity | undefined> {
  const identity = awsIdentity(signerArn);
  if (identity === undefined) return undefined;
  const principalId = awsPrincipalId(identity);
  const principal = asRow<PrincipalRow>(await ports.store.get(keys.principal(principalId)));
  if (principal?.status !== 'active') return undefined;
  return { kind: 'principal', tenantId: principal.tenantId, principalId, grants: grantsOf(principal) };
}

/** What an identity provider says of a user, after its signature has been checked. */
export interface UserClaims {
  readonly tenantId: string;
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  /** What the provider says that they may; `none`: it speaks of roles, and of none for them. Absent: it does not speak of them. */
  readonly role?: Role | 'none';
  /** When it said so, epoch milliseconds, where it told. */
  readonly issuedAt?: number;
}

/** One id for one user of one provider in one tenant, whoever computes it. */
export const userId = ({ tenantId, issuer, subject }: UserClaims): string =>
  derivedId('usr_', 0, tenantId, issuer, subject);

type EnrolPorts = Pick<Ports, 'store' | 'time' | 'ids' | 'config'>;
/** The ports of a change that showing a credential makes: they tell of it. */
export type Noting = (ports: EnrolPorts, caller: Caller) => EnrolPorts;

/** A user of the identity provider: known from the first call on, with no role but the default until somebody gives one. */
export async function identityOfUser(
  ports: EnrolPorts,
  user: UserClaims,
  defaultRole: Role | undefined,
  noting: Noting = (own) => own,
): Promise<Identity | undefined> {
  const id = userId(user);
  const known = asRow<PrincipalRow>(await ports.store.get(keys.principal(id)));
  const isNew = known === undefined || differs(known, user);
  const caller = { kind: 'principal', tenantId: user.tenantId, principalId: id } as const;
  const principal = isNew ? await enrol(noting(ports, caller), id, user, defaultRole) : known;
  if (principal.status !== 'active' || principal.tenantId !== user.tenantId) return undefined;
  return { kind: 'principal', tenantId: principal.tenantId, principalId: id, grants: grantsOf(principal) };
}

/**
 * The provider has another opinion of what they may than the last time. It takes away what it gave, never what an
 * administrator of Candor did; and what it says counts until it says something later.
 */
function differs(known: PrincipalRow, { role, issuedAt }: UserClaims): boolean {
  if (role === undefined || (issuedAt ?? Number.POSITIVE_INFINITY) < (known.roleSaidAt ?? 0)) return false;
  return role === 'none' ? known.roleFrom === 'provider' : known.role !== role || known.roleFrom !== 'provider';
}

function enrol(ports: EnrolPorts, id: string, user: UserClaims, defaultRole: Role | undefined): Promise<PrincipalRow> {
  return commit<PrincipalRow>(ports, async (writer) => {
    const known = asRow<PrincipalRow>(await ports.store.get(keys.principal(id)));
    if (known !== undefined && !differs(known, user)) return { done: known };
    const now = ports.time.now();
    const version = (known?.version ?? 0) + 1;
    const { tenantId, issuer, subject, name, issuedAt } = user;
    const said = user.role === 'none' ? undefined : user.role;
    const role = said ?? defaultRole;
    const { role: _role, roleFrom: _roleFrom, ...kept }: Partial<PrincipalRow> = known ?? {};
    const row: PrincipalRow = {
      ...keys.principal(id),
      schemaVersion: SCHEMA_VERSION,
      tenantId,
      issuer,
      subject,
      name,
      id,
      kind: 'user',
      status: 'active',
      createdBy: id,
      createdAt: now,
      listIn: lists.principals(tenantId),
      listAt: id,
      ...kept,
      ...(role !== undefined && { role }),
      ...(said !== undefined && { roleFrom: 'provider' }),
      ...(user.role !== undefined && { roleSaidAt: Math.min(issuedAt ?? now, now) }),
      version,
      updatedAt: now,
      writer,
    };
    const event = appendEvent(ports.config, {
      tenantId: user.tenantId,
      subject: 'principal',
      subjectId: id,
      sequence: version,
      type: known === undefined ? 'principal.enrolled' : 'principal.changed',
      at: now,
      status: row.status,
      detail: { by: id, issuer, role: role ?? null },
      writer,
    });
    const seen = known === undefined ? absent : eq('version', known.version ?? 1);
    const put = { kind: 'put', item: asItem(row), guards: [guard('principal.asSeen', seen)] } as const;
    return { writes: [put, event], proof: keys.principalEvent(id, version), result: row };
  });
}
