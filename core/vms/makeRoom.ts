/**
 * Room for a run that may not launch a VM because too many exist: of those that are kept warm without a run, the one that
 * has waited longest is let go. What is kept for work that may come must not hold up work that is there.
 */
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { freeVmPrefix, LIMIT_HOLDER_PREFIX } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { drainIdle } from './drain.ts';
import type { VmRow } from './model.ts';

/** Of a limit's VMs; where more exist, an idle one among the others goes when its time is over. */
const VMS_LOOKED_AT = 100;

/** Lets go of one idle VM under a limit on VMs. Its place is passed on when it is seen to be gone. */
export async function makeRoom(ports: Ports, limitId: string, why: string): Promise<void> {
  const { pk } = keys.limit(limitId);
  const holders = await ports.store.query({ pk, prefix: LIMIT_HOLDER_PREFIX, limit: VMS_LOOKED_AT });
  const ids = holders.items.map(({ sk }) => sk.slice(LIMIT_HOLDER_PREFIX.length)).filter((id) => id.startsWith('vm_'));
  const vms = await vmsOf(ports, ids);
  // One that is on its way out makes room already.
  if (vms.some((vm) => vm.status === 'draining' && vm.slots.length === 0)) return;
  const [idlest] = vms.filter(isIdle).toSorted((a, b) => (a.idleSince ?? 0) - (b.idleSince ?? 0));
  if (idlest !== undefined) await drainIdle(ports, idlest.id, why);
}

/** Lets go of the idle VMs of an agent's former versions: no run will ever be placed on them again. */
export async function letGoOfFormer(ports: Ports, agentId: string, version: number): Promise<void> {
  const { pk } = keys.agent(agentId);
  const page = await ports.store.query({ pk, prefix: 'FREE#', limit: VMS_LOOKED_AT });
  const former = page.items.filter(({ sk }) => !sk.startsWith(freeVmPrefix(version)));
  const vms = await vmsOf(
    ports,
    former.map((item) => String(item.vmId)),
  );
  for (const vm of vms.filter(isIdle)) await drainIdle(ports, vm.id, `its agent is at version ${version}`);
}

const isIdle = (vm: VmRow): boolean => vm.status === 'ready' && vm.idleSince !== undefined && vm.slots.length === 0;

async function vmsOf(ports: Pick<Ports, 'store'>, ids: readonly string[]): Promise<readonly VmRow[]> {
  if (ids.length === 0) return [];
  const items = await ports.store.getMany(ids.map((id) => keys.vm(id)));
  return items.map((item) => asRow<VmRow>(item)).filter((vm) => vm !== undefined);
}
