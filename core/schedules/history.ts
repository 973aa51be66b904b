/** Reading a schedule's past: all its revisions, the entry that covers a time, the backfills' entries beside it. */
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { OCCURRENCE_PREFIX, occurrenceSort, REVISION_PREFIX } from '../table/keys.ts';
import type { Range } from '../table/model.ts';
import { asRow, type RowBase } from '../table/rows.ts';
import type { OccurrenceRow, Revision, RevisionRow } from './model.ts';

type Reader = Pick<Ports, 'store'>;

async function* rowsIn<Row extends RowBase>(ports: Reader, range: Omit<Range, 'limit' | 'after'>, limit: number) {
  let after: string | undefined;
  do {
    const page = await ports.store.query({ ...range, limit, ...(after !== undefined && { after }) });
    for (const item of page.items) {
      const row = asRow<Row>(item);
      if (row !== undefined) yield row;
    }
    after = page.next;
  } while (after !== undefined);
}

async function collected<Row>(rows: AsyncIterable<Row>): Promise<readonly Row[]> {
  const found: Row[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

/** Those of the times, oldest first; edits that leave them alone are stored between. */
export async function allRevisions(ports: Reader, scheduleId: string): Promise<readonly Revision[]> {
  const { pk } = keys.schedule(scheduleId);
  const rows = await collected(rowsIn<RevisionRow>(ports, { pk, prefix: REVISION_PREFIX }, 500));
  return rows.filter((row) => row.sk === keys.revision(scheduleId, row.specVersion).sk);
}

/** The occurrence's own entry, or the range that covers it; backfills' entries may stand between in any number. */
export async function entryCovering(ports: Reader, scheduleId: string, at: number): Promise<OccurrenceRow | undefined> {
  const { pk } = keys.schedule(scheduleId);
  const range = { pk, from: OCCURRENCE_PREFIX, to: occurrenceSort(at), descending: true };
  for await (const row of rowsIn<OccurrenceRow>(ports, range, 25)) {
    if (row.backfillId !== undefined) continue;
    return (row.through ?? row.at) >= at ? row : undefined;
  }
  return undefined;
}

/** What backfills have made of one occurrence. */
export async function backfillsOf(ports: Reader, scheduleId: string, at: number): Promise<readonly OccurrenceRow[]> {
  const { pk } = keys.schedule(scheduleId);
  return collected(rowsIn<OccurrenceRow>(ports, { pk, prefix: `${occurrenceSort(at)}#` }, 100));
}
