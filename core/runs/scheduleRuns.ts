/** A schedule's runs: those of its ledger, backfilled ones included, and those triggered by hand, as one list. */
import { type Reach, reached } from '../access/grants.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import type { RunBody } from '../contract/runs.ts';
import { foreignCursor } from '../lists.ts';
import type { Ports } from '../ports.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import * as keys from '../table/itemKeys.ts';
import { OCCURRENCE_PREFIX, SCHEDULE_RUN_PREFIX } from '../table/keys.ts';
import { asRow, type RowBase } from '../table/rows.ts';
import { bodiesOf } from './body.ts';
import type { RunRow } from './model.ts';
import type { PageRequest } from './service.ts';

/** What the two rows have in common: an occurrence has a run only if it was dispatched. */
interface Entry extends RowBase {
  /** The nominal time, or that of the trigger. */
  readonly at: number;
  readonly runId?: string;
}

/** One page looks at no more than this many entries, however few of them have a run: its cursor goes on from there. */
const SCAN_LIMIT = 1000;
const BATCH = 100;

/** By the time that they are for, the latest first; a run by hand is for the time at which it was ordered. */
export async function listScheduleRuns(
  ports: Ports,
  caller: Reach,
  scheduleId: string,
  page: PageRequest,
): Promise<ListBody<RunBody>> {
  reached(caller, asRow<ScheduleRow>(await ports.store.get(keys.schedule(scheduleId))), 'schedule', scheduleId);
  const position = decodePosition(page.cursor);
  const { pk } = keys.schedule(scheduleId);
  const ledger = new Descent(ports, pk, OCCURRENCE_PREFIX, position.ledger);
  const triggered = new Descent(ports, pk, SCHEDULE_RUN_PREFIX, position.triggered);
  const runIds: string[] = [];
  let more = true;
  for (let scanned = 0; scanned < SCAN_LIMIT && runIds.length < page.limit && more; scanned++) {
    const [occurrence, run] = [await ledger.peek(), await triggered.peek()];
    const later = (occurrence?.at ?? Number.NEGATIVE_INFINITY) >= (run?.at ?? Number.NEGATIVE_INFINITY);
    const { runId } = (later ? ledger : triggered).take() ?? {};
    if (runId !== undefined) runIds.push(runId);
    more = (await ledger.peek()) !== undefined || (await triggered.peek()) !== undefined;
  }
  const rows = (await ports.store.getMany(runIds.map((id) => keys.run(id)))).map((item) => asRow<RunRow>(item));
  return {
    items: await bodiesOf(
      ports,
      rows.filter((row) => row !== undefined),
    ),
    ...(more && { nextCursor: encodePosition({ ledger: ledger.last, triggered: triggered.last }) }),
    asOf: isoTime(ports.time.now()),
  };
}

/** Entries with one prefix, from the last one down. */
class Descent {
  readonly #ports: Pick<Ports, 'store'>;
  readonly #pk: string;
  readonly #prefix: string;
  #ahead: Entry[] = [];
  #isOver = false;
  /** Sort key of the entry that was taken last. */
  last: string | undefined;

  constructor(ports: Pick<Ports, 'store'>, pk: string, prefix: string, below: string | undefined) {
    this.#ports = ports;
    this.#pk = pk;
    this.#prefix = prefix;
    this.last = below;
  }

  async peek(): Promise<Entry | undefined> {
    if (this.#ahead.length === 0 && !this.#isOver) await this.#read();
    return this.#ahead[0];
  }

  take(): Entry | undefined {
    const entry = this.#ahead.shift();
    if (entry !== undefined) this.last = entry.sk;
    return entry;
  }

  async #read(): Promise<void> {
    const found = await this.#ports.store.query({
      pk: this.#pk,
      from: this.#prefix,
      // Bounds are inclusive: the entry that was taken last comes again.
      to: this.last ?? `${this.#prefix}~`,
      descending: true,
      limit: BATCH + 1,
    });
    this.#ahead = found.items
      .map((item) => asRow<Entry>(item))
      .filter((row) => row !== undefined)
      .filter((row) => row.sk !== this.last);
    this.#isOver = found.next === undefined;
  }
}

interface Position {
  readonly ledger: string | undefined;
  readonly triggered: string | undefined;
}

const encodePosition = ({ ledger = '', triggered = '' }: Position): string =>
  Buffer.from(`${ledger}|${triggered}`).toString('base64url');

function decodePosition(cursor: string | undefined): Position {
  if (cursor === undefined) return { ledger: undefined, triggered: undefined };
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  const [, ledger, triggered] = /^(OCC#\d{12}(?:#\w{1,40})?)?\|(RUN#\w{1,40})?$/.exec(text) ?? [];
  if (ledger === undefined && triggered === undefined) throw foreignCursor();
  return { ledger, triggered };
}
