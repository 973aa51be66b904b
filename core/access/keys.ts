/** Keys of service accounts: shown once, kept as a hash, with an end; replaced without a gap, revoked at once. */
import {
  KEY_LIFE_DEFAULT_SECONDS,
  type KeyBody,
  type KeyCreate,
  type KeyRotate,
  type NewKeyBody,
} from '../contract/access.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import { CandorError, Contended, NotFound } from '../errors.ts';
import { hashSecret } from '../ids.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { API_KEY_PREFIX } from '../table/keys.ts';
import { absent, guard, type Write } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import { keyText } from './credentials.ts';
import type { KeyRow, PrincipalRow } from './principals.ts';
import { type Admin, accessEvent, loadPrincipal, unchanged, versionOf } from './service.ts';

/** More than a rotation needs; whoever wants more has lost count. */
const KEYS_MAX = 20;

export async function listKeys(ports: Ports, caller: Admin, principalId: string): Promise<ListBody<KeyBody>> {
  await loadPrincipal(ports, caller, principalId);
  const now = ports.time.now();
  return { items: (await keysOf(ports, principalId)).map((key) => keyBody(key, now)), asOf: isoTime(now) };
}

async function keysOf(ports: Ports, principalId: string): Promise<readonly KeyRow[]> {
  const rows: KeyRow[] = [];
  for (let after: string | undefined; ; ) {
    const { pk } = keys.principal(principalId);
    const page = await ports.store.query({ pk, prefix: API_KEY_PREFIX, limit: 100, ...(after && { after }) });
    rows.push(...page.items.map((item) => asRow<KeyRow>(item)).filter((row) => row !== undefined));
    after = page.next;
    if (after === undefined) return rows;
  }
}

/** @throws NotFound; CandorError where the principal is a person, or has too many keys */
export async function createKey(
  ports: Ports,
  caller: Admin,
  principalId: string,
  request: KeyCreate,
  precondition: Precondition,
): Promise<NewKeyBody> {
  return commit<NewKeyBody>(ports, async (writer) => {
    const principal = await account(ports, caller, principalId);
    honourVersion('principal', principalId, versionOf(principal), precondition);
    const now = ports.time.now();
    const standing = (await keysOf(ports, principalId)).filter((key) => statusOf(key, now) === 'active');
    if (standing.length >= KEYS_MAX)
      throw new CandorError(
        'illegal_transition',
        `${principalId} has ${standing.length} keys, the limit is ${KEYS_MAX}.`,
        {
          remedy: 'Revoke those that are not used.',
        },
      );
    const { row, key } = newKey(ports, caller, principal, request, now, writer);
    return {
      ...grown(ports, caller, principal, [put(row)], 'key.created', row.id, now, writer),
      result: shown(row, key, now),
    };
  });
}

interface OneKey {
  readonly principalId: string;
  readonly keyId: string;
}

/** The old key ends when the overlap does; what it could, the new one can. */
export async function rotateKey(
  ports: Ports,
  caller: Admin,
  { principalId, keyId }: OneKey,
  request: KeyRotate,
  precondition: Precondition,
): Promise<NewKeyBody> {
  return commit<NewKeyBody>(ports, async (writer) => {
    const principal = await account(ports, caller, principalId);
    honourVersion('principal', principalId, versionOf(principal), precondition);
    const old = await loadKey(ports, principalId, keyId);
    const now = ports.time.now();
    if (statusOf(old, now) !== 'active' || old.replacedBy !== undefined)
      throw new CandorError(
        'illegal_transition',
        `${keyId} is ${old.replacedBy === undefined ? statusOf(old, now) : `replaced by ${old.replacedBy}`}.`,
        {
          remedy: 'Create a new key, or rotate the one that stands.',
        },
      );
    const { name, role, agents } = old;
    const like = { name, ...(role && { role }), ...(agents && { agents: [...agents] }), expiresIn: request.expiresIn };
    const { row, key } = newKey(ports, caller, principal, like, now, writer);
    // A transaction has each item once; elsewhere it is the guard that finds an id which was drawn before.
    if (row.id === keyId) throw new Contended(`${keyId} was drawn again`);
    const ends = Math.min(old.expiresAt ?? Number.POSITIVE_INFINITY, now + request.overlap * 1000);
    const end: Write = {
      kind: 'update',
      key: keys.apiKey(principalId, keyId),
      set: { expiresAt: ends, replacedBy: row.id },
      // The principal's next version is the lock: two rotations collide there.
      guards: [],
    };
    return {
      ...grown(ports, caller, principal, [put(row), end], 'key.rotated', row.id, now, writer),
      result: shown(row, key, now),
    };
  });
}

/** At once, and for good. Repeating it is harmless. */
export async function revokeKey(
  ports: Ports,
  caller: Admin,
  { principalId, keyId }: OneKey,
  precondition: Precondition,
): Promise<void> {
  await commit<void>(ports, async (writer) => {
    const principal = await loadPrincipal(ports, caller, principalId);
    honourVersion('principal', principalId, versionOf(principal), precondition);
    const key = await loadKey(ports, principalId, keyId);
    if (key.status === 'revoked') return { done: undefined };
    const update: Write = {
      kind: 'update',
      key: keys.apiKey(principalId, keyId),
      set: { status: 'revoked' },
      // Keys are never deleted, and what is revoked stays so.
      guards: [],
    };
    const now = ports.time.now();
    return { ...grown(ports, caller, principal, [update], 'key.revoked', keyId, now, writer), result: undefined };
  });
}

async function account(ports: Ports, caller: Admin, principalId: string): Promise<PrincipalRow> {
  const principal = await loadPrincipal(ports, caller, principalId);
  if (principal.kind !== 'service_account')
    throw new CandorError(
      'illegal_transition',
      `${principalId} is no service account: others bring credentials of their own.`,
      {
        remedy: 'Create a service account, and a key of it.',
      },
    );
  if (principal.status !== 'active')
    throw new CandorError('illegal_transition', `${principalId} is revoked.`, {
      remedy: 'Set its status to active first.',
    });
  return principal;
}

async function loadKey(ports: Ports, principalId: string, keyId: string): Promise<KeyRow> {
  const key = asRow<KeyRow>(await ports.store.get(keys.apiKey(principalId, keyId)));
  if (key === undefined) throw new NotFound('key', keyId);
  return key;
}

function newKey(ports: Ports, caller: Admin, principal: PrincipalRow, request: KeyCreate, now: number, writer: string) {
  const id = ports.ids.next('key_', now);
  const secret = ports.ids.secret();
  const { name, role, agents, expiresIn = KEY_LIFE_DEFAULT_SECONDS } = request;
  const row: KeyRow = {
    ...keys.apiKey(principal.id, id),
    schemaVersion: SCHEMA_VERSION,
    tenantId: principal.tenantId,
    id,
    principalId: principal.id,
    name,
    hash: hashSecret(secret),
    status: 'active',
    ...(role !== undefined && { role }),
    ...(agents !== undefined && { agents }),
    createdBy: caller.principalId,
    createdAt: now,
    expiresAt: now + expiresIn * 1000,
    writer,
  };
  return { row, key: keyText(principal.id, id, secret) };
}

const put = (row: KeyRow): Write => ({ kind: 'put', item: asItem(row), guards: [guard('key.createdOnce', absent)] });

/** The writes, with the principal's next version and the event that tells of it. */
function grown(
  ports: Ports,
  caller: Admin,
  principal: PrincipalRow,
  writes: readonly Write[],
  type: string,
  keyId: string,
  now: number,
  writer: string,
) {
  const version = versionOf(principal) + 1;
  const update: Write = {
    kind: 'update',
    key: keys.principal(principal.id),
    set: { version, updatedAt: now, writer },
    guards: [guard('principal.unchanged', unchanged(principal))],
  };
  const event = accessEvent(ports, { ...principal, version }, type, caller, now, writer, { keyId });
  return { writes: [...writes, update, event], proof: keys.principalEvent(principal.id, version) };
}

const statusOf = (key: KeyRow, now: number): KeyBody['status'] => {
  if (key.status === 'revoked') return 'revoked';
  return key.expiresAt !== undefined && key.expiresAt <= now ? 'expired' : 'active';
};

const shown = (row: KeyRow, key: string, now: number): NewKeyBody => ({ ...keyBody(row, now), key });

function keyBody(row: KeyRow, now: number): KeyBody {
  return {
    id: row.id,
    principalId: row.principalId,
    name: row.name,
    status: statusOf(row, now),
    ...(row.role !== undefined && { role: row.role }),
    ...(row.agents !== undefined && { agents: row.agents }),
    createdBy: row.createdBy,
    createdAt: isoTime(row.createdAt),
    ...(row.expiresAt !== undefined && { expiresAt: isoTime(row.expiresAt) }),
    ...(row.lastUsedAt !== undefined && { lastUsedAt: isoTime(row.lastUsedAt) }),
    ...(row.replacedBy !== undefined && { replacedBy: row.replacedBy }),
    asOf: isoTime(now),
  };
}
