/** What callers do with webhooks. They concern a whole tenant, and so does the role that it takes. */
import { type Reach, reached } from '../access/grants.ts';
import type { PrincipalCaller } from '../agents/service.ts';
import { isoTime, type ListBody } from '../contract/common.ts';
import type {
  DeliveryBody,
  NewSecretBody,
  SecretRotate,
  WebhookBody,
  WebhookCreate,
  WebhookPatch,
} from '../contract/webhooks.ts';
import { CandorError, Contended, GuardFailed, InvalidRequest, NotFound } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { honourVersion, type Precondition, requireVersion } from '../rules.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { WEBHOOK_PREFIX } from '../table/keys.ts';
import { absent, eq, guard, type Item, type Write } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import { deliveryBody, webhookBody } from './body.ts';
import { changeWebhook, listedRow, type WebhookChange, webhookEvent } from './change.ts';
import { type NewDelivery, putDelivery } from './fanOut.ts';
import type { DeliveryRow, ListedWebhookRow, WebhookRow } from './model.ts';
import { newSecret, withSecret } from './secrets.ts';

/** @throws NotFound, CandorError `forbidden` */
export async function loadWebhook(ports: Pick<Ports, 'store'>, caller: Reach, id: string): Promise<WebhookRow> {
  const row = asRow<WebhookRow>(await ports.store.get(keys.webhook(id)));
  const webhook = reached(caller, row, 'webhook', id);
  if (webhook.status === 'deleted') throw new NotFound('webhook', id);
  return webhook;
}

export const getWebhook = async (ports: Ports, caller: Reach, id: string): Promise<WebhookBody> =>
  webhookBody(await loadWebhook(ports, caller, id), ports.time.now());

/** All of them: they are few. */
export async function listWebhooks(ports: Ports, caller: Reach): Promise<ListBody<WebhookBody>> {
  const ids = await listedIds(ports, caller.tenantId);
  const rows = (await ports.store.getMany(ids.map(keys.webhook))).map((item) => asRow<WebhookRow>(item));
  const now = ports.time.now();
  const shown = rows.filter((row) => row !== undefined).filter((row) => row.status !== 'deleted');
  return { items: shown.map((row) => webhookBody(row, now)), asOf: isoTime(now) };
}

async function listedIds({ store, config }: Ports, tenantId: string): Promise<readonly string[]> {
  const { pk } = keys.webhookListed(tenantId, '');
  const page = await store.query({ pk, prefix: WEBHOOK_PREFIX, limit: config.maxWebhooksPerTenant + 1 });
  return page.items.map((item) => asRow<ListedWebhookRow>(item)).flatMap((row) => (row === undefined ? [] : [row.id]));
}

/** How many a tenant has: what keeps two that are created at once from both being the last one. */
interface CountRow extends RowBase {
  readonly changes: number;
}

/** @throws InvalidRequest for a URL that nothing is sent to; CandorError `illegal_transition` where there are too many */
export async function createWebhook(
  ports: Ports,
  caller: PrincipalCaller,
  request: WebhookCreate,
): Promise<NewSecretBody> {
  checkUrl(ports, request.url);
  const now = ports.time.now();
  const id = ports.ids.next('whk_', now);
  const { secret, sealed } = await newSecret(ports, id);
  return commit<NewSecretBody>(ports, async (writer) => {
    const count = await countOf(ports, caller.tenantId);
    const webhook: WebhookRow = {
      ...keys.webhook(id),
      schemaVersion: SCHEMA_VERSION,
      tenantId: caller.tenantId,
      id,
      url: new URL(request.url).href,
      ...(request.description !== undefined && { description: request.description }),
      events: request.events,
      status: 'active',
      secrets: [{ sealed, createdAt: now }],
      version: 1,
      createdBy: caller.principalId,
      createdAt: now,
      updatedAt: now,
      writer,
    };
    return {
      writes: [
        { kind: 'put', item: asItem(webhook), guards: [guard('webhook.createdOnce', absent)] },
        { kind: 'put', item: asItem(listedRow(webhook)), guards: [guard('webhook.listedOnce', absent)] },
        count,
        webhookEvent(ports, webhook, 'webhook.created', caller.principalId, now, writer),
      ],
      proof: keys.webhookEvent(id, 1),
      result: { ...webhookBody(webhook, now), secret },
    };
  });
}

/** @throws CandorError `illegal_transition` at the limit */
async function countOf(ports: Ports, tenantId: string): Promise<Write> {
  const key = keys.webhookCount(tenantId);
  // First the counter: whoever creates another one after this look makes the write below fail.
  const before = asRow<CountRow>(await ports.store.get(key));
  const standing = await listedIds(ports, tenantId);
  const { maxWebhooksPerTenant: max } = ports.config;
  if (standing.length >= max)
    throw new CandorError('illegal_transition', `There are ${standing.length} webhooks, the limit is ${max}.`, {
      remedy: 'Delete one that is not needed, or let one of them take more events.',
    });
  const row: CountRow = { ...key, schemaVersion: SCHEMA_VERSION, tenantId, changes: (before?.changes ?? 0) + 1 };
  const unchanged = before === undefined ? absent : eq('changes', before.changes);
  return { kind: 'put', item: asItem(row), guards: [guard('webhook.countUnchanged', unchanged)] };
}

function checkUrl({ webhooks }: Ports, url: string): void {
  const refusal = webhooks.refusal(url);
  if (refusal !== undefined)
    throw new InvalidRequest(
      'Nothing is sent to this URL.',
      [{ pointer: '/url', message: refusal }],
      'Name an https endpoint that the whole internet can reach.',
    );
}

async function changed(
  ports: Ports,
  caller: PrincipalCaller,
  id: string,
  precondition: Precondition,
  change: (webhook: WebhookRow, now: number) => WebhookChange,
): Promise<WebhookRow> {
  return commit<WebhookRow>(ports, async (writer) => {
    const webhook = await loadWebhook(ports, caller, id);
    requireVersion('webhook', id, webhook.version, precondition);
    const now = ports.time.now();
    const { after, writes } = changeWebhook(ports, webhook, change(webhook, now), now, writer);
    return { writes, proof: keys.webhookEvent(id, after.version), result: after };
  });
}

/** @throws NotFound, VersionConflict, InvalidRequest */
export async function patchWebhook(
  ports: Ports,
  caller: PrincipalCaller,
  id: string,
  patch: WebhookPatch,
  precondition: Precondition,
): Promise<WebhookBody> {
  if (patch.url !== undefined) checkUrl(ports, patch.url);
  const by = caller.principalId;
  const after = await changed(ports, caller, id, precondition, (webhook, now) => {
    const { url, description, events, status } = patch;
    const switched = status !== undefined && status !== webhook.status;
    const on = status ?? webhook.status;
    return {
      type: switched ? `webhook.${status === 'active' ? 'enabled' : 'disabled'}` : 'webhook.changed',
      by,
      set: {
        ...(url !== undefined && { url: new URL(url).href }),
        ...(description !== undefined && { description: description ?? undefined }),
        ...(events !== undefined && { events }),
        ...(switched && { status }),
        ...(switched && {
          disabled: on === 'active' ? undefined : { kind: 'user', reason: 'by request', at: now, by },
          offAt: on === 'active' ? webhook.disabled?.at : now,
        }),
        // Another address, or a new beginning: what the old one did says nothing of it.
        ...((url !== undefined || switched) && FORGOTTEN),
      },
      detail: { changed: Object.keys(patch) },
    };
  });
  return webhookBody(after, ports.time.now());
}

const FORGOTTEN = { failingSince: undefined, failures: undefined, holdUntil: undefined } as const;

/** @throws NotFound, VersionConflict */
export async function deleteWebhook(
  ports: Ports,
  caller: PrincipalCaller,
  id: string,
  precondition: Precondition,
): Promise<void> {
  // Without its secrets nothing more can be signed, whatever still lies about.
  const set = { status: 'deleted', secrets: [] } as const;
  await changed(ports, caller, id, precondition, () => ({ type: 'webhook.deleted', by: caller.principalId, set }));
}

/** The old secret goes on to sign beside the new one until the overlap is over. @throws NotFound */
export async function rotateSecret(
  ports: Ports,
  caller: PrincipalCaller,
  id: string,
  { overlap }: SecretRotate,
  precondition: Precondition,
): Promise<NewSecretBody> {
  // Once, whatever is tried again below: what is shown must be what is kept.
  const { secret, sealed } = await newSecret(ports, id);
  return commit<NewSecretBody>(ports, async (writer) => {
    const webhook = await loadWebhook(ports, caller, id);
    honourVersion('webhook', id, webhook.version, precondition);
    const now = ports.time.now();
    const secrets = withSecret(webhook.secrets, sealed, now, overlap);
    const change = { type: 'webhook.secret_rotated', by: caller.principalId, set: { secrets } };
    const { after, writes } = changeWebhook(ports, webhook, change, now, writer);
    return {
      writes,
      proof: keys.webhookEvent(id, after.version),
      result: { ...webhookBody(after, now), secret },
    };
  });
}

/** A delivery of its own, to this webhook alone. @throws NotFound; CandorError `illegal_transition` for a disabled one */
export async function testWebhook(ports: Ports, caller: PrincipalCaller, id: string): Promise<DeliveryBody> {
  const webhook = await loadWebhook(ports, caller, id);
  requireActive(webhook);
  const now = ports.time.now();
  const deliveryId = ports.ids.next('msg_', now);
  const data = { id: deliveryId, subject: { kind: 'webhook', id }, detail: { by: caller.principalId } };
  const delivery: NewDelivery = {
    tenantId: webhook.tenantId,
    id: deliveryId,
    webhookId: id,
    eventType: 'webhook.test',
    eventId: deliveryId,
    payload: JSON.stringify({ type: 'webhook.test', timestamp: isoTime(now), data }),
    createdAt: now,
    urgent: true,
  };
  const write = putDelivery(ports, delivery);
  await ports.store.transact([write]).catch((error: unknown) => unlessOurs(error, delivery));
  return deliveryBody((write as Extract<Write, { kind: 'put' }>).item as unknown as DeliveryRow, now);
}

/** A write of one item may be sent twice, when the answer to the first one is lost: then it is there, as it should be. */
function unlessOurs(error: unknown, { webhookId, payload }: NewDelivery): void {
  if (!(error instanceof GuardFailed)) throw error;
  const there = asRow<DeliveryRow>(error.old as Item | undefined);
  if (there?.webhookId !== webhookId || there.payload !== payload) throw new Contended(error);
}

export function requireActive({ id, status, disabled }: WebhookRow): void {
  if (status !== 'active')
    throw new CandorError('illegal_transition', `${id} is disabled${disabled ? `: ${disabled.reason}` : ''}.`, {
      remedy: 'Set its status to active first.',
    });
}
