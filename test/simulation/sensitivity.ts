/** Each guard and each fence taken out in turn: how many worlds it takes to see that it is missing, and by which invariant. */
import { FENCES } from './fences.ts';
import { BESIDE, guardsThatRun, removalsOf } from './guards.ts';
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
  const [guards, fences] = [guardsThatRun(), Object.keys(FENCES)];
  const tried = names ?? [...guards, ...fences];
  console.log(`${guards.length} guards, ${fences.length} fences`);
  console.log('| taken out | with it | invariant, at a commit of | worlds |\n|---|---|---|---|');
  const sound = new Pool(search.workers);
  const found: string[] = [];
  try {
    for (const name of tried) {
      const find = await without(name, sound, search);
      if (find !== undefined) found.push(name);
      console.log(rowOf(name, find, search));
    }
  } finally {
    sound.close();
  }
  console.log(`${found.length} of ${tried.length} found`);
  const missing = tried.filter((name) => !found.includes(name));
  if (missing.length > 0) console.log(`not found: ${missing.join(', ')}`);
  return missing.length === 0;
}

function rowOf(name: string, find: Find | undefined, { seeds }: Search): string {
  // In its own transactions, where it says `@`.
  const told = (others: readonly string[]) => others.map((each) => each.replace(`${BESIDE}${name}`, BESIDE)).join(', ');
  if (find !== undefined)
    return `| ${name} | ${told(find.others)} | ${find.invariant}: ${find.what.slice(0, 100)} | ${find.seeds} |`;
  const behind = removalsOf(name).at(-1) ?? [];
  return `| ${name} | ${told(behind.filter((each) => each !== name))} | not found | > ${seeds} |`;
}

/** A fence is taken out of what processes of their own load, a guard of the table's answers. */
async function without(name: string, sound: Pool, search: Search): Promise<Find | undefined> {
  const own = FENCES[name] === undefined ? undefined : new Pool(search.workers, name);
  try {
    for (const together of removalsOf(name)) {
      const others = together.filter((each) => each !== name);
      const out = { pool: own ?? sound, without: together };
      const find = await look(name, out, { pool: sound, without: others }, search);
      if (find !== undefined) return { ...find, others };
    }
    return undefined;
  } finally {
    own?.close();
  }
}

/** What plays, and which guards are out. */
interface Setting {
  readonly pool: Pool;
  readonly without: readonly string[];
}

/** So often a world is broken without it, and just as much with it in place. */
const THEIRS_MAX = 30;

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
