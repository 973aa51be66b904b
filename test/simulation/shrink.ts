/** A failing seed, made small: fewer requests, fewer faults, better weather, as long as the same invariant breaks. */
import type { Injection } from './faults.ts';
import { injected } from './faults.ts';
import { type Play, play, worldOf } from './play.ts';
import { QUIET, type Workload } from './workload.ts';
import type { Violation, Weather } from './world.ts';

export interface Shrunk {
  readonly play: Play;
  readonly violation: Violation;
  readonly injections: readonly Injection[];
  readonly plays: number;
}

interface Candidate {
  readonly workload: Workload;
  readonly weather: Weather;
  readonly injections: readonly Injection[];
}

/** @returns undefined where the play breaks nothing */
export async function shrink(options: Play): Promise<Shrunk | undefined> {
  const own = worldOf(options);
  const whole = await play({ ...options, ...own });
  if (whole.violation === undefined) return undefined;
  const { invariant } = whole.violation;
  let plays = 1;
  const playOf = ({ workload, weather, injections }: Candidate): Play => ({
    ...options,
    workload,
    weather,
    faults: injected(injections),
  });
  const fails = async (candidate: Candidate): Promise<boolean> => {
    plays++;
    return (await play(playOf(candidate))).violation?.invariant === invariant;
  };
  let best: Candidate = {
    workload: own.workload,
    weather: own.weather,
    injections: whole.injections,
  };
  if (!(await fails(best))) throw new Error('the same faults, named one by one, do not lead to the same violation');
  const attempt = async (candidate: Candidate) => {
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (const name of Object.keys(QUIET) as (keyof Weather)[])
    await attempt({ ...best, weather: { ...best.weather, [name]: QUIET[name] } });
  const attemptWith = (more: Partial<Workload>) => attempt({ ...best, workload: { ...best.workload, ...more } });
  /** What stands around the requests, each part by itself. */
  const plainer = async (): Promise<boolean> => {
    const { calendar, ...anyDay } = best.workload;
    const { hasWebhooks = false, watchdogTwice, watchdogGaps, deploys = [], leaks = [] } = anyDay;
    const leftOut = [
      calendar !== undefined && (await attempt({ ...best, workload: anyDay })),
      hasWebhooks && (await attemptWith({ hasWebhooks: false })),
      watchdogTwice > 0 && (await attemptWith({ watchdogTwice: 0 })),
      await fewer(watchdogGaps, (rest) => attemptWith({ watchdogGaps: rest })),
      await fewer(deploys, (rest) => attemptWith({ deploys: rest })),
      await fewer(leaks, (rest) => attemptWith({ leaks: rest })),
    ];
    return leftOut.includes(true);
  };
  for (let left = true; left; ) {
    left = await plainer();
    if (await fewer(best.injections, (injections) => attempt({ ...best, injections }))) left = true;
    if (await fewer(best.workload.operations, (operations) => attemptWith({ operations }))) left = true;
  }
  const smallest = playOf(best);
  const { violation } = await play(smallest);
  if (violation === undefined) throw new Error('the smallest play does not fail any more');
  return { play: smallest, violation, injections: best.injections, plays };
}

/** Tries to do without halves, quarters, … and single ones. @returns whether anything could be left out */
async function fewer<T>(all: readonly T[], attempt: (rest: readonly T[]) => Promise<boolean>): Promise<boolean> {
  let rest = all;
  for (let size = Math.ceil(rest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let from = 0; from < rest.length; ) {
      const without = [...rest.slice(0, from), ...rest.slice(from + size)];
      if (await attempt(without)) rest = without;
      else from += size;
    }
  return rest.length < all.length;
}
