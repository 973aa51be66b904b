/** `npm run bench -- NAME [options]`: benchmarks, as ratios against something that is measured in the same run. */
import { benchBundle } from './bundle.ts';
import { benchCadence } from './cadence.ts';
import { benchCost } from './cost.ts';
import { benchDetection } from './detection.ts';
import { benchDue } from './due.ts';
import { benchFire } from './fire.ts';
import { benchReady } from './ready.ts';
import { benchRuns } from './runs.ts';
import { benchWatchdog } from './watchdog.ts';

const BENCHES: Readonly<
  Record<string, { readonly run: (args: readonly string[]) => Promise<void>; readonly what: string }>
> = {
  bundle: { run: benchBundle, what: "each Lambda's size and load time, against its bare AWS clients" },
  cadence: { run: benchCadence, what: 'the next occurrence of a cadence, against croner alone' },
  cost: { run: benchCost, what: 'what a cold and a warm run cost beside their VM: counted calls and units, priced' },
  detection: {
    run: benchDetection,
    what: 'how soon a run whose VM was killed has a verdict, against the settings of candor dev',
  },
  due: { run: benchDue, what: 'many schedules due in one second, against the raw transactions (--peer: and BullMQ)' },
  fire: { run: benchFire, what: 'from a delivery to a committed run, against the bare SDK calls' },
  ready: { run: benchReady, what: 'how soon candor dev is ready, and its memory when idle' },
  runs: { run: benchRuns, what: 'runs that do nothing on warm VMs of candor dev, against spawning the same program' },
  watchdog: {
    run: benchWatchdog,
    what: 'one tick among many live items, due ones and ones that cannot move (--million)',
  },
};

const [name, ...args] = process.argv.slice(2);
const chosen = name === undefined ? undefined : BENCHES[name];
if (chosen === undefined) {
  process.stderr.write(`usage: npm run bench -- NAME\n`);
  for (const [each, { what }] of Object.entries(BENCHES)) process.stderr.write(`  ${each.padEnd(10)} ${what}\n`);
  process.exitCode = 2;
} else {
  await chosen.run(args);
}
