/** A scenario, and how a list of them is played: one after the other, each from a quiet world back to a quiet world. */
import type { World } from './world.ts';
import { until } from './world.ts';

export interface Scenario {
  readonly name: string;
  /** Part of the short run, besides the full one. */
  readonly smoke?: boolean;
  play(world: World): Promise<void>;
}

export interface Outcome {
  readonly name: string;
  readonly seconds: number;
  readonly error?: unknown;
  /** Calls to AWS, by service and action. */
  readonly calls: Readonly<Record<string, number>>;
}

const QUIET_LIMIT_SECONDS = 240;

export async function playAll(
  world: World,
  scenarios: readonly Scenario[],
  say: (line: string) => void,
  stopped: () => boolean,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const scenario of scenarios) {
    if (stopped()) break;
    const outcome = await playOne(world, scenario);
    outcomes.push(outcome);
    const failed = outcome.error !== undefined;
    say(`${failed ? 'FAILED' : 'ok    '} ${outcome.seconds.toFixed(0).padStart(4)} s  ${outcome.name}`);
    if (failed) say(detailOf(outcome.error));
  }
  return outcomes;
}

async function playOne(world: World, { name, play }: Scenario): Promise<Outcome> {
  const startedAt = performance.now();
  const mark = world.proxy.mark();
  const seconds = () => (performance.now() - startedAt) / 1000;
  try {
    await play(world);
    world.proxy.calm();
    // Whatever was launched is ended again, without anybody's help.
    await until('no instance is left', () => world.host.living().length === 0, QUIET_LIMIT_SECONDS);
    return { name, seconds: seconds(), calls: world.proxy.counts(mark) };
  } catch (error) {
    return { name, seconds: seconds(), calls: world.proxy.counts(mark), error: error ?? new Error('it failed') };
  } finally {
    world.proxy.calm();
    world.host.fate = () => ({ kind: 'boots' });
  }
}

const detailOf = (error: unknown): string =>
  (error instanceof Error ? (error.stack ?? error.message) : String(error)).replaceAll(/^/gm, '         ');
