import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { explainRun } from '../../../core/runs/explain.ts';
import { createRun, getRun } from '../../../core/runs/service.ts';
import { fire } from '../../../core/schedules/fire.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { afterRead, eventsOf, finishAs, MINUTE, runRow, SECOND, scheduleRow, startingFrom } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const look = (ports = world.ports) => tick(ports, { owner: 'test', budgetMs: 60_000 });
const rulesOf = async (ports = world.ports) => (await look(ports)).actions.map((each) => each.rule);

/** With a tick every 20 s, so that the watchdog has no gap of its own. */
async function pass(milliseconds: number): Promise<readonly string[]> {
  const rules: string[] = [];
  const until = world.now + milliseconds;
  while (world.now < until) {
    world.now = Math.min(world.now + 20 * SECOND, until);
    rules.push(...(await rulesOf()));
  }
  return rules;
}

async function oneAtWorkOneWaiting(queueTimeout = 'PT10M') {
  const agent = await world.agent({ limits: { maxConcurrentRuns: 1, startTimeout: 'PT1H', queueTimeout } });
  const first = (await createRun(world.ports, world.caller, agent.id, {})).id;
  const second = (await createRun(world.ports, world.caller, agent.id, {})).id;
  return { agent, first, second };
}

describe('a run that waits under a limit', () => {
  it('is ended when its queue timeout is over, not a second earlier, and says what it waited for', async () => {
    const { agent, first, second } = await oneAtWorkOneWaiting();
    const body = await getRun(world.ports, world.caller, second);
    expect(body.deadlineAt).toBe(new Date(world.now + 10 * MINUTE).toISOString());
    expect((await explainRun(world.ports, world.caller, second)).summary).toContain(String(body.deadlineAt));
    expect(await pass(10 * MINUTE - SECOND)).toEqual([]);
    world.now += SECOND;
    expect(await rulesOf()).toEqual(['queue_timeout']);
    expect(await runRow(world, second)).toMatchObject({ status: 'timed_out', reason: 'queue_timeout' });
    expect((await runRow(world, first)).status).toBe('queued');
    const explained = await explainRun(world.ports, world.caller, second);
    expect(explained.summary).toContain('queueTimeout of 600 s');
    expect(explained.remedy).toContain('limits.queueTimeout');
    const events = await eventsOf(world, keys.run(second).pk);
    expect(events.map(({ type }) => type)).toEqual(['run.queued', 'run.waiting', 'run.timed_out']);
    const { items } = await world.ports.store.query({ pk: `LIMIT#agent#${agent.id}`, prefix: 'WAIT#', limit: 10 });
    expect(items).toEqual([]);
  });

  it('has its start timeout from its admission on: the queue timeout is over with the queue', async () => {
    const { first, second } = await oneAtWorkOneWaiting();
    await pass(9 * MINUTE);
    await finishAs(world, first);
    expect((await runRow(world, second)).deadlineAt).toBe(world.now + 60 * MINUTE);
    expect(await pass(30 * MINUTE)).toEqual([]);
    expect((await runRow(world, second)).status).toBe('queued');
  });

  it('is left alone when it is admitted while the watchdog decides (I9)', async () => {
    const { first, second } = await oneAtWorkOneWaiting();
    await pass(10 * MINUTE - SECOND);
    world.now += SECOND;
    const ports = afterRead(world, keys.run(second), () => finishAs(world, first));
    expect(await rulesOf(ports)).not.toContain('queue_timeout');
    expect(await runRow(world, second)).toMatchObject({ status: 'queued', admittedAt: world.now });
  });

  it('waits without end where no queue timeout is set', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1, startTimeout: 'P1D' } });
    await createRun(world.ports, world.caller, agent.id, {});
    const { id } = await createRun(world.ports, world.caller, agent.id, {});
    expect(await pass(15 * MINUTE)).toEqual([]);
    expect((await runRow(world, id)).deadlineAt).toBeUndefined();
  });
});

describe('a run that waits for the run that it displaces', () => {
  it.each([1, undefined])(
    'is ended by its queue timeout as well, and its schedule lets go of it (limit %s)',
    async (limit) => {
      const limits = { startTimeout: 'PT1H', queueTimeout: 'PT1M', ...(limit && { maxConcurrentRuns: limit }) };
      const agent = await world.agent({ limits });
      const schedule = await world.schedule(agent.id, { overlapPolicy: 'cancel_other' });
      for (const minutes of [5, 10]) {
        world.now = MONDAY_NOON + minutes * MINUTE;
        await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now });
        if (minutes === 5) {
          const [first = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
          await startingFrom(world, first);
        }
      }
      const [waiting = ''] = (await scheduleRow(world, schedule.id)).waitingRuns;
      expect(await runRow(world, waiting)).toMatchObject({
        waiting: { reason: 'overlap' },
        deadlineAt: world.now + MINUTE,
      });
      await pass(MINUTE);
      expect(await runRow(world, waiting)).toMatchObject({ status: 'timed_out', reason: 'queue_timeout' });
      expect((await scheduleRow(world, schedule.id)).waitingRuns).not.toContain(waiting);
    },
  );
});
