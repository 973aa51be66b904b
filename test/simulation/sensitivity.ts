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
      const behind =
        removalsOf(name)
          .at(-1)
          ?.filter((each) => each !== name) ?? [];
      console.log(
        find === undefined
          ? `| ${name} | ${behind.join(', ')} | ${behind.length > 0 ? 'a second lock: nothing more breaks without it' : 'not found'} | > ${search.seeds} |`
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
    const others = without.filter((each) => each !== name);
    const find = await look(name, { pool: sound, without }, { pool: sound, without: others }, search);
    if (find !== undefined) return { ...find, others };
  }
  return undefined;
}

async function withoutFence(name: string, sound: Pool, search: Search): Promise<Find | undefined> {
  const pool = new Pool(search.workers, name);
  try {
    const covering = FENCES[name]?.covering ?? [];
    for (const others of covering.length === 0 ? [[]] : [[], covering]) {
      const find = await look(name, { pool, without: others }, { pool: sound, without: others }, search);
      if (find !== undefined) return { ...find, others };
    }
    return undefined;
  } finally {
    pool.close();
  }
}

/** What plays, and which guards are out. */
interface Setting {
  readonly pool: Pool;
  readonly without: readonly string[];
}

/** So often a world is broken without it, and just as much with it in place. */
const THEIRS_MAX = 10;

/** The first world that is broken without it, and sound where it alone is in place again. */
async function look(
  aim: string,
  out: Setting,
  back: Setting,
  search: Search,
): Promise<Omit<Find, 'others'> | undefined> {
  const end = search.from + search.seeds;
  let from = search.from;
  for (let tries = 0; tries < THEIRS_MAX; tries++) {
    const broken = await firstBroken(aim, out, from, end);
    if (broken?.violation === undefined) return undefined;
    const { seed, violation } = broken;
    const again = await firstBroken(aim, back, seed, seed + 1);
    if (again?.violation === undefined)
      return { seeds: seed - search.from + 1, invariant: violation.invariant, what: violation.what };
    if (back.without.length === 0)
      throw new Error(
        `seed ${seed}, aimed at ${aim}, breaks ${again.violation.invariant} with everything in place: ${again.violation.what}`,
      );
    from = seed + 1;
  }
  return undefined;
}

async function firstBroken(aim: string, { pool, without }: Setting, from: number, end: number) {
  let seed = from;
  let broken: JobResult | undefined;
  await pool.run(
    () => (seed < end ? { seed: seed++, without, aim } : undefined),
    (result) => {
      if (result.violation === undefined) return 'go_on';
      if (broken === undefined || result.seed < broken.seed) broken = result;
      return 'stop';
    },
  );
  return broken;
}
