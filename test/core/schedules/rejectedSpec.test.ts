/** What else stands after the clock has refused a spec: what was taken out, what is completed, what waits. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { ClockRejected, type Ports } from '../../../core/ports.ts';
import { pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { syncClock } from '../../../core/schedules/clockSync.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { patchSchedule } from '../../../core/schedules/service.ts';
import { skipOccurrence } from '../../../core/schedules/skips.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, finishAs, MINUTE, none, SECOND, scheduleRow } from '../support.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

async function scheduled(overrides: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, overrides);
}
const edit = (ports: Ports, id: string, change: Parameters<typeof patchSchedule>[3]) =>
  patchSchedule(ports, world.caller, id, change, any);
const skip = (id: string, occurrence: number) =>
  skipOccurrence(world.ports, world.caller, id, { occurrence, reason: '' }, none);
const withPut = (put: Ports['clock']['put']): Ports => ({ ...world.ports, clock: { ...world.ports.clock, put } });
const refusing = () => withPut(() => Promise.reject(new ClockRejected('too strange')));
const deaf = () => withPut(() => Promise.reject(new Error('the clock is down')));

describe('a refused edit', () => {
  const hourly = { cron: '7 * * * *', timezone: 'UTC' };

  it('leaves taken out what was: the cadence that comes back names it again', async () => {
    const { id } = await scheduled();
    await skip(id, FIRST);
    await expect(edit(refusing(), id, { cadence: hourly })).rejects.toThrow('put back');
    expect((await scheduleRow(world, id)).skips).toEqual([FIRST]);
    world.now = FIRST;
    expect(await fire(world.ports, { scheduleId: id, scheduledTime: FIRST })).toMatchObject({ outcome: 'skipped' });
  });

  it('that the clock took in the end forgets what the new cadence does not name', async () => {
    const { id } = await scheduled();
    await skip(id, FIRST);
    await edit(deaf(), id, { cadence: hourly });
    expect((await scheduleRow(world, id)).skips).toEqual([FIRST]);
    world.now += MINUTE + SECOND;
    await tick(world.ports, { owner: 'test', budgetMs: 10_000 });
    expect(await scheduleRow(world, id)).toMatchObject({ skips: [], clock: { status: 'synced' } });
  });

  it('changes nothing of a schedule that has completed meanwhile', async () => {
    const { id } = await scheduled({ paused: true, cadence: { at: isoSecond(FIRST) } });
    const completing = withPut(async () => {
      world.now = FIRST;
      await fire(world.ports, { scheduleId: id, scheduledTime: FIRST });
      throw new ClockRejected('it is too late for that');
    });
    await expect(resumeSchedule(completing, world.caller, id, none)).rejects.toMatchObject({ code: 'invalid_request' });
    expect((await scheduleRow(world, id)).status).toBe('completed');
  });

  it('leaves a schedule that has nothing but a waiting occurrence active until that has run', async () => {
    const window = { endAt: isoSecond(FIRST + 2 * MINUTE) };
    const { id } = await scheduled({ window, overlapPolicy: 'buffer_one' });
    const { id: runId } = await triggerSchedule(world.ports, world.caller, id, {}, none);
    world.now = FIRST - MINUTE;
    await edit(deaf(), id, { window: { endAt: FIRST + 60 * MINUTE } });
    world.now = FIRST;
    expect(await fire(world.ports, { scheduleId: id, scheduledTime: FIRST })).toMatchObject({ outcome: 'buffered' });
    world.now = FIRST + 3 * MINUTE;
    await syncClock(refusing(), id);
    expect(await scheduleRow(world, id)).toMatchObject({ status: 'active', buffer: [FIRST] });
    await finishAs(world, runId);
    await tick(world.ports, { owner: 'test', budgetMs: 10_000 });
    const after = await scheduleRow(world, id);
    expect([after.status, after.buffer, after.liveRuns.length]).toEqual(['completed', [], 1]);
  });
});

describe('a pause that is edited again and again', () => {
  it('does not make the row grow where no occurrence falls between two edits', async () => {
    const { id } = await scheduled({ cadence: { cron: '0 0 1 1 *', timezone: 'UTC' } });
    await pauseSchedule(world.ports, world.caller, id, '', none);
    for (let minute = 1; minute <= 10; minute++) {
      world.now += SECOND;
      await edit(world.ports, id, { cadence: { cron: `${minute} 0 1 1 *`, timezone: 'UTC' } });
    }
    const { specVersion, revisions } = await scheduleRow(world, id);
    expect([specVersion, revisions.map((each) => each.specVersion)]).toEqual([12, [1, 12]]);
  });
});
