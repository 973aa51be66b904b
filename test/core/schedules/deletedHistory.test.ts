/** What stays of a schedule that was deleted: everything that happened, by its id. Its name does not. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { SchedulePatch } from '../../../core/contract/schedules.ts';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { deleteSchedule } from '../../../core/schedules/actions.ts';
import { explainOccurrence } from '../../../core/schedules/explain.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences, listRevisions, listUpcoming } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, listAgentSchedules, listSchedules, patchSchedule } from '../../../core/schedules/service.ts';
import { createHttpWorld, type Engine, makeAgent, makeSchedule, startHttpEngine } from '../../support/httpWorld.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { any, finishAs, MINUTE, page } from '../support.ts';

const STEP = 5 * MINUTE;
const FIRST = MONDAY_NOON + STEP;

let engine: TestEngine;
let httpEngine: Engine;
let world: World;
beforeAll(async () => {
  [engine, httpEngine] = await Promise.all([testEngine(), startHttpEngine()]);
});
afterAll(() => Promise.all([engine.stop(), httpEngine.stop()]));
beforeEach(async () => {
  world = await engine.world();
});

const remove = (id: string, cancelRuns = false) => deleteSchedule(world.ports, world.caller, id, any, { cancelRuns });
const fireAt = (id: string, at: number) => {
  world.now = Math.max(world.now, at);
  return fire(world.ports, { scheduleId: id, scheduledTime: at });
};
/** All that can be read of a schedule's past, by its id. */
async function history(id: string) {
  const { ports, caller } = world;
  return {
    occurrences: (await listOccurrences(ports, caller, id, page)).items,
    revisions: (await listRevisions(ports, caller, id, page)).items,
    runs: (await listScheduleRuns(ports, caller, id, page)).items.map((run) => [run.id, run.status]),
    first: (await explainOccurrence(ports, caller, id, FIRST)).answer,
    second: (await explainOccurrence(ports, caller, id, FIRST + STEP)).answer,
  };
}

/** Two occurrences of `*∕5`, the second one skipped, and an edit. */
async function lived(agentId: string, name: string) {
  const { id } = await world.schedule(agentId, { name });
  const first = await fireAt(id, FIRST);
  await fireAt(id, FIRST + STEP);
  const runId = 'runId' in first ? first.runId : '';
  await finishAs(world, runId);
  const patch = SchedulePatch.parse({ cadence: { cron: '0 * * * *', timezone: 'UTC' } });
  await patchSchedule(world.ports, world.caller, id, patch, any);
  return { id, runId };
}

describe('a deleted schedule', () => {
  it('keeps its occurrences, revisions, runs and explanations, as they were, by its id', async () => {
    const { id, runId } = await lived((await world.agent()).id, 'nightly');
    const before = await history(id);
    expect(before).toMatchObject({
      occurrences: [
        { occurrence: isoSecond(FIRST + STEP), disposition: 'skipped', reason: 'overlap', blockingRunId: runId },
        { occurrence: isoSecond(FIRST), disposition: 'dispatched', runId },
      ],
      runs: [[runId, 'succeeded']],
      first: `It ran: run ${runId}, now succeeded.`,
      second: expect.stringMatching(/^It did not run: a run of the schedule was still live/),
    });
    expect(await remove(id)).toBe('deleted');
    const { revisions, ...rest } = await history(id);
    const { revisions: earlier, ...expected } = before;
    expect(rest).toEqual(expected);
    // The deletion is one more revision, from which on nothing is expected.
    expect(revisions.slice(0, -1)).toEqual(earlier);
    expect([earlier.length, revisions.length]).toEqual([2, 3]);
    expect(await getSchedule(world.ports, world.caller, id)).toMatchObject({ status: 'deleted', nextOccurrences: [] });
  });

  it('says of later times that it was not active then; nothing is to come', async () => {
    const { id } = await lived((await world.agent()).id, 'nightly');
    await remove(id);
    const later = MONDAY_NOON + 60 * MINUTE;
    expect(await explainOccurrence(world.ports, world.caller, id, later)).toMatchObject({
      expected: false,
      answer: 'The schedule was not active then.',
    });
    expect((await listUpcoming(world.ports, world.caller, id, 5)).items).toEqual([]);
    expect(await fireAt(id, later)).toMatchObject({ outcome: 'ignored' });
    expect((await listOccurrences(world.ports, world.caller, id, page)).items).toHaveLength(2);
  });

  it('stands in no list, and its name is free at once; the new one has a history of its own', async () => {
    const agent = await world.agent();
    const { id } = await lived(agent.id, 'nightly');
    await remove(id);
    const listed = async () => [
      ...(await listAgentSchedules(world.ports, world.caller, agent.id, page)).items,
      ...(await listSchedules(world.ports, world.caller, page)).items,
    ];
    expect(await listed()).toEqual([]);
    const old = await history(id);
    const again = await world.schedule(agent.id, { name: 'nightly' });
    expect(again.id).not.toBe(id);
    expect((await listed()).map((each) => each.id)).toEqual([again.id, again.id]);
    expect((await listOccurrences(world.ports, world.caller, again.id, page)).items).toEqual([]);
    await fireAt(again.id, FIRST + 2 * STEP);
    expect((await listOccurrences(world.ports, world.caller, again.id, page)).items).toHaveLength(1);
    expect(await history(id)).toEqual(old);
    await expect(world.schedule(agent.id, { name: 'nightly' })).rejects.toMatchObject({ code: 'name_taken' });
  });

  it('gives its name free while its last run is still being cancelled', async () => {
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id, { name: 'nightly' });
    await fireAt(id, FIRST);
    expect(await remove(id, true)).toBe('deleting');
    await world.schedule(agent.id, { name: 'nightly' });
    expect((await listOccurrences(world.ports, world.caller, id, page)).items).toHaveLength(1);
  });

  it('is read over HTTP by its id as before; only its own tenant sees it, and changes are refused', async () => {
    const http = await createHttpWorld(httpEngine);
    const agent = await makeAgent(http);
    const { id } = await makeSchedule(http, agent.id, { name: 'nightly', cadence: { every: '15m' } });
    const due = Date.parse('2027-01-01T00:15:00Z');
    for (const at of [due, due + 15 * MINUTE]) {
      http.now.ms = at;
      await fire(http.ports, { scheduleId: id, scheduledTime: at });
    }
    const paths = ['occurrences', 'runs', 'revisions', 'explain?at=2027-01-01T00:15:00Z'];
    const read = async () =>
      Promise.all(
        paths.map(async (path) => {
          const answer = await http.send('GET', `/v1/schedules/${id}/${path}`);
          expect(answer.status, answer.text).toBe(200);
          return answer.body;
        }),
      );
    const [occurrences] = await read();
    const [, dispatched] = occurrences.items;
    expect(await http.send('POST', `/v1/runs/${dispatched.runId}/cancel`)).toMatchObject({ status: 202 });
    const gone = await http.send('DELETE', `/v1/schedules/${id}`, { headers: { 'if-match': '*' } });
    expect(gone.status).toBe(204);
    const [after, runs, revisions, explained] = await read();
    expect(after.items).toEqual(occurrences.items);
    expect(runs.items.map((run: { id: string; status: string }) => [run.id, run.status])).toEqual([
      [dispatched.runId, 'cancelled'],
    ]);
    expect(revisions.items.length).toBe(2);
    expect(explained.answer).toBe(`It ran: run ${dispatched.runId}, now cancelled.`);
    expect((await http.send('GET', `/v1/schedules/${id}`)).body).toMatchObject({ status: 'deleted', name: 'nightly' });
    expect((await http.send('GET', '/v1/schedules')).body.items).toEqual([]);
    expect((await http.send('POST', `/v1/schedules/${id}/trigger`)).status).toBeGreaterThanOrEqual(400);
    const again = await makeSchedule(http, agent.id, { name: 'nightly' });
    expect(again.id).not.toBe(id);
  });
});
