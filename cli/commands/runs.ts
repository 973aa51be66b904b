/** `candor runs …` */
import { type Command, Option } from 'commander';
import { type EventBody, RUN_STATUSES, type RunBody } from '../../core/contract/runs.ts';
import { type InputOptions, mergedFields, readInput, wholeNumber } from '../arguments.ts';
import { type Follower, followRun, outcomeExitCode, readLogs } from '../follow.ts';
import { LogPrinter } from '../logPrinter.ts';
import { eventLine, eventTable, outcomeLine, runDetail, runTable, unverifiedNote } from '../render/runs.ts';
import { agentId, type ListOptions, printList } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { absolute } from '../text.ts';
import { addArtifacts } from './artifacts.ts';
import {
  examples,
  group,
  inputOptions,
  type KeyOptions,
  keyOption,
  pageOptions,
  subcommand,
  WAIT_HELP,
} from './options.ts';
import { addRunReading } from './runReading.ts';
import { addRunRetry } from './runRetry.ts';
import {
  type RetryOptions,
  retryFields,
  retryOptions,
  type TimeoutOptions,
  timeoutFields,
  timeoutOptions,
} from './timeoutOptions.ts';

const ATTEMPT_MAX = 1_000_000;

/** Adds the group to the program. */
export function addRunCommands(program: Command, host: Host): void {
  const runs = group(program, 'runs', 'pieces of work: start, look at, follow and cancel them');
  addCreate(runs, host);
  addList(runs, host);
  host.serve(
    subcommand(runs, 'get <run>', 'show a run: what is known of it, who saw it and when'),
    async (session, [id = '']) => printRun(session, await session.client.call('getRun', { path: { runId: id } })),
  );
  addCancel(runs, host);
  addRunRetry(runs, host);
  addRunReading(runs, host);
  host.serve<ListOptions>(
    pageOptions(subcommand(runs, 'events <run>', 'every change of its state, in order')),
    (session, [id = ''], options) =>
      printList(session, 'listRunEvents', { path: { runId: id } }, options, (page) =>
        eventTable(session.out.paint, page),
      ),
  );
  addLogs(runs, host);
  addArtifacts(runs, host);
  addWatch(runs, host);
}

interface CreateOptions extends InputOptions, TimeoutOptions, RetryOptions, KeyOptions {
  readonly agent?: string;
  readonly wait?: true;
}

function addCreate(runs: Command, host: Host): void {
  const create = subcommand(runs, 'create', 'run an agent once, now').requiredOption(
    '--agent <agent>',
    'what to run (id or name)',
  );
  retryOptions(timeoutOptions(inputOptions(create), 'this run', false), false).option('--wait', WAIT_HELP);
  examples(
    create,
    'candor runs create --agent report --input \'{"depth": 2}\' --wait',
    'candor runs create --agent report --input-text "Summarise the week" --run-timeout 2h --idle-timeout 10m',
  );
  host.serve<CreateOptions>(keyOption(create), async (session, _, options) => {
    const input = await readInput(options);
    const agent = await agentId(session.client, options.agent ?? '');
    const retry = retryFields(options);
    const overrides = mergedFields(undefined, { ...timeoutFields(options), retry });
    const body = { ...(input !== undefined && { input: input.value }), ...(overrides && { overrides }) };
    const run = await session.client.call('createRun', {
      path: { agentId: agent },
      body,
      idempotencyKey: options.idempotencyKey,
    });
    return printOrAwaitRun(session, run, options.wait === true);
  });
}

function addList(runs: Command, host: Host): void {
  const list = pageOptions(subcommand(runs, 'list', 'list the runs, newest first'))
    .addOption(
      new Option('--status <status>', 'only those; live: all that have not ended').choices(['live', ...RUN_STATUSES]),
    )
    .option('--agent <agent>', 'only those of this agent (id or name)');
  host.serve<ListOptions & { readonly status?: string; readonly agent?: string }>(list, async (session, _, options) => {
    const agent = options.agent === undefined ? undefined : await agentId(session.client, options.agent);
    const query = { status: options.status, agentId: agent };
    return printList(session, 'listRuns', { query }, options, (page) => runTable(session.out.paint, page));
  });
}

function addCancel(runs: Command, host: Host): void {
  const cancel = subcommand(runs, 'cancel <run>', 'ask a run to end')
    .option('--reason <text>', 'why, for whoever looks at it later')
    .option('--wait', 'wait until it has ended: 0 if it was cancelled, 1 if it ended otherwise');
  host.serve<{ readonly reason?: string; readonly wait?: true }>(cancel, async (session, [id = ''], options) => {
    const body = options.reason === undefined ? {} : { reason: options.reason };
    const run = await session.client.call('cancelRun', { path: { runId: id }, body });
    return printOrAwaitRun(session, run, options.wait === true, 'cancelled');
  });
}

interface LogsOptions {
  readonly follow?: true;
  readonly timestamps?: true;
  readonly raw?: true;
  readonly attempt?: number;
}

function addLogs(runs: Command, host: Host): void {
  const logs = subcommand(runs, 'logs <run>', 'what the run has written')
    .option('-f, --follow', 'go on until the run has ended')
    .option('--timestamps', 'begin each line with its time since the start and its stream')
    .option('--attempt <n>', 'of this attempt (default: the latest)', wholeNumber(1, ATTEMPT_MAX))
    .option('--raw', 'let escape sequences through to a terminal');
  examples(logs, 'candor runs logs run_… -f', 'candor runs logs run_… --json | jq -r .text');
  host.serve<LogsOptions>(logs, async (session, [id = ''], options) => {
    const printer = new LogPrinter(session.out, {
      json: session.json,
      raw: options.raw === true,
      timestamps: options.timestamps === true,
    });
    try {
      await readLogs(session, id, {
        follow: options.follow === true,
        attempt: options.attempt,
        onRecords: (records) => printer.print(records),
      });
    } finally {
      await printer.end();
    }
    return undefined;
  });
}

function addWatch(runs: Command, host: Host): void {
  const watch = subcommand(runs, 'watch <run>', 'its timeline, live, until it has ended; the exit code says how');
  host.serve(watch, async (session, [id = '']) => {
    const { out, json } = session;
    const onEvent = (event: EventBody) => (json ? out.jsonLine(event) : out.line(eventLine(out.paint, event)));
    const run = await followRun(session, id, { onEvent, onWaiting: waitingNote(session) });
    if (!json) await out.line(outcomeLine(out.paint, run));
    noteUnverified(session, run);
    return outcomeExitCode(run);
  });
}

/** The exit code speaks of the run's end. What its agent wants as proof and did not find is said beside it. */
function noteUnverified({ out }: Session, run: RunBody): void {
  const note = unverifiedNote(run);
  if (note !== undefined) out.note(`Note: ${run.id} ${note}.`);
}

const waitingNote =
  (session: Session): NonNullable<Follower['onWaiting']> =>
  (waiting) =>
    session.out.note(
      `Waiting: ${waiting.reason}${waiting.nextTryAt === undefined ? '' : `, next try ${absolute(waiting.nextTryAt)}`}`,
    );

/** The run as it stands, or with `wait` as it ended; the timeline goes to stderr meanwhile. */
export async function printOrAwaitRun(
  session: Session,
  run: RunBody,
  wait: boolean,
  wanted: RunBody['status'] = 'succeeded',
): Promise<number | undefined> {
  if (!wait) {
    await printRun(session, run);
    if (!session.json) session.out.note(`To follow it: candor runs watch ${run.id}`);
    return undefined;
  }
  const { out } = session;
  out.note(`Run ${run.id}`);
  const onEvent = (event: EventBody) => out.note(eventLine((_, text) => text, event));
  const ended = await followRun(session, run.id, { onEvent, onWaiting: waitingNote(session) });
  await printRun(session, ended);
  noteUnverified(session, ended);
  return outcomeExitCode(ended, wanted);
}

async function printRun(session: Session, run: RunBody): Promise<undefined> {
  const { out, json } = session;
  return void (await (json ? out.json(run) : out.line(runDetail(out.paint, run))));
}
