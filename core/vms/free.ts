/**
 * VMs that have a slot free for the next run of their agent (design.md §5.2). The mark that says so is written and taken
 * away by the very transactions that change the VM's slots or status: so it never lags behind.
 */
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { freeVmPrefix, wantingPrefix } from '../table/keys.ts';
import type { Write } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import type { VmRow } from './model.ts';

interface FreeRow extends RowBase {
  readonly vmId: string;
}

export interface WantingRow extends RowBase {
  readonly runId: string;
}

/** Only VMs of the very version that a run pins are taken over: its image, its needs and its setup are the same. */
const pool = (run: Pick<RunRow, 'agentId' | 'agentVersion'>) => ({
  pk: keys.agent(run.agentId).pk,
  prefix: freeVmPrefix(run.agentVersion),
});

export async function freeVms(
  ports: Pick<Ports, 'store'>,
  run: Pick<RunRow, 'agentId' | 'agentVersion'>,
  limit: number,
): Promise<readonly string[]> {
  const page = await ports.store.query({ ...pool(run), limit });
  return page.items.map((item) => asRow<FreeRow>(item)?.vmId).filter((vmId) => vmId !== undefined);
}

/** Whether a VM may take another run: it works, nobody drains it, and it is either shared now or kept for the next run. */
export function isFree(vm: VmRow): boolean {
  if (vm.status !== 'ready' || vm.drain !== undefined || vm.reuse === 'never') return false;
  const room = (vm.slotCount ?? 1) - vm.slots.length;
  return room > 0 && (vm.slots.length > 0 || vm.idleSince !== undefined);
}

/** The mark's write, where a change makes a VM free or takes that away. */
export function freeMark(before: VmRow, after: VmRow): readonly Write[] {
  if (isFree(before) === isFree(after) || after.agentVersion === undefined) return [];
  const key = keys.freeVm(after.agentId, after.agentVersion, after.id);
  if (!isFree(after)) return [{ kind: 'delete', key, guards: [] }];
  const row: FreeRow = { ...key, schemaVersion: SCHEMA_VERSION, tenantId: after.tenantId, vmId: after.id };
  return [{ kind: 'put', item: asItem(row) }];
}

/** What a run stands in the way of being let go for: no VM could be launched for it yet. */
export const wants = (run: Pick<RunRow, 'waiting'>): boolean => WANTING.has(run.waiting?.reason ?? '');

const WANTING: ReadonlySet<string> = new Set(['capacity', 'quota', 'launch_rate']);

const wantingKey = (run: Pick<RunRow, 'agentId' | 'agentVersion' | 'queuedAt' | 'id'>) =>
  keys.wantingRun(run.agentId, run.agentVersion, run.queuedAt, run.id);

/** With the change that makes a run wait for capacity: its place among those who take a VM that becomes free. */
export function wantingMark(run: RunRow): readonly Write[] {
  if (wants(run)) return [];
  const row: WantingRow = { ...wantingKey(run), schemaVersion: SCHEMA_VERSION, tenantId: run.tenantId, runId: run.id };
  return [{ kind: 'put', item: asItem(row) }];
}

/** With every change that ends the waiting. */
export const wantingEnds = (run: RunRow): readonly Write[] =>
  wants(run) ? [{ kind: 'delete', key: wantingKey(run), guards: [] }] : [];

/** The run that has waited for a VM like this one for the longest time. */
export async function oldestWanting(
  ports: Pick<Ports, 'store'>,
  vm: Pick<VmRow, 'agentId' | 'agentVersion'>,
): Promise<WantingRow | undefined> {
  if (vm.agentVersion === undefined) return undefined;
  const prefix = wantingPrefix(vm.agentVersion);
  const page = await ports.store.query({ pk: keys.agent(vm.agentId).pk, prefix, limit: 1 });
  return asRow<WantingRow>(page.items[0]);
}
