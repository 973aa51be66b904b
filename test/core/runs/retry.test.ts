/** A retry by hand: a new run, and the old one stays as it is. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deleteAgent } from '../../../core/agents/service.ts';
import { retryRun } from '../../../core/runs/retry.ts';
import { getRun } from '../../../core/runs/service.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { patchSchedule } from '../../../core/schedules/service.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { apiRun, ended, finishAs, MINUTE, none, runningRun, runRow, SECOND, scheduleRow } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const retry = (id: string, input?: string) => retryRun(world.ports, world.caller, id, input, none);

describe('a retry by hand', () => {
  it('is a new run with the same input, the same timeouts and a word on what it does again', async () => {
    const { id, runner } = await runningRun(world, { limits: { runTimeout: 'PT7M', idleTimeout: 'PT1M' } });
    await runner.beat([ended(id, { exitCode: 3 })]);
    const before = await runRow(world, id);
    world.now += MINUTE;
    const again = await retry(id);
    expect(again).toMatchObject({
      retryOf: id,
      status: 'queued',
      attempt: 1,
      input: { some: 'input' },
      trigger: { kind: 'retry', by: world.caller.principalId },
    });
    expect(again.displayName).toBe(`${before.displayName} · retry`);
    expect(await runRow(world, again.id)).toMatchObject({ runTimeoutSeconds: 420, idleTimeoutSeconds: 60 });
    expect(world.executions.map(({ name }) => name)).toContain(`${again.id}-1`);
    expect(await runRow(world, id)).toEqual(before);
    await finishAs(world, again.id, 'failed');
    expect((await retry(again.id)).displayName).toBe(`${before.displayName} · retry`);
  });

  it('takes another input', async () => {
    const { id } = await apiRun(world);
    await finishAs(world, id, 'failed');
    const again = await retry(id, 'edited');
    expect(again.input).toBe('edited');
    expect((await getRun(world.ports, world.caller, id)).input).toEqual({ some: 'input' });
  });

  it('is refused while the run has not ended, and changes nothing', async () => {
    const { id } = await runningRun(world);
    const before = await runRow(world, id);
    await expect(retry(id)).rejects.toMatchObject({ code: 'run_live', facts: { currentStatus: 'running' } });
    expect(await runRow(world, id)).toEqual(before);
    expect(world.executions).toHaveLength(1);
  });

  it('consumes no occurrence and stands in no overlap (I11), with the input that the occurrence had', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id, { input: 'then' });
    const at = MONDAY_NOON + 5 * MINUTE;
    world.now = at + SECOND;
    await fire(world.ports, { scheduleId: schedule.id, scheduledTime: at });
    const [id = ''] = (await scheduleRow(world, schedule.id)).liveRuns;
    await finishAs(world, id, 'failed');
    await patchSchedule(world.ports, world.caller, schedule.id, { input: 'now' }, { kind: 'any' });
    const row = await scheduleRow(world, schedule.id);
    const again = await retry(id);
    expect(again).toMatchObject({ input: 'then', retryOf: id });
    expect(again.occurrence).toBeUndefined();
    expect(await scheduleRow(world, schedule.id)).toEqual(row);
    await finishAs(world, again.id, 'failed');
    expect(await scheduleRow(world, schedule.id)).toEqual(row);
  });

  it('needs its agent', async () => {
    const { id } = await apiRun(world);
    await finishAs(world, id, 'failed');
    const { agentId } = await runRow(world, id);
    await deleteAgent(world.ports, world.caller, agentId, { kind: 'any' }, { cancelRuns: false });
    await expect(retry(id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(retry('run_00000000000000000000000000')).rejects.toMatchObject({ code: 'not_found' });
    const stranger = { ...world.caller, tenantId: 'another' };
    await expect(retryRun(world.ports, stranger, id, undefined, none)).rejects.toMatchObject({ code: 'not_found' });
  });
});
