/**
 * I9: whatever happens to the watchdog itself, to the table or to the clocks, nothing that is well is ended; and what is
 * really gone is still found within three minutes after it is over.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Ports, Store } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { createRun } from '../../../core/runs/service.ts';
import { requestDrain } from '../../../core/vms/drain.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import type { Recovery } from '../../../core/watchdog/recoveries.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { entry, FakeRunner, MINUTE, running, runningRun, runRow, SECOND, startingRun, vmRow } from '../support.ts';
import { CANCEL, dies, newRun, warmVm } from '../vms/support.ts';
import { Scene } from './scene.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

/** One of everything that can be alive and well. */
async function everythingWell(world: World) {
  const atWork = await runningRun(world);
  const starting = await startingRun(world);
  const cancelling = await runningRun(world);
  await cancelRun(world.ports, world.caller, cancelling.id, CANCEL);
  const drained = await runningRun(world);
  await requestDrain(world.ports, world.caller, drained.vmId, { kind: 'none' });
  const warm = await warmVm(world, { warmFor: 'PT4H' });
  const limited = await world.agent({ limits: { maxConcurrentRuns: 1, startTimeout: 'PT4H' } });
  const booting = await newRun(world, limited.id);
  const input = { tenantId: world.caller.tenantId, runId: booting, attempt: 1 };
  const bootingVm = (await launchVm(world.ports, input)).vmId;
  const waiting = (await createRun(world.ports, world.caller, limited.id, {})).id;
  await world.schedule((await world.agent()).id, { cadence: { cron: '0 0 1 1 *', timezone: 'UTC' } });
  const atRest = [running(atWork.id), running(starting.id)];
  const runs = { atWork: atWork.id, starting: starting.id, cancelling: cancelling.id, drained: drained.id };
  /** All heartbeats, as they come while all is well. */
  const beat = async () => {
    await atWork.runner.beat(atRest.slice(0, 1));
    await starting.runner.beat(atRest.slice(1));
    await cancelling.runner.beat([entry(cancelling.id, 'ending', { pid: 4711, signalsSent: ['SIGINT'] })]);
    await drained.runner.beat([running(drained.id)]);
    await warm.runner.beat();
  };
  const statuses = async () =>
    Object.fromEntries(
      await Promise.all(
        Object.entries({ ...runs, booting, waiting }).map(async ([name, id]) => [
          name,
          (await runRow(world, id)).status,
        ]),
      ),
    ) as Record<string, string>;
  return { beat, statuses, runs, atWork, bootingVm, warmVmId: warm.vmId };
}

const WELL = {
  atWork: 'running',
  starting: 'running',
  cancelling: 'cancelling',
  drained: 'running',
  booting: 'provisioning',
  waiting: 'queued',
};

const skewed = (ports: Ports, milliseconds: number): Ports => ({
  ...ports,
  time: { ...ports.time, now: () => ports.time.now() + milliseconds },
});

const unavailable = (): Promise<never> => Promise.reject(new StoreUnavailable());

/** What happens, from the first disturbance to the moment when all is as before. */
interface Disturbance {
  readonly name: string;
  readonly happens: (scene: Scene, beat: () => Promise<void>) => Promise<void>;
  /** What the watchdog may rightly say meanwhile. */
  readonly besides?: readonly Recovery[];
}

/** A throttled table costs heartbeats and looks alike; each may meet another part of it. */
const throttled = (name: string, parts: (store: Store) => Partial<Store>): Disturbance => ({
  name: `the table ${name} for two minutes, so that heartbeats are lost too`,
  happens: async (scene) => {
    const { store } = scene.ports;
    const limping = Object.assign(Object.create(store) as Store, parts(store));
    for (let tick = 0; tick < 12; tick++) {
      scene.world.now += 10 * SECOND;
      await scene.look({ ...scene.ports, store: limping }).catch((error: unknown) => {
        if (!(error instanceof StoreUnavailable)) throw error;
      });
    }
  },
});

const DISTURBANCES: readonly Disturbance[] = [
  {
    name: 'the watchdog does not run for ten minutes, and everything else goes on',
    happens: async ({ world }, beat) => {
      for (let passed = 0; passed < 10 * MINUTE; passed += 15 * SECOND) {
        world.now += 15 * SECOND;
        await beat();
      }
    },
  },
  {
    name: 'a redeploy takes the API and the watchdog away for five minutes',
    happens: async (scene) => {
      scene.world.now += 5 * MINUTE;
      // The watchdog comes first: nobody has reported yet.
      await scene.look();
      scene.world.now += 30 * SECOND;
      await scene.look();
    },
  },
  {
    name: 'the laptop sleeps for an hour, the work on it too',
    happens: async (scene) => {
      scene.world.now += 60 * MINUTE;
      await scene.look();
      scene.world.now += 5 * SECOND;
    },
  },
  {
    name: 'it sleeps three times in a row, waking for half a lease each time',
    happens: async (scene) => {
      for (let nap = 0; nap < 3; nap++) {
        scene.world.now += 20 * MINUTE;
        await scene.look();
        scene.world.now += 20 * SECOND;
        await scene.look();
      }
    },
  },
  {
    name: 'the API alone is away for five minutes, and watchdog, table and EC2 are well',
    happens: async (scene) => {
      await scene.pass(5 * MINUTE);
    },
    // That they are silent is true.
    besides: ['vm_silent'],
  },
  throttled('answers no read of a row', () => ({ get: unavailable })),
  throttled('answers no read of its index', () => ({ queryIndex: unavailable })),
  throttled('takes no write', () => ({ transact: unavailable })),
  ...[-5, 5].map((seconds) => ({
    name: `the watchdog's clock is ${seconds} s off, and heartbeats come a second before each lease ends`,
    happens: async (scene: Scene, beat: () => Promise<void>) => {
      for (let passed = 0; passed < 10 * MINUTE; passed += 44 * SECOND) {
        for (let second = 4; second <= 44; second += 10) {
          scene.world.now += (second === 4 ? 4 : 10) * SECOND;
          await scene.look(skewed(scene.ports, seconds * SECOND));
        }
        await beat();
      }
    },
  })),
  ...[-5, 5].map((seconds) => ({
    name: `the clock of whoever takes the heartbeats is ${seconds} s off`,
    happens: async (scene: Scene, beat: () => Promise<void>) => {
      for (let passed = 0; passed < 10 * MINUTE; passed += 45 * SECOND) {
        for (let third = 0; third < 3; third++) {
          scene.world.now += 15 * SECOND;
          await scene.look();
        }
        scene.world.now += seconds * SECOND;
        await beat();
        scene.world.now -= seconds * SECOND;
      }
    },
  })),
];

describe.each(DISTURBANCES)('where $name', { timeout: 120_000 }, ({ happens, besides = [] }) => {
  it('nothing that is well is ended, and what is gone is found afterwards', async () => {
    const scene = new Scene(await engine.world());
    const { world } = scene;
    const well = await everythingWell(world);
    // Once delivered, once acknowledged: from here on all is as it stays.
    await well.beat();
    await well.beat();
    await scene.look();
    expect(await well.statuses()).toEqual(WELL);
    const cancelled = world.now;
    await happens(scene, well.beat);
    await well.beat();
    // Far past its second deadline the cancel is escalated, which is no verdict on what is well.
    const isDue = world.now - cancelled >= world.ports.config.cancelEscalateSeconds * SECOND;
    const due: readonly Recovery[] = isDue ? ['cancel_escalated', 'vm_lingering'] : [];
    await scene.pass(2 * MINUTE, well.beat);
    expect(scene.rules.filter((rule) => !due.includes(rule) && !besides.includes(rule))).toEqual([]);
    expect(await well.statuses()).toEqual(WELL);
    const cancellingVm = (await runRow(world, well.runs.cancelling)).vmId;
    expect(world.terminations.filter((vmId) => vmId !== cancellingVm)).toEqual([]);
    for (const vmId of [well.atWork.vmId, well.warmVmId]) expect((await vmRow(world, vmId)).status).toBe('ready');
    dies(world, well.atWork.vmId);
    await scene.pass(MINUTE);
    expect((await runRow(world, well.atWork.id)).status).toBe('lost');
  });
});

it('a VM that boots through an hour of sleep registers, and gets its run', async () => {
  const scene = new Scene(await engine.world());
  const { world } = scene;
  const agent = await world.agent({ limits: { startTimeout: 'PT15M' } });
  const id = await newRun(world, agent.id);
  const { vmId } = await launchVm(world.ports, { tenantId: world.caller.tenantId, runId: id, attempt: 1 });
  await scene.look();
  world.now += 60 * MINUTE;
  await scene.look();
  world.now += 30 * SECOND;
  await scene.look();
  const runner = new FakeRunner(world, vmId);
  await runner.register();
  await runner.beat();
  await scene.pass(2 * MINUTE, () => runner.beat([running(id)]));
  expect((await runRow(world, id)).status).toBe('running');
  expect(scene.rules).toEqual([]);
});
