/** Reading a schedule's ledger, its revisions, and what is to come. */
import type { Reach } from '../access/grants.ts';
import { isoSecond, isoTime, type ListBody } from '../contract/common.ts';
import type { Disposition, OccurrenceBody, RevisionBody, UpcomingBody } from '../contract/schedules.ts';
import type { Ports } from '../ports.ts';
import type { PageRequest } from '../runs/service.ts';
import * as keys from '../table/itemKeys.ts';
import { occurrenceSort, REVISION_PREFIX } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import { occurrenceBody, revisionBody } from './body.ts';
import { upcoming } from './expected.ts';
import { entryCovering } from './history.ts';
import type { OccurrenceRow, RevisionRow } from './model.ts';
import { loadSchedule } from './service.ts';

export interface OccurrenceFilter {
  readonly disposition?: Disposition | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** A page looks at no more than this many entries, however few the filter keeps; its cursor goes on from there. */
const LEDGER_SCAN = 1000;

/** The ledger, newest first. */
export async function listOccurrences(
  ports: Ports,
  caller: Reach,
  scheduleId: string,
  page: PageRequest,
  filter: OccurrenceFilter = {},
): Promise<ListBody<OccurrenceBody>> {
  await loadSchedule(ports, caller, scheduleId);
  const items: OccurrenceBody[] = [];
  // A range that began before the bound may reach into it.
  const covering = filter.from === undefined ? undefined : await entryCovering(ports, scheduleId, filter.from);
  let after = page.cursor;
  for (let scanned = 0; scanned < LEDGER_SCAN && items.length < page.limit; ) {
    const found = await ports.store.query({
      pk: keys.schedule(scheduleId).pk,
      from: occurrenceSort(covering?.at ?? filter.from ?? 0),
      // A backfill's entry stands behind the occurrence's own, so the bound includes what begins with it.
      to: `${occurrenceSort(filter.to ?? LAST_INSTANT)}~`,
      descending: true,
      limit: page.limit - items.length,
      ...(after !== undefined && { after }),
    });
    for (const item of found.items) {
      const row = asRow<OccurrenceRow>(item);
      if (row === undefined || (row.through ?? row.at) < (filter.from ?? 0)) continue;
      if (filter.disposition === undefined || row.disposition === filter.disposition) items.push(occurrenceBody(row));
    }
    scanned += found.items.length;
    after = found.next;
    if (after === undefined) break;
  }
  return { items, ...(after !== undefined && { nextCursor: after }), asOf: isoTime(ports.time.now()) };
}

/** The last instant that a sort key can hold. */
const LAST_INSTANT = 999_999_999_999_000;

/** The next expected occurrences, those included that somebody has taken out. A schedule that is not active has none. */
export async function listUpcoming(
  ports: Ports,
  caller: Reach,
  scheduleId: string,
  count: number,
): Promise<ListBody<UpcomingBody>> {
  const schedule = await loadSchedule(ports, caller, scheduleId);
  const now = ports.time.now();
  const times = schedule.status === 'active' ? upcoming(schedule, Math.max(now, schedule.decidedThrough), count) : [];
  return {
    items: times.map((at) => ({ occurrence: isoSecond(at), ...(schedule.skips.includes(at) && { skipped: true }) })),
    asOf: isoTime(now),
  };
}

/** Every edit of what the clock follows, oldest first. */
export async function listRevisions(
  ports: Ports,
  caller: Reach,
  scheduleId: string,
  page: PageRequest,
): Promise<ListBody<RevisionBody>> {
  await loadSchedule(ports, caller, scheduleId);
  const found = await ports.store.query({
    pk: keys.schedule(scheduleId).pk,
    prefix: REVISION_PREFIX,
    limit: page.limit,
    ...(page.cursor !== undefined && { after: page.cursor }),
  });
  return {
    items: found.items
      .map((item) => asRow<RevisionRow>(item))
      .filter((row) => row !== undefined)
      .map(revisionBody),
    ...(found.next !== undefined && { nextCursor: found.next }),
    asOf: isoTime(ports.time.now()),
  };
}
