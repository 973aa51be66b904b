/** The one way to write a webhook's row, apart from how its endpoint fares: its next version, its place in the list, an event. */
import type { Json } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { appendEvent } from '../runs/events.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, type Guard, guard, type Write } from '../table/model.ts';
import { asItem, asValues, SCHEMA_VERSION } from '../table/rows.ts';
import type { ListedWebhookRow, WebhookRow } from './model.ts';

export const listedRow = ({ tenantId, id, events, status }: WebhookRow): ListedWebhookRow => ({
  ...keys.webhookListed(tenantId, id),
  schemaVersion: SCHEMA_VERSION,
  tenantId,
  id,
  events,
  active: status === 'active',
});

export interface WebhookChange {
  readonly type: string;
  readonly by: string;
  /** `undefined` takes a field away. */
  readonly set: {
    readonly [Name in keyof Omit<WebhookRow, 'version' | 'updatedAt' | 'writer'>]?: WebhookRow[Name] | undefined;
  };
  readonly detail?: Readonly<Record<string, Json>>;
  readonly guards?: readonly Guard[];
}

export function changeWebhook(
  { config }: Pick<Ports, 'config'>,
  webhook: WebhookRow,
  { type, by, set, detail, guards = [] }: WebhookChange,
  now: number,
  writer: string,
): { readonly after: WebhookRow; readonly writes: readonly Write[] } {
  const changed = { ...set, version: webhook.version + 1, updatedAt: now, writer };
  const after = { ...webhook, ...changed } as WebhookRow;
  const update: Write = {
    kind: 'update',
    key: keys.webhook(webhook.id),
    set: asValues(changed),
    guards: [guard('webhook.unchanged', eq('version', webhook.version)), ...guards],
  };
  const key = keys.webhookListed(webhook.tenantId, webhook.id);
  // The row's own guard stands for both: nothing else writes the list.
  const listed: Write =
    after.status === 'deleted'
      ? { kind: 'delete', key, guards: [] }
      : { kind: 'put', item: asItem(listedRow(after)), guards: [] };
  return { after, writes: [update, listed, webhookEvent({ config }, after, type, by, now, writer, detail)] };
}

/** Says where it points by its host: the rest of a URL is a secret often enough. */
export const webhookEvent = (
  { config }: Pick<Ports, 'config'>,
  webhook: WebhookRow,
  type: string,
  by: string,
  now: number,
  writer: string,
  detail: Readonly<Record<string, Json>> = {},
): Write =>
  appendEvent(config, {
    tenantId: webhook.tenantId,
    subject: 'webhook',
    subjectId: webhook.id,
    sequence: webhook.version,
    type,
    at: now,
    status: webhook.status,
    detail: { by, host: new URL(webhook.url).host, ...detail },
    writer,
  });
