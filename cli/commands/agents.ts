/** `candor agents …` */
import type { Command } from 'commander';
import type { AgentBody, AgentCreateInput } from '../../core/contract/agents.ts';
import { collect, collectPair, mergedFields, mergedPairs, NONE, wholeNumber, wholeNumberOrNone } from '../arguments.ts';
import { apiPath } from '../client.ts';
import { UsageError } from '../errors.ts';
import { agentDetail, agentTable } from '../render/agents.ts';
import { agentId, type ListOptions, printList } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { changing, checkedIfMatch, type DeleteOptions, deleteResource } from './changes.ts';
import { examples, group, ifMatchOption, pageOptions, subcommand } from './options.ts';

type Pairs = Readonly<Record<string, string>>;

interface AgentOptions {
  readonly name?: string;
  readonly env?: Pairs;
  readonly cwd?: string;
  readonly runTimeout?: string;
  readonly startTimeout?: string;
  readonly maxConcurrentRuns?: number | typeof NONE;
  readonly metadata?: Pairs;
}

interface UpdateOptions extends AgentOptions {
  readonly unsetEnv?: readonly string[];
  readonly unsetMetadata?: readonly string[];
  readonly ifMatch?: string;
}

/** Adds the group to the program. */
export function addAgentCommands(program: Command, host: Host): void {
  const agents = group(program, 'agents', 'registered workers: how each is started, and its limits');
  addCreate(agents, host);
  host.serve<ListOptions>(pageOptions(subcommand(agents, 'list', 'list the agents')), (session, _, options) =>
    printList<AgentBody>(session, apiPath('agents'), options, (page) => agentTable(session.out.paint, page)),
  );
  host.serve(subcommand(agents, 'get <agent>', 'show an agent, by its id or name'), async (session, [reference = '']) =>
    printAgent(session, await session.client.get(apiPath('agents', await agentId(session.client, reference)))),
  );
  addUpdate(agents, host);
  const remove = subcommand(agents, 'delete <agent>', 'delete an agent that no schedule uses').option(
    '--cancel-runs',
    'cancel its live runs first',
  );
  host.serve<DeleteOptions>(ifMatchOption(remove), async (session, [reference = ''], options) =>
    deleteResource(session, 'agent', await agentId(session.client, reference), options),
  );
}

function addCreate(agents: Command, host: Host): void {
  const create = subcommand(agents, 'create', 'register an agent; its command stands after --')
    .argument('<command...>', 'the program and its arguments, passed on as they are, without a shell')
    .requiredOption('--name <name>', 'its name, unique among the agents')
    .option('--env <name=value>', 'a variable of its environment (repeatable)', collectPair)
    .option('--cwd <dir>', 'its working directory, an absolute path on the VM (default: a fresh folder per run)')
    .option('--run-timeout <duration>', 'how long a run may take, such as 15m or PT15M')
    .option('--start-timeout <duration>', 'how long a run may take to start')
    .option(
      '--max-concurrent-runs <count>',
      'how many of its runs may be at work at once; others wait',
      wholeNumber(1, 10_000),
    )
    .option('--metadata <name=value>', 'a note of yours (repeatable)', collectPair);
  examples(
    create,
    'candor agents create --name report -- node report.js --verbose',
    'candor agents create --name shell --env MODE=fast --run-timeout 15m -- bash -c \'echo "$MODE"\'',
  );
  host.serve<AgentOptions>(create, async (session, command, options) => {
    const limits = mergedFields(undefined, limitOptions(options));
    const body: AgentCreateInput = {
      name: options.name ?? '',
      command: [...command],
      ...(options.cwd !== undefined && { workingDirectory: options.cwd }),
      ...(options.env !== undefined && { env: options.env }),
      ...(limits && { limits }),
      ...(options.metadata !== undefined && { metadata: options.metadata }),
    };
    const agent = await session.client.post<AgentBody>(apiPath('agents'), { body });
    await printAgent(session, agent);
    session.out.note(`To run it once: candor runs create --agent ${agent.id} --wait`);
    return undefined;
  });
}

function addUpdate(agents: Command, host: Host): void {
  const update = subcommand(agents, 'update <agent>', 'change an agent; what is not named stays as it is')
    .argument('[command...]', 'after --: the new program and its arguments')
    .option('--name <name>', 'a new name')
    .option('--env <name=value>', 'set a variable (repeatable)', collectPair)
    .option('--unset-env <name>', 'remove a variable (repeatable)', collect)
    .option('--cwd <dir>', `another working directory, or ${NONE}`)
    .option('--run-timeout <duration>', `how long a run may take, or ${NONE} for the default`)
    .option('--start-timeout <duration>', `how long a run may take to start, or ${NONE} for the default`)
    .option(
      '--max-concurrent-runs <count>',
      `how many of its runs may be at work at once, or ${NONE}`,
      wholeNumberOrNone(1, 10_000),
    )
    .option('--metadata <name=value>', 'set a note (repeatable)', collectPair)
    .option('--unset-metadata <name>', 'remove a note (repeatable)', collect);
  examples(
    ifMatchOption(update),
    'candor agents update report --run-timeout 30m',
    'candor agents update report -- node report2.js',
  );
  host.serve<UpdateOptions>(update, async (session, [reference = '', ...command], options) => {
    const { ifMatch: asked, ...changes } = options;
    const ifMatch = checkedIfMatch(asked);
    if (command.length === 0 && !Object.keys(changes).some((name) => name !== 'json' && name !== 'dataDir'))
      throw new UsageError('Nothing to change is named.', { remedy: 'See candor agents update --help.' });
    const path = apiPath('agents', await agentId(session.client, reference));
    const present = await session.client.get<AgentBody>(path);
    const version = ifMatch ?? String(present.version);
    const agent = await changing(session, path, version, () =>
      session.client.patch<AgentBody>(path, { body: patchOf(present, command, options), ifMatch: version }),
    );
    return printAgent(session, agent);
  });
}

const limitOptions = ({ runTimeout, startTimeout, maxConcurrentRuns }: AgentOptions) => ({
  runTimeout,
  startTimeout,
  maxConcurrentRuns,
});

function patchOf(present: AgentBody, command: readonly string[], options: UpdateOptions): object {
  const { limits: standing } = present;
  const limits = mergedFields(standing, limitOptions(options));
  const env = mergedPairs(present.env, options.env, options.unsetEnv);
  const metadata = mergedPairs(present.metadata, options.metadata, options.unsetMetadata);
  return {
    ...(options.name !== undefined && { name: options.name }),
    ...(command.length > 0 && { command }),
    ...(options.cwd !== undefined && { workingDirectory: options.cwd === NONE ? null : options.cwd }),
    ...(env !== undefined && { env }),
    ...(limits !== undefined && { limits }),
    ...(metadata !== undefined && { metadata }),
  };
}

async function printAgent(session: Session, agent: AgentBody): Promise<undefined> {
  const { out, json } = session;
  return void (await (json ? out.json(agent) : out.line(agentDetail(out.paint, agent))));
}
