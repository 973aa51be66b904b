/** Schedules, from the API to the clock that strikes by itself. */

import assert from 'node:assert/strict';
import { GetScheduleCommand, ResourceNotFoundException } from '@aws-sdk/client-scheduler';
import { emulator } from '../../../config/emulator.ts';
import type { ListBody } from '../../../core/contract/common.ts';
import type { RunBody } from '../../../core/contract/runs.ts';
import type { OccurrenceBody, ScheduleBody } from '../../../core/contract/schedules.ts';
import { INSTALLATION } from '../cdk.ts';
import type { Scenario } from '../scenario.ts';
import { until, type World, witnessed } from '../world.ts';

const entryOf = (world: World, { id }: { readonly id: string }) =>
  world.scheduler.send(new GetScheduleCommand({ GroupName: INSTALLATION, Name: id }));

const isGone = (world: World, schedule: { readonly id: string }) =>
  entryOf(world, schedule).then(
    () => false,
    (error: unknown) => error instanceof ResourceNotFoundException,
  );

/** Waits until the clock has been set to what the schedule says now. */
const synced = (world: World, { id }: { readonly id: string }) =>
  until(`the clock of ${id}`, async () => {
    const body = await world.get<ScheduleBody>(`/v1/schedules/${id}`);
    return body.clock.status === 'synced' && body.clock.specVersion === body.specVersion && body;
  });

const firesByItself: Scenario = {
  name: 'a schedule fires by itself: run, VM, result, evidence, and the VM is gone',
  smoke: true,
  async play(world) {
    const agent = await world.worker();
    const orders = world.orders({ lines: 2, output: { answer: 42 } });
    const schedule = await world.schedule(agent, {
      cadence: { cron: '* * * * *', timezone: 'UTC' },
      confirmFrequency: true,
      input: orders,
    });
    await synced(world, schedule);
    const entry = await entryOf(world, schedule);
    assert.equal(entry.ScheduleExpression, 'cron(* * * * ? *)');
    assert.equal(entry.State, 'ENABLED');

    const first = await until('a run of the schedule', async () => {
      const { items } = await world.get<ListBody<RunBody>>(`/v1/schedules/${schedule.id}/runs`);
      return items.at(-1);
    });
    await world.post(`/v1/schedules/${schedule.id}/pause`);
    assert.equal(first.trigger.kind, 'schedule');
    const run = await world.ended(first);
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.deepEqual(run.output, { answer: 42 });
    assert.match(run.evidence.source, /^runner/);
    assert.deepEqual(witnessed(orders).slice(0, 2), ['start', 'end 0']);
    assert.equal(await world.stdout(run), 'line 1\nline 2\nline 3\nline 4\n');
    await world.endedOnce(run);
    await world.vmGone(run);
    const [instance] = world.host.ofVm(run.vmId ?? '');
    assert.equal(instance?.tags['cost-center'], emulator.tags?.['cost-center'], 'the tags of the environment');

    const { items } = await world.get<ListBody<OccurrenceBody>>(`/v1/schedules/${schedule.id}/occurrences`);
    const own = items.filter(({ runId }) => runId === run.id);
    assert.equal(own.length, 1, 'one occurrence has led to the run');
    assert.equal(own[0]?.disposition, 'dispatched');
    assert.equal(own[0]?.occurrence, run.occurrence);
  },
};

const triggers: Scenario = {
  name: 'a trigger runs a schedule at once, and consumes no occurrence',
  smoke: true,
  async play(world) {
    const agent = await world.worker();
    const orders = world.orders({ output: 'triggered' });
    const schedule = await world.schedule(agent, { cadence: { cron: '0 0 1 1 *', timezone: 'UTC' }, input: orders });
    const before = await synced(world, schedule);
    const triggered = await world.post<RunBody>(`/v1/schedules/${schedule.id}/trigger`);
    const run = await world.ended(triggered);
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.equal(run.trigger.kind, 'trigger');
    assert.equal(run.occurrence, undefined);
    const after = await world.get<ScheduleBody>(`/v1/schedules/${schedule.id}`);
    assert.deepEqual(after.nextOccurrences, before.nextOccurrences);
    await world.vmGone(run);
  },
};

const edits: Scenario = {
  name: 'an edit, a pause, a resume and a delete reach the Scheduler entry',
  smoke: true,
  async play(world) {
    const agent = await world.worker();
    const cadence = { cron: '0 0 1 1 *', timezone: 'UTC' };
    const schedule = await world.schedule(agent, { cadence, input: null });
    await synced(world, schedule);
    const edit = { cadence: { cron: '30 4 * * 2', timezone: 'Europe/Berlin' } };
    await world.change('PATCH', `/v1/schedules/${schedule.id}`, edit);
    await synced(world, schedule);
    const entry = await entryOf(world, schedule);
    assert.equal(entry.ScheduleExpressionTimezone, 'Europe/Berlin');
    assert.match(entry.ScheduleExpression ?? '', /^cron\(30 4 \? \* /);
    assert.match(entry.Target?.Input ?? '', /<aws\.scheduler\.scheduled-time>/);

    await world.post(`/v1/schedules/${schedule.id}/pause`);
    await until('no clock strikes for a paused schedule', async () => {
      if (await isGone(world, schedule)) return true;
      return (await entryOf(world, schedule)).State === 'DISABLED';
    });
    await world.post(`/v1/schedules/${schedule.id}/resume`);
    await synced(world, schedule);
    assert.equal((await entryOf(world, schedule)).State, 'ENABLED');

    await world.change('DELETE', `/v1/schedules/${schedule.id}`);
    await until('the clock of a deleted schedule is gone', () => isGone(world, schedule));
    // What it has done stays readable.
    assert.equal((await world.get<ScheduleBody>(`/v1/schedules/${schedule.id}`)).status, 'deleted');
  },
};

const throttledClock: Scenario = {
  name: 'a throttled Scheduler leaves the clock pending, and the watchdog sets it',
  async play(world) {
    const agent = await world.worker();
    const effect = { kind: 'error', error: { code: 'ThrottlingException', status: 429 } } as const;
    const fault = world.proxy.faults.order({ service: 'scheduler', action: 'CreateSchedule', effect });
    const cadence = { cron: '0 0 1 1 *', timezone: 'UTC' };
    const schedule = await world.schedule(agent, { cadence, input: null });
    const { clock } = await world.get<ScheduleBody>(`/v1/schedules/${schedule.id}`);
    assert.equal(clock.status, 'pending');
    assert.ok(fault.met() > 0, 'it was tried');
    fault.lift();
    await synced(world, schedule);
    assert.equal((await entryOf(world, schedule)).State, 'ENABLED');
    await world.change('DELETE', `/v1/schedules/${schedule.id}`);
  },
};

const lostClockAnswers: Scenario = {
  name: 'the answers to CreateSchedule and UpdateSchedule are lost: the entry says what the schedule says',
  async play(world) {
    const agent = await world.worker();
    const effect = { kind: 'cut', applied: true } as const;
    const lose = (action: string) => world.proxy.faults.order({ service: 'scheduler', action, times: 4, effect });
    const faults = [lose('CreateSchedule'), lose('UpdateSchedule')];
    const cadence = { cron: '0 0 1 1 *', timezone: 'UTC' };
    const schedule = await world.schedule(agent, { cadence, input: null });
    await synced(world, schedule);
    const later = { cron: '0 0 2 1 *', timezone: 'Europe/Berlin' };
    await world.change('PATCH', `/v1/schedules/${schedule.id}`, { cadence: later });
    await synced(world, schedule);
    for (const fault of faults) assert.ok(fault.met() > 0, 'an answer was lost');
    const { State, ScheduleExpressionTimezone } = await entryOf(world, schedule);
    assert.deepEqual([State, ScheduleExpressionTimezone], ['ENABLED', 'Europe/Berlin']);
    await world.change('DELETE', `/v1/schedules/${schedule.id}`);
    await until('the clock of a deleted schedule is gone', () => isGone(world, schedule));
  },
};

export const scheduleScenarios: readonly Scenario[] = [
  firesByItself,
  triggers,
  edits,
  throttledClock,
  lostClockAnswers,
];
