import { beforeEach, expect, it } from 'vitest';
import { CoreConfig } from '../../core/config.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Commit } from './invariants.ts';
import { SilenceRules } from './silenceRules.ts';
import type { Simulation } from './world.ts';

const time = { now: 0 };
let broken: string[];
let before: { at: number; since: number } | undefined;
let rules: SilenceRules;

beforeEach(() => {
  broken = [];
  before = undefined;
  const told = (invariant: string, what: string) => broken.push(`${invariant} ${what}`);
  rules = new SilenceRules({ time, config: CoreConfig.parse({}), broken: told } as unknown as Simulation);
});

const commitOf = (kind: string, startedAt: number, change?: object) =>
  ({ inc: { kind, startedAt }, find: () => change }) as unknown as Commit;

function note(after: { at: number; since: number }): void {
  time.now = after.at + 5;
  rules.committed(commitOf('heartbeat', after.at, { key: keys.system('heartbeats'), before, after }));
  before = after;
}

/** Judged by a look that began then, and has just ended, of a VM that was last heard at 0. */
function isSpared(startedAt: number): boolean {
  time.now = startedAt + 10;
  return rules.spares(commitOf('watchdog', startedAt), 0);
}

it('what is noted of heartbeats goes on, and never back', () => {
  note({ at: 1000, since: 1000 });
  note({ at: 1000, since: 1000 });
  note({ at: 90_000, since: 90_000 });
  note({ at: 110_000, since: 90_000 });
  expect(broken).toEqual([]);
  note({ at: 105_000, since: 90_000 });
  expect(broken).toEqual(['I8 heartbeat: when any VM was heard goes back, to 105000 since 90000']);
  note({ at: 120_000, since: 1000 });
  expect(broken).toHaveLength(2);
});

it('a silent VM is spared where nobody is heard, or not for a lease yet, and not for ever', () => {
  note({ at: 100_000, since: 100_000 });
  note({ at: 130_000, since: 100_000 });
  expect(isSpared(140_000)).toBe(true);
  note({ at: 150_000, since: 100_000 });
  expect(isSpared(160_000)).toBe(false);
  expect(isSpared(225_000)).toBe(true);
  expect(isSpared(960_000)).toBe(false);
});
