import { describe, expect, it } from 'vitest';
import { Again } from './again.ts';
import type { Order } from './followUps.ts';
import type { JobResult } from './jobs.ts';

const resultOf = (seed: number, hash: string): JobResult => ({
  seed,
  violation: undefined,
  hash,
  steps: 1,
  stormSteps: 1,
  restMs: 0,
  commits: 1,
  processes: 0,
  faultCount: 0,
  ends: {},
  sites: [],
  faults: [],
});

/** Plays these seeds, worker by worker in turn, and tells the order in which they were played. */
function playAll(again: Again, workers: number, seeds: number, hashOf: (seed: number, time: number) => string) {
  let seed = 0;
  const times = new Map<number, number>();
  const played: { readonly seed: number; readonly worker: number; readonly isSecond: boolean }[] = [];
  const fresh = (): Order | undefined => (++seed <= seeds ? { seed } : undefined);
  for (let turn = 0, idle = 0; idle < workers; turn++) {
    const worker = turn % workers;
    const order = again.next(worker, fresh);
    idle = order === undefined ? idle + 1 : 0;
    if (order === undefined) continue;
    const time = (times.get(order.seed) ?? 0) + 1;
    times.set(order.seed, time);
    const isSecond = again.took(worker, order, resultOf(order.seed, hashOf(order.seed, time)));
    played.push({ seed: order.seed, worker, isSecond });
  }
  return played;
}

describe('every so many worlds', () => {
  it.each([1, 2, 3])('are played a second time by %i workers, and all others once', (workers) => {
    const again = new Again(workers, 10);
    const played = playAll(again, workers, 25, (seed) => `hash ${seed}`);
    expect(played.filter(({ isSecond }) => isSecond).map(({ seed }) => seed)).toEqual([1, 11, 21]);
    const firsts = played.filter(({ isSecond }) => !isSecond).map(({ seed }) => seed);
    expect(firsts).toEqual(Array.from({ length: 25 }, (_, seed) => seed + 1));
    expect(again.played).toBe(3);
    expect(again.differences).toEqual([]);
    expect(again.summary()).toBe('3 worlds played twice, the same both times');
  });

  it('are played by another worker, where there is one', () => {
    const played = playAll(new Again(2, 10), 2, 25, (seed) => `hash ${seed}`);
    for (const { seed, worker } of played.filter(({ isSecond }) => isSecond))
      expect(played.find((each) => each.seed === seed && !each.isSecond)?.worker).not.toBe(worker);
  });

  it('are played by whoever is left at the end, though it has played them before', () => {
    const again = new Again(2, 10);
    const order = again.next(0, () => ({ seed: 7 }));
    again.took(0, order!, resultOf(7, 'a'));
    expect(again.next(0, () => undefined)).toEqual({ seed: 7 });
  });
});

it('tells which world was another one the second time, with both hashes', () => {
  const again = new Again(2, 10);
  playAll(again, 2, 25, (seed, time) => (seed === 11 ? `hash ${seed} ${time}` : `hash ${seed}`));
  expect(again.differences).toMatchObject([{ result: { seed: 11 }, once: 'hash 11 1', again: 'hash 11 2' }]);
  expect(again.summary()).toBe('3 worlds played twice, 1 of them another one the second time');
});
