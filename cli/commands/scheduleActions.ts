/** `candor schedules …`: pause, resume, trigger, and taking out single occurrences. */
import type { Command } from 'commander';
import { type InputOptions, readInput } from '../arguments.ts';
import { scheduleId } from '../resources.ts';
import type { Host } from '../session.ts';
import { changing, checkedIfMatch } from './changes.ts';
import { examples, inputOptions, type KeyOptions, keyOption, subcommand, WAIT_HELP } from './options.ts';
import { printOrAwaitRun } from './runs.ts';
import { printSchedule } from './schedules.ts';

interface ActionOptions {
  readonly reason?: string;
  readonly ifMatch?: string;
}

/** Adds the commands to the group. */
export function addScheduleActions(schedules: Command, host: Host): void {
  const pause = subcommand(schedules, 'pause <schedule>', 'start nothing more from now on; live runs go on').option(
    '--reason <text>',
    'why, for whoever looks at it later',
  );
  addPause(pause, host, 'pause');
  const resume = subcommand(
    schedules,
    'resume <schedule>',
    'go on from now; what fell into the pause is not made up for',
  );
  addPause(resume, host, 'resume');
  addTrigger(schedules, host);
  addSkip(schedules, host);
}

function addPause(command: Command, host: Host, verb: 'pause' | 'resume'): void {
  command.option('--if-match <version>', 'only if the schedule is at this version');
  host.serve<ActionOptions>(command, async (session, [reference = ''], options) => {
    const ifMatch = checkedIfMatch(options.ifMatch);
    const id = await scheduleId(session.client, reference);
    const body = options.reason === undefined ? {} : { reason: options.reason };
    const path = { scheduleId: id };
    const schedule = await changing(session, { kind: 'schedule', id }, ifMatch ?? '*', () =>
      verb === 'pause'
        ? session.client.call('pauseSchedule', { path, body, ifMatch })
        : session.client.call('resumeSchedule', { path, body: {}, ifMatch }),
    );
    return printSchedule(session, schedule);
  });
}

function addTrigger(schedules: Command, host: Host): void {
  const trigger = subcommand(
    schedules,
    'trigger <schedule>',
    'run it now, beside its occurrences, even if it is paused',
  );
  inputOptions(trigger).option('--wait', WAIT_HELP);
  examples(trigger, 'candor schedules trigger daily --wait');
  host.serve<InputOptions & KeyOptions & { readonly wait?: true }>(
    keyOption(trigger),
    async (session, [reference = ''], options) => {
      const input = await readInput(options);
      const path = { scheduleId: await scheduleId(session.client, reference) };
      const body = input === undefined ? {} : { input: input.value };
      const run = await session.client.call('triggerSchedule', { path, body, idempotencyKey: options.idempotencyKey });
      return printOrAwaitRun(session, run, options.wait === true);
    },
  );
}

function addSkip(schedules: Command, host: Host): void {
  const skip = subcommand(schedules, 'skip <schedule>', 'take one future occurrence out').option(
    '--reason <text>',
    'why, for whoever looks at it later',
  );
  examples(skip, 'candor schedules skip daily --at 2027-12-25T09:00:00Z --reason holiday');
  serveSkip(skip, host, 'skip');
  serveSkip(subcommand(schedules, 'unskip <schedule>', 'put back an occurrence that was taken out'), host, 'unskip');
}

function serveSkip(command: Command, host: Host, verb: 'skip' | 'unskip'): void {
  command
    .requiredOption('--at <time>', 'which occurrence')
    .option('--if-match <version>', 'only if the schedule is at this version');
  host.serve<ActionOptions & { readonly at?: string }>(command, async (session, [reference = ''], options) => {
    const ifMatch = checkedIfMatch(options.ifMatch);
    const id = await scheduleId(session.client, reference);
    const occurrence = options.at ?? '';
    const request = { path: { scheduleId: id }, ifMatch };
    const schedule = await changing(session, { kind: 'schedule', id }, ifMatch ?? '*', () =>
      verb === 'skip'
        ? session.client.call('skipOccurrence', { ...request, body: { occurrence, reason: options.reason } })
        : session.client.call('unskipOccurrence', { ...request, body: { occurrence } }),
    );
    return printSchedule(session, schedule);
  });
}
