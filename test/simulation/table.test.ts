import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dynamoClient } from '../../adapters/aws/client.ts';
import { DynamoStore } from '../../adapters/aws/store.ts';
import { ensureTable } from '../../adapters/aws/table.ts';
import { type Engine, startEngine } from '../../adapters/local/engine.ts';
import { GuardFailed } from '../../core/errors.ts';
import type { Store } from '../../core/ports.ts';
import {
  type Condition,
  guard,
  type IndexEntry,
  type IndexRange,
  type Item,
  type Key,
  type Page,
  type Value,
  type Write,
} from '../../core/table/model.ts';
import { silentLog } from '../support/world.ts';
import { Random } from './random.ts';
import { Table } from './table.ts';

/** Short texts of one and of more bytes, so that orders matter and keys meet. */
const TEXTS = ['', 'a', 'b', 'B', 'aa', 'é', 'z#', '~'];
const NUMBERS = [0, 1, -1, 2.5, 1_800_000_000_000];
const VALUES: readonly Value[] = [...TEXTS, ...NUMBERS, true, false, null, ['a', 1], { inner: 'x' }];
const ATTRIBUTES = ['version', 'status', 'flag', 'list'];
const PARTITIONS = ['P#1', 'P#2'];
/** One of two has most of the entries. */
const CHECKS = ['C#0', 'C#0', 'C#0', 'C#1'];
const LISTS = ['L#0', 'L#0', 'L#0', 'L#1'];
const SORTS = ['META', 'E#1', 'E#10', 'E#2', 'E#3', 'E#é', 'E#~', 'F#1'];

const keyOf = (random: Random): Key => ({ pk: random.pick(PARTITIONS), sk: random.pick(SORTS) });

const scalar = (random: Random) => random.pick([...TEXTS, ...NUMBERS, true, false]);

function condition(random: Random, depth = 0): Condition {
  const attribute = random.pick(ATTRIBUTES);
  const op = random.pick([
    'absent',
    'exists',
    'has',
    'hasNot',
    'in',
    'eq',
    'ne',
    'lt',
    'le',
    'gt',
    'ge',
    'or',
  ] as const);
  if (op === 'absent' || op === 'exists') return { op };
  if (op === 'has' || op === 'hasNot') return { op, attribute };
  if (op === 'in') return { op, attribute, values: [random.pick(TEXTS), random.pick(NUMBERS)] };
  if (op === 'or')
    return depth > 0 ? { op: 'has', attribute } : { op, any: [condition(random, 1), condition(random, 1)] };
  return { op, attribute, value: scalar(random) };
}

let guards = 0;
const guardsOf = (random: Random) =>
  Array.from({ length: random.pick([0, 0, 1, 2]) }, () => guard(`test.guard${++guards}`, condition(random)));

function attributes(random: Random): Record<string, Value | undefined> {
  const found: Record<string, Value | undefined> = {};
  for (const name of ATTRIBUTES) if (random.chance(0.5)) found[name] = random.pick(VALUES);
  // Without one of its two keys, an item stands in no index.
  if (random.chance(0.7)) found.checkIn = random.pick(CHECKS);
  if (random.chance(0.9)) found.checkAt = checkAt(random);
  if (random.chance(0.7)) found.listIn = random.pick(LISTS);
  if (random.chance(0.9)) found.listAt = listAt(random);
  return found;
}

/** Some places are shared, as checks of the same millisecond are; 9 and 10 stand otherwise as texts than as numbers. */
const checkAt = (random: Random): number => (random.chance(0.3) ? random.pick(NUMBERS) : random.below(30) / 2);
const listAt = (random: Random): string =>
  random.chance(0.3) ? random.pick(TEXTS.slice(1)) : `${random.pick(['a', 'b', 'é'])}${random.below(12)}`;

function write(random: Random, key: Key): Write {
  const all = guardsOf(random);
  switch (random.below(6)) {
    case 0:
    case 1:
    case 2:
      return { kind: 'put', item: { ...key, ...attributes(random) } as Item, ...(all.length > 0 && { guards: all }) };
    case 3:
      return { kind: 'delete', key, guards: all };
    case 4:
      return { kind: 'check', key, guards: all.length > 0 ? all : [guard('test.there', { op: 'exists' })] };
    default: {
      const set: Record<string, Value | undefined> = {};
      for (const name of ['status', 'flag', 'list'])
        if (random.chance(0.4)) set[name] = random.chance(0.3) ? undefined : random.pick(VALUES);
      if (random.chance(0.1)) Object.assign(set, { checkIn: undefined, checkAt: undefined });
      else if (random.chance(0.3)) Object.assign(set, { checkIn: random.pick(CHECKS), checkAt: checkAt(random) });
      if (random.chance(0.1)) set.listAt = undefined;
      else if (random.chance(0.3)) set.listAt = listAt(random);
      const add = random.chance(0.4) ? { count: random.pick([1, -1, 3]) } : undefined;
      if (Object.keys(set).length === 0 && add === undefined) set.status = 'set';
      return { kind: 'update', key, set, ...(add !== undefined && { add }), guards: all };
    }
  }
}

function transaction(random: Random): readonly Write[] {
  const keys = new Map<string, Key>();
  for (let each = random.between(1, 4); each > 0; each--) {
    const key = keyOf(random);
    keys.set(`${key.pk} ${key.sk}`, key);
  }
  return [...keys.values()].map((key) => write(random, key));
}

/** What was answered, in a form that can be compared: of a refusal the guard, and what stood there. */
async function answer(work: () => unknown): Promise<unknown> {
  try {
    return normal(await work());
  } catch (error) {
    if (error instanceof GuardFailed) return { guard: error.guard, write: error.writeIndex, old: normal(error.old) };
    return { error: error instanceof Error ? error.name : 'unknown' };
  }
}

const normal = (value: unknown): unknown => (value === undefined ? null : JSON.parse(JSON.stringify(value)));

/** As many pages as the whole table can fill, and the one after them. */
const PAGES_MAX = PARTITIONS.length * SORTS.length + 1;

/** From where each page ended to the last one. Positions are each store's own affair. */
async function pagesOf<T>(ask: (after: { after?: string }) => Page<T> | Promise<Page<T>>): Promise<readonly Page<T>[]> {
  const pages = [await ask({})];
  for (let next = pages[0]?.next; next !== undefined; next = pages.at(-1)?.next) {
    if (pages.length > PAGES_MAX) throw new Error('the pages have no end');
    pages.push(await ask({ after: next }));
  }
  return pages;
}

const shown = <T>({ items, next }: Page<T>) => ({ items, more: next !== undefined });

/**
 * What is promised of an index's pages: how many entries each has, and where those stand, one after the other. Who stands at a
 * place that several share is promised only once all of them have been shown.
 */
function promised(pages: readonly Page<IndexEntry>[]) {
  const groups: { readonly sort: string | number; readonly keys: string[] }[] = [];
  for (const { pk, sk, sort } of pages.flatMap(({ items }) => items)) {
    if (groups.at(-1)?.sort !== sort) groups.push({ sort, keys: [] });
    groups.at(-1)?.keys.push(`${pk} ${sk}`);
  }
  return {
    pages: pages.map((page) => shown({ ...page, items: page.items.map(({ sort }) => sort) })),
    groups: groups.map(({ sort, keys }) => ({ sort, keys: keys.toSorted() })),
  };
}

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine({ dbPath: undefined, log: silentLog });
});
afterAll(() => engine.stop());

let tables = 0;
async function realStore(): Promise<Store> {
  const client = dynamoClient({ endpoint: engine.endpoint });
  const name = `simulated-${process.pid}-${++tables}`;
  await ensureTable(client, name);
  return new DynamoStore(client, name);
}

const TABLE_BOUNDS = [{}, { prefix: 'E#' }, { from: 'E#1', to: 'E#é' }, { from: 'E#2' }, { to: 'F#1' }];
const CHECK_BOUNDS = [{}, { to: 2.5 }, { from: 0, to: 9 }, { from: 1 }];
const LIST_BOUNDS = [{}, { to: 'b5' }, { from: 'a2', to: 'é' }, { from: 'b' }];

const rangeOf = (random: Random) => ({
  ...random.pick(TABLE_BOUNDS),
  pk: random.pick(PARTITIONS),
  descending: random.chance(0.5),
  limit: random.between(1, 4),
});

function indexRangeOf(random: Random): IndexRange {
  const pages = { descending: random.chance(0.5), limit: random.between(1, 4) };
  return random.chance(0.5)
    ? { index: 'checks', partition: random.pick(CHECKS), ...random.pick(CHECK_BOUNDS), ...pages }
    : { index: 'byParent', partition: random.pick(LISTS), ...random.pick(LIST_BOUNDS), ...pages };
}

describe.each([1, 2, 3, 4])('the simulated table and a real engine, seed %i', (seed) => {
  it('answer the same to the same random operations', async () => {
    const random = new Random(seed);
    const real = await realStore();
    const table = new Table({ now: () => 0, freezes: true });
    const outcomes = { done: 0, refused: 0, turned: 0, shared: 0 };
    for (let step = 0; step < 400; step++) {
      const compare = async (simulated: () => unknown, asked: () => Promise<unknown>) =>
        expect(await answer(simulated), `step ${step}`).toEqual(await answer(asked));
      switch (random.below(6)) {
        case 0: {
          const keys = [keyOf(random), keyOf(random), keyOf(random)];
          await compare(
            () => keys.map((key) => table.get(key)),
            () => real.getMany(keys),
          );
          break;
        }
        case 1: {
          const range = rangeOf(random);
          await compare(
            async () => (await pagesOf((after) => table.query({ ...range, ...after }))).map(shown),
            async () => (await pagesOf((after) => real.query({ ...range, ...after }))).map(shown),
          );
          break;
        }
        case 2: {
          const range = indexRangeOf(random);
          const pages = await pagesOf((after) => table.queryIndex({ ...range, ...after }));
          outcomes.turned += pages.length - 1;
          if (promised(pages).groups.some(({ keys }) => keys.length > 1)) outcomes.shared++;
          await compare(
            () => promised(pages),
            async () => promised(await pagesOf((after) => real.queryIndex({ ...range, ...after }))),
          );
          break;
        }
        default: {
          const writes = transaction(random);
          await compare(
            () => {
              outcomes.refused++;
              table.transact(writes);
              outcomes.refused--;
              outcomes.done++;
            },
            () => real.transact(writes),
          );
        }
      }
    }
    expect(Math.min(outcomes.done, outcomes.refused, outcomes.turned)).toBeGreaterThan(20);
    expect(outcomes.shared).toBeGreaterThan(0);
  });
});

const DIRECTIONS = [false, true].flatMap((descending) => [1, 2, 3, 4].map((limit) => ({ descending, limit })));

describe.each(['checks', 'byParent'] as const)('the pages of %s, while others write', (index) => {
  const partition = { checks: 'C#0', byParent: 'L#0' }[index];
  /** No place is shared, so that every page is promised to the entry. */
  const placed = (key: Key, place: number): Write => ({
    kind: 'put',
    item: {
      ...key,
      ...(index === 'checks'
        ? { checkIn: partition, checkAt: place }
        : { listIn: partition, listAt: String(place).padStart(3, '0') }),
    },
  });

  it.each(DIRECTIONS)('go on where the last one ended: limit $limit, descending $descending', async (pages) => {
    const random = new Random(7 + pages.limit);
    const real = await realStore();
    const table = new Table({ now: () => 0 });
    const places = Array.from({ length: 200 }, (_, place) => place);
    const write = async (each: Write) => {
      table.transact([each]);
      await real.transact([each]);
    };
    const change = (key: Key) =>
      write(
        random.chance(0.3)
          ? { kind: 'delete', key, guards: [] }
          : placed(key, places.splice(random.below(places.length), 1)[0]!),
      );
    for (const pk of PARTITIONS) for (const sk of SORTS) await change({ pk, sk });
    let [ours, theirs]: (string | undefined)[] = [];
    for (let page = 0; page < 30; page++) {
      const range: IndexRange = { index, partition, ...pages };
      const simulated = table.queryIndex({ ...range, ...(ours !== undefined && { after: ours }) });
      const found = await real.queryIndex({ ...range, ...(theirs !== undefined && { after: theirs }) });
      expect(shown(simulated), `page ${page}`).toEqual(shown(found));
      [ours, theirs] = [simulated.next, found.next];
      // Often the very entry at which the page ended goes, or moves.
      const last = found.items.at(-1);
      await change(last !== undefined && random.chance(0.5) ? { pk: last.pk, sk: last.sk } : keyOf(random));
    }
  });
});

describe('the indexes of the simulated table', () => {
  it('show a change after its lag, and each item in the order of its changes', () => {
    let now = 0;
    let lagMs = 1000;
    const table = new Table({ now: () => now, lagMs: () => lagMs });
    const put = (checkAt: number) =>
      table.transact([{ kind: 'put', item: { pk: 'A', sk: 'META', checkIn: 'C', checkAt } }]);
    const shown = () => table.queryIndex({ index: 'checks', partition: 'C', limit: 10 }).items.map(({ sort }) => sort);
    put(1);
    expect(shown()).toEqual([]);
    lagMs = 0;
    put(2);
    expect(shown()).toEqual([]);
    now = 1000;
    expect(shown()).toEqual([2]);
  });
});

it('refuses what DynamoDB refuses: the same item twice, and more than a hundred', () => {
  const table = new Table({ now: () => 0 });
  const put = (sk: string): Write => ({ kind: 'put', item: { pk: 'A', sk } });
  expect(() => table.transact([put('1'), put('1')])).toThrow('twice');
  expect(() => table.transact(Array.from({ length: 101 }, (_, index) => put(String(index))))).toThrow('101');
  expect(table.get({ pk: 'A', sk: '1' })).toBeUndefined();
});
