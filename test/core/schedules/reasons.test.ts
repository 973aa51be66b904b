/** Reasons that seldom stand in the ledger: a full live set, no remaining runs, an agent that is gone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import type { OverlapPolicy } from '../../../core/contract/schedules.ts';
import { advanceSchedule } from '../../../core/schedules/advance.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule } from '../../../core/schedules/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { finishAs, MINUTE, page, startingFrom } from '../support.ts';

const STEP = 5 * MINUTE;
const FIRST = MONDAY_NOON + STEP;

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

async function fireAt(world: World, scheduleId: string, at: number) {
  world.now = Math.max(world.now, at);
  return fire(world.ports, { scheduleId, scheduledTime: at });
}
const entries = async (world: World, id: string) =>
  (await listOccurrences(world.ports, world.caller, id, page)).items.toReversed();
const ledger = async (world: World, id: string) =>
  (await entries(world, id)).map((each) => [each.disposition, each.reason ?? ''].join(' ').trim());
const answer = async (world: World, id: string, at: number) =>
  (await explainOccurrence(world.ports, world.caller, id, at)).answer;
const idOf = (result: Awaited<ReturnType<typeof fire>>) => ('runId' in result ? result.runId : '');

describe('too_many_live_runs', () => {
  it.each<OverlapPolicy>(['allow_all', 'cancel_other', 'terminate_other'])(
    'stands where %s would go over the limit, and names a run; with room again the next one runs',
    async (overlapPolicy) => {
      const world = await engine.world({ maxLiveRunsPerSchedule: 2 });
      const { id } = await world.schedule((await world.agent()).id, { overlapPolicy });
      const first = idOf(await fireAt(world, id, FIRST));
      // It has a VM: a cancel must wait for its runner, and so does the run that displaces it.
      await startingFrom(world, first);
      await fireAt(world, id, FIRST + STEP);
      const third = FIRST + 2 * STEP;
      expect(await fireAt(world, id, third)).toEqual({
        outcome: 'skipped',
        reason: 'too_many_live_runs',
        duplicate: false,
      });
      // Delivered again, the answer is the same.
      expect(await fireAt(world, id, third)).toMatchObject({ reason: 'too_many_live_runs', duplicate: true });
      expect(await ledger(world, id)).toEqual(['dispatched', 'dispatched', 'skipped too_many_live_runs']);
      expect((await entries(world, id))[2]).toMatchObject({ blockingRunId: first });
      expect(await answer(world, id, third)).toBe(`It did not run: too many runs of the schedule were live: ${first}.`);
      await finishAs(world, first);
      expect(await fireAt(world, id, FIRST + 3 * STEP)).toMatchObject({ outcome: 'dispatched' });
    },
  );
});

describe('no_remaining_runs', () => {
  it('stands where as many occurrences wait as runs remain; the last run completes the schedule', async () => {
    const world = await engine.world();
    const { id } = await world.schedule((await world.agent()).id, { overlapPolicy: 'buffer_all', remainingRuns: 2 });
    const first = idOf(await fireAt(world, id, FIRST));
    expect(await fireAt(world, id, FIRST + STEP)).toMatchObject({ outcome: 'buffered' });
    const third = FIRST + 2 * STEP;
    expect(await fireAt(world, id, third)).toMatchObject({ outcome: 'skipped', reason: 'no_remaining_runs' });
    expect(await ledger(world, id)).toEqual(['dispatched', 'buffered', 'skipped no_remaining_runs']);
    expect(await answer(world, id, third)).toBe('It did not run: no runs remained.');
    await finishAs(world, first);
    await advanceSchedule(world.ports, id);
    expect(await ledger(world, id)).toEqual(['dispatched', 'dispatched', 'skipped no_remaining_runs']);
    expect(await getSchedule(world.ports, world.caller, id)).toMatchObject({ status: 'completed', remainingRuns: 0 });
  });
});

describe('agent_deleted', () => {
  /** The API refuses to delete an agent that has schedules: only a row that was changed by other means is so. */
  const endAgent = (world: World, agentId: string) =>
    world.ports.store.transact([{ kind: 'update', key: keys.agent(agentId), set: { status: 'deleted' }, guards: [] }]);

  it('stands where the agent is gone when the occurrence comes', async () => {
    const world = await engine.world();
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id);
    await endAgent(world, agent.id);
    expect(await fireAt(world, id, FIRST)).toMatchObject({ outcome: 'skipped', reason: 'agent_deleted' });
    expect(await ledger(world, id)).toEqual(['skipped agent_deleted']);
    expect(await answer(world, id, FIRST)).toBe('It did not run: its agent had been deleted.');
    expect(world.executions).toEqual([]);
  });

  it('stands where it is gone when the turn of a waiting occurrence comes', async () => {
    const world = await engine.world();
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id, { overlapPolicy: 'buffer_one' });
    const first = idOf(await fireAt(world, id, FIRST));
    await fireAt(world, id, FIRST + STEP);
    await endAgent(world, agent.id);
    await finishAs(world, first);
    await advanceSchedule(world.ports, id);
    expect(await ledger(world, id)).toEqual(['dispatched', 'skipped agent_deleted']);
    expect((await entries(world, id))[1]).toMatchObject({ occurrence: isoSecond(FIRST + STEP) });
    expect(world.executions).toHaveLength(1);
  });
});
