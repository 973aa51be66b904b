import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dynamoClient } from '../../adapters/aws/client.ts';
import { DynamoStore } from '../../adapters/aws/store.ts';
import { ensureTable } from '../../adapters/aws/table.ts';
import { type Engine, startEngine } from '../../adapters/local/engine.ts';
import { GuardFailed } from '../../core/errors.ts';
import type { Store } from '../../core/ports.ts';
import { type Condition, guard, type Item, type Key, type Value, type Write } from '../../core/table/model.ts';
import { silentLog } from '../support/world.ts';
import { Random } from './random.ts';
import { Table } from './table.ts';

/** Short texts of one and of more bytes, so that orders matter and keys meet. */
const TEXTS = ['', 'a', 'b', 'B', 'aa', 'é', 'z#', '~'];
const NUMBERS = [0, 1, -1, 2.5, 1_800_000_000_000];
const VALUES: readonly Value[] = [...TEXTS, ...NUMBERS, true, false, null, ['a', 1], { inner: 'x' }];
const ATTRIBUTES = ['version', 'status', 'flag', 'list'];
const PARTITIONS = ['P#1', 'P#2'];

const keyOf = (random: Random): Key => ({
  pk: random.pick(PARTITIONS),
  sk: random.pick(['META', 'E#1', 'E#2', 'E#é', 'E#~', 'F#1']),
});

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
  Array.from({ length: random.below(3) }, () => guard(`test.guard${++guards}`, condition(random)));

function attributes(random: Random): Record<string, Value | undefined> {
  const found: Record<string, Value | undefined> = {};
  for (const name of ATTRIBUTES) if (random.chance(0.5)) found[name] = random.pick(VALUES);
  if (random.chance(0.4)) Object.assign(found, { checkIn: random.pick(['C#0', 'C#1']), checkAt: random.pick(NUMBERS) });
  if (random.chance(0.4))
    Object.assign(found, { listIn: random.pick(['L#0', 'L#1']), listAt: random.pick(TEXTS.slice(1)) });
  return found;
}

function write(random: Random, key: Key): Write {
  const all = guardsOf(random);
  switch (random.below(4)) {
    case 0:
      return { kind: 'put', item: { ...key, ...attributes(random) } as Item, ...(all.length > 0 && { guards: all }) };
    case 1:
      return { kind: 'delete', key, guards: all };
    case 2:
      return { kind: 'check', key, guards: all.length > 0 ? all : [guard('test.there', { op: 'exists' })] };
    default: {
      const set: Record<string, Value | undefined> = {};
      for (const name of ['status', 'flag', 'list'])
        if (random.chance(0.4)) set[name] = random.chance(0.3) ? undefined : random.pick(VALUES);
      if (random.chance(0.2)) Object.assign(set, { checkIn: undefined, checkAt: undefined });
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

/** Positions are each store's own affair. */
const opened = <T>(page: { readonly items: readonly T[]; readonly next?: string }) => ({
  items: page.items,
  more: page.next !== undefined,
});

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

describe.each([1, 2, 3, 4])('the simulated table and a real engine, seed %i', (seed) => {
  it('answer the same to the same random operations', async () => {
    const random = new Random(seed);
    const real = await realStore();
    const table = new Table({ now: () => 0, freezes: true });
    const outcomes = { done: 0, refused: 0 };
    for (let step = 0; step < 300; step++) {
      const compare = async (simulated: () => unknown, asked: () => Promise<unknown>) =>
        expect(await answer(simulated), `step ${step}`).toEqual(await answer(asked));
      const limit = random.between(1, 4);
      const descending = random.chance(0.3);
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
          const bounds = random.pick([
            {},
            { prefix: 'E#' },
            { from: 'E#1', to: 'E#é' },
            { from: 'E#2' },
            { to: 'F#1' },
          ]);
          const range = { pk: random.pick(PARTITIONS), ...bounds, descending, limit };
          const first = table.query(range);
          await compare(
            () => opened(first),
            async () => opened(await real.query(range)),
          );
          if (first.next === undefined) break;
          const after = { ...range, after: first.next };
          await compare(
            () => table.query(after).items,
            async () => (await real.query(after)).items,
          );
          break;
        }
        case 2: {
          const bounds = random.pick([{}, { to: 2.5 }, { from: 0, to: 1 }, { from: 1 }]);
          const range = {
            index: 'checks',
            partition: random.pick(['C#0', 'C#1']),
            ...bounds,
            descending,
            limit: 50,
          } as const;
          await compare(
            () => sortedEntries(table.queryIndex(range).items),
            async () => sortedEntries((await real.queryIndex(range)).items),
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
    expect(Math.min(outcomes.done, outcomes.refused)).toBeGreaterThan(20);
  });
});

/** Entries of the same place stand in no order that anybody promises. */
const sortedEntries = (
  entries: readonly { readonly pk: string; readonly sk: string; readonly sort: string | number }[],
) =>
  entries.toSorted(
    (left, right) =>
      Number(left.sort) - Number(right.sort) || (`${left.pk} ${left.sk}` < `${right.pk} ${right.sk}` ? -1 : 1),
  );

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
