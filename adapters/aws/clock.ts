/**
 * The schedule clock on EventBridge Scheduler: one schedule of the installation's group for each of ours, named by its id.
 * The whole spec is sent each time, because an update resets what it leaves out.
 *
 * Sources: the Scheduler API reference (CreateSchedule, UpdateSchedule, DeleteSchedule) and its user guide, "Schedule types".
 */
import {
  ConflictException,
  CreateScheduleCommand,
  type CreateScheduleCommandInput,
  DeleteScheduleCommand,
  ResourceNotFoundException,
  type SchedulerClient,
  UpdateScheduleCommand,
  ValidationException,
} from '@aws-sdk/client-scheduler';
import { toAwsExpression } from '../../core/cadence/aws.ts';
import { ClockRejected, type ClockSpec, ClockUnavailable, type ScheduleClock, type Time } from '../../core/ports.ts';
import type { Cadence } from '../../core/schedules/model.ts';

export interface SchedulerClockOptions {
  readonly client: SchedulerClient;
  readonly time: Pick<Time, 'now'>;
  readonly groupName: string;
  /** The function that is called, the role with which, and where calls go that failed for good. */
  readonly fireFunctionArn: string;
  readonly roleArn: string;
  readonly deadLetterQueueArn: string;
}

/** Filled in by Scheduler with the time that it means, which is the same in each of its tries. */
const SCHEDULED_TIME = '<aws.scheduler.scheduled-time>';
/** Past that the watchdog has long settled the occurrence; what still comes lands in the queue, and an alarm says so. */
const RETRY_POLICY = { MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 185 } as const;
/** AWS refuses a StartDate older than 5 minutes; a minute of that is left for the way there and for clocks that differ. */
const START_DATE_AGE_MS = 240_000;
const WINDOW_MINUTES_MAX = 1440;
const TRIES = 4;

/** What AWS finds wrong with our deployment or with our clock, not with anybody's spec: no reason to take an edit back. */
const NOT_THE_SPEC = /\b(role|assume|arn|target|dead-?letter|queue|group|clienttoken|start ?date)\b/i;

export class SchedulerClock implements ScheduleClock {
  readonly #options: SchedulerClockOptions;

  constructor(options: SchedulerClockOptions) {
    this.#options = options;
  }

  async put(spec: ClockSpec): Promise<void> {
    const input = scheduleInput(this.#options, spec);
    const { client } = this.#options;
    // A first version is new, any other is there: a guess that saves a call, and is put right where it was wrong.
    let creates = spec.specVersion === 1;
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        await (creates ? client.send(new CreateScheduleCommand(input)) : client.send(new UpdateScheduleCommand(input)));
        return;
      } catch (error) {
        if (creates && error instanceof ConflictException) creates = false;
        else if (!creates && error instanceof ResourceNotFoundException) creates = true;
        else throw translate(error, spec.scheduleId);
      }
    }
    throw new ClockUnavailable(`${spec.scheduleId} is neither there nor absent: somebody else is at it`);
  }

  async delete(scheduleId: string): Promise<void> {
    const { client, groupName } = this.#options;
    try {
      await client.send(new DeleteScheduleCommand({ Name: scheduleId, GroupName: groupName }));
    } catch (error) {
      if (!(error instanceof ResourceNotFoundException)) throw translate(error, scheduleId);
    }
  }
}

/**
 * The request that sets a clock to a spec. Exported for tests, which read it field by field.
 * @throws ClockRejected where AWS has no expression for the cadence
 */
export function scheduleInput(options: SchedulerClockOptions, spec: ClockSpec): CreateScheduleCommandInput {
  const said = toAwsExpression(cadenceOf(spec));
  if (!said.ok) throw new ClockRejected(`${said.problem}. ${said.remedy}`);
  const isOnce = 'at' in spec.cadence;
  return {
    Name: spec.scheduleId,
    GroupName: options.groupName,
    ScheduleExpression: said.expression,
    ScheduleExpressionTimezone: said.timezone,
    State: 'ENABLED',
    // A single time needs no dates: AWS ignores them there.
    ...(!isOnce && { StartDate: new Date(startDate(spec, options.time.now())) }),
    // Both mean the first instant at which nothing fires any more.
    ...(!isOnce && spec.endAt !== undefined && { EndDate: new Date(spec.endAt) }),
    FlexibleTimeWindow: flexibleWindow(spec),
    // The row decides what becomes of the clock; AWS's own tidying would only make its absence ambiguous.
    ActionAfterCompletion: 'NONE',
    Target: {
      Arn: options.fireFunctionArn,
      RoleArn: options.roleArn,
      DeadLetterConfig: { Arn: options.deadLetterQueueArn },
      RetryPolicy: RETRY_POLICY,
      Input: JSON.stringify({
        scheduleId: spec.scheduleId,
        specVersion: spec.specVersion,
        scheduledTime: SCHEDULED_TIME,
        tenantId: spec.tenantId,
        agentId: spec.agentId,
        principalId: spec.principalId,
      }),
    },
  };
}

function cadenceOf({ cadence, startAt }: ClockSpec): Cadence {
  if ('cron' in cadence) return { kind: 'cron', ...cadence };
  if ('everySeconds' in cadence) return { kind: 'every', everySeconds: cadence.everySeconds, startAt };
  return { kind: 'at', at: cadence.at };
}

/**
 * The next expected occurrence. One that has grown too old on its way here is moved on: an interval by whole intervals, so
 * that it keeps its phase; what it leaves behind is late for AWS in any case, and the watchdog settles it.
 */
function startDate({ cadence, startAt }: ClockSpec, now: number): number {
  const oldest = now - START_DATE_AGE_MS;
  if (startAt >= oldest) return startAt;
  if (!('everySeconds' in cadence)) return oldest;
  const intervalMs = cadence.everySeconds * 1000;
  return startAt + Math.ceil((oldest - startAt) / intervalMs) * intervalMs;
}

/** Whole minutes, rounded down: the promise is kept that it fires within the window. */
function flexibleWindow({ flexibleWindowSeconds = 0 }: ClockSpec): CreateScheduleCommandInput['FlexibleTimeWindow'] {
  const minutes = Math.min(Math.floor(flexibleWindowSeconds / 60), WINDOW_MINUTES_MAX);
  return minutes < 1 ? { Mode: 'OFF' } : { Mode: 'FLEXIBLE', MaximumWindowInMinutes: minutes };
}

/** What is wrong with the spec is permanent; anything else may pass, and the row stays `pending` until it does. */
function translate(error: unknown, scheduleId: string): Error {
  if (!(error instanceof Error)) return new ClockUnavailable(`${scheduleId}: ${String(error)}`);
  if (error instanceof ValidationException && !NOT_THE_SPEC.test(error.message))
    return new ClockRejected(error.message, error);
  return new ClockUnavailable(`${scheduleId}: ${error.name}: ${error.message}`, error);
}
