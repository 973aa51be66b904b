/** What a worker is asked for, in a form that can be sent between processes. */

import type { Guard } from '../../core/table/model.ts';
import { type FaultKind, type FaultPlan, type Injection, injected } from './faults.ts';
import { BESIDE } from './guards.ts';
import { drawn, type Play, type Played, play } from './play.ts';
import { carries, type TransactionFilter } from './table.ts';
import type { Traps } from './traps.ts';
import type { Violation } from './world.ts';

export interface Job {
  readonly id: number;
  readonly seed: number;
  /** Beside what the seed itself draws. */
  readonly injections?: readonly Injection[];
  /** Guards that are taken out. */
  readonly without?: readonly string[];
  /** Whoever commits with this guard is likely to meet a rival. */
  readonly aim?: string;
}

export interface JobResult {
  readonly seed: number;
  readonly violation: Violation | undefined;
  /** The faults that were asked for beside those of the seed. */
  readonly injected?: readonly Injection[];
  readonly hash: string;
  readonly steps: number;
  readonly commits: number;
  readonly processes: number;
  readonly faultCount: number;
  readonly ends: Readonly<Record<string, number>>;
  /** By site: how often it was called. */
  readonly sites: readonly (readonly [name: string, calls: number, kinds: readonly string[]])[];
  /** `site × kind`. */
  readonly faults: readonly string[];
}

/** Of each call site, so many worlds are remembered that call it. */
export const SEEN_KEPT = 4;

/** @param names of guards; `guard@other` where it is taken out only of transactions that carry the other one, too */
export function withoutGuards(names: readonly string[]): TransactionFilter {
  const beside = names.flatMap((each) => {
    const [name = '', other] = each.split(BESIDE);
    return other === undefined ? [] : [{ name, other }];
  });
  return (guards, transaction) => {
    const carried = beside.filter(({ other }) => transaction.some((write) => carries(write, other)));
    const isOut = ({ name }: Guard) => names.includes(name) || carried.some((each) => each.name === name);
    return guards.some(isOut) ? guards.filter((each) => !isOut(each)) : guards;
  };
}

/** These, and whatever else the seed brings. */
function besides(injections: readonly Injection[], own: FaultPlan): FaultPlan {
  const forced = injected(injections);
  return {
    at: (site, call): FaultKind | undefined => {
      const drawnKind = own.at(site, call);
      return forced.at(site, call) ?? drawnKind;
    },
  };
}

export function optionsOf({ seed, injections, without, aim }: Omit<Job, 'id'>): Play {
  // What nobody changes is left to the play to draw.
  const own = aim === undefined && injections === undefined ? undefined : drawn(seed, aim);
  return {
    seed,
    ...own,
    ...(own !== undefined && injections !== undefined && { faults: besides(injections, own.faults) }),
    ...(without !== undefined && { filter: withoutGuards(without) }),
  };
}

export async function perform(job: Job, traps?: Traps): Promise<JobResult> {
  const played: Played = await play({ ...optionsOf(job), ...(traps !== undefined && { traps }) });
  const { violation, hash, steps, commits, processes, ends, sites, faults, seed } = played;
  return {
    seed,
    violation,
    ...(job.injections !== undefined && { injected: job.injections }),
    hash,
    steps,
    commits,
    processes,
    faultCount: [...faults.values()].reduce((sum, count) => sum + count, 0),
    ends,
    sites: [...sites]
      .filter(([, { calls }]) => calls > 0)
      .map(([name, { calls, kinds }]) => [name, calls, kinds] as const),
    faults: [...faults.keys()],
  };
}

/** Leaves out of results what has been told often enough before: most worlds have nothing new. */
export class News {
  readonly #sites = new Map<string, number>();
  readonly #faults = new Set<string>();

  of(result: JobResult): JobResult {
    const sites = result.sites.filter(([name]) => {
      const told = this.#sites.get(name) ?? 0;
      this.#sites.set(name, told + 1);
      return told < SEEN_KEPT;
    });
    const faults = result.faults.filter((name) => !this.#faults.has(name));
    for (const name of faults) this.#faults.add(name);
    return { ...result, sites, faults };
  }
}
