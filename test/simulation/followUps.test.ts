import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Chosen, chosenOf, type Order, pairs, replayOf, sweep } from './followUps.ts';
import { optionsOf, perform } from './jobs.ts';
import { optionsFrom } from './options.ts';
import { play } from './play.ts';
import { Report } from './report.ts';

const CHOSEN: Chosen = { without: ['heartbeat.inOrder', 'run.unchanged'], aim: 'limit.free' };
const FROM = 1;

const report = new Report();
beforeAll(async () => {
  const { stackTraceLimit } = Error;
  // Every refusal is an error with a stack, which nobody reads here.
  Error.stackTraceLimit = 0;
  for (const seed of [1, 2]) report.took(await perform({ id: seed, seed, ...CHOSEN }));
  Error.stackTraceLimit = stackTraceLimit;
});

/** As a shell reads it. */
const argumentsOf = (command: string): readonly string[] =>
  execFileSync('sh', ['-c', command.replace(/^npm run sim --/, "printf '%s\\n'")], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');

const ORDERS: readonly (readonly [string, () => readonly Order[]])[] = [
  ['a sweep', () => [...sweep(report, CHOSEN, FROM, 0)]],
  ['pairs of faults', () => [...pairs(report, CHOSEN, FROM, 20)]],
];

describe.each(ORDERS)('%s', (_, orders) => {
  it('is played in worlds like those in which the call sites were seen', () => {
    const all = orders();
    expect(all.length).toBeGreaterThan(10);
    for (const order of all) expect(order).toMatchObject(CHOSEN);
  });

  it('is seen again by the command that is printed for it', { timeout: 60_000 }, async () => {
    const all = orders();
    for (const order of [all[0]!, all.at(-1)!]) {
      const result = await perform({ id: 1, ...order });
      const { replay: seed, ...options } = optionsFrom(argumentsOf(replayOf(result, CHOSEN)));
      const again = await play(optionsOf({ seed: seed!, ...chosenOf(options) }));
      expect(again.hash).toBe(result.hash);
      // Another world than that of the same seed and faults, with everything in place and no aim.
      const plain = await play(optionsOf({ seed: order.seed, injections: order.injections! }));
      expect(plain.hash).not.toBe(result.hash);
    }
  });
});
