import { ValidationException } from '@aws-sdk/client-scheduler';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SchedulerClock } from '../../../adapters/aws/clock.ts';
import { FireEvent, nominalTime } from '../../../core/contract/fire.ts';
import type { ClockSpec } from '../../../core/ports.ts';
import { clockHarness, deliverer } from '../../contracts/clockWorld.ts';
import { type ClockHarness, scheduleClockContract } from '../../contracts/scheduleClock.ts';
import { FakeScheduler } from '../../support/aws/fakeScheduler.ts';
import { MONDAY_NOON, type TestEngine, testEngine } from '../../support/world.ts';

const MINUTE = 60_000;
const STEP_MS = 10_000;
const SETTINGS = {
  groupName: 'candor-dev',
  fireFunctionArn: 'arn:aws:lambda:eu-central-1:000000000000:function:fire',
  roleArn: 'arn:aws:iam::000000000000:role/scheduler',
  deadLetterQueueArn: 'arn:aws:sqs:eu-central-1:000000000000:dead-letters',
};

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

/** The adapter before a double of Scheduler, whose target is `fire` as the Lambda parses its event. */
async function schedulerHarness(): Promise<ClockHarness> {
  const world = await engine.world();
  const fires = deliverer(world);
  const scheduler = new FakeScheduler(
    () => world.now,
    async (input) => {
      const event = FireEvent.parse(input);
      const scheduledTime = nominalTime(event.scheduledTime);
      await fires.deliver({
        scheduleId: event.scheduleId,
        ...(scheduledTime !== undefined && { scheduledTime }),
        ...(event.specVersion !== undefined && { specVersion: event.specVersion }),
        ...(event.agentId !== undefined && { agentId: event.agentId }),
        ...(event.principalId !== undefined && { principalId: event.principalId }),
      });
    },
  );
  const make = () => new SchedulerClock({ client: scheduler.client, time: world.ports.time, ...SETTINGS });
  let clock = make();
  const adapter = {
    get clock() {
      return clock;
    },
    lose: async (scheduleId: string) => scheduler.lose(scheduleId),
    advance: async (milliseconds: number) => {
      const end = world.now + milliseconds;
      while (world.now < end) {
        world.now = Math.min(end, world.now + STEP_MS);
        await scheduler.turn();
      }
    },
    restart: async () => {
      clock = make();
    },
    stop: async () => {},
  };
  return clockHarness(world, fires, () => adapter);
}

scheduleClockContract(
  'the clock of EventBridge Scheduler',
  { refusesSpecs: true, losesSchedules: true },
  schedulerHarness,
);

describe('what Scheduler is told', () => {
  let now: number;
  let scheduler: FakeScheduler;
  let clock: SchedulerClock;
  beforeEach(() => {
    now = MONDAY_NOON;
    scheduler = new FakeScheduler(
      () => now,
      async () => {},
    );
    clock = new SchedulerClock({ client: scheduler.client, time: { now: () => now }, ...SETTINGS });
  });
  const spec = (more: Partial<ClockSpec> = {}): ClockSpec => ({
    tenantId: 't1',
    scheduleId: 'sch_1',
    agentId: 'agt_1',
    principalId: 'usr_1',
    specVersion: 1,
    cadence: { cron: '*/5 * * * *', timezone: 'Europe/Berlin' },
    startAt: MONDAY_NOON + 5 * MINUTE,
    ...more,
  });
  const put = async (more: Partial<ClockSpec> = {}) => {
    await clock.put(spec(more));
    return scheduler.schedules.get('sch_1');
  };

  it('is the whole spec', async () => {
    expect(await put({ endAt: MONDAY_NOON + 60 * MINUTE, flexibleWindowSeconds: 600 })).toEqual({
      Name: 'sch_1',
      GroupName: 'candor-dev',
      ScheduleExpression: 'cron(0/5 * * * ? *)',
      ScheduleExpressionTimezone: 'Europe/Berlin',
      State: 'ENABLED',
      StartDate: new Date(MONDAY_NOON + 5 * MINUTE),
      EndDate: new Date(MONDAY_NOON + 60 * MINUTE),
      FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 10 },
      ActionAfterCompletion: 'NONE',
      Target: {
        Arn: SETTINGS.fireFunctionArn,
        RoleArn: SETTINGS.roleArn,
        DeadLetterConfig: { Arn: SETTINGS.deadLetterQueueArn },
        RetryPolicy: { MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 185 },
        Input: JSON.stringify({
          scheduleId: 'sch_1',
          specVersion: 1,
          scheduledTime: '<aws.scheduler.scheduled-time>',
          tenantId: 't1',
          agentId: 'agt_1',
          principalId: 'usr_1',
        }),
      },
    });
  });

  it('has no field less when it is told again: an update would reset it', async () => {
    const first = await put({ flexibleWindowSeconds: 600, endAt: MONDAY_NOON + 60 * MINUTE });
    const second = await put({ specVersion: 2 });
    const { EndDate: _gone, ...kept } = first ?? {};
    expect(Object.keys(second ?? {}).sort()).toEqual(Object.keys(kept).sort());
    expect(second).toMatchObject({ FlexibleTimeWindow: { Mode: 'OFF' }, State: 'ENABLED' });
  });

  it('begins an interval at its next occurrence, in its phase, however late the put is', async () => {
    const every = { everySeconds: 7 * 60 };
    expect(await put({ cadence: every })).toMatchObject({
      ScheduleExpression: 'rate(7 minutes)',
      StartDate: new Date(MONDAY_NOON + 5 * MINUTE),
    });
    now = MONDAY_NOON + 30 * MINUTE;
    const { StartDate: start } = (await put({ cadence: every, specVersion: 2 })) ?? {};
    expect(start).toEqual(new Date(MONDAY_NOON + 26 * MINUTE));
  });

  it('never has a StartDate that AWS would not take', async () => {
    now = MONDAY_NOON + 30 * MINUTE;
    expect((await put())?.StartDate).toEqual(new Date(now - 4 * MINUTE));
    now += 1;
    expect((await put({ startAt: now - 2 * MINUTE, specVersion: 2 }))?.StartDate).toEqual(new Date(now - 2 * MINUTE));
  });

  it('is a single time without dates', async () => {
    const once = await put({ cadence: { at: MONDAY_NOON + 90_000 } });
    expect(once).toMatchObject({ ScheduleExpression: 'at(2027-03-01T12:01:30)', ScheduleExpressionTimezone: 'UTC' });
    expect(once?.StartDate).toBeUndefined();
  });

  it('is created where it is not there, and updated where it is, whatever was expected', async () => {
    await put();
    await put({ specVersion: 2 });
    await put();
    scheduler.lose('sch_1');
    await put({ specVersion: 3 });
    expect(scheduler.calls).toEqual(['create', 'update', 'create', 'update', 'update', 'create']);
  });

  it('is refused for good where the spec is at fault, and only then', async () => {
    await expect(clock.put(spec({ cadence: { everySeconds: 90 } }))).rejects.toMatchObject({ name: 'ClockRejected' });
    await expect(clock.put(spec({ cadence: { cron: 'nonsense', timezone: 'UTC' } }))).rejects.toMatchObject({
      name: 'ClockRejected',
    });
    const failing = async (error: Error) => {
      scheduler.fault = error;
      return clock.put(spec()).catch((thrown: Error) => thrown.name);
    };
    const validation = (message: string) => new ValidationException({ message, Message: message, $metadata: {} });
    const named = (name: string) => Object.assign(new Error(name), { name });
    expect(await failing(validation('Invalid Schedule Expression cron(x).'))).toBe('ClockRejected');
    expect(await failing(validation('Invalid time zone Mars/Base.'))).toBe('ClockRejected');
    for (const message of [
      'The execution role you provide must allow AWS EventBridge Scheduler to assume the role.',
      'Provided Arn is not in correct format.',
      'The StartDate you specify cannot be earlier than 5 minutes ago.',
    ])
      expect(await failing(validation(message))).toBe('ClockUnavailable');
    for (const name of [
      'ThrottlingException',
      'InternalServerException',
      'ServiceQuotaExceededException',
      'TimeoutError',
    ])
      expect(await failing(named(name))).toBe('ClockUnavailable');
  });

  it('is deleted once, and not there is well', async () => {
    await put();
    await clock.delete('sch_1');
    await clock.delete('sch_1');
    expect(scheduler.schedules.size).toBe(0);
    scheduler.fault = Object.assign(new Error('slow down'), { name: 'ThrottlingException' });
    await expect(clock.delete('sch_1')).rejects.toMatchObject({ name: 'ClockUnavailable' });
  });
});
