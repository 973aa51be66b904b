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
  /** Of those, how many happened: one fault changes which calls come after it. */
  readonly happened?: number;
  readonly hash: string;
  readonly steps: number;
  /** Of these, in how many things could go wrong. */
  readonly stormSteps: number;
  readonly commits: number;
  readonly processes: number;
  readonly restMs: number;
  readonly faultCount: number;
  readonly ends: Readonly<Record<string, number>>;
  readonly sites: readonly CalledSite[];
  /** `site × kind`. */
  readonly faults: readonly string[];
}

/** Where a fault can happen, how often it was called in one world, and the kinds of fault that it can have. */
export type CalledSite = readonly [name: string, calls: number, kinds: readonly string[]];

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
  const { violation, hash, steps, stormSteps, commits, processes, restMs, ends, sites, faults, seed } = played;
  return {
    seed,
    violation,
    ...(job.injections !== undefined && {
      injected: job.injections,
      happened: job.injections.filter((wanted) => played.injections.some((each) => isSame(wanted, each))).length,
    }),
    hash,
    steps,
    stormSteps,
    commits,
    processes,
    restMs,
    faultCount: [...faults.values()].reduce((sum, count) => sum + count, 0),
    ends,
    sites: [...sites]
      .filter(([, { calls }]) => calls > 0)
      .map(([name, { calls, kinds }]) => [name, calls, kinds] as const),
    faults: [...faults.keys()],
  };
}

const isSame = (one: Injection, other: Injection): boolean =>
  one.site === other.site && one.call === other.call && one.kind === other.kind;

/** Leaves out of results what has been told often enough before: most worlds have nothing new. */
export class News {
  readonly #sites = new Map<string, number>();
  readonly #faults = new Set<string>();

  of(result: JobResult): JobResult {
    let isNew = false;
    for (const [name] of result.sites) {
      const told = this.#sites.get(name) ?? 0;
      this.#sites.set(name, told + 1);
      isNew ||= told < SEEN_KEPT;
    }
    // All of them or none: which can be called in one world says what can go wrong together.
    const sites = isNew ? result.sites : [];
    const faults = result.faults.filter((name) => !this.#faults.has(name));
    for (const name of faults) this.#faults.add(name);
    return { ...result, sites, faults };
  }
}
