/** `npm run sim`: looks for a world in which an invariant does not hold. */
import type { FaultKind } from './faults.ts';
import { FENCES } from './fences.ts';
import { type Job, type JobResult, optionsOf } from './jobs.ts';
import { optionsFrom } from './options.ts';
import { play } from './play.ts';
import { Pool } from './pool.ts';
import { Random } from './random.ts';
import { Report } from './report.ts';
import { sensitivity } from './sensitivity.ts';
import { shrink } from './shrink.ts';

const options = optionsFrom(process.argv.slice(2));
const { seeds, from, without, aim } = options;
const chosen = {
  ...(options.inject !== undefined && { injections: options.inject }),
  ...(without !== undefined && { without }),
  ...(aim !== undefined && { aim }),
};
/** Taken out of the source, so only where processes of their own play. */
const fence = without?.find((name) => FENCES[name] !== undefined);
const until = options.minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.minutes * 60_000;
const PROGRESS_MS = 10_000;
const VIOLATIONS_MAX = 5;
const SWEEPS = 30;
const NEVER_TOLD = 20;

/** Of these jobs as many as there is time for. */
async function all(pool: Pool, report: Report, jobs: Iterator<Omit<Job, 'id'>>): Promise<void> {
  let toldAt = performance.now();
  await pool.run(
    () => (performance.now() > until ? undefined : (jobs.next().value as Omit<Job, 'id'> | undefined)),
    (result) => {
      report.took(result);
      if (result.violation !== undefined) console.log(told(result));
      if (performance.now() - toldAt > PROGRESS_MS) {
        toldAt = performance.now();
        console.log(report.progress());
      }
      return report.violations.length >= VIOLATIONS_MAX ? 'stop' : 'go_on';
    },
  );
}

const told = ({ seed, violation, injected }: JobResult): string =>
  `seed ${seed}${injected === undefined ? '' : ` --inject '${JSON.stringify(injected)}'`} breaks ${violation?.invariant} at step ${violation?.step}: ${violation?.what}`;

function* inOrder(): Generator<Omit<Job, 'id'>> {
  for (let seed = from; seed < from + seeds; seed++) yield { seed, ...chosen };
}

/** Every kind of fault that has not happened yet at a call site, in worlds that are known to call it. */
function* sweep(report: Report, round: number): Generator<Omit<Job, 'id'>> {
  const random = new Random(from + round);
  for (const { site, kind, known } of report.missing()) {
    const world = known.seen[round % known.seen.length];
    if (world === undefined) continue;
    const { seed, calls, injected } = world;
    const call = random.below(calls);
    // It may be known from a world in which another kind of fault was asked for at this very call.
    const others = injected.filter((each) => each.site !== site || each.call !== call);
    yield { seed, injections: [...others, { site, call, kind: kind as FaultKind }] };
  }
}

function* pairs(report: Report, count: number): Generator<Omit<Job, 'id'>> {
  const random = new Random(from + 1);
  const known = report.pairs();
  for (let made = 0; made < count && known.length > 0; made++) {
    const [one, other] = [random.pick(known), random.pick(known)];
    const { seed, calls, injected } = random.pick(one.known.seen);
    yield {
      seed,
      injections: [
        ...injected,
        { site: one.site, call: random.below(calls), kind: one.kind as FaultKind },
        { site: other.site, call: random.below(8), kind: other.kind as FaultKind },
      ],
    };
  }
}

async function search(): Promise<number> {
  const pool = new Pool(options.workers, fence);
  const report = new Report();
  try {
    await all(pool, report, inOrder());
    await all(pool, report, pairs(report, options.pairs));
    // A sweep comes to call sites that nobody has seen before, and those want all kinds of faults too.
    for (let round = 0; options.sweep && round < SWEEPS && report.violations.length === 0; round++) {
      console.log(`sweep ${round + 1}: ${report.coverage()}`);
      if (report.missing().length === 0) break;
      await all(pool, report, sweep(report, round));
    }
  } finally {
    pool.close();
  }
  console.log(report.summary());
  for (const { site, kind } of report.missing().slice(0, NEVER_TOLD)) console.log(`never: ${site} × ${kind}`);
  const [first] = report.violations;
  if (first === undefined) return 0;
  const { seed, injected } = first;
  if (fence !== undefined) return 1;
  console.log(`\nThe shortest trace of the first one. To see it again:\n${replayOf(first)}\n`);
  await replay({ seed, ...chosen, ...(injected !== undefined && { injections: injected }) }, true);
  return 1;
}

const replayOf = ({ seed, injected }: JobResult): string =>
  [
    `npm run sim -- --replay ${seed} --shrink`,
    ...(injected === undefined ? [] : [`--inject '${JSON.stringify(injected)}'`]),
    ...(without === undefined ? [] : [`--without ${without.join(',')}`]),
    ...(aim === undefined ? [] : [`--aim ${aim}`]),
  ].join(' ');

async function replay(job: Omit<Job, 'id'>, shrinks: boolean): Promise<number> {
  Error.stackTraceLimit = 0;
  const whole = optionsOf(job);
  const found = shrinks ? await shrink(whole) : undefined;
  const played = await play({ ...(found?.play ?? whole), keepsTrace: true });
  console.log(played.trace.join('\n'));
  if (found !== undefined) {
    console.log(
      `\nafter ${found.plays} plays: ${found.play.workload?.operations.length} requests, ${found.injections.length} faults`,
    );
    for (const operation of found.play.workload?.operations ?? []) console.log(`  ${JSON.stringify(operation)}`);
    for (const injection of found.injections) console.log(`  ${JSON.stringify(injection)}`);
  }
  console.log(`\nseed ${job.seed}, ${played.steps} steps, hash ${played.hash}`);
  if (played.violation === undefined) return 0;
  console.log(`breaks ${played.violation.invariant}: ${played.violation.what}`);
  return 1;
}

async function main(): Promise<number> {
  if (options.replay !== undefined) return replay({ seed: options.replay, ...chosen }, options.shrink);
  if (!options.sensitivity) return search();
  return (await sensitivity(without, options)) ? 0 : 1;
}

process.exitCode = await main();
