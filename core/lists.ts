/** Lists that are spread over several index partitions: merged newest first, read from the base table, filtered, paged. */
import { InvalidRequest } from './errors.ts';
import type { Ports } from './ports.ts';
import type { Key } from './table/model.ts';
import { asRow, type RowBase } from './table/rows.ts';

interface Listed extends RowBase {
  readonly listAt: string;
}

const BATCH = 50;
/** One page looks at no more than this many rows, however few of them the filter keeps: the cursor goes on from there. */
const SCAN_LIMIT = 1000;

/**
 * Rows newest first. The cursor is the list position of the last row that was looked at, so that a page stays where it
 * was when newer rows appear.
 */
export async function mergedPage<Row extends Listed>(
  ports: Pick<Ports, 'store'>,
  partitions: readonly string[],
  page: { readonly limit: number; readonly cursor?: string | undefined },
  keep: (row: Row) => boolean,
): Promise<{ readonly rows: readonly Row[]; readonly next?: string }> {
  let before = decodeCursor(page.cursor);
  const rows: Row[] = [];
  for (let scanned = 0; scanned < SCAN_LIMIT; ) {
    const found = await newest<Row>(ports, partitions, before, BATCH);
    for (const row of found.rows) {
      scanned++;
      before = row.listAt;
      if (keep(row)) rows.push(row);
      if (rows.length === page.limit) {
        const more = row !== found.rows.at(-1) || found.more;
        return more ? { rows, next: encodeCursor(before) } : { rows };
      }
    }
    if (!found.more) return { rows };
  }
  return before === undefined ? { rows } : { rows, next: encodeCursor(before) };
}

async function newest<Row extends Listed>(
  ports: Pick<Ports, 'store'>,
  partitions: readonly string[],
  before: string | undefined,
  count: number,
): Promise<{ readonly rows: readonly Row[]; readonly more: boolean }> {
  const pages = await Promise.all(
    partitions.map((partition) =>
      ports.store.queryIndex({
        index: 'byParent',
        partition,
        descending: true,
        limit: count + 1,
        ...(before !== undefined && { to: before }),
      }),
    ),
  );
  const found: Key[] = pages.flatMap((each) => [...each.items]);
  const items = await ports.store.getMany(found);
  const rows = items
    .map((item) => asRow<Row>(item))
    .filter((row) => row !== undefined)
    .filter((row) => before === undefined || row.listAt < before)
    .sort((left, right) => (left.listAt < right.listAt ? 1 : -1));
  const more = rows.length > count || pages.some((each) => each.next !== undefined);
  return { rows: rows.slice(0, count), more };
}

const encodeCursor = (position: string): string => Buffer.from(position).toString('base64url');

function decodeCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const position = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!/^[\w#]+$/.test(position))
    throw new InvalidRequest('The cursor is not one of ours.', [
      { pointer: 'cursor', message: 'must be the nextCursor of the page before' },
    ]);
  return position;
}

export const foreignCursor = () =>
  new InvalidRequest('The cursor is not one of ours.', [
    { pointer: 'cursor', message: 'must be the nextCursor of the page before' },
  ]);
