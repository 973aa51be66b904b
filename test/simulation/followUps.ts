/** What is played beside the seeds in order: sweeps and pairs of faults, in worlds drawn like those that are known; and how one is seen again. */
import type { FaultKind, Injection } from './faults.ts';
import type { Job, JobResult } from './jobs.ts';
import type { Options } from './options.ts';
import { Random } from './random.ts';
import type { Report } from './report.ts';

export type Order = Omit<Job, 'id'>;

/** What every world of a search has in common: without it, a seed is another world. */
export type Chosen = Omit<Order, 'seed'>;

export const chosenOf = ({ inject, without, aim }: Pick<Options, 'inject' | 'without' | 'aim'>): Chosen => ({
  ...(inject !== undefined && { injections: inject }),
  ...(without !== undefined && { without }),
  ...(aim !== undefined && { aim }),
});

/** Every kind of fault that has not happened yet at a call site, in worlds that are known to call it. */
export function* sweep(report: Report, chosen: Chosen, from: number, round: number): Generator<Order> {
  const random = new Random(from + round);
  for (const { site, kind, known } of report.missing()) {
    const world = known.seen[round % known.seen.length];
    if (world === undefined) continue;
    const { seed, calls, injected } = world;
    const call = random.below(calls);
    // It may be known from a world in which another kind of fault was asked for at this very call.
    const others = injected.filter((each) => each.site !== site || each.call !== call);
    yield { ...chosen, seed, injections: [...others, { site, call, kind: kind as FaultKind }] };
  }
}

/** Two faults at calls of one world; the second one happens only where the first has not led away from it. */
export function* pairs(report: Report, chosen: Chosen, from: number, count: number): Generator<Order> {
  const random = new Random(from + 1);
  const known = report.pairs();
  for (let made = 0; made < count && known.length > 0; made++) {
    const { site, kind, known: at } = random.pick(known);
    const { seed, calls, injected, all } = random.pick(at.seen);
    const one: Injection = { site, call: random.below(calls), kind: kind as FaultKind };
    const others = all.filter(([name]) => name !== site);
    if (others.length === 0) continue;
    const [other, otherCalls, kinds] = random.pick(others);
    const two: Injection = { site: other, call: random.below(otherCalls), kind: random.pick(kinds) as FaultKind };
    yield { ...chosen, seed, injections: [...injected, one, two] };
  }
}

/** The command that shows this world again. */
export const replayOf = ({ seed, injected }: JobResult, { without, aim }: Chosen): string =>
  [
    `npm run sim -- --replay ${seed} --shrink`,
    ...(injected === undefined ? [] : [`--inject '${JSON.stringify(injected)}'`]),
    ...(without === undefined ? [] : [`--without ${without.join(',')}`]),
    ...(aim === undefined ? [] : [`--aim ${aim}`]),
  ].join(' ');
