/** `candor me` and `candor principals …` */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { PrincipalBody, PrincipalPatch } from '../../core/contract/access.ts';
import { ROLES, type Role } from '../../core/contract/roles.ts';
import { NONE } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { meDetail, principalDetail, principalTable } from '../render/access.ts';
import { agentId, type ListOptions, principalId, printList } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { changing, checkedIfMatch } from './changes.ts';
import { examples, group, ifMatchOption, type KeyOptions, keyOption, pageOptions, subcommand } from './options.ts';

type AgentRoles = readonly (readonly [agent: string, role: Role | typeof NONE])[];

interface PrincipalOptions {
  readonly name?: string;
  readonly role?: Role | typeof NONE;
  readonly agentRole?: AgentRoles;
}

interface IfMatchOption {
  readonly ifMatch?: string;
}

const HELP = `
People come by themselves, through the identity provider, and AWS roles and users sign their requests; service accounts
have keys (candor keys). For administrators. See docs/access.md.`;

/** Adds `me` and the group to the program. */
export function addPrincipalCommands(program: Command, host: Host): void {
  host.serve(subcommand(program, 'me', 'who you are, and what your credential opens'), async (session) => {
    const { out, json } = session;
    const me = await session.client.call('getMe');
    return void (await (json ? out.json(me) : out.line(meDetail(out.paint, me))));
  });
  const principals = group(program, 'principals', 'who may call: people, service accounts, AWS roles and users');
  principals.addHelpText('after', HELP);
  host.serve<ListOptions>(pageOptions(subcommand(principals, 'list', 'list them')), (session, _, options) =>
    printList(session, 'listPrincipals', {}, options, (page) => principalTable(session.out.paint, page)),
  );
  addCreate(principals, host);
  host.serve(
    subcommand(principals, 'get <principal>', 'show one, by its id or name'),
    async (session, [reference = '']) => print(session, await read(session, reference)),
  );
  addUpdate(principals, host);
  addStatus(principals, host, 'revoke', 'revoked', 'refuse it from now on, with its keys; its schedules start nothing');
  addStatus(principals, host, 'restore', 'active', 'let it in again, with what it had');
}

/** @param isChange a change can also take a role away, with `none` */
function principalOptions(command: Command, isChange: boolean): Command {
  const none = isChange ? `; ${NONE} takes it away` : '';
  return command
    .option('--name <name>', isChange ? 'a new name' : 'its name')
    .addOption(
      new Option('--role <role>', `its role over everything${none}`).choices(isChange ? [...ROLES, NONE] : ROLES),
    )
    .option(
      '--agent-role <agent=role>',
      `its role over one agent, by id or name (repeatable)${none}`,
      collectAgentRole(isChange ? [...ROLES, NONE] : ROLES),
    );
}

const collectAgentRole =
  (allowed: readonly string[]) =>
  (text: string, previous: AgentRoles = []): AgentRoles => {
    // The name of an agent may hold the sign, a role does not.
    const at = text.lastIndexOf('=');
    const role = text.slice(at + 1);
    if (at < 1 || !allowed.includes(role))
      throw new InvalidArgumentError(`It must have the form AGENT=ROLE, with one of ${allowed.join(', ')}.`);
    return [...previous, [text.slice(0, at), role as Role]];
  };

/** The roles over single agents as they stand, with what was asked for; undefined where nothing was. */
async function agentRoles(
  { client }: Session,
  asked: AgentRoles | undefined,
  present: PrincipalBody['agents'],
): Promise<Record<string, Role> | undefined> {
  if (asked === undefined) return undefined;
  const roles = new Map<string, Role>(Object.entries(present ?? {}));
  for (const [reference, role] of asked) {
    const id = await agentId(client, reference);
    if (role === NONE) roles.delete(id);
    else roles.set(id, role);
  }
  return Object.fromEntries(roles);
}

function addCreate(principals: Command, host: Host): void {
  const create = principalOptions(
    subcommand(principals, 'create', 'make a service account, or enter an AWS role or user'),
    false,
  ).option('--arn <arn>', 'of the AWS role or user that it is');
  examples(
    keyOption(create),
    'candor principals create --name ci --role operator',
    'candor principals create --name reports --agent-role report=editor',
    'candor principals create --name deploy --arn arn:aws:iam::111122223333:role/deploy --role editor',
  );
  type Options = PrincipalOptions & KeyOptions & { readonly arn?: string };
  host.serve<Options>(create, async (session, _, { name, role, agentRole, arn, idempotencyKey }) => {
    if (name === undefined) throw new UsageError('The principal needs a name.', { remedy: 'Give it with --name.' });
    const agents = await agentRoles(session, agentRole, undefined);
    const body = {
      name,
      ...(arn !== undefined && { arn }),
      ...(role !== undefined && role !== NONE && { role }),
      ...(agents !== undefined && { agents }),
    };
    const made = await session.client.call('createPrincipal', { body, idempotencyKey });
    await print(session, made);
    if (made.kind === 'service_account')
      session.out.note(`It has no key yet: candor keys create ${made.id} --name <name>`);
    return undefined;
  });
}

function addUpdate(principals: Command, host: Host): void {
  const update = principalOptions(
    subcommand(principals, 'update <principal>', 'change its name or what it may do; what is not named stays'),
    true,
  );
  examples(
    ifMatchOption(update),
    'candor principals update ci --role viewer',
    'candor principals update sac_… --role none --agent-role report=operator',
    'candor principals update sac_… --agent-role report=none',
  );
  host.serve<PrincipalOptions & IfMatchOption>(update, async (session, [reference = ''], options) => {
    const { name, role, agentRole } = options;
    const ifMatch = checkedIfMatch(options.ifMatch);
    if (name === undefined && role === undefined && agentRole === undefined)
      throw new UsageError('Nothing to change is named.', { remedy: 'See candor principals update --help.' });
    const present = await read(session, reference);
    const agents = await agentRoles(session, agentRole, present.agents);
    return change(session, present, ifMatch, {
      ...(name !== undefined && { name }),
      ...(role !== undefined && { role: role === NONE ? null : role }),
      ...(agents !== undefined && { agents }),
    });
  });
}

function addStatus(
  principals: Command,
  host: Host,
  verb: string,
  status: PrincipalBody['status'],
  description: string,
): void {
  const command = ifMatchOption(subcommand(principals, `${verb} <principal>`, description));
  host.serve<IfMatchOption>(command, async (session, [reference = ''], options) => {
    const ifMatch = checkedIfMatch(options.ifMatch);
    const present = await read(session, reference);
    return change(session, present, ifMatch, { status });
  });
}

const read = async ({ client }: Session, reference: string): Promise<PrincipalBody> =>
  client.call('getPrincipal', { path: { principalId: await principalId(client, reference) } });

/** Changes the version that was read, or the one that was named. */
async function change(
  session: Session,
  { id, version }: PrincipalBody,
  asked: string | undefined,
  body: PrincipalPatch,
): Promise<undefined> {
  const ifMatch = asked ?? String(version);
  const work = () => session.client.call('updatePrincipal', { path: { principalId: id }, body, ifMatch });
  return print(session, await changing(session, { kind: 'principal', id }, ifMatch, work));
}

async function print({ out, json }: Session, principal: PrincipalBody): Promise<undefined> {
  return void (await (json ? out.json(principal) : out.line(principalDetail(out.paint, principal))));
}
