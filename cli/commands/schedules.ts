/** `candor schedules …`: making, reading and changing them. Acting on them is in `scheduleActions.ts`. */
import type { Command } from 'commander';
import type { DryRunBody, ScheduleBody } from '../../core/contract/schedules.ts';
import { collect, mergedPairs } from '../arguments.ts';
import type { Arguments, Page } from '../client.ts';
import { UsageError } from '../errors.ts';
import { dryRunText, warningLines } from '../render/answers.ts';
import { scheduleDetail, scheduleTable } from '../render/schedules.ts';
import { agentId, type ListOptions, printList, scheduleId } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { addBackfills } from './backfills.ts';
import { CADENCE_REMEDY, cadenceOf } from './cadence.ts';
import { changing, checkedIfMatch, type DeleteOptions, deleteResource } from './changes.ts';
import {
  examples,
  group,
  ifMatchOption,
  inputOptions,
  type KeyOptions,
  keyOption,
  pageOptions,
  subcommand,
} from './options.ts';
import { addPreview } from './preview.ts';
import { addScheduleActions } from './scheduleActions.ts';
import { addScheduleLedger } from './scheduleLedger.ts';
import { cadenceOptions, commonFields, confirmOption, policyOptions, type ScheduleOptions } from './scheduleOptions.ts';

interface CreateOptions extends ScheduleOptions, KeyOptions {
  readonly agent?: string;
  readonly name?: string;
  readonly paused?: true;
}

interface UpdateOptions extends ScheduleOptions {
  readonly name?: string;
  readonly dryRun?: true;
  readonly unsetMetadata?: readonly string[];
  readonly ifMatch?: string;
}

/** Adds the group to the program. */
export function addScheduleCommands(program: Command, host: Host): void {
  const schedules = group(program, 'schedules', 'promises to run an agent: at times, at intervals or once');
  addCreate(schedules, host);
  addPreview(schedules, host);
  const list = pageOptions(subcommand(schedules, 'list', 'list the schedules')).option(
    '--agent <agent>',
    'only those of this agent (id or name)',
  );
  host.serve<ListOptions & { readonly agent?: string }>(list, async (session, _, options) => {
    const render = (page: Page<ScheduleBody>) => scheduleTable(session.out.paint, page);
    if (options.agent === undefined) return printList(session, 'listSchedules', {}, options, render);
    const path = { agentId: await agentId(session.client, options.agent) };
    return printList(session, 'listAgentSchedules', { path }, options, render);
  });
  host.serve(
    subcommand(schedules, 'get <schedule>', 'show a schedule, by its id or name'),
    async (session, [ref = '']) =>
      printSchedule(
        session,
        await session.client.call('getSchedule', { path: { scheduleId: await scheduleId(session.client, ref) } }),
      ),
  );
  addUpdate(schedules, host);
  addScheduleActions(schedules, host);
  addScheduleLedger(schedules, host);
  addBackfills(schedules, host);
  const remove = subcommand(schedules, 'delete <schedule>', 'delete a schedule; its past stays readable').option(
    '--cancel-runs',
    'cancel its live runs; it is gone when they have ended',
  );
  host.serve<DeleteOptions>(ifMatchOption(remove), async (session, [reference = ''], options) =>
    deleteResource(session, 'schedule', await scheduleId(session.client, reference), options),
  );
}

function addCreate(schedules: Command, host: Host): void {
  const create = subcommand(schedules, 'create', 'make a schedule')
    .requiredOption('--agent <agent>', 'what to run (id or name)')
    .requiredOption('--name <name>', "its name, unique among the agent's schedules");
  inputOptions(policyOptions(confirmOption(cadenceOptions(create)), false)).option('--paused', 'do not start it yet');
  examples(
    create,
    "candor schedules create --agent report --name daily --cron '0 9 * * 1-5' --timezone Europe/Berlin",
    'candor schedules create --agent report --name often --every 15m --input \'{"depth": 2}\'',
    'echo \'{"depth": 2}\' | candor schedules create --agent report --name once --at 2027-01-31T09:00:00Z --input -',
  );
  host.serve<CreateOptions>(keyOption(create), async (session, _, options) => {
    const cadence = cadenceOf(options);
    if (cadence === undefined) throw new UsageError('The schedule needs a cadence.', { remedy: CADENCE_REMEDY });
    const body = {
      name: options.name ?? '',
      cadence,
      ...(await commonFields(options)),
      ...(options.metadata !== undefined && { metadata: options.metadata }),
      ...(options.paused && { paused: true }),
    };
    const path = { agentId: await agentId(session.client, options.agent ?? '') };
    return printSchedule(
      session,
      await session.client.call('createSchedule', { path, body, idempotencyKey: options.idempotencyKey }),
    );
  });
}

function addUpdate(schedules: Command, host: Host): void {
  const update = subcommand(schedules, 'update <schedule>', 'change a schedule; what is not named stays as it is')
    .option('--name <name>', 'a new name')
    .option('--unset-metadata <name>', 'remove a note (repeatable)', collect)
    .option('--dry-run', 'only say what would change: times, clock changes, overlaps');
  ifMatchOption(inputOptions(policyOptions(confirmOption(cadenceOptions(update)), true)));
  examples(
    update,
    "candor schedules update daily --cron '30 9 * * 1-5'",
    'candor schedules update daily --every 15m --dry-run',
    'candor schedules update daily --window-end none --input null',
  );
  host.serve<UpdateOptions>(update, async (session, [reference = ''], options) => {
    const { ifMatch: asked, dryRun, confirmFrequency: _, ...changes } = options;
    const ifMatch = checkedIfMatch(asked);
    if (!Object.keys(changes).some((name) => name !== 'json' && name !== 'dataDir'))
      throw new UsageError('Nothing to change is named.', { remedy: 'See candor schedules update --help.' });
    const id = await scheduleId(session.client, reference);
    const path = { scheduleId: id };
    const present = await session.client.call('getSchedule', { path });
    const cadence = cadenceOf(options, present.cadence);
    const metadata = mergedPairs(present.metadata, options.metadata, options.unsetMetadata);
    const body = {
      ...(options.name !== undefined && { name: options.name }),
      ...(cadence !== undefined && { cadence }),
      ...(await commonFields(options, present)),
      ...(metadata !== undefined && { metadata }),
    };
    const version = ifMatch ?? String(present.version);
    const request = { path, body, ifMatch: version };
    if (dryRun) return printDryRun(session, request);
    const schedule = await changing(session, { kind: 'schedule', id }, version, () =>
      session.client.call('updateSchedule', request),
    );
    // Without dryRun the answer is the schedule.
    return printSchedule(session, schedule as ScheduleBody);
  });
}

/** For the version that was read: what would be laid over a later one is not what was asked. */
async function printDryRun(session: Session, request: Arguments<'updateSchedule'>[0]): Promise<undefined> {
  const { client, out, json } = session;
  const subject = { kind: 'schedule', id: request.path.scheduleId } as const;
  const answer = (await changing(session, subject, String(request.ifMatch), () =>
    client.call('updateSchedule', { ...request, query: { dryRun: 'true' } }),
  )) as DryRunBody;
  if (json) return void (await out.json(answer));
  await out.line(dryRunText(out.paint, answer));
  for (const line of warningLines(out.paintErrors, answer.warnings)) out.note(line);
  return undefined;
}

/** A schedule on stdout. */
export async function printSchedule(session: Session, schedule: ScheduleBody): Promise<undefined> {
  const { out, json } = session;
  return void (await (json ? out.json(schedule) : out.line(scheduleDetail(out.paint, schedule))));
}
