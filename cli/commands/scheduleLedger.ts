/** `candor schedules …`: what a schedule did, will do and was told to do, and why. */
import { type Command, Option } from 'commander';
import { DISPOSITIONS } from '../../core/contract/schedules.ts';
import { wholeNumber } from '../arguments.ts';
import { explainText } from '../render/answers.ts';
import { runTable } from '../render/runs.ts';
import { occurrenceTable, revisionTable, upcomingTable } from '../render/schedules.ts';
import { type ListOptions, printList, printPage, scheduleId } from '../resources.ts';
import type { Host } from '../session.ts';
import { examples, pageOptions, subcommand } from './options.ts';

const UPCOMING_MAX = 100;

interface OccurrenceOptions extends ListOptions {
  readonly disposition?: string;
  readonly from?: string;
  readonly to?: string;
}

/** Adds the commands to the group. */
export function addScheduleLedger(schedules: Command, host: Host): void {
  const occurrences = subcommand(schedules, 'occurrences <schedule>', 'what became of each occurrence, newest first')
    .addOption(new Option('--disposition <word>', 'only those that were …').choices(DISPOSITIONS))
    .option('--from <time>', 'only from this time on')
    .option('--to <time>', 'only up to this time');
  examples(occurrences, 'candor schedules occurrences daily --disposition missed --from 2027-01-01T00:00:00Z');
  host.serve<OccurrenceOptions>(pageOptions(occurrences), async (session, [reference = ''], options) => {
    const path = { scheduleId: await scheduleId(session.client, reference) };
    const { disposition, from, to } = options;
    const request = { path, query: { disposition, from, to } };
    return printList(session, 'listOccurrences', request, options, (page) => occurrenceTable(session.out.paint, page));
  });
  addExplain(schedules, host);
  const upcoming = subcommand(schedules, 'upcoming <schedule>', 'the next times; none while it is not active').option(
    '--count <n>',
    'how many',
    wholeNumber(1, UPCOMING_MAX),
  );
  host.serve<{ readonly count?: number }>(upcoming, async (session, [reference = ''], { count }) => {
    const path = { scheduleId: await scheduleId(session.client, reference) };
    const page = await session.client.call('listUpcoming', { path, query: { count } });
    return printPage(session, page, (all) => upcomingTable(session.out.paint, all));
  });
  const runs = subcommand(schedules, 'runs <schedule>', 'its runs, newest first');
  host.serve<ListOptions>(pageOptions(runs), async (session, [reference = ''], options) => {
    const path = { scheduleId: await scheduleId(session.client, reference) };
    return printList(session, 'listScheduleRuns', { path }, options, (page) => runTable(session.out.paint, page));
  });
  const revisions = subcommand(schedules, 'revisions <schedule>', 'each change of it, by whom, oldest first');
  host.serve<ListOptions>(pageOptions(revisions), async (session, [reference = ''], options) => {
    const path = { scheduleId: await scheduleId(session.client, reference) };
    return printList(session, 'listRevisions', { path }, options, (page) => revisionTable(session.out.paint, page));
  });
}

function addExplain(schedules: Command, host: Host): void {
  const explain = subcommand(schedules, 'explain <schedule>', 'why it ran, or did not run, at a time').requiredOption(
    '--at <time>',
    'which time, such as 2027-01-31T09:00:00Z',
  );
  examples(explain, 'candor schedules explain daily --at 2027-01-31T09:00:00Z');
  host.serve<{ readonly at?: string }>(explain, async ({ client, out, json }, [reference = ''], { at = '' }) => {
    const path = { scheduleId: await scheduleId(client, reference) };
    const answer = await client.call('explainSchedule', { path, query: { at } });
    return void (await (json ? out.json(answer) : out.line(explainText(out.paint, answer))));
  });
}
