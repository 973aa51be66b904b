/** Many fires in shared transactions: the same outcome as one by one, whoever interferes and whatever dies in the middle. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OVERLAP_POLICIES } from '../../../core/contract/schedules.ts';
import { StoreUnavailable } from '../../../core/errors.ts';
import type { Ports, Store } from '../../../core/ports.ts';
import { deleteSchedule, pauseSchedule } from '../../../core/schedules/actions.ts';
import { firstUndecided } from '../../../core/schedules/expected.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { fireMany } from '../../../core/schedules/fireMany.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import type { ScheduleRow } from '../../../core/schedules/model.ts';
import { skipOccurrence } from '../../../core/schedules/skips.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { interleaved, MINUTE, none, SECOND, scheduleRow, storeWith } from '../support.ts';

const STEP = 5 * MINUTE;
const FIRST = MONDAY_NOON + STEP;
const COUNT = 40;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

async function scheduled(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const agent = index % 10 === 0 ? await world.agent() : undefined;
    agentId = agent?.id ?? agentId;
    ids.push((await world.schedule(agentId)).id);
  }
  return ids;
}
let agentId = '';

const rowsOf = (ids: readonly string[]): Promise<readonly ScheduleRow[]> =>
  Promise.all(ids.map((id) => scheduleRow(world, id)));
const entries = async (id: string) =>
  (await listOccurrences(world.ports, world.caller, id, { limit: 100 })).items.toReversed();
const placed = () => world.executions.map((each) => each.input.runId);

/** Each schedule has one dispatched occurrence, its run stands in the live set, and it was placed once. */
async function expectOneRunEach(ids: readonly string[]) {
  const runIds: string[] = [];
  for (const id of ids) {
    const found = await entries(id);
    expect(found.map((entry) => entry.disposition)).toEqual(['dispatched']);
    const runId = found[0]?.runId ?? '';
    expect(await scheduleRow(world, id)).toMatchObject({ liveRuns: [runId], decidedThrough: FIRST });
    runIds.push(runId);
  }
  expect(new Set(placed())).toEqual(new Set(runIds));
}

/** The world's ports with a count of what its transactions hold. */
function counting(react: (store: Store, writes: Parameters<Store['transact']>[0]) => Promise<void>): Ports {
  const { store } = world.ports;
  return { ...world.ports, store: storeWith(store, { transact: (writes) => react(store, writes) }) };
}

describe('fireMany', () => {
  it('fires the first due occurrence of each row, several in a transaction', async () => {
    const ids = await scheduled(COUNT);
    world.now = FIRST + 300;
    const shared: number[] = [];
    const ports = counting(async (store, writes) => {
      const touched = writes.filter((write) => write.kind === 'update' && write.key.pk.startsWith('SCH#'));
      shared.push(touched.length);
      expect(writes.length).toBeLessThanOrEqual(100);
      await store.transact(writes);
    });
    expect(await fireMany(ports, await rowsOf(ids))).toEqual(new Set(ids));
    expect(Math.max(...shared)).toBeGreaterThan(10);
    expect(placed()).toHaveLength(COUNT);
    await expectOneRunEach(ids);
  });

  it('leaves alone what is not due, and answers only what moved', async () => {
    const [first = '', second = ''] = await scheduled(2);
    const hourly = await world.schedule(agentId, { cadence: { cron: '0 * * * *', timezone: 'UTC' } });
    world.now = FIRST;
    expect(await fireMany(world.ports, await rowsOf([first, hourly.id, second]))).toEqual(new Set([first, second]));
    expect(await entries(hourly.id)).toEqual([]);
    expect(await fireMany(world.ports, [])).toEqual(new Set());
  });

  it('takes a row that is named twice once', async () => {
    const ids = await scheduled(3);
    world.now = FIRST;
    const rows = await rowsOf([...ids, ...ids]);
    expect(await fireMany(world.ports, rows)).toEqual(new Set(ids));
    await expectOneRunEach(ids);
  });

  it('makes one run of each occurrence of however many calls with the same rows, at once or later (I1)', async () => {
    const ids = await scheduled(12);
    world.now = FIRST;
    const rows = await rowsOf(ids);
    await Promise.all([1, 2, 3].map(() => fireMany(world.ports, rows)));
    await fireMany(world.ports, rows);
    await Promise.all(ids.map((id) => fire(world.ports, { scheduleId: id, scheduledTime: FIRST })));
    await expectOneRunEach(ids);
  });
});

describe('fireMany, when one guard of a group is lost', () => {
  it('fires the others, and not the one that was paused in between (I4)', async () => {
    const ids = await scheduled(20);
    world.now = FIRST + 100;
    const paused = ids[7] ?? '';
    const ports = interleaved(world, () => pauseSchedule(world.ports, world.caller, paused, '', none));
    await fireMany(ports, await rowsOf(ids));
    expect(await entries(paused)).toMatchObject([{ disposition: 'skipped', reason: 'paused' }]);
    expect((await scheduleRow(world, paused)).liveRuns).toEqual([]);
    await expectOneRunEach(ids.filter((id) => id !== paused));
  });

  it('fires the others, and not the one that was deleted in between (I4)', async () => {
    const ids = await scheduled(20);
    world.now = FIRST + 100;
    const gone = ids[3] ?? '';
    const remove = () =>
      deleteSchedule(world.ports, world.caller, gone, { kind: 'any' }, { cancelRuns: false }) as Promise<unknown>;
    await fireMany(interleaved(world, remove), await rowsOf(ids));
    expect(await entries(gone)).toMatchObject([{ disposition: 'skipped', reason: 'deleted' }]);
    await expectOneRunEach(ids.filter((id) => id !== gone));
  });

  it('fires the others, and the one that somebody else fired in between only that once (I1)', async () => {
    const ids = await scheduled(20);
    world.now = FIRST + 100;
    const other = { scheduleId: ids[11] ?? '', scheduledTime: FIRST };
    const moved = await fireMany(
      interleaved(world, () => fire(world.ports, other)),
      await rowsOf(ids),
    );
    expect(moved).toEqual(new Set(ids));
    await expectOneRunEach(ids);
  });
});

describe('fireMany, when something dies', () => {
  it('leaves runs that are committed but not placed to the watchdog', async () => {
    const ids = await scheduled(12);
    world.now = FIRST;
    const workflow = { ...world.ports.workflow, start: () => Promise.reject(new Error('crash')) };
    expect(await fireMany({ ...world.ports, workflow }, await rowsOf(ids))).toEqual(new Set(ids));
    expect(placed()).toEqual([]);
    world.now += 20 * SECOND;
    const { actions } = await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
    expect(actions.filter((each) => each.rule === 'queued_unplaced')).toHaveLength(12);
    expect(placed()).toHaveLength(12);
    await expectOneRunEach(ids);
  });

  it('loses nothing when the process dies right after the commit', async () => {
    const ids = await scheduled(12);
    world.now = FIRST;
    let dead = false;
    const dies = counting(async (store, writes) => {
      if (dead) throw new Error('crash');
      await store.transact(writes);
      dead = true;
      throw new Error('crash');
    });
    await expect(fireMany(dies, await rowsOf(ids))).rejects.toThrow('crash');
    expect(placed()).toEqual([]);
    world.now += 20 * SECOND;
    await tick(world.ports, { owner: 'test', budgetMs: 60_000 });
    await fireMany(world.ports, await rowsOf(ids));
    await expectOneRunEach(ids);
  });

  it('finds out one by one what a lost answer had applied', async () => {
    const ids = await scheduled(12);
    world.now = FIRST;
    let lost = false;
    const ports = counting(async (store, writes) => {
      await store.transact(writes);
      if (lost) return;
      lost = true;
      throw new StoreUnavailable(new Error('the answer was lost'));
    });
    expect(await fireMany(ports, await rowsOf(ids))).toEqual(new Set(ids));
    await expectOneRunEach(ids);
  });
});

/** One schedule of each kind of outcome; named, because ids differ between worlds. */
async function zoo(): Promise<readonly string[]> {
  const ids: string[] = [];
  const minutely = { cadence: { cron: '* * * * *', timezone: 'UTC' } } as const;
  const add = async (more: Parameters<World['schedule']>[1]) => {
    ids.push((await world.schedule((await world.agent()).id, more)).id);
    return ids.at(-1) ?? '';
  };
  for (const overlapPolicy of OVERLAP_POLICIES) {
    await add({ overlapPolicy });
    // With a run live from before.
    const busy = await add({ ...minutely, overlapPolicy, name: `busy ${overlapPolicy}` });
    world.now = MONDAY_NOON + MINUTE;
    await fire(world.ports, { scheduleId: busy, scheduledTime: world.now });
    world.now = MONDAY_NOON;
  }
  const skipped = await add({ name: 'taken out' });
  await skipOccurrence(world.ports, world.caller, skipped, { occurrence: FIRST, reason: '' }, none);
  await add({ name: 'late', ...minutely, catchupWindow: 'PT1M' });
  await add({ name: 'last', remainingRuns: 1 });
  await add({ name: 'once', cadence: { at: new Date(FIRST).toISOString() } });
  const paused = await add({ name: 'paused', ...minutely });
  const refused = await add({ name: 'agent gone' });
  const { agentId: gone } = await scheduleRow(world, refused);
  await world.ports.store.transact([{ kind: 'update', key: keys.agent(gone), set: { status: 'deleted' }, guards: [] }]);
  world.now = FIRST + 800;
  await pauseSchedule(world.ports, world.caller, paused, '', none);
  return ids;
}

/** What became of each schedule, without the ids that differ. */
async function outcomes(ids: readonly string[]) {
  const found: unknown[] = [];
  for (const id of ids) {
    const row = await scheduleRow(world, id);
    found.push({
      name: row.name,
      status: row.status,
      version: row.version,
      liveSeq: row.liveSeq,
      live: row.liveRuns.length,
      waiting: row.waitingRuns.length,
      buffer: row.buffer,
      cursor: [row.decidedThrough, row.settledThrough, row.checkAt, row.attentionAt],
      clock: row.clock.status,
      entries: (await entries(id)).map((entry) => [
        entry.occurrence,
        entry.through,
        entry.count,
        entry.disposition,
        entry.reason,
        entry.runId === undefined,
        entry.blockingRunId === undefined,
      ]),
    });
  }
  return found;
}

describe('fireMany and fire one by one', () => {
  it('have the same outcome for every kind of decision', { timeout: 60_000 }, async () => {
    const one = await zoo();
    for (const row of await rowsOf(one)) {
      const { id: scheduleId, agentId: hint, createdBy: principalId, specVersion } = row;
      const scheduledTime = firstUndecided(row) ?? 0;
      await fire(world.ports, { scheduleId, scheduledTime, specVersion, agentId: hint, principalId });
    }
    const expected = await outcomes(one);
    const executions = world.executions.length;

    world = await engine.world();
    const many = await zoo();
    expect(await fireMany(world.ports, await rowsOf(many))).toEqual(new Set(many));
    expect(await outcomes(many)).toEqual(expected);
    expect(world.executions).toHaveLength(executions);
  });
});
