/**
 * The table in memory, with DynamoDB's semantics as far as the core uses them: guarded writes, transactions of all or none,
 * consistent reads, and indexes that lag behind. `table.test.ts` compares it with a real engine, operation by operation.
 *
 * Items are shared, not copied: nobody may write to what is stored (`freezes` stops whoever does).
 */
import { decodeAfter, decodeText, encodeText } from '../../adapters/aws/cursor.ts';
import { GuardFailed } from '../../core/errors.ts';
import {
  type Guard,
  holds,
  INDEX_KEYS,
  type IndexEntry,
  type IndexRange,
  type Item,
  type Key,
  type Page,
  type Range,
  type Value,
  type Write,
} from '../../core/table/model.ts';

export interface Change {
  readonly key: Key;
  readonly before: Item | undefined;
  readonly after: Item | undefined;
  readonly write: Write;
}

/** Takes guards out of one write of a transaction. */
export type TransactionFilter = (guards: readonly Guard[], transaction: readonly Write[]) => readonly Guard[];

export const carries = (write: Write, guard: string): boolean =>
  write.guards?.some(({ name }) => name === guard) === true;

export interface TableOptions {
  readonly now: () => number;
  /** Called for each item that a write changes: after how many milliseconds the indexes show it. */
  readonly lagMs?: () => number;
  /** Whoever writes to an item that it has read is stopped. Takes time, so only where that is what is looked for. */
  readonly freezes?: boolean;
  /** Takes guards out, to see what they are for. */
  readonly filter?: TransactionFilter;
}

const TRANSACTION_ITEMS = 100;
type IndexName = keyof typeof INDEX_KEYS;
const INDEX_NAMES = Object.keys(INDEX_KEYS) as IndexName[];

class Sorted<T> {
  readonly #compare: (left: T, right: T) => number;
  readonly items: T[] = [];

  constructor(compare: (left: T, right: T) => number) {
    this.#compare = compare;
  }

  /** Where the first item is that does not come before this one. */
  place(wanted: T): number {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(this.items[middle] as T, wanted) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  put(item: T): void {
    const at = this.place(item);
    const found = this.items[at];
    if (found !== undefined && this.#compare(found, item) === 0) this.items[at] = item;
    else this.items.splice(at, 0, item);
  }

  remove(item: T): void {
    const at = this.place(item);
    const found = this.items[at];
    if (found !== undefined && this.#compare(found, item) === 0) this.items.splice(at, 1);
  }
}

const order = (left: string | number, right: string | number): number => (left < right ? -1 : left > right ? 1 : 0);
const bySort = (left: { readonly sk: string }, right: { readonly sk: string }) => order(left.sk, right.sk);
const byEntry = (left: IndexEntry, right: IndexEntry) =>
  order(left.sort, right.sort) || order(left.pk, right.pk) || order(left.sk, right.sk);

interface Late {
  readonly at: number;
  readonly pk: string;
  readonly sk: string;
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}

export class Table {
  readonly #partitions = new Map<string, Sorted<Item>>();
  /** The same items, for those that know the whole key. */
  readonly #byKey = new Map<string, Map<string, Item>>();
  readonly #indexes: Readonly<Record<IndexName, Map<string, Sorted<IndexEntry>>>> = {
    byParent: new Map(),
    checks: new Map(),
  };
  readonly #options: TableOptions;
  /** Changes that the indexes do not show yet, the next one last. */
  readonly #late: Late[] = [];
  readonly #lateUntil = new Map<string, number>();

  constructor(options: TableOptions) {
    this.#options = options;
  }

  get({ pk, sk }: Key): Item | undefined {
    return this.#byKey.get(pk)?.get(sk);
  }

  /** All items whose partition key begins so. For checks of the whole, not for the core. */
  *scan(prefix = ''): Generator<Item> {
    for (const [pk, partition] of this.#partitions) if (pk.startsWith(prefix)) yield* partition.items;
  }

  query(range: Range): Page<Item> {
    const { pk, prefix, from, to, descending = false, limit } = range;
    const after = decodeAfter(range);
    const items = this.#partitions.get(pk)?.items ?? [];
    const partition = this.#partitions.get(pk);
    const place = (sk: string) => partition?.place({ pk, sk }) ?? 0;
    const least = prefix ?? from;
    let [low, high] = [least === undefined ? 0 : place(least), items.length];
    if (prefix !== undefined) while (high > low && !(items[high - 1] as Item).sk.startsWith(prefix)) high--;
    else if (to !== undefined) {
      high = place(to);
      if (items[high]?.sk === to) high++;
    }
    if (after !== undefined) {
      const at = place(after);
      if (descending) high = Math.min(high, at);
      else low = Math.max(low, items[at]?.sk === after ? at + 1 : at);
    }
    const found = descending
      ? items.slice(Math.max(low, high - limit), Math.max(high, low)).reverse()
      : items.slice(low, Math.min(high, low + limit));
    const last = found.at(-1);
    return found.length === limit && last !== undefined
      ? { items: found, next: encodeText(last.sk) }
      : { items: found };
  }

  queryIndex(range: IndexRange): Page<IndexEntry> {
    this.#catchUp();
    const { from, to, descending = false, limit } = range;
    const all = this.#indexes[range.index].get(range.partition)?.items ?? [];
    const after = range.after === undefined ? undefined : (JSON.parse(decodeText(range.after)) as IndexEntry);
    const inside = (entry: IndexEntry) =>
      (from === undefined || order(entry.sort, from) >= 0) &&
      (to === undefined || order(entry.sort, to) <= 0) &&
      (after === undefined || (descending ? byEntry(entry, after) < 0 : byEntry(entry, after) > 0));
    const found: IndexEntry[] = [];
    for (let at = 0; at < all.length && found.length < limit; at++) {
      const entry = all[descending ? all.length - 1 - at : at] as IndexEntry;
      if (inside(entry)) found.push(entry);
      else if (!descending && to !== undefined && order(entry.sort, to) > 0) break;
    }
    const last = found.at(-1);
    return found.length === limit && last !== undefined
      ? { items: found, next: encodeText(JSON.stringify(last)) }
      : { items: found };
  }

  /**
   * @returns what has changed
   * @throws GuardFailed with the first guard that does not hold; Error for what DynamoDB would call a validation error
   */
  transact(writes: readonly Write[]): readonly Change[] {
    if (writes.length === 0) return [];
    if (writes.length > TRANSACTION_ITEMS) throw new Error(`a transaction of ${writes.length} items`);
    const { filter } = this.#options;
    const seen = new Set<string>();
    const olds: (Item | undefined)[] = [];
    let index = -1;
    for (const write of writes) {
      const guards =
        write.guards === undefined ? [] : filter === undefined ? write.guards : filter(write.guards, writes);
      if (write.kind === 'check' && guards.length === 0 && writes.length > 1) {
        olds.push(undefined);
        continue;
      }
      index++;
      const { pk, sk } = write.kind === 'put' ? write.item : write.key;
      const name = `${pk}\u0000${sk}`;
      if (seen.has(name)) throw new Error(`a transaction that has ${pk} ${sk} twice`);
      seen.add(name);
      const old = this.get({ pk, sk });
      olds.push(old);
      for (const guard of guards) if (!holds(guard.condition, old)) throw new GuardFailed(guard.name, index, old);
    }
    return writes.flatMap((write, at) => {
      if (write.kind === 'check') return [];
      const { pk, sk } = write.kind === 'put' ? write.item : write.key;
      const before = olds[at];
      const after = afterOf(write, before);
      if (this.#options.freezes === true && after !== undefined) Object.freeze(after);
      this.#store({ pk, sk }, before, after);
      return [{ key: { pk, sk }, before, after, write }];
    });
  }

  #store(key: Key, before: Item | undefined, after: Item | undefined): void {
    const { pk, sk } = key;
    let partition = this.#partitions.get(pk);
    if (partition === undefined) {
      partition = new Sorted<Item>(bySort);
      this.#partitions.set(pk, partition);
      this.#byKey.set(pk, new Map());
    }
    const byKey = this.#byKey.get(pk) as Map<string, Item>;
    if (after === undefined) {
      partition.remove({ pk, sk });
      byKey.delete(sk);
    } else {
      partition.put(after);
      byKey.set(sk, after);
    }
    if (!isIndexed(before) && !isIndexed(after)) return;
    const lagMs = this.#options.lagMs?.() ?? 0;
    const name = `${pk}\u0000${sk}`;
    const standing = this.#lateUntil.get(name) ?? 0;
    const at = Math.max(this.#options.now() + lagMs, standing);
    if (at <= this.#options.now() && this.#late.length === 0) {
      this.#show(key, before, after);
      return;
    }
    this.#lateUntil.set(name, at);
    let place = this.#late.length;
    while (place > 0 && (this.#late[place - 1] as Late).at <= at) place--;
    this.#late.splice(place, 0, { at, pk, sk, before, after });
  }

  #catchUp(): void {
    const now = this.#options.now();
    for (let next = this.#late.at(-1); next !== undefined && next.at <= now; next = this.#late.at(-1)) {
      this.#late.pop();
      this.#show(next, next.before, next.after);
    }
  }

  #show({ pk, sk }: Key, before: Item | undefined, after: Item | undefined): void {
    for (const name of INDEX_NAMES) {
      const { partition, sort } = INDEX_KEYS[name];
      const was = entryOf(before, partition, sort);
      const is = entryOf(after, partition, sort);
      if (was !== undefined && is !== undefined && was.in === is.in && was.sort === is.sort) continue;
      const index = this.#indexes[name];
      if (was !== undefined) index.get(was.in)?.remove({ pk, sk, sort: was.sort });
      if (is === undefined) continue;
      let entries = index.get(is.in);
      if (entries === undefined) {
        entries = new Sorted<IndexEntry>(byEntry);
        index.set(is.in, entries);
      }
      entries.put({ pk, sk, sort: is.sort });
    }
  }
}

const isIndexed = (item: Item | undefined): boolean => item?.checkIn !== undefined || item?.listIn !== undefined;

/** Sparse: an item without both keys stands in no index. */
function entryOf(item: Item | undefined, partition: string, sort: string) {
  const [owner, at] = [item?.[partition], item?.[sort]];
  if (typeof owner !== 'string' || (typeof at !== 'string' && typeof at !== 'number')) return undefined;
  return { in: owner, sort: at };
}

function afterOf(write: Exclude<Write, { kind: 'check' }>, before: Item | undefined): Item | undefined {
  if (write.kind === 'delete') return undefined;
  if (write.kind === 'put') return write.item;
  const after: Record<string, Value | undefined> = { ...(before ?? write.key) };
  const { set, add } = write;
  if (set !== undefined)
    for (const name of Object.keys(set)) {
      const value = set[name];
      if (value === undefined) delete after[name];
      else after[name] = value;
    }
  if (add !== undefined)
    for (const name of Object.keys(add)) {
      const standing = after[name];
      if (standing !== undefined && typeof standing !== 'number') throw new Error(`${name} is no number to add to`);
      after[name] = (standing ?? 0) + (add[name] ?? 0);
    }
  return after as Item;
}
