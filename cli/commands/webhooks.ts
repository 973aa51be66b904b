/** `candor webhooks …` */
import type { Command } from 'commander';
import { parseDuration } from '../../core/contract/times.ts';
import type { DeliveryBody, NewSecretBody, WebhookBody } from '../../core/contract/webhooks.ts';
import { collect, NONE } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { deliveryDetail, deliveryTable, webhookDetail, webhookTable } from '../render/webhooks.ts';
import { type ListOptions, printList, printPage } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { changing, checkedIfMatch, type DeleteOptions, deleteResource } from './changes.ts';
import { examples, group, ifMatchOption, pageOptions, subcommand } from './options.ts';

interface WebhookOptions {
  readonly url?: string;
  readonly event?: readonly string[];
  readonly description?: string;
}

interface UpdateOptions extends WebhookOptions {
  readonly enable?: true;
  readonly disable?: true;
  readonly ifMatch?: string;
}

const HELP = `
Each delivery is a POST with the headers webhook-id, webhook-timestamp and webhook-signature of the Standard Webhooks
specification (standardwebhooks.com), whose libraries verify it. Deliveries come at least once and in no certain order:
webhook-id tells repeats, data.sequence orders the events of one thing. See docs/webhooks.md.`;

/** Adds the group to the program. */
export function addWebhookCommands(program: Command, host: Host): void {
  const webhooks = group(program, 'webhooks', 'endpoints that are told of events').addHelpText('after', HELP);
  addCreate(webhooks, host);
  host.serve(subcommand(webhooks, 'list', 'list the webhooks'), (session) =>
    session.client
      .call('listWebhooks')
      .then((page) => printPage(session, page, (all) => webhookTable(session.out.paint, all))),
  );
  host.serve(subcommand(webhooks, 'get <webhook>', 'show a webhook'), async (session, [id = '']) =>
    print(session, await session.client.call('getWebhook', { path: { webhookId: id } })),
  );
  addUpdate(webhooks, host);
  const remove = subcommand(webhooks, 'delete <webhook>', 'delete it; what waits to be sent is not sent');
  host.serve<DeleteOptions>(ifMatchOption(remove), (session, [id = ''], options) =>
    deleteResource(session, 'webhook', id, options),
  );
  addRotate(webhooks, host);
  host.serve(
    subcommand(webhooks, 'test <webhook>', 'send it an event of the type webhook.test'),
    async (session, [id = '']) => sent(session, await session.client.call('testWebhook', { path: { webhookId: id } })),
  );
  addDeliveries(webhooks, host);
}

const webhookOptions = (command: Command): Command =>
  command
    .option('--url <url>', 'where to: https, and reachable by the whole internet')
    .option('--event <type>', 'such as run.failed, run.* or *; may be given more than once', collect)
    .option('--description <text>', 'what it is for');

const fieldsOf = ({ url, event }: WebhookOptions) => ({
  ...(url !== undefined && { url }),
  ...(event !== undefined && { events: event }),
});

function addCreate(webhooks: Command, host: Host): void {
  const create = webhookOptions(subcommand(webhooks, 'create', 'add an endpoint; its secret is shown this once'));
  examples(
    create,
    'candor webhooks create --url https://example.com/candor',
    "candor webhooks create --url https://example.com/alerts --event run.failed --event 'schedule.*'",
  );
  host.serve<WebhookOptions>(create, async (session, _, options) => {
    const { url, description } = options;
    if (url === undefined) throw new UsageError('The webhook needs a URL.', { remedy: 'Give it with --url.' });
    const described = description !== undefined && description !== NONE;
    const body = { ...fieldsOf(options), url, ...(described && { description }) };
    return printSecret(session, await session.client.call('createWebhook', { body }));
  });
}

function addUpdate(webhooks: Command, host: Host): void {
  const update = webhookOptions(subcommand(webhooks, 'update <webhook>', 'change it; what is not named stays as it is'))
    .option('--enable', 'send to it again; what happened meanwhile is not sent')
    .option('--disable', 'send nothing to it');
  examples(
    ifMatchOption(update),
    "candor webhooks update whk_… --event 'run.*'",
    'candor webhooks update whk_… --enable',
    'candor webhooks update whk_… --description none',
  );
  host.serve<UpdateOptions>(update, async (session, [id = ''], options) => {
    if (options.enable && options.disable) throw new UsageError('Only one of --enable and --disable can be given.');
    const status = options.enable ? ('active' as const) : options.disable ? ('disabled' as const) : undefined;
    const { description } = options;
    const body = {
      ...fieldsOf(options),
      ...(description !== undefined && { description: description === NONE ? null : description }),
      ...(status !== undefined && { status }),
    };
    if (Object.keys(body).length === 0)
      throw new UsageError('Nothing to change is named.', { remedy: 'See candor webhooks update --help.' });
    const path = { webhookId: id };
    const ifMatch =
      checkedIfMatch(options.ifMatch) ?? String((await session.client.call('getWebhook', { path })).version);
    const work = () => session.client.call('updateWebhook', { path, body, ifMatch });
    return print(session, await changing(session, { kind: 'webhook', id }, ifMatch, work));
  });
}

function addRotate(webhooks: Command, host: Host): void {
  const rotate = subcommand(webhooks, 'rotate-secret <webhook>', 'make a new secret, shown this once').option(
    '--overlap <duration>',
    'for so long the old one signs too (default: 1d)',
  );
  examples(rotate, 'candor webhooks rotate-secret whk_…', 'candor webhooks rotate-secret whk_… --overlap 0s');
  host.serve<{ readonly overlap?: string }>(rotate, async (session, [id = ''], { overlap }) => {
    if (overlap !== undefined && parseDuration(overlap) === undefined)
      throw new UsageError(`--overlap must be a duration such as 1d or PT1H, not ${JSON.stringify(overlap)}.`);
    const body = overlap === undefined ? {} : { overlap };
    return printSecret(session, await session.client.call('rotateWebhookSecret', { path: { webhookId: id }, body }));
  });
}

function addDeliveries(webhooks: Command, host: Host): void {
  const list = subcommand(webhooks, 'deliveries <webhook>', 'what was sent, and how that went; newest first').option(
    '--status <status>',
    'pending, delivered, failed or cancelled',
  );
  host.serve<ListOptions & { readonly status?: string }>(pageOptions(list), (session, [id = ''], { status, ...page }) =>
    printList(session, 'listDeliveries', { path: { webhookId: id }, query: { status } }, page, (found) =>
      deliveryTable(session.out.paint, found),
    ),
  );
  const one = subcommand(webhooks, 'delivery <webhook> <delivery>', 'show one with each try and what is sent');
  host.serve(one, async (session, [id = '', delivery = '']) => {
    const found = await session.client.call('getDelivery', { path: { webhookId: id, deliveryId: delivery } });
    const { out, json } = session;
    return void (await (json ? out.json(found) : out.line(deliveryDetail(out.paint, found))));
  });
  const again = subcommand(webhooks, 'redeliver <webhook> <delivery>', 'send one again, under the same id');
  host.serve(again, async (session, [id = '', delivery = '']) =>
    sent(session, await session.client.call('redeliver', { path: { webhookId: id, deliveryId: delivery } })),
  );
}

async function sent(session: Session, delivery: DeliveryBody): Promise<undefined> {
  if (session.json) return void (await session.out.json(delivery));
  await session.out.line(delivery.id);
  session.out.note(`It is on its way. How it went: candor webhooks delivery ${delivery.webhookId} ${delivery.id}`);
}

async function print({ out, json }: Session, webhook: WebhookBody): Promise<undefined> {
  return void (await (json ? out.json(webhook) : out.line(webhookDetail(out.paint, webhook))));
}

async function printSecret(session: Session, webhook: NewSecretBody): Promise<undefined> {
  await print(session, webhook);
  if (!session.json) await session.out.line(`\n${webhook.secret}`);
  session.out.note('This is the secret. Keep it now: it is not shown again.');
}
