/**
 * A limit whose counter says more, or less, than its places do, and places that nobody holds any more: put right by the
 * base rows (design.md §5.9, I10). A place is its holder's own row; the counter is their number.
 */
import { isTerminal } from '../contract/runs.ts';
import { GuardFailed } from '../errors.ts';
import { freePlace } from '../limits/admit.ts';
import type { LimitRow, PlaceRow } from '../limits/model.ts';
import { admitWaiting } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { LIMIT_HOLDER_PREFIX } from '../table/keys.ts';
import { eq, guard, type Key } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import type { VmRow } from '../vms/model.ts';
import type { Action } from './rule.ts';

interface LimitFindings {
  /** Holders that are over, or never got this far. */
  readonly stale: readonly string[];
  readonly used: number;
  readonly moves: number;
  readonly holders: number;
  /** Nobody came or went while the holders were counted: only then do the two numbers belong together. */
  readonly atRest: boolean;
}

/** More than this many holders are not counted in one go: a limit so large is not what anybody waits for. */
const HOLDERS_MAX = 5000;
const PAGE = 100;

/** Pure: whether a run, or a VM, still holds its place under the limit. */
export function holdsPlace(limitId: string, holder: RunRow | VmRow | undefined): boolean {
  if (holder === undefined) return false;
  if ('slots' in holder) return holder.status !== 'terminated' && holder.places?.includes(limitId) === true;
  const places = [...(holder.admitted ?? []), ...(holder.kept ?? [])];
  return !isTerminal(holder.status) && places.includes(limitId);
}

export async function lookAtLimit(ports: Pick<Ports, 'store'>, limitId: string): Promise<LimitFindings> {
  const before = asRow<LimitRow>(await ports.store.get(keys.limit(limitId)));
  const stale: string[] = [];
  let holders = 0;
  let after: string | undefined;
  do {
    const { pk } = keys.limit(limitId);
    const page = await ports.store.query({
      pk,
      prefix: LIMIT_HOLDER_PREFIX,
      limit: PAGE,
      ...(after !== undefined && { after }),
    });
    const ids = page.items.map(({ sk }) => sk.slice(LIMIT_HOLDER_PREFIX.length));
    const rows = ids.length === 0 ? [] : await ports.store.getMany(ids.map(holderKey));
    stale.push(...ids.filter((_, index) => !holdsPlace(limitId, asRow<RunRow | VmRow>(rows[index]))));
    holders += ids.length;
    after = page.next;
  } while (after !== undefined && holders < HOLDERS_MAX);
  const row = asRow<LimitRow>(await ports.store.get(keys.limit(limitId)));
  const moves = row?.moves ?? 0;
  const atRest = after === undefined && moves === (before?.moves ?? 0) && row?.used === before?.used;
  return { stale, used: row?.used ?? 0, moves, holders, atRest };
}

const holderKey = (id: string): Key => (id.startsWith('vm_') ? keys.vm(id) : keys.run(id));

/** Gives back what nobody holds, puts the counter right, and lets in who waited for it. */
export async function repairLimit({ ports }: { readonly ports: Ports }, limitId: string): Promise<readonly Action[]> {
  const found = await lookAtLimit(ports, limitId);
  const actions: Action[] = [];
  const repaired = (did: string, because: string) =>
    actions.push({ rule: 'place_leaked', subject: limitId, did, because });
  for (const holder of found.stale)
    if (await giveBack(ports, limitId, holder))
      repaired(
        `gave the place of ${holder} back`,
        `${holder} has ended or moved on, and limit ${limitId} counted it still`,
      );
  if (found.stale.length === 0 && found.atRest && found.used !== found.holders)
    if (await setCounter(ports, limitId, found))
      repaired(
        `set the counter of ${limitId} to ${found.holders}`,
        `it said ${found.used}, and ${found.holders} place(s) are held`,
      );
  if (actions.length > 0) await admitWaiting(ports, limitId);
  return actions;
}

/** The place is read before its holder, so that one which was taken together with it is not mistaken; and only that place goes. */
async function giveBack(ports: Ports, limitId: string, holder: string): Promise<boolean> {
  const place = asRow<PlaceRow>(await ports.store.get(keys.limitHolder(limitId, holder)));
  const row = asRow<RunRow | VmRow>(await ports.store.get(holderKey(holder)));
  if (place === undefined || holdsPlace(limitId, row)) return false;
  const [counter, held] = freePlace(limitId, holder);
  if (counter === undefined || held?.kind !== 'delete') return false;
  const guards = [guard('repair.placeStillHeld', eq('since', place.since))];
  return transactOnce(ports, [counter, { ...held, guards }]);
}

const setCounter = (ports: Ports, limitId: string, { holders, moves }: LimitFindings): Promise<boolean> =>
  transactOnce(ports, [
    {
      kind: 'update',
      key: keys.limit(limitId),
      set: { used: holders },
      add: { moves: 1 },
      guards: [
        guard('repair.nobodyCameOrWent', {
          op: 'or',
          any: moves === 0 ? [eq('moves', 0), { op: 'hasNot', attribute: 'moves' }] : [eq('moves', moves)],
        }),
      ],
    },
  ]);

async function transactOnce(ports: Ports, writes: Parameters<Ports['store']['transact']>[0]): Promise<boolean> {
  try {
    await ports.store.transact(writes);
    return true;
  } catch (error) {
    if (error instanceof GuardFailed) return false;
    throw error;
  }
}
