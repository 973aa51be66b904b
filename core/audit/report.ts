/** What the last whole audit found of a tenant. */
import type { Reach } from '../access/grants.ts';
import { isoTime } from '../contract/common.ts';
import type { AuditBody } from '../contract/system.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { type AuditState, NO_COUNTS, NOTHING_CHECKED, type TenantAudit, type TenantAuditRow } from './model.ts';

export async function readAudit(ports: Pick<Ports, 'store' | 'time'>, caller: Reach): Promise<AuditBody> {
  const [stateItem, tenantItem] = await ports.store.getMany([keys.system('audit.state'), keys.audit(caller.tenantId)]);
  const state = asRow<AuditState>(stateItem);
  const asOf = isoTime(ports.time.now());
  const running =
    state === undefined || state.completed?.cycle === state.cycle
      ? undefined
      : { startedAt: isoTime(state.startedAt), stage: state.stage };
  const completed = state?.completed;
  if (completed === undefined) return { status: 'never', findings: [], ...(running && { running }), asOf };
  const { counts, checked, unread = 0, findings } = ofCycle(asRow<TenantAuditRow>(tenantItem), completed.cycle);
  return {
    status: unread === 0 && Object.values(counts).every((count) => count === 0) ? 'clean' : 'not_clean',
    startedAt: isoTime(completed.startedAt),
    endedAt: isoTime(completed.endedAt),
    counts,
    checked,
    unread,
    findings: findings.map(({ at, ...finding }) => ({ ...finding, at: isoTime(at) })),
    ...(running && { running }),
    asOf,
  };
}

/** A tenant of which that cycle met nothing live has no row of it: then nothing was compared, and nothing found. */
function ofCycle(row: TenantAuditRow | undefined, cycle: number): Omit<TenantAudit, 'cycle'> {
  const found = [row, row?.before].find((each) => each?.cycle === cycle);
  return found ?? { counts: NO_COUNTS, checked: NOTHING_CHECKED, findings: [] };
}
