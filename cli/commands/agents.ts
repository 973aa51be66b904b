/** `candor agents …` */
import type { Command } from 'commander';
import type { AgentBody, AgentCreateInput } from '../../core/contract/agents.ts';
import { readObject } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { agentDetail, agentTable } from '../render/agents.ts';
import { agentId, type ListOptions, printList } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { type AgentOptions, agentFields, agentOptions } from './agentOptions.ts';
import { changing, checkedIfMatch, type DeleteOptions, deleteResource } from './changes.ts';
import { examples, group, ifMatchOption, type KeyOptions, keyOption, pageOptions, subcommand } from './options.ts';

interface UpdateOptions extends AgentOptions {
  readonly ifMatch?: string;
}

/** Adds the group to the program. */
export function addAgentCommands(program: Command, host: Host): void {
  const agents = group(program, 'agents', 'registered workers: how each is started, and its limits');
  addCreate(agents, host);
  host.serve<ListOptions>(pageOptions(subcommand(agents, 'list', 'list the agents')), (session, _, options) =>
    printList(session, 'listAgents', {}, options, (page) => agentTable(session.out.paint, page)),
  );
  host.serve(subcommand(agents, 'get <agent>', 'show an agent, by its id or name'), async (session, [reference = '']) =>
    printAgent(
      session,
      await session.client.call('getAgent', { path: { agentId: await agentId(session.client, reference) } }),
    ),
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
  const create = subcommand(agents, 'create', 'register an agent; its command stands after --').argument(
    '[command...]',
    'the program and its arguments, passed on as they are, without a shell',
  );
  examples(
    agentOptions(create, false),
    'candor agents create --name report -- node report.js --verbose',
    'candor agents create --name shell --env MODE=fast --run-timeout 15m -- bash -c \'echo "$MODE"\'',
    "candor agents create --name build --repository https://host/app.git --ref main --artifact 'dist/**' -- make",
    'candor agents create --name fetch --secret-env TOKEN=github --max-attempts 5 --warm-for 10m -- node fetch.js',
    'candor agents create --file agent.json',
  );
  host.serve<AgentOptions & KeyOptions>(keyOption(create), async (session, command, options) => {
    const file = options.file === undefined ? {} : await readObject(options.file);
    const named = agentFields(options, command, file);
    const body = { ...file, ...named };
    // What `none` takes out of the file is not there: a new agent has no field to take back.
    const fields = Object.fromEntries(
      Object.entries(body).filter(([name, value]) => value !== null || !Object.hasOwn(named, name)),
    );
    checkComplete(fields);
    const { idempotencyKey } = options;
    // Whether the fields are what they should be, the server says.
    const agent = await session.client.call('createAgent', {
      body: fields as unknown as AgentCreateInput,
      idempotencyKey,
    });
    await printAgent(session, agent);
    session.out.note(`To run it once: candor runs create --agent ${agent.id} --wait`);
    return undefined;
  });
}

function checkComplete(fields: { readonly name?: unknown; readonly command?: unknown }): void {
  if (fields.name === undefined)
    throw new UsageError('The agent needs a name.', { remedy: 'Give it with --name, or in --file.' });
  if (fields.command === undefined)
    throw new UsageError('The agent needs a command.', {
      remedy: 'Write it after --, as in candor agents create --name report -- node report.js, or in --file.',
    });
}

function addUpdate(agents: Command, host: Host): void {
  const update = subcommand(agents, 'update <agent>', 'change an agent; what is not named stays as it is').argument(
    '[command...]',
    'after --: the new program and its arguments',
  );
  examples(
    ifMatchOption(agentOptions(update, true)),
    'candor agents update report --run-timeout 30m --idle-timeout 5m',
    'candor agents update report --warm-for none --slots 4',
    'candor agents update report -- node report2.js',
    'echo \'{"successCriteria": {"artifact": "*.pdf"}}\' | candor agents update report --file -',
  );
  host.serve<UpdateOptions>(update, async (session, [reference = '', ...command], options) => {
    const { ifMatch: asked, ...changes } = options;
    const ifMatch = checkedIfMatch(asked);
    if (command.length === 0 && !Object.keys(changes).some((name) => name !== 'json' && name !== 'dataDir'))
      throw new UsageError('Nothing to change is named.', { remedy: 'See candor agents update --help.' });
    const file = options.file === undefined ? {} : await readObject(options.file);
    const id = await agentId(session.client, reference);
    const path = { agentId: id };
    const present = await session.client.call('getAgent', { path });
    const body = { ...file, ...agentFields(options, command, { ...present, ...file }) };
    const version = ifMatch ?? String(present.version);
    const agent = await changing(session, { kind: 'agent', id }, version, () =>
      session.client.call('updateAgent', { path, body, ifMatch: version }),
    );
    return printAgent(session, agent);
  });
}

async function printAgent(session: Session, agent: AgentBody): Promise<undefined> {
  const { out, json } = session;
  return void (await (json ? out.json(agent) : out.line(agentDetail(out.paint, agent))));
}
