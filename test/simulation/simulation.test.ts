import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuardFilter } from '../../adapters/aws/store.ts';
import { calendarOf } from './calendar.ts';
import { FENCES, fileOf, sourceOf, withoutFence } from './fences.ts';
import { BESIDE, guardsThatRun, removalsOf } from './guards.ts';
import { Timeline } from './heap.ts';
import { type Job, type JobResult, optionsOf, withoutGuards } from './jobs.ts';
import { adaptersThatRun, filesOfCore } from './markers.ts';
import { drawn, play } from './play.ts';
import { Pool } from './pool.ts';
import { Random } from './random.ts';
import { REGRESSIONS } from './regressions.ts';
import { Report } from './report.ts';
import { shrink } from './shrink.ts';
import { setTraps } from './traps.ts';
import { MINUTE } from './workload.ts';

let stackTraceLimit: number;
beforeAll(() => {
  // Every refusal is an error with a stack, which nobody reads here.
  stackTraceLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
});
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
});

const SEEDS = Array.from({ length: 8 }, (_, block) => block * 15 + 1);

describe('no invariant is broken', () => {
  it.each(SEEDS)('in fifteen worlds from seed %i on', { timeout: 120_000 }, async (from) => {
    for (let seed = from; seed < from + 15; seed++) {
      const { violation } = await play({ seed });
      expect(violation, `npm run sim -- --replay ${seed} --shrink`).toBeUndefined();
    }
  });

  it.each(REGRESSIONS)('in seed $seed, which once broke $invariant', { timeout: 60_000 }, async ({ seed, aim }) => {
    expect((await play(optionsOf({ seed, ...(aim !== undefined && { aim }) }))).violation).toBeUndefined();
  });
});

describe('the same seed', () => {
  it('is the same world, whether it is traced or not', { timeout: 120_000 }, async () => {
    for (const seed of [3, 8, 21, 34, 55]) {
      const [once, again] = [await play({ seed }), await play({ seed, keepsTrace: true })];
      expect({ hash: again.hash, steps: again.steps }).toEqual({ hash: once.hash, steps: once.steps });
    }
  });

  it('is another world than the next one', async () => {
    expect((await play({ seed: 1 })).hash).not.toBe((await play({ seed: 2 })).hash);
  });
});

it('asks the machine for neither time nor chance, and writes to nothing that was read', {
  timeout: 120_000,
}, async () => {
  const traps = setTraps();
  try {
    for (const seed of [2, 5, 13]) expect((await play({ seed, freezes: true })).violation).toBeUndefined();
  } finally {
    traps.remove();
  }
  expect(traps.sprung).toEqual([]);
});

describe('a guard that is taken out', () => {
  it.each([['run.unchanged', 'event.appendedOnce'], ['heartbeat.inOrder'], ['limit.free']])(
    'is missed: %s',
    { timeout: 120_000 },
    async (...without) => {
      const names = without.filter((name) => typeof name === 'string');
      let found: string | undefined;
      for (let seed = 1; seed <= 60 && found === undefined; seed++)
        found = (await play(optionsOf({ seed, without: names, aim: names[0] ?? '' }))).violation?.invariant;
      expect(found).toBeDefined();
    },
  );
});

describe('what fails', () => {
  it('is shrunk to fewer requests and faults, which still fail', { timeout: 240_000 }, async () => {
    const without = ['run.unchanged', 'event.appendedOnce'];
    const failing = { seed: 0, filter: withoutGuards(without) };
    let whole = await play(failing);
    for (let seed = 1; whole.violation === undefined; seed++) whole = await play({ ...failing, seed });
    const shrunk = await shrink({ ...failing, seed: whole.seed });
    expect(shrunk?.violation.invariant).toBe(whole.violation.invariant);
    expect(shrunk?.play.workload?.operations.length).toBeLessThan(drawn(whole.seed).workload.operations.length);
    expect(shrunk?.injections.length).toBeLessThanOrEqual(whole.injections.length);
  });

  it('keeps of its surroundings only what it needs', { timeout: 120_000 }, async () => {
    const { workload } = drawn(1);
    // A defect in every audit, whatever there is besides.
    const filter: GuardFilter = (guards) => {
      if (guards.some(({ name }) => name === 'audit.oneAtATime')) throw new Error('a defect');
      return guards;
    };
    const shrunk = await shrink({
      seed: 1,
      filter,
      workload: {
        ...workload,
        calendar: calendarOf(new Random(1)),
        hasWebhooks: true,
        watchdogTwice: 0.5,
        watchdogGaps: [{ from: 0, until: MINUTE }],
        deploys: [1000, 2000].map((at) => ({ at, kind: 'events' })),
        leaks: [1000, 2000].map((at) => ({ at, what: 'place' })),
      },
    });
    expect(shrunk?.violation).toMatchObject({ invariant: 'defect', what: expect.stringContaining('a defect') });
    const least = shrunk?.play.workload;
    expect(least).toMatchObject({ hasWebhooks: false, watchdogTwice: 0, watchdogGaps: [], deploys: [], leaks: [] });
    expect(least?.calendar).toBeUndefined();
  });
});

describe('the guards', () => {
  it('are all found in the source, and none that covers another is unknown', () => {
    const known = guardsThatRun();
    expect(known.length).toBeGreaterThan(80);
    const named = known.flatMap((name) =>
      removalsOf(name).flatMap((names) => names.flatMap((each) => each.split(BESIDE))),
    );
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });
});

it('knows every guard: none is made but by its name', () => {
  const files = [...filesOfCore(), ...adaptersThatRun()].filter((file) => file !== 'core/table/model.ts');
  for (const [file, source] of files.map((each) => [each, sourceOf(each)] as const)) {
    const made = [...source.matchAll(/(?<![\w.])guard\(/g)].length;
    expect([...source.matchAll(/(?<![\w.])guard\(\s*'[\w.]+'/g)].length, file).toBe(made);
    expect(source, file).not.toMatch(/(?<!\w)condition:/);
  }
});

describe('the table of docs/verification.md', () => {
  const page = readFileSync('docs/verification.md', 'utf8');
  const rows = [...page.matchAll(/^\| ([a-z]+\.[A-Za-z]+) \|(.*)$/gm)];

  it('has every guard and every fence, and in how many worlds each is missed', () => {
    expect(rows.map(([, name]) => name).sort()).toEqual([...guardsThatRun(), ...Object.keys(FENCES)].sort());
    expect(rows.filter(([, , rest]) => !/ [^|]+ \| \d+ \|$/.test(rest ?? '')).map(([, name]) => name)).toEqual([]);
  });

  it('stands under their numbers', () => {
    const [guards, fences] = [guardsThatRun().length, Object.keys(FENCES).length];
    expect(page).toContain(`Each of ${guards} guards and ${fences} fences is missed.`);
  });
});

describe('what protects and is no guard', () => {
  it.each(Object.entries(FENCES))('%s stands in the source as it is taken out', (name, { edits }) => {
    for (const file of new Set(edits.map((each) => each.file)))
      expect(withoutFence(name, file, sourceOf(file))).not.toBe(sourceOf(file));
  });

  it('is found by the address of its file, in a folder of any name', () => {
    const file = path.join('a folder', 'ä%20', 'report.ts');
    expect(fileOf(pathToFileURL(file).href)).toBe(file);
  });

  it('is missed in a process that loads Candor without it', { timeout: 60_000 }, async () => {
    const pool = new Pool(1, 'looks.missingAfterStart');
    const found: string[] = [];
    let seed = 1;
    await pool.run(
      () => (seed <= 20 ? { seed: seed++, aim: 'looks.missingAfterStart' } : undefined),
      ({ violation }) => {
        if (violation === undefined) return 'go_on';
        found.push(violation.invariant);
        return 'stop';
      },
    );
    pool.close();
    expect(found).toEqual(['truth']);
  });
});

describe('the report', () => {
  const result = (more: Partial<JobResult>): JobResult => ({
    seed: 1,
    violation: undefined,
    hash: '',
    steps: 10,
    stormSteps: 5,
    commits: 1,
    processes: 0,
    restMs: 0,
    faultCount: 1,
    ends: { succeeded: 1 },
    sites: [['fire: store.get', 3, ['lost', 'thaw']]],
    faults: ['fire: store.get × thaw'],
    ...more,
  });

  it('counts the pairs of call site and fault that have not happened', () => {
    const report = new Report();
    report.took(result({}));
    expect(report.coverage()).toContain('1 of 2');
    report.took(result({ faults: ['fire: store.get × lost'] }));
    expect(report.coverage()).toContain('2 of 2');
  });
});

describe('faults that are named one by one', () => {
  it('come beside those of the seed, at the call that they name', { timeout: 60_000 }, async () => {
    const job: Omit<Job, 'id'> = {
      seed: 4,
      injections: [{ site: 'watchdog: store.transact SYS watchdog', call: 1, kind: 'lost' }],
    };
    const { injections } = await play(optionsOf(job));
    expect(injections).toContainEqual(job.injections?.[0]);
  });
});

describe('virtual time', () => {
  it('carries out what is due in the order of time and of arrival, promises in between', async () => {
    const time = new Timeline(100);
    const seen: string[] = [];
    time.at(120, () => seen.push('later'));
    time.at(110, () => void Promise.resolve().then(() => seen.push('a promise of the first')));
    time.at(110, () => seen.push('second'));
    time.at(115, () => seen.push('cancelled')).cancel();
    expect(await time.run(130)).toBe('empty');
    expect(seen).toEqual(['a promise of the first', 'second', 'later']);
    expect(time.now).toBe(120);
  });
});
