/** `candor schedules …`: pause, resume, trigger, and what a schedule did and will do. */
import type { Command } from 'commander';
import type { RunBody } from '../../core/contract/runs.ts';
import type { OccurrenceBody, ScheduleBody } from '../../core/contract/schedules.ts';
import { type InputOptions, readInput, wholeNumber } from '../arguments.ts';
import { apiPath } from '../client.ts';
import { runTable } from '../render/runs.ts';
import { occurrenceTable, upcomingTable } from '../render/schedules.ts';
import { type ListOptions, printList, scheduleId } from '../resources.ts';
import type { Host } from '../session.ts';
import { changing, checkedIfMatch } from './changes.ts';
import { examples, inputOptions, pageOptions, subcommand } from './options.ts';
import { printOrAwaitRun } from './runs.ts';
import { printSchedule } from './schedules.ts';

const UPCOMING_MAX = 100;

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
  addLedger(schedules, host);
}

function addPause(command: Command, host: Host, verb: 'pause' | 'resume'): void {
  command.option('--if-match <version>', 'only if the schedule is at this version');
  host.serve<ActionOptions>(command, async (session, [reference = ''], options) => {
    const ifMatch = checkedIfMatch(options.ifMatch);
    const id = await scheduleId(session.client, reference);
    const body = options.reason === undefined ? {} : { reason: options.reason };
    const schedule = await changing(session, apiPath('schedules', id), ifMatch ?? '*', () =>
      session.client.post<ScheduleBody>(apiPath('schedules', id, verb), { body, ifMatch }),
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
  inputOptions(trigger).option('--wait', 'wait until the run has ended; the exit code says how');
  examples(trigger, 'candor schedules trigger daily --wait');
  host.serve<InputOptions & { readonly wait?: true }>(trigger, async (session, [reference = ''], options) => {
    const input = await readInput(options);
    const path = apiPath('schedules', await scheduleId(session.client, reference), 'trigger');
    const run = await session.client.post<RunBody>(path, { body: input === undefined ? {} : { input: input.value } });
    return printOrAwaitRun(session, run, options.wait === true);
  });
}

function addLedger(schedules: Command, host: Host): void {
  const occurrences = subcommand(schedules, 'occurrences <schedule>', 'what became of each occurrence, newest first');
  host.serve<ListOptions>(pageOptions(occurrences), async (session, [reference = ''], options) => {
    const path = apiPath('schedules', await scheduleId(session.client, reference), 'occurrences');
    return printList<OccurrenceBody>(session, path, options, (page) => occurrenceTable(session.out.paint, page));
  });
  const upcoming = subcommand(schedules, 'upcoming <schedule>', 'the next times; none while it is not active').option(
    '--count <n>',
    'how many',
    wholeNumber(1, UPCOMING_MAX),
  );
  host.serve<{ readonly count?: number }>(upcoming, async (session, [reference = ''], { count }) => {
    const path = apiPath('schedules', await scheduleId(session.client, reference), 'upcoming');
    const render = (page: Parameters<typeof upcomingTable>[1]) => upcomingTable(session.out.paint, page);
    return printList(session, path, {}, render, { count });
  });
  const runs = subcommand(schedules, 'runs <schedule>', 'its runs, newest first');
  host.serve<ListOptions>(pageOptions(runs), async (session, [reference = ''], options) => {
    const path = apiPath('schedules', await scheduleId(session.client, reference), 'runs');
    return printList<RunBody>(session, path, options, (page) => runTable(session.out.paint, page));
  });
}
