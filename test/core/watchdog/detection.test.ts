/**
 * How soon a verdict comes, with the settings of AWS on a simulated clock: heartbeats every 15 s, a tick every 60 s. VMs are
 * killed at all sixty seconds of a minute (at every fifth one where something else goes wrong too), each right after a
 * heartbeat, which is the worst moment: so every phase between the two is met once, and the longest is the longest there is.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { createRun } from '../../../core/runs/service.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { apiRun, MINUTE, running, runningRun, runRow, SECOND, vmRow } from '../support.ts';
import { CANCEL, dies } from '../vms/support.ts';
import { Scene } from './scene.ts';

const ALL_PHASES = Array.from({ length: 60 }, (_, second) => second);
const SOME_PHASES = ALL_PHASES.filter((second) => second % 5 === 0);
const HEARTBEAT_SECONDS = 15;
const TICK_SECONDS = 60;
const BUDGET_SECONDS = 180;

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

interface Cadence {
  /** The tick that does not take place, counted from the first kill on. */
  readonly failedTick?: number;
  /** How far the watchdog's clock is ahead of everybody else's. */
  readonly skewSeconds?: number;
}

type Started = Awaited<ReturnType<typeof runningRun>> & { readonly phase: number };

/** Plays until every one of them is judged; answers the seconds from each kill to its verdict. */
async function secondsToVerdict(
  scene: Scene,
  runs: readonly Started[],
  judged: (run: Started) => Promise<boolean>,
  kill: (run: Started) => void,
  { failedTick, skewSeconds = 0 }: Cadence = {},
): Promise<readonly number[]> {
  const { world } = scene;
  const start = world.now;
  const killedAt = new Map<Started, number>();
  const verdictAt = new Map<Started, number>();
  const ahead = { ...scene.ports, time: { ...scene.ports.time, now: () => world.now + skewSeconds * SECOND } };
  let ticks = 0;
  for (let second = 0; verdictAt.size < runs.length && second < 900; second++) {
    world.now = start + second * SECOND;
    for (const run of runs) {
      const { phase } = run;
      if (killedAt.has(run) || (second - phase) % HEARTBEAT_SECONDS !== 0) continue;
      await run.runner.beat([running(run.id)]);
      if (second < TICK_SECONDS + phase) continue;
      kill(run);
      killedAt.set(run, second);
    }
    if (second % TICK_SECONDS !== 0) continue;
    if (killedAt.size > 0 && ++ticks === failedTick) continue;
    await scene.look(ahead);
    for (const [run, at] of killedAt) if (!verdictAt.has(run) && (await judged(run))) verdictAt.set(run, second - at);
  }
  expect(verdictAt.size).toBe(runs.length);
  return [...verdictAt.values()];
}

async function atWork(world: World, phases: readonly number[]): Promise<readonly Started[]> {
  const runs: Started[] = [];
  for (const phase of phases) runs.push({ ...(await runningRun(world)), phase });
  return runs;
}

const statusIs =
  (world: World, status: string) =>
  async ({ id }: Started): Promise<boolean> =>
    (await runRow(world, id)).status === status;

describe('a VM that is killed', { timeout: 120_000 }, () => {
  const CASES: readonly (readonly [string, Cadence, number])[] = [
    // The lease, the skew that is allowed, and the tick that comes next.
    ['with every tick in its minute', {}, 45 + 5 + TICK_SECONDS],
    ['with the clock of the watchdog 5 s ahead', { skewSeconds: 5 }, 45 + TICK_SECONDS],
    ['with the clock of the watchdog 5 s behind', { skewSeconds: -5 }, 45 + 5 + 5 + TICK_SECONDS],
    ['though the first tick after it fails', { failedTick: 1 }, 45 + 5 + 2 * TICK_SECONDS],
    ['though the second one fails', { failedTick: 2 }, 45 + 5 + 2 * TICK_SECONDS],
    ['though the third one fails', { failedTick: 3 }, 45 + 5 + 2 * TICK_SECONDS],
  ];

  it.each(CASES)('is known to be gone, and its run lost, within three minutes: %s', async (_how, cadence, bound) => {
    const scene = new Scene(await engine.world());
    const { world } = scene;
    const runs = await atWork(world, Object.keys(cadence).length === 0 ? ALL_PHASES : SOME_PHASES);
    const times = await secondsToVerdict(
      scene,
      runs,
      statusIs(world, 'lost'),
      ({ vmId }) => dies(world, vmId),
      cadence,
    );
    expect(Math.max(...times)).toBeLessThanOrEqual(bound);
    expect(bound).toBeLessThanOrEqual(BUDGET_SECONDS);
    // Nothing is judged while it may still be believed: a bound from below, so that the phases are really met.
    expect(Math.min(...times)).toBeGreaterThan(40);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThanOrEqual(TICK_SECONDS - HEARTBEAT_SECONDS);
  });
});

it('a runner that is cut off is called unresponsive within three minutes', { timeout: 60_000 }, async () => {
  const scene = new Scene(await engine.world());
  const { world } = scene;
  const silent = async ({ vmId }: Started) => (await vmRow(world, vmId)).status === 'unresponsive';
  const times = await secondsToVerdict(scene, await atWork(world, SOME_PHASES), silent, () => {});
  expect(Math.max(...times)).toBeLessThanOrEqual(45 + 5 + TICK_SECONDS);
});

describe('a promise that is broken is noticed within a minute of its deadline, whenever in a minute that is:', () => {
  /** Begins one in every tenth second of a minute, and ticks every minute; answers the seconds past each deadline. */
  async function secondsLate(
    scene: Scene,
    begin: () => Promise<{ readonly deadlineAt: number; readonly over: () => Promise<boolean> }>,
  ): Promise<readonly number[]> {
    const { world } = scene;
    const start = world.now;
    const waiting: Awaited<ReturnType<typeof begin>>[] = [];
    const late: number[] = [];
    for (let second = 0; second < 60; second += 10) {
      world.now = start + second * SECOND;
      waiting.push(await begin());
    }
    for (let tick = 1; late.length < waiting.length && tick < 60; tick++) {
      world.now = start + tick * MINUTE;
      await scene.look();
      for (const each of waiting.splice(0)) {
        if (await each.over()) late.push((world.now - each.deadlineAt) / SECOND);
        else waiting.push(each);
      }
      if (waiting.length === 0) break;
    }
    expect(waiting).toEqual([]);
    return late;
  }

  const KINDS: Readonly<Record<string, (world: World) => Promise<string>>> = {
    'no VM by the start deadline': async (world) => (await apiRun(world, { limits: { startTimeout: 'PT5M' } })).id,
    'work past its runTimeout': async (world) => (await runningRun(world, { limits: { runTimeout: 'PT5M' } })).id,
    'no turn by the queue deadline': async (world) => {
      const agent = await world.agent({ limits: { maxConcurrentRuns: 1, queueTimeout: 'PT5M' } });
      await createRun(world.ports, world.caller, agent.id, {});
      return (await createRun(world.ports, world.caller, agent.id, {})).id;
    },
  };

  it.each(Object.entries(KINDS))('%s', async (_what, make) => {
    const scene = new Scene(await engine.world());
    const late = await secondsLate(scene, async () => {
      const id = await make(scene.world);
      const { status, deadlineAt = 0 } = await runRow(scene.world, id);
      return { deadlineAt, over: async () => (await runRow(scene.world, id)).status !== status };
    });
    expect(Math.max(...late)).toBeLessThanOrEqual(TICK_SECONDS);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  });

  it('a cancel that is not carried out', async () => {
    const scene = new Scene(await engine.world());
    const { world } = scene;
    const late = await secondsLate(scene, async () => {
      const { id, vmId } = await runningRun(world);
      await cancelRun(world.ports, world.caller, id, CANCEL);
      const deadlineAt = world.now + world.ports.config.cancelEscalateSeconds * SECOND;
      return { deadlineAt, over: async () => world.terminations.includes(vmId) };
    });
    expect(Math.max(...late)).toBeLessThanOrEqual(TICK_SECONDS);
  });
});
