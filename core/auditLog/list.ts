/** Reading the log of people's changes, newest first. */
import type { AuditLogEntryBody, AuditLogQuery } from '../contract/auditLog.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import { mergedPage } from '../lists.ts';
import type { Ports } from '../ports.ts';
import { LIST_SHARDS } from '../table/keys.ts';
import { type AuditLogRow, auditLogPartition } from './record.ts';

export async function listAuditLog(
  ports: Pick<Ports, 'store' | 'time'>,
  { tenantId }: { readonly tenantId: string },
  query: AuditLogQuery,
): Promise<ListBody<AuditLogEntryBody>> {
  const partitions = Array.from({ length: LIST_SHARDS }, (_, shard) => auditLogPartition(tenantId, shard));
  const now = ports.time.now();
  const page = await mergedPage<AuditLogRow>(ports, partitions, query, (row) => isWanted(row, query, now));
  return {
    items: page.rows.map(entryBody),
    ...(page.next !== undefined && { nextCursor: page.next }),
    asOf: isoTime(now),
  };
}

const isWanted = (row: AuditLogRow, { by, operation, resource }: AuditLogQuery, now: number): boolean =>
  row.expiresAt > now &&
  (by === undefined || row.by.id === by) &&
  (operation === undefined || row.operation === operation) &&
  (resource === undefined || row.changes.some(({ id, keyId }) => id === resource || keyId === resource));

const entryBody = ({ requestId, at, operation, by, from, changes }: AuditLogRow): AuditLogEntryBody => ({
  requestId,
  at: isoTime(at),
  operation,
  by,
  from,
  changes: [...changes],
});
