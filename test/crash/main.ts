/** `npm run test:crash -- [--seed S] [--rounds N]`: kills Candor's processes at named points and at random, and looks what it says. */
import { parseArgs } from 'node:util';
import { Campaign } from './campaign.ts';
import { report } from './report.ts';

const HELP = `usage: npm run test:crash -- [options]

  --seed S      what is chosen: work, kills, moments (default: by the clock; it is printed)
  --rounds N    rounds with kills, after some that only find out where one can die (default 60)
  --orders K    kills that are ordered per round (default 8)
  --runs R      runs per round (default 5)
  --at TEXT     order kills only at failpoints whose names contain this
  --help        this

Exits 0 if nothing was found wrong, 1 with findings, 2 if it was called wrongly.`;

interface Arguments {
  readonly seed: number;
  readonly rounds: number;
  readonly orders: number;
  readonly runs: number;
  readonly at: string | undefined;
}

function readArguments(): Arguments | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      seed: text,
      rounds: text,
      orders: text,
      runs: text,
      at: text,
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: 'seed' | 'rounds' | 'orders' | 'runs', fallback: number) => {
    const value = values[name] === undefined ? fallback : Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} must be a whole number`);
    return value;
  };
  return {
    seed: number('seed', Date.now() % 1_000_000),
    rounds: number('rounds', 60),
    orders: number('orders', 8),
    runs: number('runs', 5),
    at: values.at,
  };
}

const say = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  let args: Arguments | undefined;
  try {
    args = readArguments();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${HELP}\n`);
    return 2;
  }
  if (args === undefined) {
    say(HELP);
    return 0;
  }
  const { seed, rounds, orders, runs, at } = args;
  say(`seed ${seed}`);
  const campaign = new Campaign({
    seed,
    rounds,
    recordingRounds: 3,
    roundsPerFolder: 10,
    ordersPerRound: orders,
    runsPerRound: runs,
    at,
    say,
  });
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      say('interrupted: ending all processes');
      void campaign.abort().finally(() => process.exit(130));
    });
  }
  await campaign.play();
  for (const line of ['', ...report(campaign)]) say(line);
  return campaign.findings.length === 0 ? 0 : 1;
}

process.exitCode = await main();
