/**
 * `npm run bench -- cadence`: the next occurrence of cron cadences in µs, and how that compares with croner alone, as one
 * would use it (`new Cron(pattern, { timezone }).nextRun(from)`) and with the pattern kept. All three alternate in small
 * batches of the same starting times in the same run, so that a slow moment of the machine hits all.
 */
import { Cron } from 'croner';
import { nextOccurrence } from '../core/cadence/occurrences.ts';
import { median, percentile } from './stats.ts';

const CASES = [
  ['* * * * *', 'UTC'],
  ['*/15 * * * *', 'Europe/Berlin'],
  ['30 2 * * *', 'Europe/Berlin'],
  ['0 9 * * MON-FRI', 'America/New_York'],
  ['0 0 1 * *', 'Australia/Lord_Howe'],
  ['45 3 * * SUN', 'Pacific/Chatham'],
  ['0 0 29 2 *', 'Antarctica/Troll'],
] as const;

const BATCH = 100;
const WARM_UP_BATCHES = 5;
const DEFAULT_BATCHES = 50;
const YEAR_MS = 365 * 86_400_000;
const START = Date.UTC(2027, 0, 1);

type Next = (from: number) => number | undefined;

/** `--batches N` measures N batches of 100 calls for each line (50 by default). */
export async function benchCadence(args: readonly string[]): Promise<void> {
  const batches = Number(args[args.indexOf('--batches') + 1]) || DEFAULT_BATCHES;
  process.stdout.write(
    `cadence: ${batches} batches of ${BATCH}, Candor and croner alternating; µs per next occurrence\n`,
  );
  process.stdout.write(
    `${'expression'.padEnd(18)}${'zone'.padEnd(22)}${'p50'.padStart(8)}${'p99'.padStart(8)}${'croner p50'.padStart(12)}${'p99'.padStart(8)}${'ratio'.padStart(8)}${'kept p50'.padStart(10)}${'ratio'.padStart(8)}\n`,
  );
  for (const [pattern, timezone] of CASES) benchCase(pattern, timezone, batches);
  benchFirstCalls();
}

function benchCase(pattern: string, timezone: string, batches: number): void {
  const cadence = { kind: 'cron', cron: pattern, timezone } as const;
  const kept = new Cron(pattern, { timezone });
  const ways: readonly Next[] = [
    (from) => nextOccurrence(cadence, from),
    (from) => new Cron(pattern, { timezone }).nextRun(new Date(from))?.getTime(),
    (from) => kept.nextRun(new Date(from))?.getTime(),
  ];
  const samples: number[][] = ways.map(() => []);
  for (let batch = 0; batch < batches + WARM_UP_BATCHES; batch++) {
    ways.forEach((next, way) => {
      const times = timed(next, batch);
      if (batch >= WARM_UP_BATCHES) samples[way]?.push(...times);
    });
  }
  const [own = [], fresh = [], again = []] = samples;
  const micros = (value: number, width: number) => value.toFixed(2).padStart(width);
  process.stdout.write(
    `${pattern.padEnd(18)}${timezone.padEnd(22)}${micros(median(own), 8)}${micros(percentile(own, 0.99), 8)}` +
      `${micros(median(fresh), 12)}${micros(percentile(fresh, 0.99), 8)}${micros(median(own) / median(fresh), 8)}` +
      `${micros(median(again), 10)}${micros(median(own) / median(again), 8)}\n`,
  );
}

/** The same starting times for each way: spread over a year, never the same twice. */
function timed(next: Next, batch: number): readonly number[] {
  return Array.from({ length: BATCH }, (_, index) => {
    const spread = (((batch * BATCH + index) * 0.618_033_988_75) % 1) * YEAR_MS;
    const from = START + Math.floor(spread);
    const begin = performance.now();
    next(from);
    return (performance.now() - begin) * 1000;
  });
}

/** What the first question about a zone costs, before anything of it is remembered. */
function benchFirstCalls(): void {
  const zones = Intl.supportedValuesOf('timeZone').filter((zone) => !CASES.some(([, used]) => used === zone));
  const [own, fresh]: [number[], number[]] = [[], []];
  zones.slice(0, 200).forEach((timezone, index) => {
    const ways = [
      () => own.push(elapsed(() => nextOccurrence({ kind: 'cron', cron: '30 2 * * *', timezone }, START))),
      () => fresh.push(elapsed(() => new Cron('30 2 * * *', { timezone }).nextRun(new Date(START)))),
    ];
    for (const way of index % 2 === 0 ? ways : ways.reverse()) way();
  });
  process.stdout.write(
    `first call for a zone (${own.length} zones): p50 ${median(own).toFixed(0)} µs, p99 ${percentile(own, 0.99).toFixed(0)} µs; croner p50 ${median(fresh).toFixed(0)} µs\n`,
  );
}

function elapsed(work: () => unknown): number {
  const begin = performance.now();
  work();
  return (performance.now() - begin) * 1000;
}
