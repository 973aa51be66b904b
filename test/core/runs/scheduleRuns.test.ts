import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Item, Key } from '../../../core/table/model.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { MINUTE } from '../support.ts';

let engine: TestEngine;
let world: World;
let scheduleId: string;
let agentId: string;
let start: number;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
  agentId = (await world.agent()).id;
  scheduleId = (await world.schedule(agentId)).id;
  start = world.now;
});

const newRun = async () => (await createRun(world.ports, world.caller, agentId, {})).id;
const item = (key: Key, at: number, more: Partial<Item>): Item => ({
  ...key,
  schemaVersion: 1,
  tenantId: world.caller.tenantId,
  at,
  ...more,
});
const occurrence = (at: number, more: Partial<Item>) => item(keys.occurrence(scheduleId, at), at, more);
const dispatched = (at: number, runId: string) => occurrence(at, { disposition: 'dispatched', runId });
const skipped = (at: number) => occurrence(at, { disposition: 'skipped', reason: 'overlap' });
const byHand = (at: number, runId: string) => item(keys.scheduleRun(scheduleId, runId), at, { runId });

async function put(items: readonly Item[]): Promise<void> {
  for (let from = 0; from < items.length; from += 100)
    await world.ports.store.transact(items.slice(from, from + 100).map((each) => ({ kind: 'put', item: each })));
}

/** All pages, each as the ids that stand on it. */
async function pages(limit: number): Promise<string[][]> {
  const found: string[][] = [];
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    const page = await listScheduleRuns(world.ports, world.caller, scheduleId, { limit, cursor });
    found.push(page.items.map(({ id }) => id));
    cursor = page.nextCursor;
  }
  return found;
}

describe('the runs of a schedule', () => {
  it('are all reached, however many occurrences without a run lie between them', async () => {
    const [old, recent] = [await newRun(), await newRun()];
    const between = Array.from({ length: 2300 }, (_, index) => skipped(start + (index + 1) * MINUTE));
    await put([dispatched(start, old), ...between, dispatched(start + 2400 * MINUTE, recent)]);
    const found = await pages(50);
    expect(found.flat()).toEqual([recent, old]);
    expect(found.length).toBeLessThan(5);
  });

  it('stand in one order, those of the ledger and those by hand, each once, whatever the size of a page', async () => {
    const expected: string[] = [];
    const items: Item[] = [];
    for (let index = 0; index < 260; index++) {
      const at = start + index * MINUTE;
      world.now = at + 1;
      if (index % 5 === 0) items.push(skipped(at));
      else {
        const id = await newRun();
        expected.unshift(id);
        items.push(index % 3 === 0 ? byHand(at, id) : dispatched(at, id));
        // Both at one time.
        if (index % 7 === 0) {
          const second = await newRun();
          items.push(
            index % 3 === 0
              ? dispatched(at, second)
              : item(keys.backfillOccurrence(scheduleId, at, 'bkf_1'), at, { runId: second }),
          );
          expected.unshift(second);
        }
      }
    }
    await put(items);
    for (const limit of [1, 7, 100, 1000]) {
      const found = await pages(limit);
      expect(new Set(found.flat())).toEqual(new Set(expected));
      expect(found.flat()).toHaveLength(expected.length);
      expect(found.slice(0, -1).every((page) => page.length === limit)).toBe(true);
    }
    const timeOf = new Map(items.flatMap(({ runId, at }) => (runId === undefined ? [] : [[runId, Number(at)]])));
    const times = (await pages(100)).flat().map((id) => timeOf.get(id) ?? 0);
    expect(times).toEqual([...times].sort((left, right) => right - left));
  });

  it('keep their place when later ones come', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 4; index++) ids.push(await newRun());
    await put(ids.map((id, index) => dispatched(start + index * MINUTE, id)));
    const first = await listScheduleRuns(world.ports, world.caller, scheduleId, { limit: 2 });
    await put([dispatched(start + 9 * MINUTE, await newRun())]);
    const cursor = first.nextCursor ?? '';
    const second = await listScheduleRuns(world.ports, world.caller, scheduleId, { limit: 2, cursor });
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids.toReversed());
    expect(second.nextCursor).toBeUndefined();
  });

  it.each(['x', '', '000000000000001.run_01', Buffer.from('|').toString('base64url')])(
    'have no place %j',
    async (cursor) => {
      const listed = listScheduleRuns(world.ports, world.caller, scheduleId, { limit: 2, cursor });
      await expect(listed).rejects.toMatchObject({ code: 'invalid_request' });
    },
  );
});
