import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { CandorError } from '../../../core/errors.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { afterRead, any, eventsOf, MINUTE, none, page, runRow, SECOND, scheduleRow, upTo } from '../support.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

async function scheduled(overrides: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, overrides);
}
const patch = (id: string, change: Parameters<typeof patchSchedule>[3]) =>
  patchSchedule(world.ports, world.caller, id, change, any);

describe('an edit', () => {
  it('that leaves no occurrence is refused, or the schedule would stand as active for ever', async () => {
    const schedule = await scheduled();
    await expect(patch(schedule.id, { window: { endAt: MONDAY_NOON + MINUTE } })).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ pointer: '/window/endAt' }],
    });
    expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({ version: 1, status: 'active' });
  });

  it('of the window of a one-off that is over does not make it active again', async () => {
    const schedule = await scheduled({ cadence: { at: isoSecond(FIRST) } });
    world.now = FIRST;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
    await expect(patch(schedule.id, { window: { endAt: FIRST + 60 * MINUTE } })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({ status: 'completed' });
  });

  it('of a completed schedule’s cadence makes it active again', async () => {
    const schedule = await scheduled({ cadence: { at: isoSecond(FIRST) }, overlapPolicy: 'allow_all' });
    world.now = FIRST + SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
    const edited = await patch(schedule.id, { cadence: { at: FIRST + 60 * MINUTE } });
    expect(edited).toMatchObject({ status: 'active', nextOccurrences: [isoSecond(FIRST + 60 * MINUTE)] });
    world.now = FIRST + 60 * MINUTE;
    expect(await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now })).toMatchObject({
      outcome: 'dispatched',
    });
  });

  it('of the flexible window of a one-off is taken, whether its time is over or it is about to be delivered', async () => {
    const over = await scheduled({ cadence: { at: isoSecond(FIRST) } });
    const due = await scheduled({ cadence: { at: isoSecond(FIRST) }, flexibleWindow: 'PT1H' });
    world.now = FIRST + 2 * MINUTE;
    await fire(world.ports, { scheduleId: over.id, scheduledTime: FIRST });
    expect(await patch(over.id, { flexibleWindow: 600 })).toMatchObject({
      status: 'completed',
      flexibleWindow: 'PT10M',
    });
    expect(await patch(due.id, { flexibleWindow: 600 })).toMatchObject({ status: 'active' });
    expect(world.clocks.get(due.id)).toMatchObject({ startAt: FIRST, flexibleWindowSeconds: 600 });
    expect(await fire(world.ports, { scheduleId: due.id, scheduledTime: FIRST })).toMatchObject({
      outcome: 'dispatched',
    });
  });

  it('that gives more runs does not wake what a fire within the allowed skew has decided already', async () => {
    const schedule = await scheduled({ remainingRuns: 1, window: { endAt: isoSecond(FIRST + SECOND) } });
    world.now = FIRST - 4 * SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST });
    world.now += SECOND;
    expect(await patch(schedule.id, { remainingRuns: 5 })).toMatchObject({ status: 'completed' });
  });

  it('leaves one event for each version of the schedule', async () => {
    const schedule = await scheduled();
    await patch(schedule.id, { name: 'one' });
    await pauseSchedule(world.ports, world.caller, schedule.id, '', none);
    await resumeSchedule(world.ports, world.caller, schedule.id, none);
    const events = await eventsOf(world, keys.schedule(schedule.id).pk);
    expect(events.map((each) => each.sequence)).toEqual(upTo(4));
    expect(events.map((each) => each.type)).toEqual([
      'schedule.created',
      'schedule.changed',
      'schedule.paused',
      'schedule.resumed',
    ]);
  });

  it('made again and again between two occurrences does not make the row grow', async () => {
    const schedule = await scheduled({ cadence: { cron: '0 0 1 1 *', timezone: 'UTC' } });
    for (let round = 0; round < 20; round++) {
      world.now += SECOND;
      await pauseSchedule(world.ports, world.caller, schedule.id, '', none);
      world.now += SECOND;
      await resumeSchedule(world.ports, world.caller, schedule.id, none);
      world.now += SECOND;
      await patch(schedule.id, { cadence: { cron: `${round} 0 1 1 *`, timezone: 'UTC' } });
    }
    expect((await scheduleRow(world, schedule.id)).revisions.length).toBeLessThanOrEqual(4);
    expect((await getSchedule(world.ports, world.caller, schedule.id)).nextOccurrences[0]).toBe('2028-01-01T00:19:00Z');
  });

  it('settles nothing that is due and was not fired, nor what is due at its very instant', async () => {
    const late = await scheduled();
    const punctual = await scheduled();
    world.now = FIRST;
    await patch(punctual.id, { cadence: { cron: '*/1 * * * *', timezone: 'UTC' }, confirmFrequency: true });
    world.now = FIRST + 10 * SECOND;
    await patch(late.id, { cadence: { cron: '7 * * * *', timezone: 'UTC' } });
    for (const id of [late.id, punctual.id])
      expect(await fire(world.ports, { scheduleId: id, scheduledTime: FIRST })).toMatchObject({
        outcome: 'dispatched',
      });
  });

  it('in a pause still lets the resume count all that the pause withheld', async () => {
    const schedule = await scheduled();
    await pauseSchedule(world.ports, world.caller, schedule.id, '', none);
    world.now = FIRST + 10 * MINUTE + SECOND;
    await patch(schedule.id, { cadence: { cron: '*/10 * * * *', timezone: 'UTC' } });
    world.now = FIRST + 30 * MINUTE + SECOND;
    await resumeSchedule(world.ports, world.caller, schedule.id, none);
    const ledger = (await listOccurrences(world.ports, world.caller, schedule.id, page)).items;
    // 12:05, 12:10, 12:15 of the first cadence, 12:20 and 12:30 of the second.
    expect(ledger).toMatchObject([{ disposition: 'skipped', reason: 'paused', count: 5 }]);
  });
});

describe('a delete with live runs', () => {
  it('cancels them from the fan-out, too, when it died before it could', async () => {
    const schedule = await scheduled();
    const run = await triggerSchedule(world.ports, world.caller, schedule.id, {}, none);
    const crash = new CandorError('internal_error', 'crash');
    const dies = afterRead(world, keys.run(run.id), () => Promise.reject(crash));
    await expect(deleteSchedule(dies, world.caller, schedule.id, any, { cancelRuns: true })).rejects.toBe(crash);
    expect((await runRow(world, run.id)).status).toBe('queued');

    for (const event of await eventsOf(world, keys.schedule(schedule.id).pk)) await handleEvent(world.ports, event);

    expect((await runRow(world, run.id)).status).toBe('cancelled');
    expect((await scheduleRow(world, schedule.id)).status).toBe('deleted');
    for (const event of await eventsOf(world, keys.schedule(schedule.id).pk)) await handleEvent(world.ports, event);
    world.now += 10 * MINUTE;
    expect(await tick(world.ports, { owner: 'test', budgetMs: MINUTE })).toMatchObject({ failures: 0 });
  });
});
