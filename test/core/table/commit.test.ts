import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Contended, StoreUnavailable } from '../../../core/errors.ts';
import type { Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  eventsOf,
  finishAs,
  none,
  running,
  runningRun,
  runRow,
  scheduleRow,
  storeWith,
  upTo,
  vmRow,
} from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

/** Ports whose next transactions answer as told, before or after they were applied. */
function answering(
  answers: readonly { readonly applied: boolean; readonly error: () => Error }[],
): Ports & { slept: number[] } {
  const left = [...answers];
  const slept: number[] = [];
  const store = storeWith(world.ports.store, {
    transact: async (writes) => {
      const answer = left.shift();
      if (answer === undefined || answer.applied) await world.ports.store.transact(writes);
      if (answer !== undefined) throw answer.error();
    },
  });
  const time = {
    now: () => world.now,
    sleep: async (milliseconds: number) => {
      slept.push(milliseconds);
    },
  };
  return { ...world.ports, store, time, slept };
}

const order = { by: 'me', reason: '', cause: 'request' } as const;
const unavailable = () => new StoreUnavailable();
const contended = () => new Contended();

async function scheduled() {
  const agent = await world.agent();
  return world.schedule(agent.id);
}

describe('commit', () => {
  it('takes a write for done that was applied before its answer was lost', async () => {
    const schedule = await scheduled();
    const ports = answering([{ applied: true, error: unavailable }]);
    const run = await triggerSchedule(ports, world.caller, schedule.id, {}, none);
    expect((await scheduleRow(world, schedule.id)).liveRuns).toEqual([run.id]);
  });

  it('does not take it for done when it was not applied: the caller is told that it is not known', async () => {
    const schedule = await scheduled();
    const ports = answering([{ applied: false, error: unavailable }]);
    await expect(triggerSchedule(ports, world.caller, schedule.id, {}, none)).rejects.toMatchObject({
      code: 'store_unavailable',
      retryable: true,
    });
    expect((await scheduleRow(world, schedule.id)).liveRuns).toEqual([]);
  });

  it('does not take another writer’s event for its own', async () => {
    const { id } = await runningRun(world);
    const ports = answering([{ applied: false, error: unavailable }]);
    const rivalled = storeWith(ports.store, {
      transact: async (writes) => {
        await finishAs(world, id, 'failed');
        return ports.store.transact(writes);
      },
    });
    await expect(cancelRun({ ...ports, store: rivalled }, world.caller, id, order)).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    expect((await runRow(world, id)).status).toBe('failed');
  });

  it('sends the same again, after pauses that grow, while others are at the same items', async () => {
    const schedule = await scheduled();
    const ports = answering(Array.from({ length: 8 }, () => ({ applied: false, error: contended })));
    await triggerSchedule(ports, world.caller, schedule.id, {}, none);
    expect(ports.slept).toHaveLength(8);
    for (const [tries, milliseconds] of ports.slept.entries()) {
      expect(milliseconds).toBeGreaterThanOrEqual(0);
      expect(milliseconds).toBeLessThan(5 * 2 ** Math.min(tries, 6));
    }
  });

  it('gives up as contended after a bounded number of tries', async () => {
    const schedule = await scheduled();
    const ports = answering(Array.from({ length: 100 }, () => ({ applied: false, error: contended })));
    await expect(triggerSchedule(ports, world.caller, schedule.id, {}, none)).rejects.toMatchObject({
      code: 'contended',
    });
    expect(ports.slept.length).toBeLessThan(20);
  });

  it('changes a VM once when the answer is lost and a heartbeat overwrites the writer that was its proof', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await runner.beat([running(id)]);
    // Stray work: the cancel for it is a change of the VM without an event, so the row itself is the only proof.
    const lossy = storeWith(world.ports.store, {
      transact: async (writes) => {
        await world.ports.store.transact(writes);
        const [first] = writes;
        if (
          first?.kind === 'update' &&
          Array.isArray(first.set?.commands) &&
          first.set.commands.length === 1 &&
          !lost
        ) {
          lost = true;
          await runner.send([running(id)], runner.seq + 1, 1);
          // The SDK sends the same again: the version that the write itself raised refuses it.
          await world.ports.store.transact(writes);
        }
      },
    });
    let lost = false;
    await runner.beat([running(id), running('run_stray')], { ...world.ports, store: lossy });
    expect(lost).toBe(true);
    expect((await vmRow(world, vmId)).commands.filter((each) => each.kind === 'cancel')).toHaveLength(1);
  });

  it('leaves no gap and no double in a run’s events, whatever was lost on the way', async () => {
    const { id } = await runningRun(world);
    const lost = { applied: true, error: unavailable };
    await cancelRun(answering([{ applied: false, error: contended }, lost]), world.caller, id, order);
    const events = await eventsOf(world, keys.run(id).pk);
    expect(events.map((each) => each.sequence)).toEqual(upTo((await runRow(world, id)).version));
    expect(events.at(-1)?.type).toBe('run.cancelling');
    expect(events.filter((each) => each.type === 'run.cancelling')).toHaveLength(1);
  });
});
