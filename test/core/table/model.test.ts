import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GuardFailed } from '../../../core/errors.ts';
import { type Condition, guard, holds, type Item, type Key, type Write } from '../../../core/table/model.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
  world = await engine.world();
});
afterAll(() => engine.stop());

let keys = 0;
const nextKey = (): Key => ({ pk: `T#${++keys}`, sk: 'META' });

/** Few names and few values, so that conditions hit, miss, and meet other types about equally often. */
const attribute = fc.constantFrom('a', 'b', 'status');
const text = fc.constantFrom('', 'a', 'b', 'Z', 'ä', '～', '😀', 'aa');
const number = fc.oneof(
  fc.constantFrom(0, 1, -1, 2, 10, 1.5, 1e15, 9_007_199_254_740_991),
  fc.integer({ min: -3, max: 3 }),
);
const ordered = fc.oneof(text, number);
const scalar = fc.oneof(text, number, fc.boolean());
const stored = fc.oneof({ weight: 4, arbitrary: scalar }, fc.constantFrom(null, ['a'], { a: 1 }));

const simple: fc.Arbitrary<Condition> = fc.oneof(
  fc.constantFrom<Condition>({ op: 'absent' }, { op: 'exists' }),
  fc.record({ op: fc.constantFrom('has', 'hasNot'), attribute }),
  fc.record({ op: fc.constantFrom('eq', 'ne'), attribute, value: scalar }),
  fc.record({ op: fc.constantFrom('lt', 'le', 'gt', 'ge'), attribute, value: ordered }),
  fc.record({ op: fc.constant('in' as const), attribute, values: fc.array(ordered, { minLength: 1, maxLength: 4 }) }),
);
const condition: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: simple },
  fc.record({ op: fc.constant('or' as const), any: fc.array(simple, { minLength: 1, maxLength: 3 }) }),
);
const item = fc.option(fc.record({ a: stored, b: stored, status: stored }, { requiredKeys: [] }), {
  nil: undefined,
  freq: 5,
});

/** Whether the engine lets a write pass under this condition. */
async function passes(write: Write): Promise<boolean> {
  try {
    await world.ports.store.transact([write]);
    return true;
  } catch (error) {
    if (error instanceof GuardFailed) return false;
    throw error;
  }
}

describe('conditions as the core evaluates them', () => {
  it('agree with the engine, for any item and any condition', async () => {
    await fc.assert(
      fc.asyncProperty(item, condition, async (attributes, each) => {
        const key = nextKey();
        const before = attributes === undefined ? undefined : ({ ...key, ...attributes } as Item);
        if (before !== undefined) await world.ports.store.transact([{ kind: 'put', item: before }]);
        const expected = holds(each, before);
        const guards = [guard('test.condition', each)];
        expect(await passes({ kind: 'update', key, set: { touched: 1 }, guards })).toBe(expected);
      }),
      { numRuns: 400 },
    );
  });

  it('agree in a transaction and for a check, a put and a delete too', async () => {
    await fc.assert(
      fc.asyncProperty(item, condition, fc.constantFrom('check', 'put', 'delete'), async (attributes, each, kind) => {
        const key = nextKey();
        const before = attributes === undefined ? undefined : ({ ...key, ...attributes } as Item);
        if (before !== undefined) await world.ports.store.transact([{ kind: 'put', item: before }]);
        const guards = [guard('test.condition', each)];
        const write: Write =
          kind === 'put' ? { kind, item: { ...key, a: 1 }, guards } : { kind: kind as 'check' | 'delete', key, guards };
        const other: Write = { kind: 'put', item: { ...nextKey(), a: 1 } };
        let passed = true;
        await world.ports.store.transact([write, other]).catch((error: unknown) => {
          if (!(error instanceof GuardFailed)) throw error;
          passed = false;
          expect(error.guard).toBe('test.condition');
          expect(error.writeIndex).toBe(0);
          expect(error.old).toEqual(before);
        });
        expect(passed).toBe(holds(each, before));
      }),
      { numRuns: 150 },
    );
  });

  it('name the guard that did not hold, not its neighbour', async () => {
    const key = nextKey();
    await world.ports.store.transact([{ kind: 'put', item: { ...key, a: 1, b: 2 } }]);
    const guards = [
      guard('test.first', { op: 'eq', attribute: 'a', value: 1 }),
      guard('test.second', { op: 'eq', attribute: 'b', value: 3 }),
    ];
    await expect(world.ports.store.transact([{ kind: 'update', key, set: { a: 5 }, guards }])).rejects.toMatchObject({
      name: 'GuardFailed',
      guard: 'test.second',
      old: { a: 1, b: 2 },
    });
    expect(await world.ports.store.get(key)).toMatchObject({ a: 1 });
  });

  it('write all or nothing', async () => {
    const [first, second] = [nextKey(), nextKey()];
    const guards = [guard('test.there', { op: 'exists' })];
    await expect(
      world.ports.store.transact([
        { kind: 'put', item: { ...first, a: 1 } },
        { kind: 'update', key: second, set: { a: 1 }, guards },
      ]),
    ).rejects.toMatchObject({ guard: 'test.there', writeIndex: 1, old: undefined });
    expect(await world.ports.store.get(first)).toBeUndefined();
  });

  it('remove what is set to undefined and count from zero what is added to', async () => {
    const key = nextKey();
    await world.ports.store.transact([{ kind: 'put', item: { ...key, a: 1, b: 2 } }]);
    await world.ports.store.transact([{ kind: 'update', key, set: { a: undefined }, add: { count: -1 }, guards: [] }]);
    expect(await world.ports.store.get(key)).toEqual({ ...key, b: 2, count: -1 });
  });
});
