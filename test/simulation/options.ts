/** What `npm run sim` is asked for. */
import { Command, InvalidArgumentError } from 'commander';
import * as z from 'zod';
import { FAULTS, type Injection } from './faults.ts';
import { FENCES } from './fences.ts';
import { BESIDE, guardsThatRun } from './guards.ts';

export interface Options {
  readonly seeds: number;
  readonly from: number;
  readonly minutes?: number;
  readonly workers: number;
  readonly pairs: number;
  readonly sweep: boolean;
  readonly replay?: number;
  readonly shrink: boolean;
  readonly inject?: readonly Injection[];
  readonly without?: readonly string[];
  readonly aim?: string;
  readonly sensitivity: boolean;
}

const count = (text: string): number => {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
};

const atLeastOne = (text: string): number => {
  if (count(text) === 0) throw new InvalidArgumentError('It must be 1 or greater.');
  return count(text);
};

/** Worlds are drawn from 32 bits: beyond, they would come again. */
const SEED_MAX = 2 ** 32 - 1;

const seed = (text: string): number => {
  if (count(text) > SEED_MAX) throw new InvalidArgumentError(`It must be ${SEED_MAX} or less.`);
  return count(text);
};

const minutes = (text: string): number => {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number greater than 0.');
  return value;
};

const known = (text: string): string => {
  const guards = guardsThatRun();
  if (!text.split(BESIDE).every((name) => guards.includes(name)) && !Object.hasOwn(FENCES, text))
    throw new InvalidArgumentError(`There is no guard or fence ${text}: see docs/verification.md.`);
  return text;
};

const INJECTIONS = z.array(z.strictObject({ site: z.string(), call: z.int().min(0), kind: z.enum(FAULTS) }));

function injections(text: string): readonly Injection[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('It must be JSON.');
  }
  const checked = INJECTIONS.safeParse(parsed);
  if (!checked.success) throw new InvalidArgumentError(z.prettifyError(checked.error));
  return checked.data;
}

export function optionsFrom(args: readonly string[]): Options {
  const command = new Command('npm run sim --')
    .description('Looks for a world in which an invariant does not hold. See docs/verification.md.')
    .option('--seeds <n>', 'so many seeds', atLeastOne, 1000)
    .option('--from <seed>', 'from this one on', seed, 1)
    .option('--minutes <m>', 'ends after so many minutes', minutes)
    .option('--workers <w>', 'processes side by side', atLeastOne, 2)
    .option('--pairs <n>', 'then so many pairs of faults, each at two calls of one world', count, 0)
    .option(
      '--sweep',
      'then every kind of fault that has not happened yet at a call site that was seen; exit 1 where one is left',
      false,
    )
    .option('--replay <seed>', 'plays one seed and prints what happened', seed)
    .option(
      '--shrink',
      'with --replay: a trace as short as can be found by halves that breaks the same invariant',
      false,
    )
    .option('--inject <json>', 'with these faults beside those of the seed, as a sweep prints them', injections)
    .option('--without <names>', 'without these guards, or this fence', (text) => text.split(',').map(known))
    .option('--aim <name>', 'in worlds that lead to this guard or fence', known)
    .option(
      '--sensitivity',
      'each guard and fence, or those of --without, taken out in turn: after how many worlds is it missed',
      false,
    )
    .parse(args, { from: 'user' });
  const options = command.opts<Options>();
  if (options.from + options.seeds - 1 > SEED_MAX)
    command.error(`error: --from and --seeds go beyond the last seed, ${SEED_MAX}: begin earlier, or play fewer`);
  refuseIdle(command, options);
  refuseFences(command, options);
  return options;
}

/** What is not a search takes few options; with the others it would do something else than what was asked for. */
const TAKEN: Readonly<Record<'replay' | 'sensitivity', readonly (keyof Options)[]>> = {
  replay: ['shrink', 'inject', 'without', 'aim'],
  sensitivity: ['seeds', 'from', 'workers', 'without'],
};

const flags = (names: readonly string[]): string => names.map((name) => `--${name}`).join(', ');

function refuseIdle(command: Command, options: Options): void {
  if (options.replay === undefined && !options.sensitivity) {
    if (options.shrink)
      command.error('error: --shrink makes the trace of one seed shorter: name the seed with --replay');
    return;
  }
  const mode = options.replay === undefined ? 'sensitivity' : 'replay';
  const given = command.options
    .map((option) => option.attributeName())
    .filter((name) => command.getOptionValueSource(name) === 'cli');
  const idle = given.filter((name) => name !== mode && !TAKEN[mode].some((taken) => taken === name));
  if (idle.length > 0)
    command.error(
      `error: --${mode} does not take ${flags(idle)}: leave that out, or --${mode}. It takes ${flags(TAKEN[mode])}`,
    );
}

/** Each is taken out of what processes of their own load. */
function refuseFences(command: Command, { without = [], sensitivity, replay }: Options): void {
  const fences = without.filter((name) => FENCES[name] !== undefined);
  if (sensitivity || fences.length === 0) return;
  if (replay !== undefined)
    command.error(
      `error: --replay does not take the fence ${fences.join(', ')} in --without: play the seed as a search, --seeds 1 --from ${replay}`,
    );
  if (fences.length > 1)
    command.error(
      `error: --without takes one fence at a time, and these are ${fences.length}: leave all but one of ${fences.join(', ')} out`,
    );
}
