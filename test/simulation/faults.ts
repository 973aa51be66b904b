/** What may go wrong at one call of a port, and who decides when. */
import type { Random } from './random.ts';

export const FAULTS = [
  /** The request never arrives; the caller hears of an error. */
  'fail_before',
  /** The service says that it is too much. */
  'throttle',
  /** DynamoDB cancels the transaction because another one is at the same items. */
  'conflict',
  /** Applied, and the answer is lost. */
  'lost',
  /** Applied, the answer is lost, and the SDK sends the request again by itself. */
  'resent',
  /** The caller hears of an error, and the request is applied a while later. */
  'late',
  /** The incarnation ends before the request leaves, and never resumes. */
  'crash_before',
  /** Applied, and the incarnation has ended before the answer comes. */
  'crash_after',
  /** The incarnation stands still just before the request, and goes on minutes later with what it knew. */
  'thaw',
] as const;
export type FaultKind = (typeof FAULTS)[number];

export const READ_FAULTS: readonly FaultKind[] = ['fail_before', 'throttle', 'crash_before', 'thaw'];
export const WRITE_FAULTS: readonly FaultKind[] = [
  'fail_before',
  'throttle',
  'lost',
  'late',
  'crash_before',
  'crash_after',
  'thaw',
];
export const TABLE_WRITE_FAULTS: readonly FaultKind[] = FAULTS;

/** One place in the program from which a port is called: the function, the port's method, and for a write its guards. */
export interface Site {
  readonly name: string;
  /** Counts the sites of a world in the order in which they were first called. */
  readonly number: number;
  readonly kinds: readonly FaultKind[];
  /** How often it was called in this world, as long as faults happen in it. */
  calls: number;
}

export interface FaultPlan {
  /** @param call counts the calls of this site from 0 */
  at(site: Site, call: number): FaultKind | undefined;
}

export const noFaults: FaultPlan = { at: () => undefined };

export interface Injection {
  readonly site: string;
  readonly call: number;
  readonly kind: FaultKind;
}

/** Exactly these, each at one call of one site. */
export function injected(injections: readonly Injection[]): FaultPlan {
  const bySite = Map.groupBy(injections, ({ site }) => site);
  return {
    at: (site, call) => bySite.get(site.name)?.find((each) => each.call === call)?.kind,
  };
}

/** Each world has some kinds of faults, each with its own frequency; and now and then one place that is hit often. */
export function swarm(random: Random): FaultPlan {
  const rates = new Map<FaultKind, number>();
  for (const kind of FAULTS) if (random.chance(0.45)) rates.set(kind, random.pick([0.001, 0.004, 0.015, 0.04]));
  const total = [...rates.values()].reduce((sum, rate) => sum + rate, 0);
  const favourite = random.chance(0.3) ? random.below(31) : undefined;
  return {
    at: (site, call) => {
      const share = favourite !== undefined && (site.name.length + call) % 31 === favourite ? 6 : 1;
      if (total === 0 || !random.chance(Math.min(0.5, total * share))) return undefined;
      let left = random.next() * total;
      for (const [kind, rate] of rates) {
        left -= rate;
        if (left <= 0) return site.kinds.includes(kind) ? kind : undefined;
      }
      return undefined;
    },
  };
}
