/** The clock's silence: seen by what it leaves to the watchdog, taken back only by a fire in time. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fire } from '../../../core/schedules/fire.ts';
import { firedInTime } from '../../../core/schedules/ledger.ts';
import { publishProof } from '../../../core/system.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { clockMisses } from '../../../core/watchdog/clockMisses.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { MINUTE, SECOND } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

/** Minutes of ticks, as EventBridge would have them; what each said of the clock. */
async function ticks(minutes: number): Promise<readonly number[]> {
  const before = world.measured.length;
  for (let minute = 0; minute < minutes; minute++) {
    world.now += MINUTE;
    await tick(world.ports, { owner: 'test', budgetMs: 20 * SECOND });
  }
  return world.measured.slice(before).flatMap(({ name, value }) => (name === 'ClockMisses' ? [value] : []));
}

/** What the clock delivers, and what the stream's consumer makes of the entry that it leaves. */
async function fireInTime(scheduleId: string, at: number): Promise<void> {
  await fire(world.ports, { scheduleId, scheduledTime: at });
  const item = await world.ports.store.get(keys.occurrence(scheduleId, at));
  const firedAt = item === undefined ? undefined : firedInTime(world.ports.config, item);
  if (firedAt === undefined) throw new Error('it was not fired in time');
  await publishProof(world.ports, 'clock', { owner: 'Scheduler', detail: {}, at: firedAt });
}

describe('a tick', () => {
  it('counts nothing where there is nothing to fire, however long that lasts', async () => {
    expect(new Set(await ticks(20))).toEqual(new Set([0]));
  });

  it('counts each occurrence that the clock left to it, until one is fired in time again', async () => {
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id, { overlapPolicy: 'allow_all' });
    // Every five minutes something is due, and nothing comes; two minutes after its time the watchdog makes up for it.
    expect(await ticks(6)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await ticks(5)).toEqual([1, 1, 1, 1, 1]);
    expect(await ticks(3)).toEqual([2, 2, 2]);
    // What the watchdog has fired proves nothing. The clock's own does, and at once.
    world.now = MONDAY_NOON + 15 * MINUTE;
    await fireInTime(id, world.now);
    expect(await ticks(1)).toEqual([0]);
  });

  it('counts nothing while the clock fires in time', async () => {
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id, { overlapPolicy: 'allow_all' });
    for (let turn = 1; turn <= 4; turn++) {
      world.now = MONDAY_NOON + turn * 5 * MINUTE + 30 * SECOND;
      await fireInTime(id, MONDAY_NOON + turn * 5 * MINUTE);
      expect(await ticks(4)).toEqual([0, 0, 0, 0]);
    }
  });

  it('does not call the clock dead for one schedule’s own trouble, while others are fired', async () => {
    const agent = await world.agent();
    const lost = await world.schedule(agent.id, { overlapPolicy: 'allow_all', name: 'lost' });
    const { id } = await world.schedule(agent.id, { overlapPolicy: 'allow_all', name: 'fired' });
    const said: number[] = [];
    for (let turn = 1; turn <= 4; turn++) {
      world.now = MONDAY_NOON + turn * 5 * MINUTE + 30 * SECOND;
      await fireInTime(id, MONDAY_NOON + turn * 5 * MINUTE);
      said.push(...(await ticks(4)));
    }
    expect(lost.id).not.toBe(id);
    expect(Math.max(...said)).toBe(0);
  });
});

describe('the count', () => {
  const none = { count: 0, through: 0 };

  it('takes what is met again, because it cannot be moved, once', () => {
    const once = clockMisses(none, undefined, [100]);
    expect(once).toEqual({ count: 1, through: 100 });
    expect(clockMisses(once, undefined, [100])).toEqual(once);
    expect(clockMisses(once, undefined, [100, 200])).toEqual({ count: 2, through: 200 });
  });

  it('takes each schedule that was due at the same time', () => {
    expect(clockMisses(none, undefined, [100, 100, 100])).toEqual({ count: 3, through: 100 });
  });

  it('goes back to nothing with a later proof, and stays with an older one', () => {
    const some = { count: 4, through: 100 };
    expect(clockMisses(some, 101, [])).toEqual({ count: 0, through: 101 });
    expect(clockMisses(some, 99, [])).toEqual(some);
    expect(clockMisses(some, 150, [140, 160])).toEqual({ count: 1, through: 160 });
  });
});
