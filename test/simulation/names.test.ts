/** Tables that name guards and call sites by hand: a name that nothing has any more would lead nowhere, and nobody would hear of it. */
import { describe, expect, it } from 'vitest';
import { AIMS } from './aims.ts';
import { FENCES } from './fences.ts';
import { COVERING, COVERING_BESIDE, guardsThatRun } from './guards.ts';
import { optionsOf } from './jobs.ts';
import { play } from './play.ts';
import { REGRESSIONS } from './regressions.ts';

const GUARDS = guardsThatRun();
/** What comes before the point, and what comes after it. */
const PARTS = new Set(GUARDS.flatMap((name) => name.split('.')));
const unknown = (names: readonly string[]) => names.filter((name) => !GUARDS.includes(name));

const aims = Object.entries(AIMS);
const fences = Object.entries(FENCES);
const allAims = [...aims, ...fences.map(([name, { aim }]) => [name, aim ?? {}] as const)];

describe('every name is one that the source has', () => {
  it('of a guard or fence that is led to', () => {
    const names = aims.map(([name]) => name);
    expect(unknown(names.filter((name) => name.includes('.'))).filter((name) => FENCES[name] === undefined)).toEqual(
      [],
    );
    expect(names.filter((name) => !name.includes('.') && !PARTS.has(name))).toEqual([]);
  });

  it('of a guard at which somebody is held up', () => {
    expect(unknown(allAims.flatMap(([, { at }]) => at?.guard ?? []))).toEqual([]);
  });

  it('of a guard that is covered, or covers', () => {
    expect(
      unknown(Object.entries({ ...COVERING, ...COVERING_BESIDE }).flatMap(([name, covering]) => [name, ...covering])),
    ).toEqual([]);
    expect(unknown(fences.flatMap(([, { covering = [] }]) => covering))).toEqual([]);
  });

  it('of a guard to which a fence leads', () => {
    expect(unknown(fences.flatMap(([, { leadsAs }]) => leadsAs ?? []))).toEqual([]);
  });

  it('of a guard or fence to which a regression leads', () => {
    expect(unknown(REGRESSIONS.flatMap(({ aim }) => aim ?? [])).filter((name) => FENCES[name] === undefined)).toEqual(
      [],
    );
  });
});

/** Of so many seeds, each world that leads there. */
const SEEDS = 5;

describe('faults are aimed at a call site that the world has', () => {
  const faulty = allAims.flatMap(([name, { faults }]) => (faults === undefined ? [] : [[name, faults.site] as const]));

  it('in several aims', () => {
    expect(faulty.length).toBeGreaterThan(3);
  });

  it.each(faulty)('for %s: %s', { timeout: 60_000 }, async (aim, site) => {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    const called: string[] = [];
    for (let seed = 1; seed <= SEEDS && called.length === 0; seed++) {
      const { sites } = await play(optionsOf({ seed, aim }));
      called.push(...[...sites].filter(([name, { calls }]) => calls > 0 && name.includes(site)).map(([name]) => name));
    }
    Error.stackTraceLimit = stackTraceLimit;
    expect(called).not.toEqual([]);
  });
});
