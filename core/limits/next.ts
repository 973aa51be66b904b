/** After a place was freed, or a limit raised: the oldest waiters are let in, one after the other, and placed. */
import { isSeen, type Reach } from '../access/grants.ts';
import type { Ports } from '../ports.ts';
import { giveVm } from '../runs/giveVm.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { LIMIT_HOLDER_PREFIX, LIMIT_WAITER_PREFIX } from '../table/keys.ts';
import type { Range } from '../table/model.ts';
import { asRow, type RowBase } from '../table/rows.ts';
import { admitRun, oldestWaiter } from './admit.ts';
import { type PlaceRow, waiterKey } from './model.ts';

/** A chain that somebody else carries on: each end of a run admits, and the watchdog looks at whoever still waits. */
const ADMISSIONS_PER_CALL = 20;

/** @returns the runs that were admitted and placed */
export async function admitWaiting(ports: Ports, limitId: string): Promise<readonly string[]> {
  const admitted: string[] = [];
  for (let step = 0; step < ADMISSIONS_PER_CALL; step++) {
    const oldest = await oldestWaiter(ports, limitId);
    if (oldest === undefined) break;
    const answer = await admitRun(ports, oldest.runId);
    if (answer.kind === 'waiting' && answer.limitId === limitId) break;
    if (answer.kind === 'admitted') {
      admitted.push(oldest.runId);
      const given = await giveVm(ports, answer.run);
      // Each of these has a queue of its own; a run that waits in one holds no place under it, so this comes to an end.
      for (const freed of given.freed) if (freed !== limitId) await admitWaiting(ports, freed);
    }
    if (answer.kind === 'moved_on') await dropWaiter(ports, oldest);
  }
  return admitted;
}

/** Only a queued run stands in a queue, and it leaves in the transaction that ends it or lets it in: this is a repair. */
async function dropWaiter(ports: Ports, waiter: PlaceRow): Promise<void> {
  const { pk, sk } = waiter;
  await ports.store.transact([{ kind: 'delete', key: { pk, sk }, guards: [] }]);
}

/** Where a waiting run stands in its queue (1 is next), and who of those that the caller sees holds the places that it waits for. */
export async function placeInQueue(
  ports: Pick<Ports, 'store'>,
  caller: Reach,
  limitId: string,
  run: Pick<RunRow, 'id' | 'queuedAt'>,
): Promise<{ readonly position: number; readonly blockedBy: readonly string[] }> {
  const { pk } = keys.limit(limitId);
  const [position, holders] = await Promise.all([
    countUpTo(ports, { pk, from: LIMIT_WAITER_PREFIX, to: waiterKey(limitId, run).sk }),
    ports.store.query({ pk, prefix: LIMIT_HOLDER_PREFIX, limit: 10 }),
  ]);
  // By the key, which names who holds it now: a VM's place was its first run's before.
  const ids = holders.items.map(({ sk }) => sk.slice(LIMIT_HOLDER_PREFIX.length));
  return { position, blockedBy: await seenOf(ports, caller, ids) };
}

async function seenOf({ store }: Pick<Ports, 'store'>, caller: Reach, ids: readonly string[]) {
  if (caller.asked === undefined || caller.asked.role !== undefined) return ids;
  const rows = await store.getMany(ids.map((id) => (id.startsWith('vm_') ? keys.vm(id) : keys.run(id))));
  const seen = rows.map((item) => asRow<RowBase & { readonly agentId: string }>(item));
  return ids.filter((_id, index) => {
    const row = seen[index];
    return row !== undefined && isSeen(caller, row);
  });
}

async function countUpTo(ports: Pick<Ports, 'store'>, range: Omit<Range, 'limit'>): Promise<number> {
  let count = 0;
  for (let after: string | undefined; ; ) {
    const page = await ports.store.query({ ...range, limit: 1000, ...(after !== undefined && { after }) });
    count += page.items.length;
    after = page.next;
    if (after === undefined) return count;
  }
}
