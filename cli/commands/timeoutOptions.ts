/** Timeouts, and what is tried again: options of an agent, and of a schedule or a run over it. */
import { type Command, Option } from 'commander';
import { mergedFields, NONE, wholeNumber, wholeNumberOrNone } from '../arguments.ts';

const ATTEMPTS_MAX = 10;

export interface TimeoutOptions {
  readonly queueTimeout?: string;
  readonly startTimeout?: string;
  readonly runTimeout?: string;
  readonly idleTimeout?: string;
}

export interface RetryOptions {
  readonly maxAttempts?: number | typeof NONE;
  readonly retryBackoff?: string;
  readonly retryAfterStart?: boolean;
  readonly unsetRetryAfterStart?: true;
}

/** What the help of a change adds to an option that {@link NONE} takes back to its default. */
export const orNoneText = (isChange: boolean): string => (isChange ? `, or ${NONE} for the default` : '');

/** @param whose of which run, such as `a run` */
export function timeoutOptions(command: Command, whose: string, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  return command
    .option('--run-timeout <duration>', `how long ${whose} may take, such as 15m or PT15M${orNone}`)
    .option('--start-timeout <duration>', `how long ${whose} may take to start${orNone}`)
    .option(
      '--queue-timeout <duration>',
      `how long ${whose} may wait for its turn under a limit; absent: no end${orNone}`,
    )
    .option('--idle-timeout <duration>', `end ${whose} after so long without output and CPU time${orNone}`);
}

export function retryOptions(command: Command, isChange: boolean): Command {
  const orNone = orNoneText(isChange);
  const number = isChange ? wholeNumberOrNone : wholeNumber;
  command
    .option(
      '--max-attempts <n>',
      `attempts in all, where the infrastructure fails and not the agent${orNone}`,
      number(1, ATTEMPTS_MAX),
    )
    .option(
      '--retry-backoff <duration>',
      `how long to wait before the second attempt; it doubles with each further one${orNone}`,
    )
    .option('--retry-after-start', 'try again even if the process had started: its effects may come twice')
    .option('--no-retry-after-start', 'try again only what has not started');
  const unset = new Option('--unset-retry-after-start', 'leave that to the default').conflicts('retryAfterStart');
  return isChange ? command.addOption(unset) : command;
}

export const timeoutFields = ({ queueTimeout, runTimeout, startTimeout, idleTimeout }: TimeoutOptions) => ({
  queueTimeout,
  runTimeout,
  startTimeout,
  idleTimeout,
});

/** As {@link mergedFields}. @param present what stands, so that its neighbours are kept */
export const retryFields = (options: RetryOptions, present?: object) =>
  mergedFields(present, {
    maxAttempts: options.maxAttempts,
    backoff: options.retryBackoff,
    afterStart: options.unsetRetryAfterStart ? NONE : options.retryAfterStart,
  });
