/** `npm run sim`: looks for a world in which an invariant does not hold. */
import { Again, type Difference } from './again.ts';
import { FENCES } from './fences.ts';
import { chosenOf, type Order, pairs, replayOf, sweep } from './followUps.ts';
import { type JobResult, optionsOf } from './jobs.ts';
import { optionsFrom } from './options.ts';
import { play } from './play.ts';
import { Pool } from './pool.ts';
import { Report } from './report.ts';
import { sensitivity } from './sensitivity.ts';
import { shrink } from './shrink.ts';
import { setTraps } from './traps.ts';

const options = optionsFrom(process.argv.slice(2));
const { seeds, from, without } = options;
const chosen = chosenOf(options);
/** Taken out of the source, so only where processes of their own play. */
const fence = without?.find((name) => FENCES[name] !== undefined);
const until = options.minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.minutes * 60_000;
const PROGRESS_MS = 10_000;
const VIOLATIONS_MAX = 5;
const SWEEPS = 30;
const NEVER_TOLD = 20;

interface Search {
  readonly pool: Pool;
  readonly report: Report;
  readonly again: Again;
}

/** Of these jobs as many as there is time for. */
async function all({ pool, report, again }: Search, jobs: Iterator<Order>): Promise<void> {
  let toldAt = performance.now();
  await pool.run(
    (worker) =>
      performance.now() > until ? undefined : again.next(worker, () => jobs.next().value as Order | undefined),
    (result, order, worker) => {
      if (again.took(worker, order, result)) {
        const found = again.differences.at(-1);
        if (found?.result === result) console.log(toldOf(found));
        return again.differences.length >= VIOLATIONS_MAX ? 'stop' : 'go_on';
      }
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

const named = ({ seed, injected }: JobResult): string =>
  `seed ${seed}${injected === undefined ? '' : ` --inject '${JSON.stringify(injected)}'`}`;

const told = (result: JobResult): string =>
  `${named(result)} breaks ${result.violation?.invariant} at step ${result.violation?.step}: ${result.violation?.what}`;

const toldOf = ({ result, once, again }: Difference): string =>
  `${named(result)} is another world the second time: hash ${once}, then ${again}`;

function* inOrder(): Generator<Order> {
  for (let seed = from; seed < from + seeds; seed++) yield { seed, ...chosen };
}

async function search(): Promise<number> {
  const pool = new Pool(options.workers, fence);
  const report = new Report();
  const again = new Again(options.workers);
  const search = { pool, report, again };
  try {
    await all(search, inOrder());
    const alone = report.plays;
    await all(search, pairs(report, chosen, from, options.pairs));
    if (options.pairs > 0) console.log(`${report.plays - alone} pairs of faults, ${report.asAsked} with both`);
    // A sweep comes to call sites that nobody has seen before, and those want all kinds of faults too.
    for (let round = 0; options.sweep && round < SWEEPS && report.violations.length === 0; round++) {
      console.log(`sweep ${round + 1}: ${report.coverage()}`);
      if (report.missing().length === 0) break;
      await all(search, sweep(report, chosen, from, round));
    }
  } finally {
    pool.close();
  }
  console.log(report.summary());
  console.log(again.summary());
  for (const { site, kind } of report.missing().slice(0, NEVER_TOLD)) console.log(`never: ${site} × ${kind}`);
  const [first] = report.violations;
  if (first === undefined) return again.differences.length > 0 ? 1 : options.sweep ? swept(report) : 0;
  const { seed, injected } = first;
  if (fence !== undefined) return 1;
  console.log(`\nThe shortest trace of the first one. To see it again:\n${replayOf(first, chosen)}\n`);
  await replay({ seed, ...chosen, ...(injected !== undefined && { injections: injected }) }, true);
  return 1;
}

/** Whether the sweep has left nothing out; what time has cut off is told, and no fault. */
function swept(report: Report): number {
  const left = report.missing().length;
  if (left === 0) return 0;
  const isCutOff = performance.now() > until;
  console.log(
    isCutOff
      ? `The sweep was cut off by --minutes: ${left} (call site × fault kind) have not happened.`
      : `The sweep has not brought about ${left} (call site × fault kind) in ${SWEEPS} rounds: those named above.`,
  );
  return isCutOff ? 0 : 1;
}

async function replay(job: Order, shrinks: boolean): Promise<number> {
  Error.stackTraceLimit = 0;
  const traps = setTraps();
  const found = shrinks ? await shrink({ ...optionsOf(job), traps }) : undefined;
  // A plan of faults draws on as it is played: what is played again gets a new one.
  const played = await play({ ...(found?.play ?? optionsOf(job)), traps, keepsTrace: true });
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
