/** What lives outside of the table and has no row in it: clocks of schedules that are none, instances that are nobody's. */
import type { Ports } from '../ports.ts';
import { syncClock } from '../schedules/clockSync.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import * as keys from '../table/itemKeys.ts';
import { STRAY_INSTANCES } from '../table/keys.ts';
import type { Item } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { type AuditFinding, NO_TENANT } from './model.ts';

interface Found {
  readonly findings: readonly AuditFinding[];
  /** The tenants of what could not be looked at, each as often as it was met. */
  readonly unread: readonly string[];
  readonly next?: string;
}

/** The rows are read after the list: a clock is put only after its row has been written. */
export async function auditClocks(ports: Ports, after: string | undefined): Promise<Found> {
  const page = await ports.clock.list(after);
  const items = page.items.length === 0 ? [] : await ports.store.getMany(page.items.map((id) => keys.schedule(id)));
  const findings: AuditFinding[] = [];
  const unread: string[] = [];
  for (const [index, id] of page.items.entries()) {
    const item = items[index];
    try {
      findings.push(...(await auditClock(ports, id, asRow<ScheduleRow>(item))));
    } catch (error) {
      unread.push(typeof item?.tenantId === 'string' ? item.tenantId : NO_TENANT);
      ports.log.error('audit.item_failed', { key: keys.schedule(id).pk, error: String(error) });
    }
  }
  return { findings, unread, ...(page.next !== undefined && { next: page.next }) };
}

async function auditClock(
  ports: Ports,
  id: string,
  schedule: ScheduleRow | undefined,
): Promise<readonly AuditFinding[]> {
  if (schedule === undefined) {
    await ports.clock.delete(id);
    const detail = 'a clock fires for a schedule that has no row';
    return [{ kind: 'orphans', tenantId: NO_TENANT, subject: id, detail, did: 'deleted it' }];
  }
  if (schedule.status === 'active' || schedule.clock.status !== 'synced') return [];
  const { status } = await syncClock(ports, id, { evenIfSynced: true });
  const detail = `a clock fires for a schedule that is ${schedule.status}`;
  const did = `put it right: ${status}`;
  return [{ kind: 'orphans', tenantId: schedule.tenantId, subject: id, detail, did }];
}

/** What the watchdog has marked at its last look and not seen to be gone: it ends them, the audit only counts. */
export async function auditInstances(ports: Pick<Ports, 'store'>, after: string | undefined): Promise<Found> {
  const page = await ports.store.query({ pk: STRAY_INSTANCES, limit: 100, ...(after !== undefined && { after }) });
  const findings = page.items.map((item: Item) => ({
    kind: 'orphans' as const,
    tenantId: String(item.tenantId === '' ? NO_TENANT : item.tenantId),
    subject: item.sk,
    detail: `an instance is nobody's: ${String(item.because)}`,
  }));
  return { findings, unread: [], ...(page.next !== undefined && { next: page.next }) };
}
