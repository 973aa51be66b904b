/** What the options of a schedule say: shared by creating, changing and previewing one. */
import { type Command, Option } from 'commander';
import { OVERLAP_POLICIES, type ScheduleBody } from '../../core/contract/schedules.ts';
import {
  collectPair,
  type InputOptions,
  mergedFields,
  NONE,
  readInput,
  wholeNumber,
  wholeNumberOrNone,
} from '../arguments.ts';
import type { CadenceOptions } from './cadence.ts';
import {
  orNoneText,
  type RetryOptions,
  retryFields,
  retryOptions,
  type TimeoutOptions,
  timeoutFields,
  timeoutOptions,
} from './timeoutOptions.ts';

const CONSECUTIVE_MAX = 1000;
const REMAINING_MAX = 999_999_999;

export interface WindowOptions {
  readonly windowStart?: string;
  readonly windowEnd?: string;
}

export interface ScheduleOptions extends CadenceOptions, WindowOptions, InputOptions, TimeoutOptions, RetryOptions {
  readonly overlap?: string;
  readonly catchup?: string;
  readonly flexibleWindow?: string;
  readonly pauseOnFailure?: number | typeof NONE;
  readonly remainingRuns?: number | typeof NONE;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly confirmFrequency?: true;
}

export const cadenceOptions = (command: Command): Command =>
  command
    .option('--cron <expr>', 'when, as five cron fields or six of AWS')
    .option('--timezone <tz>', 'the time zone of --cron, such as Europe/Berlin')
    .option('--every <duration>', 'an interval, such as 15m')
    .option('--start-at <time>', 'the first time of --every (default: one interval from now)')
    .option('--at <time>', 'once, such as 2027-01-31T09:00:00Z');

/** Beside the cadence of a schedule that is made or changed. */
export const confirmOption = (command: Command): Command =>
  command.option('--confirm-frequency', 'take a cadence that fires very often');

export const windowOptions = (command: Command, orNone: string): Command =>
  command
    .option('--window-start <time>', `nothing before this time${orNone}`)
    .option('--window-end <time>', `nothing at or after this time${orNone}`);

/** @param isChange a change can also take a field back to its default, with `none` */
export function policyOptions(command: Command, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  const number = isChange ? wholeNumberOrNone : wholeNumber;
  windowOptions(command, orNone)
    .addOption(
      new Option('--overlap <policy>', 'what to do while a run is live (default: skip)').choices(OVERLAP_POLICIES),
    )
    .option('--catchup <duration>', `how late an occurrence may still start${orNone}`)
    .option('--flexible-window <duration>', `spread the starts over so long after each occurrence${orNone}`)
    .option(
      '--pause-on-failure <n>',
      `pause it after so many failures in a row that are the agent's own${orNone}`,
      number(1, CONSECUTIVE_MAX),
    )
    .option('--remaining-runs <n>', `complete it after so many more runs${orNone}`, number(1, REMAINING_MAX));
  return retryOptions(timeoutOptions(command, 'a run of it', isChange), isChange).option(
    '--metadata <name=value>',
    'a note of yours (repeatable)',
    collectPair,
  );
}

/** What is sent alike at a creation and at a change. @param present what stands, so that its neighbours are kept */
export async function commonFields(options: ScheduleOptions, present?: ScheduleBody): Promise<object> {
  const input = await readInput(options);
  const { overlap, catchup, flexibleWindow, pauseOnFailure, remainingRuns } = options;
  const retry = retryFields(options, present?.overrides?.retry);
  const overrides = mergedFields(present?.overrides, {
    ...timeoutFields(options),
    retry: retry === null ? NONE : retry,
  });
  const window = windowOf(options, present);
  return {
    ...(window !== undefined && { window }),
    ...(overlap !== undefined && { overlapPolicy: overlap }),
    ...(catchup !== undefined && { catchupWindow: orNull(catchup) }),
    ...(flexibleWindow !== undefined && { flexibleWindow: orNull(flexibleWindow) }),
    ...(pauseOnFailure !== undefined && {
      pauseOnFailure: pauseOnFailure === NONE ? null : { consecutive: pauseOnFailure },
    }),
    ...(remainingRuns !== undefined && { remainingRuns: orNull(remainingRuns) }),
    ...(input !== undefined && { input: input.value }),
    ...(overrides !== undefined && { overrides }),
    ...(options.confirmFrequency && { confirmFrequency: true }),
  };
}

const orNull = <Value extends string | number>(value: Value): Value | null => (value === NONE ? null : value);

/** The window that the options describe; `undefined` where they name neither end, `null` where none is left. */
export const windowOf = (options: WindowOptions, present?: Pick<ScheduleBody, 'window'>) =>
  mergedFields(present?.window, { startAt: options.windowStart, endAt: options.windowEnd });
