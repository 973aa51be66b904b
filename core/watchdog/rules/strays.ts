/**
 * Instances with this installation's mark that no VM accounts for (design.md §5.3, the third layer): marked at a first look,
 * ended at a later one where they are still there and still nobody's. The marks are items: so a deploy in between, or
 * another watchdog, forgets nothing.
 */
import type { ListedInstance, Ports } from '../../ports.ts';
import * as keys from '../../table/itemKeys.ts';
import { STRAY_INSTANCES } from '../../table/keys.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../../table/rows.ts';
import type { VmRow } from '../../vms/model.ts';
import { type Action, isHolding, type RuleContext, type View } from '../rule.ts';

interface StrayRow extends RowBase {
  readonly vmId: string;
  readonly firstSeenAt: number;
  readonly because: string;
}

export type StrayDecision =
  | { readonly do: 'nothing' }
  | { readonly do: 'mark'; readonly because: string }
  | { readonly do: 'forget' }
  | { readonly do: 'end'; readonly because: string };

/** Pure: why an instance is nobody's, or undefined where a VM accounts for it. */
export function whyStray(instance: ListedInstance, vm: VmRow | undefined): string | undefined {
  const { instanceId, vmId } = instance;
  if (vm === undefined) return vmId === '' ? 'it names no VM' : `there is no VM ${vmId}`;
  if (vm.status === 'terminated') return `${vmId} was seen to be gone: ${vm.evidence.detail}`;
  if (vm.instanceId === instanceId) return undefined;
  // Its launch has not been answered: then it may be what was asked for.
  // fence: looks.strays
  if (vm.instanceId === undefined && vm.intent.open) return undefined;
  return vm.instanceId === undefined ? `${vmId} has no instance` : `${vmId} is ${vm.instanceId}`;
}

/** Pure. Two looks, at least a lease apart; none of them while the watchdog comes back from a gap of its own. */
export function decideStray(
  why: string | undefined,
  mark: Pick<StrayRow, 'firstSeenAt'> | undefined,
  view: View,
): StrayDecision {
  if (why === undefined) return { do: mark === undefined ? 'nothing' : 'forget' };
  // fence: looks.strays
  if (mark === undefined) return { do: 'mark', because: why };
  // fence: looks.straysApart
  if (isHolding(view) || view.now - mark.firstSeenAt < view.config.leaseSeconds * 1000) return { do: 'nothing' };
  return { do: 'end', because: `${why}, and it was nobody's at ${new Date(mark.firstSeenAt).toISOString()} already` };
}

const PAGES_MAX = 100;
const BATCH = 50;

export interface StraysLook {
  readonly actions: readonly Action[];
  /** How many are nobody's, after this look. */
  readonly strays: number;
  /** Those that could not be looked at. */
  readonly unread: number;
  /** There was more than one look may read, or no time left: what was marked before stands. */
  readonly complete: boolean;
}

/** Compares all instances with their rows. Bounded by `until`; what it did not get to is marked at the next look. */
export async function lookAtInstances(context: RuleContext, until: number): Promise<StraysLook> {
  const { ports } = context;
  const marks = await readMarks(ports);
  const met = new Set<string>();
  const actions: Action[] = [];
  let strays = 0;
  let unread = 0;
  let after: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    if (ports.time.now() > until) return { actions, strays, unread, complete: false };
    const listed = await ports.fleet.list(after);
    for (let start = 0; start < listed.items.length; start += BATCH) {
      const judged = await judge(context, listed.items.slice(start, start + BATCH), marks);
      actions.push(...judged.actions);
      strays += judged.strays;
      unread += judged.unread;
    }
    for (const { instanceId, status } of listed.items) if (status !== 'terminated') met.add(instanceId);
    after = listed.next;
    if (after === undefined) {
      await forgetGone(ports, marks, met);
      return { actions, strays, unread, complete: true };
    }
  }
  return { actions, strays, unread, complete: false };
}

type Marks = ReadonlyMap<string, StrayRow>;

async function readMarks(ports: Pick<Ports, 'store'>): Promise<Map<string, StrayRow>> {
  const found = new Map<string, StrayRow>();
  let after: string | undefined;
  do {
    const page = await ports.store.query({ pk: STRAY_INSTANCES, limit: 500, ...(after !== undefined && { after }) });
    for (const item of page.items) {
      // Of one that a newer Candor wrote only the time is needed, which has not changed its meaning.
      found.set(item.sk, item as unknown as StrayRow);
    }
    after = page.next;
  } while (after !== undefined);
  return found;
}

async function judge(context: RuleContext, instances: readonly ListedInstance[], marks: Marks) {
  const { ports } = context;
  const actions: Action[] = [];
  let strays = 0;
  let unread = 0;
  // The rows are read after the list: a launch writes its intent before there can be an instance.
  const named = [...new Set(instances.map(({ vmId }) => vmId).filter((vmId) => vmId !== ''))];
  const items = named.length === 0 ? [] : await ports.store.getMany(named.map((vmId) => keys.vm(vmId)));
  const rows = new Map(named.map((vmId, index) => [vmId, items[index]]));
  for (const instance of instances) {
    const mark = marks.get(instance.instanceId);
    if (instance.status === 'terminated') continue;
    try {
      // A row that cannot be read may account for it: so it is nobody's word that it is a stray.
      const why = whyStray(instance, asRow<VmRow>(rows.get(instance.vmId)));
      if (why !== undefined) strays++;
      actions.push(...(await settle(context, instance, decideStray(why, mark, context))));
    } catch (error) {
      unread++;
      const { instanceId, vmId } = instance;
      ports.log.error('fleet.instance_failed', { instanceId, vmId, error: String(error) });
    }
  }
  return { actions, strays, unread };
}

async function settle(
  { ports, now }: RuleContext,
  instance: ListedInstance,
  decision: StrayDecision,
): Promise<readonly Action[]> {
  const { instanceId, vmId, tenantId } = instance;
  const key = keys.strayInstance(instanceId);
  if (decision.do === 'mark') {
    const base = { ...key, schemaVersion: SCHEMA_VERSION, tenantId };
    const row: StrayRow = { ...base, vmId, firstSeenAt: now, because: decision.because };
    await ports.store.transact([{ kind: 'put', item: asItem(row) }]);
    ports.log.warn('fleet.stray_marked', { instanceId, vmId, because: decision.because });
  }
  if (decision.do === 'forget') await ports.store.transact([{ kind: 'delete', key, guards: [] }]);
  if (decision.do !== 'end') return [];
  await ports.fleet.terminateInstance(instance);
  const because = `${decision.because}; ${instance.detail}`;
  return [{ rule: 'instance_stray', subject: instanceId, did: 'terminated it', because }];
}

/** Marks of instances that no complete list shows any more: they are gone, which is what was wanted. */
async function forgetGone(ports: Pick<Ports, 'store'>, marks: Marks, met: ReadonlySet<string>): Promise<void> {
  for (const instanceId of marks.keys())
    if (!met.has(instanceId))
      await ports.store.transact([{ kind: 'delete', key: keys.strayInstance(instanceId), guards: [] }]);
}
