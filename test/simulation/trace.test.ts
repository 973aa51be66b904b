import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Item, Write } from '../../core/table/model.ts';
import { digest } from './digest.ts';
import { drawn, play } from './play.ts';
import { Table } from './table.ts';
import { Trace } from './trace.ts';

let stackTraceLimit: number;
beforeAll(() => {
  // Every refusal is an error with a stack, which nobody reads here.
  stackTraceLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
});
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
});

const KEY = { pk: 'A', sk: 'META' };
const put = (more: object): Write => ({ kind: 'put', item: { ...KEY, count: 1, ...more } as Item });
const set = (values: Record<string, string | undefined>): Write => ({
  kind: 'update',
  key: KEY,
  set: values,
  guards: [],
});
const add = (count: number): Write => ({ kind: 'update', key: KEY, add: { count }, guards: [] });

/** The hash of a trace in which all is the same but these transactions of one write. */
function hashOf(...writes: readonly Write[]): string {
  const table = new Table({ now: () => 0 });
  const trace = new Trace(false, () => 0);
  for (const write of writes) {
    trace.step(1, 1);
    trace.changed(table.transact([write]));
  }
  return trace.hash;
}

describe('the hash of what happened', () => {
  it.each([
    ['a value that is put', [put({ name: 'a' })], [put({ name: 'b' })]],
    ['a value within another', [put({ limits: { least: 1 } })], [put({ limits: { least: 2 } })]],
    ['a value that is set', [put({}), set({ name: 'a' })], [put({}), set({ name: 'b' })]],
    ['an attribute that is removed', [put({}), set({ name: undefined })], [put({}), set({ note: undefined })]],
    ['what is counted to', [put({}), add(1)], [put({}), add(2)]],
    ['where a count begins', [put({ count: 1 }), add(1)], [put({ count: 2 }), add(1)]],
    [
      'the item that is deleted',
      [{ kind: 'delete', key: KEY, guards: [] }],
      [{ kind: 'delete', key: { pk: 'B', sk: 'META' }, guards: [] }],
    ],
  ] as const)('is another one for %s', (_, one, other) => {
    expect(hashOf(...one)).toBe(hashOf(...one));
    expect(hashOf(...one)).not.toBe(hashOf(...other));
  });

  it('is another one for what was read, asked or answered', () => {
    const having = (work: (trace: Trace) => unknown) => {
      const trace = new Trace(false, () => 0);
      work(trace);
      return trace.hash;
    };
    const hashes = [
      having((trace) => trace.read([])),
      having((trace) => trace.read([undefined])),
      having((trace) => trace.read([{ ...KEY, version: 1 }])),
      having((trace) => trace.read([{ ...KEY, version: 2 }])),
      having((trace) => trace.read([{ ...KEY, sort: 1 }, undefined])),
      having((trace) => trace.read([undefined, { ...KEY, sort: 1 }])),
      having((trace) => trace.answered('ask', 'yes')),
      having((trace) => trace.answered('ask', 'no')),
      having((trace) => trace.answered('ask for more', 'yes')),
      having((trace) => trace.add('a note')),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('is another one for a world of the same steps with other data', async () => {
    const { workload } = drawn(1);
    const agents = workload.agents.map((agent) => ({ ...agent, command: ['play'] }));
    const [one, other] = [await play({ seed: 1 }), await play({ seed: 1, workload: { ...workload, agents } })];
    expect({ steps: other.steps, turns: other.turns }).toEqual({ steps: one.steps, turns: one.turns });
    expect(other.hash).not.toBe(one.hash);
  });
});

describe('the digest of a value', () => {
  it('is the same for the same value, wherever it stands', () => {
    const value = () => ({ list: ['a', 1, 0.5, null, { at: new Date(7) }], bytes: Uint8Array.of(1, 2) });
    expect(digest(value())).toBe(digest(value()));
  });

  it('is another one for every other value', () => {
    const ring: { self?: object } = {};
    ring.self = ring;
    const values: readonly unknown[] = [
      undefined,
      null,
      true,
      false,
      0,
      1,
      0.1,
      0.2,
      2 ** 32,
      2 ** 33,
      Number.NaN,
      '',
      '1',
      'ab',
      'ba',
      [],
      [[]],
      ['a', 'b'],
      ['ab'],
      [undefined],
      {},
      { a: 1, b: 2 },
      { a: 2, b: 1 },
      { a: { b: 1 } },
      { ab: 1 },
      new Date(1),
      new Date(2),
      Uint8Array.of(1),
      Uint8Array.of(2),
      new Error('one'),
      new Error('other'),
      ring,
    ];
    expect(new Set(values.map(digest)).size).toBe(values.length);
  });
});
