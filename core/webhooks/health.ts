/** How a webhook's endpoint fares: while it fails it is tried less and less often, and after days it is switched off. */
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { asRead, eq, guard } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { changeWebhook } from './change.ts';
import type { WebhookRow } from './model.ts';
import { holdMs } from './retry.ts';

/** Which endpoint a try has spoken with: what one says is nothing to an address that has been set since. */
export interface Tried {
  readonly id: string;
  readonly url: string;
}

const read = async ({ store }: Pick<Ports, 'store'>, id: string) =>
  asRow<WebhookRow>(await store.get(keys.webhook(id)));

/** It has taken something: whatever was before is forgotten. */
export async function fareWell(ports: Ports, { id: webhookId, url }: Tried): Promise<void> {
  const webhook = await read(ports, webhookId);
  if (webhook?.failingSince === undefined || webhook.url !== url) return;
  await unlessOvertaken(
    ports.store.transact([
      {
        kind: 'update',
        key: keys.webhook(webhookId),
        set: { failingSince: undefined, failures: undefined, holdUntil: undefined },
        guards: [guard('webhook.failingSinceThen', eq('failingSince', webhook.failingSince))],
      },
    ]),
  );
}

/** @param gone why it is to be switched off at once */
export async function fareIll(ports: Ports, { id: webhookId, url }: Tried, gone?: string): Promise<void> {
  const webhook = await read(ports, webhookId);
  if (webhook?.status !== 'active' || webhook.url !== url) return;
  const now = ports.time.now();
  const since = webhook.failingSince ?? now;
  const { webhookDisableAfterSeconds: limit } = ports.config;
  const days = Math.round((now - since) / 8_640_000) / 10;
  const reason = gone ?? (now - since >= limit * 1000 ? `it has taken nothing for ${days} days` : undefined);
  if (reason !== undefined) return disable(ports, webhook, reason);
  const failures = (webhook.failures ?? 0) + 1;
  const guards = [
    guard('webhook.faresAsRead', asRead('failures', webhook.failures)),
    // The count alone does not tell: after something was taken it may have come to the same number again.
    guard('webhook.failingAsRead', asRead('failingSince', webhook.failingSince)),
    guard('webhook.sameAddress', eq('url', webhook.url)),
  ];
  await unlessOvertaken(
    ports.store.transact([
      {
        kind: 'update',
        key: keys.webhook(webhookId),
        set: { failingSince: since, failures, holdUntil: now + holdMs(failures) },
        guards,
      },
    ]),
  );
}

/** Another try has said something at the same time: its word is as good. */
async function unlessOvertaken(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof GuardFailed)) throw error;
  }
}

/** With notice: an event like any other change, for the feed, for other webhooks and for notifications. */
async function disable(ports: Ports, { id, url, failingSince }: WebhookRow, reason: string): Promise<void> {
  await commit<void>(ports, async (writer) => {
    const webhook = await read(ports, id);
    // A delivery that was taken meanwhile, or a person, has changed what this was decided on.
    if (webhook?.status !== 'active' || webhook.url !== url) return { done: undefined };
    if (webhook.failingSince !== failingSince) return { done: undefined };
    const now = ports.time.now();
    const disabled = { kind: 'auto', reason, at: now, by: 'candor' } as const;
    const guards =
      failingSince === undefined ? [] : [guard('webhook.failingSinceThen', eq('failingSince', failingSince))];
    const change = {
      type: 'webhook.disabled',
      by: 'candor',
      set: { status: 'disabled', disabled },
      detail: { reason },
      guards,
    } as const;
    const { after, writes } = changeWebhook(ports, webhook, change, now, writer);
    return { writes, proof: keys.webhookEvent(id, after.version), result: undefined };
  });
  ports.log.warn('webhook.disabled', { webhookId: id, reason });
  ports.metrics.put('WebhooksDisabled', 1);
}
