/** `candor keys …` */
import { type Command, Option } from 'commander';
import type { NewKeyBody } from '../../core/contract/access.ts';
import { ROLES, type Role } from '../../core/contract/roles.ts';
import { parseDuration } from '../../core/contract/times.ts';
import { collect } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { keyTable } from '../render/access.ts';
import { agentId, principalId, printPage } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { when } from '../text.ts';
import { examples, group, subcommand } from './options.ts';

interface LifeOption {
  readonly expiresIn?: string;
}

interface CreateOptions extends LifeOption {
  readonly name?: string;
  readonly role?: Role;
  readonly agent?: readonly string[];
}

const HELP = `
A key is shown once, as all that the command writes to standard output (--json: in the field "key"); candor keeps only a
hash of it. It goes into CANDOR_TOKEN, or into the header Authorization: Bearer. See docs/access.md.`;

/** Adds the group to the program. */
export function addKeyCommands(program: Command, host: Host): void {
  const keys = group(program, 'keys', 'keys of service accounts').addHelpText('after', HELP);
  host.serve(
    subcommand(keys, 'list <account>', 'list its keys, without what is secret of them'),
    async (session, [reference = '']) => {
      const path = { principalId: await principalId(session.client, reference) };
      const page = await session.client.call('listKeys', { path });
      return printPage(session, page, (all) => keyTable(session.out.paint, all));
    },
  );
  addCreate(keys, host);
  addRotate(keys, host);
  host.serve(
    subcommand(keys, 'revoke <account> <key>', 'refuse it from now on, for good'),
    async (session, [reference = '', keyId = '']) => {
      const path = { principalId: await principalId(session.client, reference), keyId };
      await session.client.call('revokeKey', { path });
      session.out.note(`Revoked key ${keyId}.`);
      return undefined;
    },
  );
}

const lifeOption = (command: Command): Command =>
  command.option('--expires-in <duration>', 'how long it lives (default: 90d; at most 365d)');

function addCreate(keys: Command, host: Host): void {
  const create = lifeOption(subcommand(keys, 'create <account>', 'make a key of a service account, shown this once'))
    .option('--name <name>', 'what it is for')
    .addOption(new Option('--role <role>', 'no more than this, whatever the account may').choices(ROLES))
    .option('--agent <agent>', 'only for this agent, by id or name (repeatable)', collect);
  examples(
    create,
    'candor keys create ci --name builds --expires-in 30d',
    'CANDOR_TOKEN=$(candor keys create ci --name builds --role viewer --agent report)',
  );
  host.serve<CreateOptions>(create, async (session, [reference = ''], { name, role, agent, expiresIn }) => {
    if (name === undefined) throw new UsageError('The key needs a name.', { remedy: 'Give it with --name.' });
    checkDuration('--expires-in', expiresIn);
    const { client } = session;
    const path = { principalId: await principalId(client, reference) };
    const agents = agent && (await Promise.all(agent.map((each) => agentId(client, each))));
    const body = {
      name,
      ...(role !== undefined && { role }),
      ...(agents !== undefined && { agents }),
      ...(expiresIn !== undefined && { expiresIn }),
    };
    return printSecret(session, await client.call('createKey', { path, body }));
  });
}

function addRotate(keys: Command, host: Host): void {
  const rotate = lifeOption(
    subcommand(keys, 'rotate <account> <key>', 'make a key that takes its place, shown this once'),
  ).option('--overlap <duration>', 'for so long the old one works too (default: 1d)');
  examples(rotate, 'candor keys rotate ci key_…', 'candor keys rotate ci key_… --overlap 0s');
  type Options = LifeOption & { readonly overlap?: string };
  host.serve<Options>(rotate, async (session, [reference = '', keyId = ''], { overlap, expiresIn }) => {
    checkDuration('--overlap', overlap);
    checkDuration('--expires-in', expiresIn);
    const path = { principalId: await principalId(session.client, reference), keyId };
    const body = { ...(overlap !== undefined && { overlap }), ...(expiresIn !== undefined && { expiresIn }) };
    return printSecret(session, await session.client.call('rotateKey', { path, body }));
  });
}

function checkDuration(option: string, text: string | undefined): void {
  if (text !== undefined && parseDuration(text) === undefined)
    throw new UsageError(`${option} must be a duration such as 1d or PT1H, not ${JSON.stringify(text)}.`);
}

/** The key alone goes to standard output, so that a script can take it from there. */
async function printSecret({ out, json }: Session, made: NewKeyBody): Promise<undefined> {
  await (json ? out.json(made) : out.line(made.key));
  const until = made.expiresAt === undefined ? '' : `, until ${when(made.expiresAt, made.asOf)}`;
  out.note(`This is key ${made.id} of ${made.principalId}${until}. Keep it now: it is not shown again.`);
}
