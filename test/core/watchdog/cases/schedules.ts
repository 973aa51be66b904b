/** Schedules whose clock, occurrences, buffer or live runs are not what they should be, and limits that count too much. */
import { expect } from 'vitest';
import { isoSecond } from '../../../../core/contract/common.ts';
import { agentLimitId } from '../../../../core/limits/model.ts';
import { handleEvent } from '../../../../core/notifications/fanOut.ts';
import { createRun } from '../../../../core/runs/service.ts';
import { pauseSchedule } from '../../../../core/schedules/actions.ts';
import { fire } from '../../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../../core/schedules/ledgerLists.ts';
import { getSchedule } from '../../../../core/schedules/service.ts';
import { triggerSchedule } from '../../../../core/schedules/trigger.ts';
import * as keys from '../../../../core/table/itemKeys.ts';
import type { Write } from '../../../../core/table/model.ts';
import type { Recovery } from '../../../../core/watchdog/recoveries.ts';
import { MONDAY_NOON, type World } from '../../../support/world.ts';
import { eventsOf, MINUTE, none, page, running, runRow, SECOND, scheduleRow, startingFrom } from '../../support.ts';
import { endWith, keyOf, losing, type RuleCase, type Scene } from '../scene.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;
const minutely = { cadence: { cron: '* * * * *', timezone: 'UTC' } };
const yearly = { cadence: { cron: '0 0 1 1 *', timezone: 'UTC' } };
const scheduled = async (world: World, more: Parameters<World['schedule']>[1] = {}) =>
  world.schedule((await world.agent()).id, more);

/** An occurrence waits behind a run that was triggered by hand. */
async function buffering(scene: Scene) {
  const { world } = scene;
  const schedule = await scheduled(world, { overlapPolicy: 'buffer_one' });
  const live = (await triggerSchedule(world.ports, world.caller, schedule.id, {}, none)).id;
  const { runner } = await startingFrom(world, live);
  await runner.beat();
  await scene.pass(FIRST + SECOND - world.now, () => runner.beat([running(live)]));
  const { outcome } = await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
  expect(outcome).toBe('buffered');
  return { schedule, live, runner };
}

async function limited(world: World) {
  const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
  const create = async () => (await createRun(world.ports, world.caller, agent.id, {})).id;
  const [first, second] = [await create(), await create()];
  expect((await runRow(world, second)).waiting).toMatchObject({ reason: 'agent_limit' });
  return { limitId: agentLimitId(agent.id), first, second };
}

const usedOf = async (world: World, limitId: string) => (await world.ports.store.get(keys.limit(limitId)))?.used;

const placeLeaked = (what: string, part: (write: Write) => boolean, because: RegExp, did: RegExp): RuleCase => ({
  stuck: `the end of the run that held it was written without ${what}`,
  found: async (scene) => {
    const { world } = scene;
    const { limitId, first, second } = await limited(world);
    await endWith(
      losing(world, (write) => keyOf(write).pk === keys.limit(limitId).pk && part(write)),
      first,
    );
    expect(await usedOf(world, limitId)).toBe(1);
    await scene.pass(2 * MINUTE);
    expect((await runRow(world, second)).admittedAt).toBeDefined();
    expect(await usedOf(world, limitId)).toBe(1);
    const holders = await world.ports.store.query({ ...keys.limit(limitId), prefix: 'HOLD#', limit: 10 });
    expect(holders.items.map((item) => item.runId)).toEqual([second]);
    return { pk: keys.run(second).pk, because, did };
  },
  almost: 'its holder is at work, and the limit is full',
  leftAlone: async (scene) => {
    const { world } = scene;
    const { limitId, first, second } = await limited(world);
    const { runner } = await startingFrom(world, first);
    await runner.beat();
    await scene.pass(5 * MINUTE, () => runner.beat([running(first)]));
    expect((await runRow(world, second)).admittedAt).toBeUndefined();
    expect(await usedOf(world, limitId)).toBe(1);
  },
});

/** EventBridge Scheduler cannot be reached until the function that is returned is called. */
function schedulerDown({ ports }: Scene): () => void {
  const { put, delete: remove } = ports.clock;
  const down = () => Promise.reject(new Error('scheduler is down'));
  Object.assign(ports.clock, { put: down, delete: down });
  return () => Object.assign(ports.clock, { put, delete: remove });
}

const clockDrift: readonly RuleCase[] = [
  {
    stuck: 'Scheduler could not be reached when the schedule was made',
    found: async (scene) => {
      const { world } = scene;
      const up = schedulerDown(scene);
      const schedule = await scheduled(world, yearly);
      expect(schedule.clock.status).toBe('pending');
      await scene.pass(2 * MINUTE);
      expect(world.clocks.size).toBe(0);
      up();
      await scene.pass(MINUTE);
      expect(world.clocks.get(schedule.id)).toMatchObject({ specVersion: 1 });
      expect((await scheduleRow(world, schedule.id)).clock.status).toBe('synced');
      return { pk: keys.schedule(schedule.id).pk, because: /follow version 1/, did: /put its clock right: synced/ };
    },
    almost: 'its clock follows, and its first occurrence is months away',
    leftAlone: async (scene) => {
      const schedule = await scheduled(scene.world, yearly);
      const before = scene.world.clocks.get(schedule.id);
      await scene.pass(10 * MINUTE);
      expect(scene.world.clocks.get(schedule.id)).toBe(before);
    },
  },
  {
    stuck: 'it could not be reached when the schedule was paused: the clock would fire on',
    found: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world);
      const up = schedulerDown(scene);
      await pauseSchedule(world.ports, world.caller, schedule.id, '', none);
      expect(world.clocks.has(schedule.id)).toBe(true);
      up();
      await scene.pass(MINUTE);
      expect(world.clocks.has(schedule.id)).toBe(false);
      expect((await scheduleRow(world, schedule.id)).checkAt).toBeUndefined();
      return { pk: keys.schedule(schedule.id).pk, because: /follow version 2/, did: /put its clock right/ };
    },
    almost: 'it was paused in order, and is looked at no more',
    leftAlone: async (scene) => {
      const schedule = await scheduled(scene.world);
      await pauseSchedule(scene.world.ports, scene.world.caller, schedule.id, '', none);
      await scene.pass(10 * MINUTE);
      expect((await scheduleRow(scene.world, schedule.id)).checkAt).toBeUndefined();
    },
  },
  {
    stuck: 'it completed, and the fan-out of that was lost: the clock would fire on',
    found: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world, { remainingRuns: 1 });
      world.now = FIRST;
      await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
      expect((await scheduleRow(world, schedule.id)).status).toBe('completed');
      expect(world.clocks.has(schedule.id)).toBe(true);
      await scene.pass(MINUTE);
      expect(world.clocks.has(schedule.id)).toBe(false);
      return { pk: keys.schedule(schedule.id).pk, because: /was not known to/, did: /put its clock right: synced/ };
    },
    almost: 'the fan-out comes half a minute late',
    leftAlone: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world, { remainingRuns: 1 });
      world.now = FIRST;
      await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
      await scene.pass(30 * SECOND);
      const events = await eventsOf(world, keys.schedule(schedule.id).pk);
      for (const event of events) await handleEvent(world.ports, event);
      expect(world.clocks.has(schedule.id)).toBe(false);
      await scene.pass(2 * MINUTE);
      expect((await scheduleRow(world, schedule.id)).clock.status).toBe('synced');
    },
  },
  {
    stuck: 'its clock fires what nobody expects',
    found: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world);
      world.now = FIRST - 2 * MINUTE;
      world.clocks.clear();
      await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST - 3 * MINUTE });
      await scene.look();
      expect(world.clocks.has(schedule.id)).toBe(true);
      expect((await scheduleRow(world, schedule.id)).checkAt).toBe(FIRST);
      return { pk: keys.schedule(schedule.id).pk, because: /was not known to/, did: /put its clock right/ };
    },
    almost: 'its clock delivers what is expected, twice and 59 s late',
    leftAlone: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world);
      await scene.pass(FIRST + 59 * SECOND - world.now);
      for (let twice = 0; twice < 2; twice++) {
        const order = { scheduleId: schedule.id, scheduledTime: FIRST, specVersion: 1 };
        expect(await fire(world.ports, order)).toMatchObject({ outcome: 'dispatched', duplicate: twice === 1 });
      }
      await scene.pass(2 * MINUTE);
      expect((await scheduleRow(world, schedule.id)).clock.status).toBe('synced');
    },
  },
];

const overdue: readonly RuleCase[] = [
  {
    stuck: 'its clock was lost, and nobody fires what comes due',
    found: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world);
      world.clocks.clear();
      await scene.pass(FIRST + 119 * SECOND - world.now);
      expect(scene.rules).toEqual([]);
      await scene.pass(SECOND);
      const ledger = await listOccurrences(world.ports, world.caller, schedule.id, page);
      expect(ledger.items).toMatchObject([{ disposition: 'dispatched', latenessSeconds: 120 }]);
      expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({ overdue: false });
      const because = new RegExp(`nobody had decided ${isoSecond(FIRST)}`);
      return { pk: keys.schedule(schedule.id).pk, because, did: /settled what was overdue: dispatched/ };
    },
    almost: 'it is delivered a second before its grace is over',
    leftAlone: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world);
      await scene.pass(FIRST + 119 * SECOND - world.now);
      const fired = await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
      expect(fired).toMatchObject({ outcome: 'dispatched', duplicate: false });
      await scene.pass(MINUTE);
    },
  },
  {
    stuck: 'everything was down for two hours, longer than its catch-up window of one',
    found: async (scene) => {
      const { world } = scene;
      const schedule = await scheduled(world, minutely);
      await scene.look();
      world.now += 120 * MINUTE;
      await scene.pass(MINUTE);
      const ledger = await listOccurrences(world.ports, world.caller, schedule.id, page);
      const missed = ledger.items.filter(({ disposition }) => disposition === 'missed');
      expect(missed.length).toBeGreaterThan(0);
      const count = world.measured
        .filter(({ name }) => name === 'OccurrencesMissed')
        .reduce((sum, { value }) => sum + value, 0);
      expect(count).toBeGreaterThanOrEqual(55);
      expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({ overdue: false });
      return { pk: keys.schedule(schedule.id).pk, because: /nobody had decided/, did: /settled.*missed/ };
    },
    almost: 'its occurrence has a flexible window that is not over',
    leftAlone: async (scene) => {
      const { world } = scene;
      await scheduled(world, { flexibleWindow: 'PT4M' });
      await scene.pass(FIRST + 4 * MINUTE + 119 * SECOND - world.now);
      expect(world.executions).toEqual([]);
    },
  },
];

export const SCHEDULE_CASES = {
  clock_drift: clockDrift,
  occurrence_overdue: overdue,
  live_run_leaked: [
    {
      stuck: 'the end of its run was written without taking it out of the live ones',
      found: async (scene) => {
        const { world } = scene;
        const { schedule, live } = await buffering(scene);
        await endWith(
          losing(world, (write) => keyOf(write).pk === keys.schedule(schedule.id).pk),
          live,
        );
        expect((await scheduleRow(world, schedule.id)).liveRuns).toEqual([live]);
        await scene.pass(70 * SECOND);
        const row = await scheduleRow(world, schedule.id);
        expect([row.buffer, row.liveRuns.includes(live)]).toEqual([[], false]);
        return { pk: keys.schedule(schedule.id).pk, because: /counted it as live still/, did: /took it out/ };
      },
      almost: 'that run is at work',
      leftAlone: async (scene) => {
        const { schedule, live, runner } = await buffering(scene);
        await scene.pass(3 * MINUTE, () => runner.beat([running(live)]));
        expect((await scheduleRow(scene.world, schedule.id)).liveRuns).toEqual([live]);
      },
    },
  ],
  waiting_uncalled: [
    {
      stuck: 'the fan-out of the end that it waited for was lost',
      found: async (scene) => {
        const { schedule, live } = await buffering(scene);
        await endWith(scene.world.ports, live);
        await scene.pass(70 * SECOND);
        expect((await scheduleRow(scene.world, schedule.id)).buffer).toEqual([]);
        return { pk: keys.schedule(schedule.id).pk, because: /nothing that it waited for was live/, did: /called/ };
      },
      almost: 'what it waits for is at work',
      leftAlone: async (scene) => {
        const { schedule, live, runner } = await buffering(scene);
        await scene.pass(3 * MINUTE, () => runner.beat([running(live)]));
        expect((await scheduleRow(scene.world, schedule.id)).buffer).toEqual([FIRST]);
      },
    },
  ],
  place_leaked: [
    placeLeaked('giving the place and the counter back', () => true, /counted it still/, /gave the place of .* back/),
    placeLeaked(
      'the counter',
      (write) => keyOf(write).sk === 'META',
      /place\(s\) are held/,
      /set the counter of .* to 0/,
    ),
  ],
} satisfies Partial<Record<Recovery, readonly RuleCase[]>>;
