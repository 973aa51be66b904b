/** `npm run sim`: looks for a world in which an invariant does not hold. */
import { parseArgs } from 'node:util';
import type { FaultKind, Injection } from './faults.ts';
import { type Job, type JobResult, optionsOf } from './jobs.ts';
import { play } from './play.ts';
import { Pool } from './pool.ts';
import { Random } from './random.ts';
import { Report } from './report.ts';
import { sensitivity } from './sensitivity.ts';
import { shrink } from './shrink.ts';

const HELP = `npm run sim -- [options]
  --seeds N        so many seeds (1000)
  --from S         from this one on (1)
  --minutes M      ends after so many minutes
  --workers W      processes side by side (2)
  --pairs N        then so many pairs of faults
  --sweep          then every kind of fault that has not happened yet at a call site that was seen, in a world that has it
  --replay SEED    plays one seed and prints what happened
  --shrink         with --replay: the shortest trace that breaks the same invariant
  --inject JSON    with these faults beside those of the seed, as a sweep prints them
  --without A,B    without these guards
  --aim A          whoever commits with this guard is likely to meet a rival
  --sensitivity    each guard and each fence taken out in turn, or those of --without: what is broken then, and after how many worlds`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    workers: { type: 'string', default: '2' },
    pairs: { type: 'string', default: '0' },
    replay: { type: 'string' },
    without: { type: 'string' },
    aim: { type: 'string' },
    inject: { type: 'string' },
    sweep: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    sensitivity: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const number = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} must be a number, 0 or greater, not "${text}"`);
  return value;
};
const from = number('from', values.from);
const seeds = number('seeds', values.seeds);
const without = values.without?.split(',');
const chosen = {
  ...(values.inject !== undefined && { injections: JSON.parse(values.inject) as readonly Injection[] }),
  ...(without !== undefined && { without }),
  ...(values.aim !== undefined && { aim: values.aim }),
};
const until =
  values.minutes === undefined
    ? Number.POSITIVE_INFINITY
    : performance.now() + number('minutes', values.minutes) * 60_000;
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
  const pool = new Pool(number('workers', values.workers));
  const report = new Report();
  try {
    await all(pool, report, inOrder());
    await all(pool, report, pairs(report, number('pairs', values.pairs)));
    // A sweep comes to call sites that nobody has seen before, and those want all kinds of faults too.
    for (let round = 0; values.sweep && round < SWEEPS && report.violations.length === 0; round++) {
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
  console.log(
    `\nnpm run sim -- --replay ${first.seed} --shrink${without === undefined ? '' : ` --without ${without.join(',')}`}`,
  );
  return 1;
}

async function replay(seed: number): Promise<number> {
  const options = optionsOf({ seed, ...chosen });
  const found = values.shrink ? await shrink(options) : undefined;
  const played = await play({ ...(found?.play ?? options), keepsTrace: true });
  console.log(played.trace.join('\n'));
  if (found !== undefined) {
    console.log(
      `\nafter ${found.plays} plays: ${found.play.workload?.operations.length} requests, ${found.injections.length} faults`,
    );
    for (const operation of found.play.workload?.operations ?? []) console.log(`  ${JSON.stringify(operation)}`);
    for (const injection of found.injections) console.log(`  ${JSON.stringify(injection)}`);
  }
  console.log(`\nseed ${seed}, ${played.steps} steps, hash ${played.hash}`);
  if (played.violation === undefined) return 0;
  console.log(`breaks ${played.violation.invariant}: ${played.violation.what}`);
  return 1;
}

async function main(): Promise<number> {
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.replay !== undefined) return replay(number('replay', values.replay));
  if (!values.sensitivity) return search();
  const isAllFound = await sensitivity(without, { from, seeds, workers: number('workers', values.workers) });
  return isAllFound ? 0 : 1;
}

process.exitCode = await main();
