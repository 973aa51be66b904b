/**
 * The log of people's changes. Its entry is written in the very transaction of the change that it tells of: so nothing is
 * told that was not done, and nothing is done that is not told, whoever dies in between (docs/adr/0018-audit-log.md).
 */
import { OPERATIONS, type Operation } from '../access/operations.ts';
import type { Caller, PrincipalRow } from '../access/principals.ts';
import type { Role } from '../contract/roles.ts';
import type { Ports } from '../ports.ts';
import { garbageAttributes } from '../table/garbage.ts';
import { EVENT_PREFIX, LIST_SHARDS, shardOf } from '../table/keys.ts';
import type { Key, Write } from '../table/model.ts';
import { asItem, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';

/** Longer than a year, so that the same week of the year before can be looked at. */
export const AUDIT_LOG_DAYS = 400;
const AUDIT_LOG_MS = AUDIT_LOG_DAYS * 86_400_000;
/** A transaction takes 100: this entry is one, and the record of an idempotency key another. */
const WRITES_MAX = 98;
/** An entry is one item among those of its transaction. */
const CHANGES_MAX = 20;

export interface Change {
  readonly id: string;
  readonly type?: string;
  readonly before?: number;
  readonly after?: number;
  /** Of a principal: its key that was made, replaced or revoked, and what it was given. */
  readonly keyId?: string;
  readonly role?: Role | null;
  readonly agents?: Readonly<Record<string, Role>>;
  readonly status?: PrincipalRow['status'];
}

/** Where a request came from, as the server saw it. */
export interface Origin {
  readonly ip?: string;
  readonly userAgent?: string;
}

export interface AuditLogRow extends RowBase {
  readonly requestId: string;
  readonly at: number;
  readonly operation: string;
  readonly by: { readonly kind: 'principal' | 'run'; readonly id: string; readonly credentialId?: string };
  readonly from: Origin;
  readonly changes: readonly Change[];
  readonly listIn: string;
  readonly listAt: string;
  readonly expiresAt: number;
}

export interface AuditedRequest {
  readonly requestId: string;
  /** `enrol`: what the token of an identity provider's user changes by being shown. */
  readonly operation: Operation | 'enrol';
  readonly caller: Caller;
  readonly from: Origin;
}

type Recordable = Pick<Ports, 'store' | 'config' | 'time'>;

export const auditLogPartition = (tenantId: string, shard: number): string => `TEN#${tenantId}#LOG#${shard}`;
/** A request may change something twice: by who sends it, and by what it asks for. */
const entryId = ({ requestId, operation }: AuditedRequest): string =>
  operation === 'enrol' ? `${requestId}-enrol` : requestId;
const keyOf = (request: AuditedRequest): Key => ({ pk: `LOG#${entryId(request)}`, sk: 'META' });

/** Whoever needs more than the right to look changes something. */
export const isChange = (operation: Operation): boolean =>
  !['public', 'runner', 'viewer'].includes(OPERATIONS[operation]);

/** Nothing that anybody asked for: what is only looked at, and the mark that a clock follows its schedule. */
const isUpkeep = (write: Write): boolean =>
  write.kind === 'check' ||
  (write.kind === 'update' && write.set?.clock !== undefined && write.set.version === undefined);

/** The ports of one request: the first of its transactions that changes something and succeeds takes the entry along. */
export function recorded<P extends Recordable>(ports: P, request: AuditedRequest): P {
  const { store } = ports;
  let isWritten = false;
  let isUnsure = false;
  const transact = async (writes: readonly Write[]): Promise<void> => {
    if (isWritten || writes.every(isUpkeep)) return store.transact(writes);
    // Its answer may have been lost, and what comes now is another change: the entry that stands is the true one.
    if (isUnsure) isWritten = (await store.get(keyOf(request))) !== undefined;
    if (isWritten) return store.transact(writes);
    if (writes.length > WRITES_MAX)
      throw new Error(
        `${request.operation} writes ${writes.length} items at once, at most ${WRITES_MAX} can be told of`,
      );
    // No guard: nobody else writes under this request's id, and the guards that may fail are the change's own.
    const entry: Write = { kind: 'put', item: asItem(entryOf(ports, request, writes)) };
    try {
      await store.transact([...writes, entry]);
      isWritten = true;
    } catch (error) {
      isUnsure = true;
      throw error;
    }
  };
  const { get, getMany, query, queryIndex } = store;
  return {
    ...ports,
    store: {
      get: get.bind(store),
      getMany: getMany.bind(store),
      query: query.bind(store),
      queryIndex: queryIndex.bind(store),
      transact,
    },
  };
}

function entryOf({ config, time }: Recordable, request: AuditedRequest, writes: readonly Write[]): AuditLogRow {
  const { requestId, operation, caller, from } = request;
  const now = time.now();
  const { tenantId } = caller;
  const shard = shardOf(requestId, LIST_SHARDS);
  return {
    ...keyOf(request),
    schemaVersion: SCHEMA_VERSION,
    tenantId,
    requestId,
    at: now,
    operation,
    by: byOf(caller),
    from,
    changes: changesOf(writes).slice(0, CHANGES_MAX),
    listIn: auditLogPartition(tenantId, shard),
    listAt: `${String(now).padStart(14, '0')}#${entryId(request).replaceAll(/\W/g, '')}`,
    ...garbageAttributes(config, entryId(request), now + AUDIT_LOG_MS),
  };
}

function byOf(caller: Caller): AuditLogRow['by'] {
  if (caller.kind === 'run') return { kind: 'run', id: caller.runId };
  const { principalId: id, credentialId } = caller;
  return { kind: 'principal', id, ...(credentialId !== undefined && { credentialId }) };
}

/** What the writes say of themselves: the events that they append; where there is none, the things that they put or change. */
function changesOf(writes: readonly Write[]): readonly Change[] {
  const events = writes.flatMap((write) =>
    write.kind === 'put' && write.item.sk.startsWith(EVENT_PREFIX) ? [write.item] : [],
  );
  if (events.length > 0) return events.map(eventChange);
  return writes.flatMap((write): readonly Change[] => {
    if (write.kind === 'put')
      return typeof write.item.id === 'string' ? [{ id: write.item.id, ...afterOf(write.item.version) }] : [];
    if (write.kind === 'check' || write.key.sk !== 'META') return [];
    const set = write.kind === 'update' ? write.set?.version : undefined;
    return [{ id: write.key.pk.slice(write.key.pk.indexOf('#') + 1), ...afterOf(set) }];
  });
}

const eventChange = ({ subject, subjectId, type, sequence, detail }: Readonly<Record<string, unknown>>): Change => ({
  id: String(subjectId),
  type: String(type),
  ...afterOf(sequence),
  ...(subject === 'principal' && accessOf(detail as Change)),
});

const accessOf = ({ keyId, role, agents, status }: Change) => ({
  ...(keyId !== undefined && { keyId }),
  ...(role !== undefined && { role }),
  ...(agents !== undefined && { agents }),
  ...(status !== undefined && { status }),
});

/** Versions rise by exactly one. */
const afterOf = (version: unknown): Pick<Change, 'before' | 'after'> =>
  typeof version !== 'number' ? {} : version > 1 ? { before: version - 1, after: version } : { after: version };
