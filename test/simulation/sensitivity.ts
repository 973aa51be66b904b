/** Each guard and each fence taken out in turn: how many worlds it takes to see that it is missing, and by which invariant. */
import { FENCES } from './fences.ts';
import { guardsOfCore, OUT_OF_REACH, removalsOf } from './guards.ts';
import type { JobResult } from './jobs.ts';
import { Pool } from './pool.ts';

export interface Search {
  readonly from: number;
  readonly seeds: number;
  readonly workers: number;
}

interface Find {
  readonly seeds: number;
  readonly others: readonly string[];
  readonly invariant: string;
  readonly what: string;
}

/** @returns whether all were found */
export async function sensitivity(names: readonly string[] | undefined, search: Search): Promise<boolean> {
  const guards = guardsOfCore();
  const inReach = guards.filter((name) => OUT_OF_REACH[name] === undefined);
  const all = [...inReach, ...Object.keys(FENCES)];
  const tried = names ?? all;
  const beyond = guards.length - inReach.length;
  console.log(`${guards.length} guards in core/, ${beyond} out of reach; ${Object.keys(FENCES).length} fences`);
  console.log('| taken out | with it | invariant, at a commit of | worlds |\n|---|---|---|---|');
  const sound = new Pool(search.workers);
  let found = 0;
  try {
    for (const name of tried) {
      const find = await (FENCES[name] === undefined
        ? withoutGuard(name, sound, search)
        : withoutFence(name, sound, search));
      if (find !== undefined) found++;
      console.log(
        find === undefined
          ? `| ${name} | | not found | > ${search.seeds} |`
          : `| ${name} | ${find.others.join(', ')} | ${find.invariant}: ${find.what.slice(0, 100)} | ${find.seeds} |`,
      );
    }
  } finally {
    sound.close();
  }
  console.log(`${found} of ${tried.length} found`);
  return found === tried.length;
}

async function withoutGuard(name: string, sound: Pool, search: Search): Promise<Find | undefined> {
  for (const without of removalsOf(name)) {
    const find = await look(name, without, sound, sound, search);
    if (find !== undefined) return { ...find, others: without.filter((each) => each !== name) };
  }
  return undefined;
}

async function withoutFence(name: string, sound: Pool, search: Search): Promise<Find | undefined> {
  const pool = new Pool(search.workers, name);
  try {
    const covering = FENCES[name]?.covering ?? [];
    for (const others of covering.length === 0 ? [[]] : [[], covering]) {
      const find = await look(name, others, pool, sound, search);
      if (find !== undefined) return { ...find, others };
    }
    return undefined;
  } finally {
    pool.close();
  }
}

/** The first world that is broken without it and is sound with it. */
async function look(
  aim: string,
  without: readonly string[],
  pool: Pool,
  sound: Pool,
  { from, seeds }: Search,
): Promise<Omit<Find, 'others'> | undefined> {
  let seed = from;
  let broken: JobResult | undefined;
  await pool.run(
    () => (seed < from + seeds ? { seed: seed++, without, aim } : undefined),
    (result) => {
      if (result.violation === undefined) return 'go_on';
      if (broken === undefined || result.seed < broken.seed) broken = result;
      return 'stop';
    },
  );
  if (broken?.violation === undefined) return undefined;
  const { seed: at, violation } = broken;
  const [{ violation: alsoWith } = { violation: undefined }] = await plays(sound, [{ seed: at, aim }]);
  if (alsoWith !== undefined)
    throw new Error(
      `seed ${at}, aimed at ${aim}, breaks ${alsoWith.invariant} with everything in place: ${alsoWith.what}`,
    );
  return { seeds: at - from + 1, invariant: violation.invariant, what: violation.what };
}

async function plays(pool: Pool, jobs: readonly { readonly seed: number; readonly aim: string }[]) {
  const results: JobResult[] = [];
  const left = [...jobs];
  await pool.run(
    () => left.shift(),
    (result) => {
      results.push(result);
      return 'go_on';
    },
  );
  return results;
}
