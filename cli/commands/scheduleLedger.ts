/** `candor schedules …`: what a schedule did, will do and was told to do, and why. */
import { type Command, Option } from 'commander';
import type { RunBody } from '../../core/contract/runs.ts';
import {
  DISPOSITIONS,
  type ExplainBody,
  type OccurrenceBody,
  type RevisionBody,
} from '../../core/contract/schedules.ts';
import { wholeNumber } from '../arguments.ts';
import { apiPath } from '../client.ts';
import { explainText } from '../render/answers.ts';
import { runTable } from '../render/runs.ts';
import { occurrenceTable, revisionTable, upcomingTable } from '../render/schedules.ts';
import { type ListOptions, printList, scheduleId } from '../resources.ts';
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
    const path = apiPath('schedules', await scheduleId(session.client, reference), 'occurrences');
    const { disposition, from, to } = options;
    return printList<OccurrenceBody>(session, path, options, (page) => occurrenceTable(session.out.paint, page), {
      disposition,
      from,
      to,
    });
  });
  addExplain(schedules, host);
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
  const revisions = subcommand(schedules, 'revisions <schedule>', 'each change of it, by whom, oldest first');
  host.serve<ListOptions>(pageOptions(revisions), async (session, [reference = ''], options) => {
    const path = apiPath('schedules', await scheduleId(session.client, reference), 'revisions');
    return printList<RevisionBody>(session, path, options, (page) => revisionTable(session.out.paint, page));
  });
}

function addExplain(schedules: Command, host: Host): void {
  const explain = subcommand(schedules, 'explain <schedule>', 'why it ran, or did not run, at a time').requiredOption(
    '--at <time>',
    'which time, such as 2027-01-31T09:00:00Z',
  );
  examples(explain, 'candor schedules explain daily --at 2027-01-31T09:00:00Z');
  host.serve<{ readonly at?: string }>(explain, async ({ client, out, json }, [reference = ''], { at }) => {
    const path = apiPath('schedules', await scheduleId(client, reference), 'explain');
    const answer = await client.get<ExplainBody>(path, { query: { at } });
    return void (await (json ? out.json(answer) : out.line(explainText(out.paint, answer))));
  });
}
