/** All that is not at rest: it stands in the checks index, whatever its check time. */
import { isTerminal } from './contract/runs.ts';
import type { Ports } from './ports.ts';
import type { RunRow } from './runs/model.ts';
import { type CheckKind, checkPartition } from './table/keys.ts';
import { asRow, type RowBase } from './table/rows.ts';
import type { VmRow } from './vms/model.ts';

/**
 * An item that is moved to an earlier time while a partition is read may be passed over: so it is read in as few pages as
 * there can be.
 */
const PAGE = 1000;

async function unrested<Row extends RowBase>(
  ports: Pick<Ports, 'store' | 'config'>,
  kind: CheckKind,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (let shard = 0; shard < ports.config.checkShards; shard++) {
    let after: string | undefined;
    do {
      const page = await ports.store.queryIndex({
        index: 'checks',
        partition: checkPartition(kind, shard),
        limit: PAGE,
        ...(after !== undefined && { after }),
      });
      for (const item of await ports.store.getMany(page.items)) {
        const row = asRow<Row>(item);
        if (row !== undefined) rows.push(row);
      }
      after = page.next;
    } while (after !== undefined);
  }
  return rows;
}

export const liveRuns = (ports: Pick<Ports, 'store' | 'config'>): Promise<readonly RunRow[]> =>
  unrested<RunRow>(ports, 'RUN');
/** Of one agent. What the index does not show yet, or not any more, may be missing: who needs certainty looks again. */
export const liveRunsOf = async (ports: Pick<Ports, 'store' | 'config'>, agentId: string): Promise<readonly RunRow[]> =>
  (await liveRuns(ports)).filter((run) => run.agentId === agentId && !isTerminal(run.status));
export const liveVms = (ports: Pick<Ports, 'store' | 'config'>): Promise<readonly VmRow[]> =>
  unrested<VmRow>(ports, 'VM');
