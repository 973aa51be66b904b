import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attemptVmId, derivedId, hashSecret, idPattern, occurrenceRunId, timeOrderedId } from '../../core/ids.ts';
import { shardOf } from '../../core/table/keys.ts';

const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });
const time = fc.integer({ min: 0, max: 2 ** 45 });
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** The number that an id's characters spell, read with nothing but the alphabet. */
const spelled = (text: string): bigint =>
  [...text].reduce((sum, character) => sum * 32n + BigInt(ALPHABET.indexOf(character)), 0n);

describe('ids', () => {
  it('have the documented shape', () => {
    fc.assert(
      fc.property(time, bytes, (at, random) => {
        expect(timeOrderedId('run_', at, random)).toMatch(idPattern('run_'));
      }),
    );
  });

  it('carry the time and all 80 bits of the randomness, so that two are never the same by their encoding', () => {
    fc.assert(
      fc.property(time, bytes, (at, random) => {
        const text = timeOrderedId('x_', at, random).slice(2);
        expect(spelled(text.slice(0, 10))).toBe(BigInt(at));
        expect(spelled(text.slice(10))).toBe(BigInt(`0x${Buffer.from(random).toString('hex')}`));
      }),
    );
  });

  it('sort by their time', () => {
    fc.assert(
      fc.property(time, time, bytes, bytes, (one, other, left, right) => {
        fc.pre(one !== other);
        const order = timeOrderedId('run_', one, left) < timeOrderedId('run_', other, right);
        expect(order).toBe(one < other);
      }),
    );
  });

  it('of an occurrence’s run depend on the schedule, the nominal time and the backfill, and on nothing else (I1)', () => {
    const id = occurrenceRunId('sch_a', 1_800_000_000_000);
    expect(occurrenceRunId('sch_a', 1_800_000_000_000)).toBe(id);
    const others = [
      occurrenceRunId('sch_b', 1_800_000_000_000),
      occurrenceRunId('sch_a', 1_800_000_001_000),
      occurrenceRunId('sch_a', 1_800_000_000_000, 'bkf_1'),
      occurrenceRunId('sch_a', 1_800_000_000_000, 'bkf_2'),
    ];
    expect(new Set([id, ...others]).size).toBe(5);
  });

  it('of an attempt’s VM are one for each attempt, whoever computes it (I2)', () => {
    expect(attemptVmId('run_a', 1, 5)).toBe(attemptVmId('run_a', 1, 5));
    expect(attemptVmId('run_a', 1, 5)).not.toBe(attemptVmId('run_a', 2, 5));
    expect(attemptVmId('run_a', 12, 5)).not.toBe(attemptVmId('run_a1', 2, 5));
  });

  it('keep the parts of a derivation apart', () => {
    expect(derivedId('run_', 0, 'ab', 'c')).not.toBe(derivedId('run_', 0, 'a', 'bc'));
    expect(derivedId('run_', 0, 1)).not.toBe(derivedId('run_', 0, '1'));
  });

  it('refuse letters that are read wrongly, other prefixes and other lengths', () => {
    const good = timeOrderedId('run_', 1, new Uint8Array(10));
    expect(good).toMatch(idPattern('run_'));
    for (const bad of [
      good.toUpperCase(),
      `${good}0`,
      good.slice(0, -1),
      good.replace('run_', 'vm_'),
      `${good.slice(0, -1)}o`,
    ])
      expect(bad).not.toMatch(idPattern('run_'));
  });

  it('spread evenly over shards', () => {
    const counts = [0, 0, 0, 0];
    for (let index = 0; index < 4000; index++) {
      const shard = shardOf(timeOrderedId('run_', index, createHash('sha256').update(`${index}`).digest()), 4);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });

  it('hash a secret the same way every time, and never into itself', () => {
    expect(hashSecret('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
