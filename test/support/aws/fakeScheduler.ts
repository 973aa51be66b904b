/**
 * EventBridge Scheduler after its documentation: schedules of one group that call their target at least once within the
 * minute of their time, retried while the target fails; an update that resets what it leaves out; a StartDate that may not
 * be older than five minutes. The times of a cron come from a library of its own, not from the code that is tested.
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
import { Cron } from 'croner';

const MINUTE = 60_000;
const DELAY_MS = 20_000;
const RETRY_MS = 30_000;
const SCHEDULED_TIME = '<aws.scheduler.scheduled-time>';

interface Due {
  readonly name: string;
  readonly scheduledTime: number;
  readonly at: number;
  readonly input: string;
}

export class FakeScheduler {
  readonly schedules = new Map<string, CreateScheduleCommandInput>();
  readonly calls: string[] = [];
  fault: Error | undefined;
  readonly #now: () => number;
  readonly #invoke: (input: Record<string, unknown>) => Promise<unknown>;
  #due: Due[] = [];
  readonly #through = new Map<string, number>();

  /** @param invoke the target: gets its input as JSON says it, with the scheduled time filled in */
  constructor(now: () => number, invoke: (input: Record<string, unknown>) => Promise<unknown>) {
    this.#now = now;
    this.#invoke = invoke;
  }

  readonly client = {
    send: async (command: unknown) => {
      const fault = this.fault;
      if (fault !== undefined) throw fault;
      if (command instanceof CreateScheduleCommand) return this.#put('create', command.input);
      if (command instanceof UpdateScheduleCommand) return this.#put('update', command.input);
      if (command instanceof DeleteScheduleCommand) return this.#delete(command.input.Name ?? '');
      throw new TypeError(`the double of Scheduler does not know ${String(command)}`);
    },
  } as unknown as SchedulerClient;

  /** Without telling anybody. */
  lose(name: string): void {
    this.schedules.delete(name);
    this.#due = this.#due.filter((each) => each.name !== name);
  }

  /** Delivers what is due by now, and tries again what failed. */
  async turn(): Promise<void> {
    const now = this.#now();
    for (const [name, schedule] of this.schedules) {
      const from = this.#through.get(name) ?? now;
      const lateMs = (schedule.FlexibleTimeWindow?.MaximumWindowInMinutes ?? 0) * MINUTE * 0.5;
      for (const scheduledTime of timesOf(schedule, from, now))
        this.#due.push({
          name,
          scheduledTime,
          at: scheduledTime + DELAY_MS + lateMs,
          input: schedule.Target?.Input ?? '',
        });
      this.#through.set(name, now);
    }
    const ready = this.#due.filter((each) => each.at <= now);
    this.#due = this.#due.filter((each) => each.at > now);
    for (const due of ready) {
      const text = due.input.replace(SCHEDULED_TIME, new Date(due.scheduledTime).toISOString().replace('.000Z', 'Z'));
      await this.#invoke(JSON.parse(text) as Record<string, unknown>).catch(() => {
        this.#due.push({ ...due, at: now + RETRY_MS });
      });
    }
  }

  #put(how: 'create' | 'update', input: CreateScheduleCommandInput) {
    const name = input.Name ?? '';
    this.calls.push(how);
    const error = { $metadata: { httpStatusCode: 400 }, Message: 'm', message: 'm' };
    if (how === 'create' && this.schedules.has(name)) throw new ConflictException(error);
    if (how === 'update' && !this.schedules.has(name)) throw new ResourceNotFoundException(error);
    const start = input.StartDate?.getTime();
    if (start !== undefined && start < this.#now() - 5 * MINUTE)
      throw new ValidationException({
        ...error,
        message: 'The StartDate you specify cannot be earlier than 5 minutes ago.',
      });
    if (!/^(cron|rate|at)\(.+\)$/.test(input.ScheduleExpression ?? ''))
      throw new ValidationException({ ...error, message: `Invalid Schedule Expression ${input.ScheduleExpression}.` });
    this.schedules.set(name, input);
    this.#due = this.#due.filter((each) => each.name !== name);
    this.#through.set(name, Math.max(this.#now() - 1, (start ?? 0) - 1));
    return {};
  }

  #delete(name: string) {
    this.calls.push('delete');
    if (!this.schedules.has(name))
      throw new ResourceNotFoundException({ $metadata: { httpStatusCode: 404 }, Message: 'm', message: 'm' });
    this.lose(name);
    return {};
  }
}

/** After `from`, up to `to`. */
function timesOf(schedule: CreateScheduleCommandInput, from: number, to: number): readonly number[] {
  const [, kind = '', body = ''] = /^(\w+)\((.*)\)$/.exec(schedule.ScheduleExpression ?? '') ?? [];
  const start = schedule.StartDate?.getTime() ?? 0;
  const end = schedule.EndDate?.getTime() ?? Number.POSITIVE_INFINITY;
  const within = (at: number) => at > from && at <= to && at >= start && at < end;
  if (kind === 'at') return [Date.parse(`${body}Z`)].filter(within);
  if (kind === 'rate') {
    const [count = '1', unit = 'minute'] = body.split(' ');
    const step = Number(count) * ({ minute: 1, hour: 60, day: 1440 }[unit.replace(/s$/, '')] ?? 1) * MINUTE;
    const found: number[] = [];
    for (let at = start; at <= to; at += step) if (within(at)) found.push(at);
    return found;
  }
  const options = {
    timezone: schedule.ScheduleExpressionTimezone ?? 'UTC',
    alternativeWeekdays: true,
    sloppyRanges: true,
  };
  const cron = new Cron(`0 ${body}`, { ...options, paused: true });
  const found: number[] = [];
  for (let at = cron.nextRun(new Date(from)); at !== null && at.getTime() <= to; at = cron.nextRun(at))
    if (within(at.getTime())) found.push(at.getTime());
  return found;
}
