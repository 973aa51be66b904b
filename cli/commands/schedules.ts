/** `candor schedules …`: making, reading and changing them. Acting on them is in `scheduleActions.ts`. */
import { type Command, Option } from 'commander';
import type { ScheduleBody } from '../../core/contract/schedules.ts';
import { collect, collectPair, type InputOptions, mergedFields, mergedPairs, NONE, readInput } from '../arguments.ts';
import { apiPath } from '../client.ts';
import { UsageError } from '../errors.ts';
import { scheduleDetail, scheduleTable } from '../render/schedules.ts';
import { agentId, type ListOptions, printList, scheduleId } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { type CadenceOptions, cadenceOf } from './cadence.ts';
import { changing, checkedIfMatch, type DeleteOptions, deleteResource } from './changes.ts';
import { examples, group, ifMatchOption, inputOptions, pageOptions, subcommand } from './options.ts';
import { addScheduleActions } from './scheduleActions.ts';

interface ScheduleOptions extends CadenceOptions, InputOptions {
  readonly agent?: string;
  readonly name?: string;
  readonly overlap?: string;
  readonly catchup?: string;
  readonly runTimeout?: string;
  readonly startTimeout?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly paused?: true;
}

interface UpdateOptions extends ScheduleOptions {
  readonly unsetMetadata?: readonly string[];
  readonly ifMatch?: string;
}

/** Adds the group to the program. */
export function addScheduleCommands(program: Command, host: Host): void {
  const schedules = group(program, 'schedules', 'promises to run an agent: at times, at intervals or once');
  addCreate(schedules, host);
  const list = pageOptions(subcommand(schedules, 'list', 'list the schedules')).option(
    '--agent <agent>',
    'only those of this agent (id or name)',
  );
  host.serve<ListOptions & { readonly agent?: string }>(list, async (session, _, options) => {
    const path =
      options.agent === undefined
        ? apiPath('schedules')
        : apiPath('agents', await agentId(session.client, options.agent), 'schedules');
    return printList<ScheduleBody>(session, path, options, (page) => scheduleTable(session.out.paint, page));
  });
  host.serve(
    subcommand(schedules, 'get <schedule>', 'show a schedule, by its id or name'),
    async (session, [ref = '']) =>
      printSchedule(session, await session.client.get(apiPath('schedules', await scheduleId(session.client, ref)))),
  );
  addUpdate(schedules, host);
  addScheduleActions(schedules, host);
  const remove = subcommand(schedules, 'delete <schedule>', 'delete a schedule; its past stays readable').option(
    '--cancel-runs',
    'cancel its live runs; it is gone when they have ended',
  );
  host.serve<DeleteOptions>(ifMatchOption(remove), async (session, [reference = ''], options) =>
    deleteResource(session, 'schedule', await scheduleId(session.client, reference), options),
  );
}

const cadenceOptions = (command: Command): Command =>
  command
    .option('--cron <expr>', 'when, as five cron fields or six of AWS')
    .option('--timezone <tz>', 'the time zone of --cron, such as Europe/Berlin')
    .option('--every <duration>', 'an interval, such as 15m')
    .option('--start-at <time>', 'the first time of --every (default: now)')
    .option('--at <time>', 'once, such as 2027-01-31T09:00:00Z');

const policyOptions = (command: Command, orNone: string): Command =>
  command
    .addOption(
      new Option('--overlap <policy>', 'what to do while a run is live (default: skip)').choices(['skip', 'allow_all']),
    )
    .option('--catchup <duration>', `how late an occurrence may still start${orNone}`)
    .option('--run-timeout <duration>', `how long its runs may take${orNone}`)
    .option('--start-timeout <duration>', `how long its runs may take to start${orNone}`)
    .option('--metadata <name=value>', 'a note of yours (repeatable)', collectPair);

function addCreate(schedules: Command, host: Host): void {
  const create = subcommand(schedules, 'create', 'make a schedule')
    .requiredOption('--agent <agent>', 'what to run (id or name)')
    .requiredOption('--name <name>', "its name, unique among the agent's schedules");
  inputOptions(policyOptions(cadenceOptions(create), '')).option('--paused', 'do not start it yet');
  examples(
    create,
    "candor schedules create --agent report --name daily --cron '0 9 * * 1-5' --timezone Europe/Berlin",
    'candor schedules create --agent report --name often --every 15m --input \'{"depth": 2}\'',
    'echo \'{"depth": 2}\' | candor schedules create --agent report --name once --at 2027-01-31T09:00:00Z --input -',
  );
  host.serve<ScheduleOptions>(create, async (session, _, options) => {
    const cadence = cadenceOf(options);
    if (cadence === undefined)
      throw new UsageError('The schedule needs a cadence.', {
        remedy: 'Give one of: --cron EXPR --timezone TZ, --every DURATION, --at TIME.',
      });
    const body = {
      name: options.name,
      cadence,
      ...(await common(options)),
      ...(options.metadata !== undefined && { metadata: options.metadata }),
      ...(options.paused && { paused: true }),
    };
    const agent = await agentId(session.client, options.agent ?? '');
    return printSchedule(session, await session.client.post(apiPath('agents', agent, 'schedules'), { body }));
  });
}

/** What is sent alike at a creation and at a change. */
async function common(options: ScheduleOptions, present?: ScheduleBody): Promise<object> {
  const input = await readInput(options);
  const { runTimeout, startTimeout } = options;
  const overrides = mergedFields(present?.overrides, { runTimeout, startTimeout });
  return {
    ...(options.overlap !== undefined && { overlapPolicy: options.overlap }),
    ...(options.catchup !== undefined && { catchupWindow: options.catchup === NONE ? null : options.catchup }),
    ...(input !== undefined && { input: input.value }),
    ...(overrides !== undefined && { overrides }),
  };
}

function addUpdate(schedules: Command, host: Host): void {
  const update = subcommand(schedules, 'update <schedule>', 'change a schedule; what is not named stays as it is')
    .option('--name <name>', 'a new name')
    .option('--unset-metadata <name>', 'remove a note (repeatable)', collect);
  ifMatchOption(inputOptions(policyOptions(cadenceOptions(update), `, or ${NONE} for the default`)));
  examples(update, "candor schedules update daily --cron '30 9 * * 1-5'", 'candor schedules update daily --input null');
  host.serve<UpdateOptions>(update, async (session, [reference = ''], options) => {
    const { ifMatch: asked, ...changes } = options;
    const ifMatch = checkedIfMatch(asked);
    if (!Object.keys(changes).some((name) => name !== 'json' && name !== 'dataDir'))
      throw new UsageError('Nothing to change is named.', { remedy: 'See candor schedules update --help.' });
    const path = apiPath('schedules', await scheduleId(session.client, reference));
    const present = await session.client.get<ScheduleBody>(path);
    const cadence = cadenceOf(options, present.cadence);
    const metadata = mergedPairs(present.metadata, options.metadata, options.unsetMetadata);
    const body = {
      ...(options.name !== undefined && { name: options.name }),
      ...(cadence !== undefined && { cadence }),
      ...(await common(options, present)),
      ...(metadata !== undefined && { metadata }),
    };
    const version = ifMatch ?? String(present.version);
    const schedule = await changing(session, path, version, () =>
      session.client.patch<ScheduleBody>(path, { body, ifMatch: version }),
    );
    return printSchedule(session, schedule);
  });
}

/** A schedule on stdout. */
export async function printSchedule(session: Session, schedule: ScheduleBody): Promise<undefined> {
  const { out, json } = session;
  return void (await (json ? out.json(schedule) : out.line(scheduleDetail(out.paint, schedule))));
}
