/** What administrators do with principals: make service accounts, give and take roles, revoke. Keys are in `keys.ts`. */
import type { MeBody, PrincipalBody, PrincipalCreate, PrincipalPatch } from '../contract/access.ts';
import { awsIdentity } from '../contract/awsIdentity.ts';
import { isoTime, type Json, type ListBody } from '../contract/common.ts';
import { CandorError } from '../errors.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import { type Precondition, requireVersion } from '../rules.ts';
import { appendEvent } from '../runs/events.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { lists } from '../table/keys.ts';
import { absent, asRead, guard, type Write } from '../table/model.ts';
import { asItem, asRow, asValue, SCHEMA_VERSION } from '../table/rows.ts';
import { awsPrincipalId } from './credentials.ts';
import { type Reach, reached } from './grants.ts';
import { grantsOf, LOCAL_ADMIN, type PrincipalRow } from './principals.ts';

export interface Admin extends Reach {
  readonly principalId: string;
}

/** @throws NotFound; CandorError `forbidden` */
export async function loadPrincipal(ports: Ports, caller: Reach, id: string): Promise<PrincipalRow> {
  return reached(caller, asRow<PrincipalRow>(await ports.store.get(keys.principal(id))), 'principal', id);
}

export const getPrincipal = async (ports: Ports, caller: Reach, id: string): Promise<PrincipalBody> =>
  principalBody(await loadPrincipal(ports, caller, id), ports.time.now());

export async function listPrincipals(
  ports: Ports,
  caller: Reach,
  page: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<ListBody<PrincipalBody>> {
  type Listed = PrincipalRow & { readonly listAt: string };
  const found = await mergedPage<Listed>(ports, [lists.principals(caller.tenantId)], page, () => true);
  const now = ports.time.now();
  return {
    items: found.rows.map((row) => principalBody(row, now)),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(now),
  };
}

/** @throws CandorError `name_taken` where the AWS identity is somebody's already */
export async function createPrincipal(ports: Ports, caller: Admin, request: PrincipalCreate): Promise<PrincipalBody> {
  const now = ports.time.now();
  const identity = request.arn === undefined ? undefined : awsIdentity(request.arn);
  const id = identity === undefined ? ports.ids.next('sac_', now) : awsPrincipalId(identity);
  const principal: PrincipalRow = {
    ...keys.principal(id),
    schemaVersion: SCHEMA_VERSION,
    tenantId: caller.tenantId,
    id,
    kind: identity === undefined ? 'service_account' : 'aws',
    name: request.name,
    ...(request.arn !== undefined && { arn: request.arn }),
    status: 'active',
    ...(request.role !== undefined && { role: request.role }),
    ...(request.agents !== undefined && { agents: request.agents }),
    version: 1,
    createdBy: caller.principalId,
    createdAt: now,
    updatedAt: now,
    listIn: lists.principals(caller.tenantId),
    listAt: id,
  };
  return commit<PrincipalBody>(ports, async (writer) => {
    const former = identity === undefined ? undefined : asRow<PrincipalRow>(await ports.store.get(keys.principal(id)));
    if (former?.status === 'active') throw arnTaken();
    // Whose it was is done with it: it may be entered anew, in another tenant too. Nothing that it made there is its own any more.
    const version = former === undefined ? 1 : versionOf(former) + 1;
    const entered = { ...principal, version };
    const seen =
      former === undefined ? guard('principal.createdOnce', absent) : guard('principal.unchanged', unchanged(former));
    const put = { kind: 'put', item: asItem(entered), guards: [seen] } as const;
    return {
      writes: [put, accessEvent(ports, entered, 'principal.created', caller, now, writer, given(request))],
      proof: keys.principalEvent(id, version),
      result: principalBody(entered, now),
    };
  });
}

const arnTaken = () =>
  new CandorError('name_taken', 'This AWS identity is a principal already.', {
    remedy:
      'Change the principal that has this ARN. If none of yours has it, it is another tenant’s: that one must be revoked first.',
    errors: [{ pointer: '/arn', message: 'belongs to a principal' }],
  });

/** @throws NotFound, VersionConflict; CandorError `illegal_transition` where the caller would lock itself out */
export async function patchPrincipal(
  ports: Ports,
  caller: Admin,
  id: string,
  patch: PrincipalPatch,
  precondition: Precondition,
): Promise<PrincipalBody> {
  return commit<PrincipalBody>(ports, async (writer) => {
    const principal = await loadPrincipal(ports, caller, id);
    requireVersion('principal', id, versionOf(principal), precondition);
    refuseInstallations(principal, patch);
    refuseLockout(caller, principal, patch);
    const now = ports.time.now();
    const version = versionOf(principal) + 1;
    const { role, agents, ...plain } = patch;
    const set = {
      ...plain,
      ...(role !== undefined && { role: role ?? undefined, roleFrom: undefined }),
      ...(agents !== undefined && { agents: asValue(agents) }),
      version,
      updatedAt: now,
      writer,
    };
    const after = { ...principal, ...set } as PrincipalRow;
    const update: Write = {
      kind: 'update',
      key: keys.principal(id),
      set,
      guards: [guard('principal.unchanged', unchanged(principal))],
    };
    return {
      writes: [update, accessEvent(ports, after, 'principal.changed', caller, now, writer, given(patch))],
      proof: keys.principalEvent(id, version),
      result: principalBody(after, now),
    };
  });
}

/** What of who may what a change says: nothing of what it leaves as it was. */
const given = ({ role, status, agents }: Pick<PrincipalPatch, 'role' | 'status' | 'agents'>) => ({
  ...(role !== undefined && { role }),
  ...(status !== undefined && { status }),
  ...(agents !== undefined && { agents }),
});

/** For a guard: rows of before there were roles have no version. */
export const unchanged = ({ version }: PrincipalRow) => asRead('version', version);

export const versionOf = (principal: PrincipalRow): number => principal.version ?? 1;

/** What the installation's administrator may follows from the token: what would be written here would change nothing. */
function refuseInstallations(principal: PrincipalRow, { status, role, agents }: PrincipalPatch): void {
  if (principal.id !== LOCAL_ADMIN || [status, role, agents].every((part) => part === undefined)) return;
  throw new CandorError(
    'illegal_transition',
    `${principal.id} is whoever holds the installation’s own token: its status and roles are not changed here.`,
    { remedy: 'Rotate the token where it is kept: the old one opens nothing from then on.' },
  );
}

/** Somebody else must do it: so that nobody loses by mistake what only others could give back. */
function refuseLockout(caller: Admin, principal: PrincipalRow, patch: PrincipalPatch): void {
  const loses = patch.status === 'revoked' || (patch.role !== undefined && patch.role !== 'admin');
  if (principal.id === caller.principalId && loses)
    throw new CandorError('illegal_transition', 'Nobody takes the administrator’s role from themselves.', {
      remedy: 'Let another administrator do it.',
    });
}

/** Every change of who may what leaves an event, at the principal's next version. */
export const accessEvent = (
  ports: Pick<Ports, 'config'>,
  principal: PrincipalRow,
  type: string,
  caller: Admin,
  now: number,
  writer: string,
  detail: Readonly<Record<string, Json>> = {},
): Write =>
  appendEvent(ports.config, {
    tenantId: principal.tenantId,
    subject: 'principal',
    subjectId: principal.id,
    sequence: versionOf(principal),
    type,
    at: now,
    status: principal.status,
    detail: { by: caller.principalId, name: principal.name, ...detail },
    writer,
  });

export function principalBody(row: PrincipalRow, now: number): PrincipalBody {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    status: row.status,
    ...grantsOf(row),
    ...(row.issuer !== undefined && { issuer: row.issuer }),
    ...(row.subject !== undefined && { subject: row.subject }),
    ...(row.arn !== undefined && { arn: row.arn }),
    version: versionOf(row),
    ...(row.createdBy !== undefined && { createdBy: row.createdBy }),
    ...(row.createdAt !== undefined && { createdAt: isoTime(row.createdAt) }),
    ...(row.updatedAt !== undefined && { updatedAt: isoTime(row.updatedAt) }),
    asOf: isoTime(now),
  };
}

/** @throws NotFound when the principal's row has gone, which nothing here does */
export async function readMe(ports: Ports, caller: Admin & { readonly credentialId?: string }): Promise<MeBody> {
  const { tenantId, principalId, credentialId, asked } = caller;
  const row = asRow<PrincipalRow>(await ports.store.get(keys.principal(principalId)));
  const { name, kind } = reached({ tenantId }, row, 'principal', principalId);
  return {
    tenantId,
    principalId,
    name,
    kind,
    ...(credentialId !== undefined && { credentialId }),
    ...(asked?.role !== undefined && { role: asked.role }),
    ...(asked?.agents !== undefined && { agents: asked.agents }),
    asOf: isoTime(ports.time.now()),
  };
}
