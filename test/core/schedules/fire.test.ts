import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import type { RunRow } from '../../../core/runs/model.ts';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { listRuns } from '../../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { type Delivery, fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { scheduleRow } from '../support.ts';

const MINUTE = 60_000;
const FIRST = MONDAY_NOON + 5 * MINUTE;
const page = { limit: 100 };

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const deliveryOf = (scheduleId: string, scheduledTime: number): Delivery => ({ scheduleId, scheduledTime });
const finish = (runId: string, status: 'succeeded' | 'failed' = 'succeeded') =>
  finishRun(
    world.ports,
    runId,
    { status, evidence: { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' } },
    { attempt: 1 },
  );

async function scheduled(overrides: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, overrides);
}

describe('fire', () => {
  it('commits the occurrence, the run and the live set together, and places the run', async () => {
    const schedule = await scheduled();
    world.now = FIRST + 800;

    const result = await fire(world.ports, deliveryOf(schedule.id, FIRST));

    expect(result).toMatchObject({ outcome: 'dispatched', duplicate: false });
    const runId = 'runId' in result ? result.runId : '';
    const body = await getSchedule(world.ports, world.caller, schedule.id);
    expect(body.liveRuns).toEqual([runId]);
    expect(body.overdue).toBe(false);
    expect(body.nextOccurrences[0]).toBe(isoSecond(FIRST + 5 * MINUTE));
    expect(world.executions.map((each) => each.input.runId)).toEqual([runId]);
    const ledger = await listOccurrences(world.ports, world.caller, schedule.id, page);
    expect(ledger.items).toMatchObject([
      { disposition: 'dispatched', runId, occurrence: isoSecond(FIRST), latenessSeconds: 0.8 },
    ]);
    const runs = await listRuns(world.ports, world.caller, {}, page);
    expect(runs.items).toMatchObject([
      { id: runId, status: 'queued', input: { hello: 'world' }, displayName: `${schedule.name} · ${isoSecond(FIRST)}` },
    ]);
  });

  it('makes one run of any number of deliveries, and tells the others that it exists (I1)', async () => {
    const schedule = await scheduled();
    world.now = FIRST + 100;

    const results = await Promise.all(
      Array.from({ length: 32 }, () => fire(world.ports, deliveryOf(schedule.id, FIRST))),
    );

    expect(results.filter((each) => each.outcome === 'dispatched' && !each.duplicate)).toHaveLength(1);
    expect(results.filter((each) => each.outcome === 'dispatched' && each.duplicate)).toHaveLength(31);
    expect((await listRuns(world.ports, world.caller, {}, page)).items).toHaveLength(1);
  });

  it('places a run that was committed but never placed, when the delivery comes again', async () => {
    const schedule = await scheduled();
    world.now = FIRST + 100;
    const broken = {
      ...world.ports,
      workflow: { ...world.ports.workflow, start: async () => Promise.reject(new Error('crash')) },
    };
    await expect(fire(broken, deliveryOf(schedule.id, FIRST))).rejects.toThrow('crash');
    expect(world.executions).toHaveLength(0);

    const again = await fire(world.ports, deliveryOf(schedule.id, FIRST));

    expect(again).toMatchObject({ outcome: 'dispatched', duplicate: true });
    expect(world.executions).toHaveLength(1);
  });

  it('skips while a run is live and names it, then dispatches the next one after it has ended', async () => {
    const schedule = await scheduled();
    world.now = FIRST;
    const first = await fire(world.ports, deliveryOf(schedule.id, FIRST));
    const runId = 'runId' in first ? first.runId : '';
    world.now = FIRST + 5 * MINUTE;

    const second = await fire(world.ports, deliveryOf(schedule.id, world.now));
    await finish(runId);
    world.now = FIRST + 10 * MINUTE;
    const third = await fire(world.ports, deliveryOf(schedule.id, world.now));

    expect(second).toMatchObject({ outcome: 'skipped', reason: 'overlap' });
    expect(third).toMatchObject({ outcome: 'dispatched', duplicate: false });
    const ledger = await listOccurrences(world.ports, world.caller, schedule.id, page);
    expect(ledger.items.map((each) => [each.disposition, each.blockingRunId])).toEqual([
      ['dispatched', undefined],
      ['skipped', runId],
      ['dispatched', undefined],
    ]);
  });

  it('runs them side by side under allow_all', async () => {
    const schedule = await scheduled({ overlapPolicy: 'allow_all' });
    for (const index of [0, 1, 2]) {
      world.now = FIRST + index * 5 * MINUTE;
      expect(await fire(world.ports, deliveryOf(schedule.id, world.now))).toMatchObject({ outcome: 'dispatched' });
    }
    expect((await getSchedule(world.ports, world.caller, schedule.id)).liveRuns).toHaveLength(3);
  });

  it('settles an earlier unsettled occurrence before the one that was delivered', async () => {
    const schedule = await scheduled({ overlapPolicy: 'allow_all' });
    world.now = FIRST + 10 * MINUTE + 500;

    const result = await fire(world.ports, deliveryOf(schedule.id, FIRST + 10 * MINUTE));

    expect(result).toMatchObject({ outcome: 'dispatched' });
    const ledger = await listOccurrences(world.ports, world.caller, schedule.id, page);
    expect(ledger.items.map((each) => each.disposition)).toEqual(['dispatched', 'dispatched', 'dispatched']);
  });

  it('records a long silence as one range with a count and catches up what is still in the window', async () => {
    const schedule = await scheduled({ overlapPolicy: 'allow_all', catchupWindow: 'PT10M' });
    world.now = FIRST + 3 * 60 * MINUTE;

    await fire(world.ports, deliveryOf(schedule.id, world.now));

    const ledger = (await listOccurrences(world.ports, world.caller, schedule.id, page)).items;
    expect(ledger.filter((each) => each.disposition === 'missed')).toMatchObject([
      { occurrence: isoSecond(FIRST), count: 34, reason: 'outside_catchup_window' },
    ]);
    expect(ledger.filter((each) => each.disposition === 'dispatched')).toHaveLength(3);
    const into = await fire(world.ports, deliveryOf(schedule.id, FIRST + 5 * MINUTE));
    expect(into).toEqual({ outcome: 'ignored', reason: 'covered_by_range' });
    expect((await getSchedule(world.ports, world.caller, schedule.id)).overdue).toBe(false);
  });

  it('changes nothing for an occurrence that no revision expects', async () => {
    const schedule = await scheduled();
    world.now = FIRST + 90_000;
    expect(await fire(world.ports, deliveryOf(schedule.id, FIRST + 60_000))).toEqual({
      outcome: 'ignored',
      reason: 'unexpected',
    });
    expect((await getSchedule(world.ports, world.caller, schedule.id)).clock.status).toBe('pending');
    expect(await fire(world.ports, deliveryOf('sch_00000000000000000000000000', FIRST))).toEqual({
      outcome: 'ignored',
      reason: 'unknown_schedule',
    });
    expect((await listRuns(world.ports, world.caller, {}, page)).items).toEqual([]);
  });

  it('never fires early', async () => {
    const schedule = await scheduled();
    world.now = FIRST - 6000;
    expect(await fire(world.ports, deliveryOf(schedule.id, FIRST))).toEqual({ outcome: 'ignored', reason: 'early' });
    world.now = FIRST - 4000;
    expect(await fire(world.ports, deliveryOf(schedule.id, FIRST))).toMatchObject({ outcome: 'dispatched' });
  });

  it('takes the first unsettled occurrence when the clock could not say which', async () => {
    const schedule = await scheduled();
    world.now = FIRST + 2000;
    expect(await fire(world.ports, { scheduleId: schedule.id })).toMatchObject({ outcome: 'dispatched' });
    expect(await fire(world.ports, { scheduleId: schedule.id })).toEqual({ outcome: 'ignored', reason: 'nothing_due' });
  });

  it('completes a one-off with its occurrence', async () => {
    const schedule = await scheduled({ cadence: { at: isoSecond(FIRST) } });
    world.now = FIRST;
    await fire(world.ports, deliveryOf(schedule.id, FIRST));
    const body = await getSchedule(world.ports, world.caller, schedule.id);
    expect(body).toMatchObject({ status: 'completed', version: 2, nextOccurrences: [], overdue: false });
  });

  it('skips as unauthorized when the creator has been revoked, and keeps the schedule', async () => {
    const schedule = await scheduled();
    await world.ports.store.transact([
      { kind: 'update', key: keys.principal(world.caller.principalId), set: { status: 'revoked' }, guards: [] },
    ]);
    world.now = FIRST;
    expect(await fire(world.ports, deliveryOf(schedule.id, FIRST))).toMatchObject({
      outcome: 'skipped',
      reason: 'unauthorized',
    });
    expect((await getSchedule(world.ports, world.caller, schedule.id)).status).toBe('active');
    const notes = await world.ports.store.query({ pk: keys.schedule(schedule.id).pk, prefix: 'NOTE#', limit: 5 });
    expect(notes.items).toMatchObject([
      { type: 'schedule.unauthorized', detail: { principal: world.caller.principalId } },
    ]);
  });

  it('survives a lost answer: the write was applied, the caller never heard', async () => {
    const schedule = await scheduled();
    world.now = FIRST;
    let lost = 0;
    const store = new Proxy(world.ports.store, {
      get: (target, name) => {
        const member = Reflect.get(target, name) as unknown;
        if (name !== 'transact') return typeof member === 'function' ? member.bind(target) : member;
        return async (writes: Parameters<typeof target.transact>[0]) => {
          await target.transact(writes);
          // The SDK's own retry then meets the condition that our write has made false.
          if (lost++ === 0) await target.transact(writes);
        };
      },
    });
    const result = await fire({ ...world.ports, store }, deliveryOf(schedule.id, FIRST));
    expect(lost).toBe(1);
    expect(result).toMatchObject({ outcome: 'dispatched', duplicate: false });
  });
});

describe('races of fire with edits, pauses, deletes and finishes (I4, I8)', () => {
  it('dispatches nothing after a pause has been acknowledged, whoever comes first', async () => {
    for (let round = 0; round < 25; round++) {
      const schedule = await scheduled();
      world.now += 5 * MINUTE;
      const at = Math.floor(world.now / (5 * MINUTE)) * 5 * MINUTE;
      const [fired, paused] = await Promise.all([
        fire(world.ports, deliveryOf(schedule.id, at)),
        pauseSchedule(world.ports, world.caller, schedule.id, 'race', { kind: 'none' }),
      ]);
      const after = await getSchedule(world.ports, world.caller, schedule.id);
      expect(after.version).toBe(2);
      expect(paused.status).toBe('paused');
      // Either the fire was first and its run stands in the live set, or the pause was and nothing was dispatched.
      expect(after.liveRuns).toHaveLength(fired.outcome === 'dispatched' ? 1 : 0);
      const late = await fire(world.ports, deliveryOf(schedule.id, at));
      expect(late.outcome === 'dispatched' && !late.duplicate).toBe(false);
    }
  });

  it('keeps both an edit and a fire that collide, each exactly once', async () => {
    for (let round = 0; round < 25; round++) {
      const schedule = await scheduled();
      // A moment after the occurrence: an edit at its very instant would be in force for it.
      world.now = Math.floor(world.now / (5 * MINUTE)) * 5 * MINUTE + 5 * MINUTE + 300;
      const at = Math.floor(world.now / (5 * MINUTE)) * 5 * MINUTE;
      const [fired, edited] = await Promise.all([
        fire(world.ports, deliveryOf(schedule.id, at)),
        patchSchedule(
          world.ports,
          world.caller,
          schedule.id,
          { cadence: { cron: '7 * * * *', timezone: 'UTC' } },
          { kind: 'version', version: 1 },
        ),
      ]);
      expect(fired).toMatchObject({ outcome: 'dispatched', duplicate: false });
      expect(edited).toMatchObject({ version: 2, cadence: { cron: '7 * * * *' } });
      const after = await getSchedule(world.ports, world.caller, schedule.id);
      expect(after.liveRuns).toHaveLength(1);
      expect(after.nextOccurrences[0]).toMatch(/:07:00Z$/);
    }
  });

  it('refuses a delete with a live run and names it, and lets no fire slip past a delete', async () => {
    const schedule = await scheduled();
    world.now = FIRST;
    const fired = await fire(world.ports, deliveryOf(schedule.id, FIRST));
    const runId = 'runId' in fired ? fired.runId : '';
    await expect(
      deleteSchedule(world.ports, world.caller, schedule.id, { kind: 'any' }, { cancelRuns: false }),
    ).rejects.toMatchObject({ code: 'live_runs', facts: { runs: [{ runId }] } });
    await finish(runId);
    await deleteSchedule(world.ports, world.caller, schedule.id, { kind: 'any' }, { cancelRuns: false });
    world.now = FIRST + 5 * MINUTE;
    expect(await fire(world.ports, deliveryOf(schedule.id, world.now))).toMatchObject({ outcome: 'ignored' });
    expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({
      status: 'deleted',
      liveRuns: [],
    });
  });

  it('never shows two runs to a policy that allows one, when a fire and a finish collide', async () => {
    const schedule = await scheduled();
    world.now = FIRST;
    let live = await fire(world.ports, deliveryOf(schedule.id, FIRST));
    for (let round = 1; round <= 20; round++) {
      world.now = FIRST + round * 5 * MINUTE;
      const liveId = 'runId' in live ? live.runId : '';
      const [next] = await Promise.all([fire(world.ports, deliveryOf(schedule.id, world.now)), finish(liveId)]);
      const { liveRuns } = await getSchedule(world.ports, world.caller, schedule.id);
      expect(liveRuns).toHaveLength(next.outcome === 'dispatched' ? 1 : 0);
      if (next.outcome === 'dispatched') live = next;
      else {
        const triggered = await triggerSchedule(world.ports, world.caller, schedule.id, {}, { kind: 'none' });
        live = { outcome: 'dispatched', runId: triggered.id, duplicate: false };
      }
    }
  });
});

describe('trigger and pause', () => {
  it('runs a paused schedule by hand without consuming an occurrence (I11)', async () => {
    const schedule = await scheduled();
    await pauseSchedule(world.ports, world.caller, schedule.id, 'maintenance', { kind: 'none' });
    const run = await triggerSchedule(world.ports, world.caller, schedule.id, { input: 'now' }, { kind: 'none' });
    expect(run).toMatchObject({
      status: 'queued',
      input: 'now',
      trigger: { kind: 'trigger', by: world.caller.principalId },
    });
    expect((await listOccurrences(world.ports, world.caller, schedule.id, page)).items).toEqual([]);
    expect((await listScheduleRuns(world.ports, world.caller, schedule.id, page)).items.map((each) => each.id)).toEqual(
      [run.id],
    );
  });

  it('refuses a trigger that the overlap policy forbids and names the blocking run', async () => {
    const schedule = await scheduled();
    const run = await triggerSchedule(world.ports, world.caller, schedule.id, {}, { kind: 'none' });
    await expect(triggerSchedule(world.ports, world.caller, schedule.id, {}, { kind: 'none' })).rejects.toMatchObject({
      code: 'overlap',
      facts: { blockingRunId: run.id },
    });
  });

  it('records what fell into a pause as one skipped range, and never fires into the past on resume', async () => {
    const schedule = await scheduled();
    await pauseSchedule(world.ports, world.caller, schedule.id, '', { kind: 'none' });
    world.now = FIRST + 60 * MINUTE + 1000;
    await resumeSchedule(world.ports, world.caller, schedule.id, { kind: 'none' });
    const ledger = (await listOccurrences(world.ports, world.caller, schedule.id, page)).items;
    expect(ledger).toMatchObject([
      { disposition: 'skipped', reason: 'paused', count: 13, occurrence: isoSecond(FIRST) },
    ]);
    const body = await getSchedule(world.ports, world.caller, schedule.id);
    expect(body).toMatchObject({ status: 'active', overdue: false, version: 3 });
    expect(body.nextOccurrences[0]).toBe(isoSecond(FIRST + 65 * MINUTE));
    expect(await fire(world.ports, deliveryOf(schedule.id, FIRST + 10 * MINUTE))).toMatchObject({ outcome: 'ignored' });
  });

  it('is OVERDUE only while a due occurrence is unhandled, and a manual run does not hide it', async () => {
    const schedule = await scheduled();
    world.now = FIRST + 121_000;
    const overdue = await getSchedule(world.ports, world.caller, schedule.id);
    expect(overdue).toMatchObject({ overdue: true, overdueSince: isoSecond(FIRST) });
    await fire(world.ports, deliveryOf(schedule.id, FIRST));
    expect(await getSchedule(world.ports, world.caller, schedule.id)).toMatchObject({ overdue: false });
  });
});

it('leaves events without gaps on every run', async () => {
  const schedule = await scheduled();
  world.now = FIRST;
  const fired = await fire(world.ports, deliveryOf(schedule.id, FIRST));
  const runId = 'runId' in fired ? fired.runId : '';
  await finish(runId);
  const run = (await world.ports.store.get(keys.run(runId))) as unknown as RunRow;
  const events = await world.ports.store.query({ pk: keys.run(runId).pk, prefix: 'EVT#', limit: 50 });
  expect(events.items.map((item) => item.sequence)).toEqual(
    Array.from({ length: run.version }, (_, index) => index + 1),
  );
});

describe('the repeated hour in autumn: AWS does not say at which of the two instants it fires', () => {
  /** 02:30 in Berlin on 2027-10-31, by summer time and again by winter time. */
  const first = Date.UTC(2027, 9, 31, 0, 30);
  const second = first + 60 * MINUTE;
  const daily = { cadence: { cron: '30 2 * * *', timezone: 'Europe/Berlin' } };

  async function berlin(more: Parameters<World['schedule']>[1] = {}) {
    world.now = first - 12 * 60 * MINUTE;
    const schedule = await scheduled({ ...daily, ...more });
    world.now = first + 500;
    return schedule.id;
  }
  const deliver = (id: string, at: number) => {
    world.now = Math.max(world.now, at + 800);
    return fire(world.ports, deliveryOf(id, at));
  };
  async function expectOneRun(id: string) {
    const { items } = await listOccurrences(world.ports, world.caller, id, page);
    expect(items).toMatchObject([{ occurrence: isoSecond(first), disposition: 'dispatched' }]);
    expect((await listRuns(world.ports, world.caller, {}, page)).items).toHaveLength(1);
    expect((await scheduleRow(world, id)).decidedThrough).toBe(first);
  }

  it.each([
    ['the first', [first, first]],
    ['the second', [second, second]],
    ['both', [first, second, first, second]],
    ['both, the later one first', [second, first, second, first]],
  ] as const)('makes one run where it delivers %s, each more than once', async (_name, times) => {
    const id = await berlin();
    const results = [];
    for (const at of times) results.push(await deliver(id, at));
    expect(results.map((each) => [each.outcome, 'duplicate' in each && each.duplicate])).toEqual(
      times.map((_at, index) => ['dispatched', index > 0]),
    );
    await expectOneRun(id);
  });

  it.each([
    ['the first, then the second', [first, second]],
    ['the second', [second]],
  ] as const)('does not call the clock out of step where it delivers %s', async (_name, times) => {
    const id = await berlin();
    for (const at of times) await deliver(id, at);
    expect((await scheduleRow(world, id)).clock.status).toBe('synced');
  });

  it('is not too late at the second instant, by a catch-up window that is short, and is after that', async () => {
    const id = await berlin({ catchupWindow: 'PT5M' });
    world.now = second + 4 * MINUTE;
    expect(await fire(world.ports, deliveryOf(id, second))).toMatchObject({ outcome: 'dispatched' });
    const late = await berlin({ catchupWindow: 'PT5M' });
    world.now = second + 6 * MINUTE;
    expect(await fire(world.ports, deliveryOf(late, second))).toMatchObject({ outcome: 'missed' });
  });

  it('makes one run of both when they arrive together', async () => {
    const id = await berlin();
    world.now = second + 100;
    await Promise.all([first, second, second, first].map((at) => fire(world.ports, deliveryOf(id, at))));
    await expectOneRun(id);
  });

  it('still ignores a time that no local clock time of the cadence names', async () => {
    const id = await berlin();
    expect(await deliver(id, second + MINUTE)).toEqual({ outcome: 'ignored', reason: 'unexpected' });
    expect(await deliver(id, second + 60 * MINUTE)).toEqual({ outcome: 'ignored', reason: 'unexpected' });
  });

  it('has each local time once where several lie in it, whichever instants are delivered', async () => {
    const id = await berlin({
      cadence: { cron: '*/15 2 * * *', timezone: 'Europe/Berlin' },
      overlapPolicy: 'allow_all',
    });
    const quarters = [0, 15, 30, 45].map((minutes) => Date.UTC(2027, 9, 31, 0, minutes));
    for (const at of quarters) await deliver(id, at + 60 * MINUTE);
    for (const at of quarters) await deliver(id, at);
    const { items } = await listOccurrences(world.ports, world.caller, id, page);
    expect(items.toReversed().map((each) => [each.occurrence, each.disposition])).toEqual(
      quarters.map((at) => [isoSecond(at), 'dispatched']),
    );
  });
});
