/**
 * What holds for webhooks and their deliveries: nothing is lost, and nothing is said that the endpoint would deny
 * (docs/adr/0023-webhook-deliveries-in-the-table.md).
 */

import { eventId } from '../../core/feed/model.ts';
import type { WebhookRequest } from '../../core/ports.ts';
import type { EventRow } from '../../core/runs/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Item } from '../../core/table/model.ts';
import { isTold, wants } from '../../core/webhooks/filter.ts';
import type { DeliveryRow, ListedWebhookRow, WebhookRow } from '../../core/webhooks/model.ts';
import { ATTEMPTS_MAX, RETRY_AFTER_SECONDS } from '../../core/webhooks/retry.ts';
import type { Incarnation } from './incarnations.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** As in `core/webhooks/send.ts`: beyond the time of the try itself. */
const CLAIM_MARGIN_MS = 10_000;

/** An endpoint may ask for an hour, however soon it would be tried again. */
const PAUSE_MS_LEAST = 3_600_000;

/** Since when a webhook has been what it is, for those who had read it before. */
interface Stood {
  readonly from: number;
  readonly row: WebhookRow;
}

interface Heard {
  readonly body: string;
  count: number;
  taken: boolean;
}

export class WebhookRules {
  readonly #world: Simulation;
  readonly rows = new Map<string, WebhookRow>();
  readonly deliveries = new Map<string, DeliveryRow>();
  readonly #stood = new Map<string, Stood[]>();
  /** What endpoints have heard, by delivery. */
  readonly #heard = new Map<string, Heard>();
  /** When a delivery was last asked for again, and the time that was set for it then. */
  readonly #askedAgain = new Map<string, { readonly at: number; readonly checkAt: number | undefined }>();
  /** By webhook and event. */
  readonly #made = new Set<string>();
  readonly #appendedAt = new Map<string, number>();
  /** By webhook: the beginnings of failing that were over when something was taken. */
  readonly #overcome = new Map<string, Set<number>>();
  /** Which addresses a sender has tried, whether they heard of it or not. */
  readonly #spokenTo = new WeakMap<Incarnation, Set<string>>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed(commit: Commit): void {
    for (const change of commit.changes) {
      const { pk, sk } = change.key;
      if (pk.startsWith('WHK#') && sk === 'META') this.#webhook(commit, change);
      else if (pk.startsWith('DLV#')) this.#delivery(commit, change);
      else if (this.rows.size > 0 && change.before === undefined && change.after !== undefined)
        this.#appendedAt.set(`${pk} ${sk}`, this.#world.time.now);
    }
  }

  #fail(invariant: string, { kind }: Incarnation, what: string): void {
    this.#world.broken(invariant, `${kind}: ${what}`);
  }

  #webhook(commit: Commit, change: Change): void {
    const { inc } = commit;
    const [before, after] = [change.before, change.after] as unknown as readonly (WebhookRow | undefined)[];
    if (after === undefined) return void this.#fail('§1.7', inc, `webhook ${before?.id} is taken away`);
    const { id, version, status } = after;
    this.rows.set(id, after);
    if (before !== undefined && change.write.kind === 'put')
      return void this.#fail('I8', inc, `webhook ${id} is made a second time`);
    if (version !== (before?.version ?? 0)) this.#changed(commit, before, after);
    else if (before?.status !== status || before.url !== after.url)
      this.#fail('I8', inc, `webhook ${id} changes at version ${version}`);
    this.#fares(inc, before, after);
    const listed = this.#world.table.get(keys.webhookListed(after.tenantId, id)) as unknown as
      | ListedWebhookRow
      | undefined;
    if (status === 'deleted' ? listed !== undefined : listed?.active !== (status === 'active'))
      this.#fail('I8', inc, `webhook ${id} is ${status}, and the list says otherwise`);
  }

  #changed({ inc, find }: Commit, before: WebhookRow | undefined, after: WebhookRow): void {
    const { id, version, status, tenantId } = after;
    if (version !== (before?.version ?? 0) + 1)
      this.#fail('I8', inc, `webhook ${id} goes from version ${before?.version} to ${version}`);
    const event = keys.webhookEvent(id, version);
    if (find(event.pk, event.sk) === undefined)
      this.#fail('I13', inc, `webhook ${id} is at version ${version} without an event`);
    if (before?.status === 'deleted') this.#fail('I3', inc, `webhook ${id} was deleted`);
    const stood = this.#stood.get(id) ?? [];
    stood.push({ from: this.#world.time.now, row: after });
    this.#stood.set(id, stood);
    if (before === undefined) {
      const own = [...this.rows.values()].filter((row) => row.tenantId === tenantId && row.status !== 'deleted');
      if (own.length > this.#world.config.maxWebhooksPerTenant)
        this.#fail('I10', inc, `there are ${own.length} webhooks`);
    }
    if (status === 'disabled' && after.disabled?.kind === 'auto' && before?.status === 'active')
      this.#disabled(inc, before, after.disabled.reason);
  }

  /** Only what has taken nothing for the time that is set, or said that it is gone. */
  #disabled(inc: Incarnation, { id, failingSince }: WebhookRow, reason: string): void {
    if (reason.includes('410')) return;
    const { webhookDisableAfterSeconds } = this.#world.config;
    const sinceMs = failingSince === undefined ? undefined : this.#world.time.now - failingSince;
    if (sinceMs === undefined || sinceMs < webhookDisableAfterSeconds * 1000 - this.#world.apartMs)
      this.#fail('webhooks', inc, `webhook ${id} is switched off, and has failed for ${sinceMs} ms: ${reason}`);
  }

  #fares(inc: Incarnation, before: WebhookRow | undefined, after: WebhookRow): void {
    const { id, url, failures, failingSince } = after;
    if (before === undefined) return;
    if (before.failingSince === failingSince) {
      if ((failures ?? 0) < (before.failures ?? 0))
        this.#fail('webhooks', inc, `webhook ${id} goes from ${before.failures} failures to ${failures}`);
      return;
    }
    const over = this.#overcome.get(id) ?? new Set();
    this.#overcome.set(id, over);
    if (before.failingSince !== undefined) over.add(before.failingSince);
    if (failingSince === undefined) return;
    // A beginning of its own may be at the very same time.
    if (failures !== 1 && over.has(failingSince))
      this.#fail('webhooks', inc, `webhook ${id} fails since ${failingSince}, and has taken something after that`);
    if (this.#spokenTo.get(inc)?.has(url) !== true)
      this.#fail('webhooks', inc, `webhook ${id} fails, and nobody has spoken with ${url}`);
  }

  /** @returns whether that was so at some time since */
  #wasSince(id: string, since: number, what: (row: WebhookRow) => boolean): boolean {
    const stood = this.#stood.get(id) ?? [];
    return stood.some(({ row }, at) => what(row) && (stood[at + 1]?.from ?? Number.POSITIVE_INFINITY) >= since);
  }

  #delivery({ inc }: Commit, change: Change): void {
    const [before, after] = [change.before, change.after] as unknown as readonly (DeliveryRow | undefined)[];
    if (after === undefined) return void this.#fail('§1.7', inc, `delivery ${before?.id} is taken away`);
    this.deliveries.set(after.id, after);
    if (before === undefined) {
      this.#made.add(`${after.webhookId} ${after.eventId}`);
      return;
    }
    if (change.write.kind === 'put')
      return void this.#fail('webhooks', inc, `delivery ${after.id} is made a second time`);
    const { id } = after;
    if (after.payload !== before.payload || after.webhookId !== before.webhookId)
      this.#fail('webhooks', inc, `delivery ${id} changes what it tells`);
    if (inc.kind === 'api.redeliver') return void this.#again(inc, before, after);
    if (before.status !== 'pending') return void this.#fail('I3', inc, `delivery ${id} was ${before.status}`);
    if (after.attemptCount !== before.attemptCount) this.#claimed(inc, before, after);
    else if (after.status === 'pending') this.#putOff(inc, before, after);
    else this.#settled(inc, before, after);
  }

  #again(inc: Incarnation, before: DeliveryRow, { id, checkAt }: DeliveryRow): void {
    if (before.claimedAt !== undefined)
      this.#fail('webhooks', inc, `delivery ${before.id} is sent anew while a try of it is on its way`);
    // The same request may be applied twice, and is one.
    if (this.#askedAgain.get(id)?.checkAt !== checkAt) this.#askedAgain.set(id, { at: this.#world.time.now, checkAt });
    // What it is called from here on is held to what is taken from here on.
    const heard = this.#heard.get(before.id);
    if (heard !== undefined) heard.taken = false;
  }

  #claimed(inc: Incarnation, before: DeliveryRow, { id, attemptCount, claimedAt }: DeliveryRow): void {
    if (attemptCount !== before.attemptCount + 1 || claimedAt === undefined)
      this.#fail('webhooks', inc, `delivery ${id} goes from try ${before.attemptCount} to ${attemptCount}`);
    const { now } = this.#world.time;
    if (before.claimedAt !== undefined && this.#standsUntil(before.claimedAt) > now + this.#world.apartMs)
      this.#fail('webhooks', inc, `two tries of delivery ${id} are made at the same time`);
  }

  #putOff(inc: Incarnation, before: DeliveryRow, after: DeliveryRow): void {
    const { id, claimedAt, checkAt, attempts, attemptCount } = after;
    const pause = RETRY_AFTER_SECONDS[attemptCount - (after.triedBefore ?? 0) - 1] ?? 0;
    const latest = this.#world.time.now + Math.max(PAUSE_MS_LEAST, pause * 1100) + this.#world.apartMs;
    if (checkAt === undefined || checkAt > latest)
      this.#fail('§1.6', inc, `delivery ${id} waits, and nobody looks at it until ${checkAt}`);
    if (before.claimedAt !== undefined && claimedAt === undefined) {
      if (attempts.at(-1)?.number !== attemptCount)
        this.#fail('webhooks', inc, `delivery ${id} is told of a try that is not the one that was claimed`);
      return;
    }
    if (before.urgent === true && before.claimedAt === undefined)
      this.#fail('webhooks', inc, `delivery ${id} was asked for again, and is put off`);
    // Of a try that was never told of, the claim runs out.
    if (claimedAt !== undefined && this.#standsUntil(claimedAt) > this.#world.time.now + this.#world.apartMs)
      this.#fail('webhooks', inc, `delivery ${id} is put off in the middle of a try`);
  }

  #standsUntil = (claimedAt: number): number =>
    claimedAt + this.#world.config.webhookTimeoutSeconds * 1000 + CLAIM_MARGIN_MS;

  #settled(inc: Incarnation, before: DeliveryRow, after: DeliveryRow): void {
    const { id, status, webhookId } = after;
    // Where garbage is swept, its end is to be looked for.
    const isLookedAt = after.checkIn !== undefined && !String(after.checkIn).startsWith('OLD#');
    if (isLookedAt || after.claimedAt !== undefined)
      this.#fail('§1.6', inc, `delivery ${id} is ${status}, and looked at still`);
    if (status === 'delivered' && this.#heard.get(id)?.taken !== true)
      this.#fail('truth', inc, `delivery ${id} is called delivered, and its endpoint has not taken it`);
    if (status === 'failed' && after.attemptCount - (before.triedBefore ?? 0) < ATTEMPTS_MAX)
      this.#fail('webhooks', inc, `delivery ${id} is given up after try ${after.attemptCount}`);
    if (status !== 'cancelled') return;
    const meant = before.triedBefore !== undefined;
    const off = (row: WebhookRow) => row.status !== 'active' || (!meant && before.createdAt < (row.offAt ?? 0));
    const since = Math.max(inc.startedAt, this.#askedAgain.get(id)?.at ?? 0);
    if (!this.#wasSince(webhookId, since, off))
      this.#fail(
        'webhooks',
        inc,
        `delivery ${id} is cancelled, and its webhook is ${this.rows.get(webhookId)?.status}`,
      );
  }

  tried(inc: Incarnation, url: string): void {
    const urls = this.#spokenTo.get(inc);
    if (urls === undefined) this.#spokenTo.set(inc, new Set([url]));
    else urls.add(url);
  }

  /** An endpoint hears a request: what is sent again is the same, and each time it was claimed before. */
  heard(inc: Incarnation, { url, headers, body }: WebhookRequest, taken: boolean): void {
    const id = headers['webhook-id'] ?? '';
    const delivery = this.deliveries.get(id);
    if (delivery === undefined) return void this.#fail('webhooks', inc, `${url} is told of ${id}, which nobody knows`);
    const heard = this.#heard.get(id) ?? { body, count: 0, taken: false };
    this.#heard.set(id, heard);
    heard.count++;
    heard.taken ||= taken;
    if (heard.body !== body) this.#fail('webhooks', inc, `delivery ${id} is sent with another content`);
    if (heard.count > delivery.attemptCount)
      this.#fail('webhooks', inc, `delivery ${id} is sent ${heard.count} times in ${delivery.attemptCount} tries`);
    if (headers['webhook-signature'] === '' && this.rows.get(delivery.webhookId)?.status === 'active')
      this.#fail('webhooks', inc, `delivery ${id} is not signed`);
    if (!this.#wasSince(delivery.webhookId, inc.startedAt, (row) => row.url === url && row.status === 'active'))
      this.#fail('I4', inc, `delivery ${id} is sent to ${url}, which is not active there`);
  }

  /** An event has been handled: whoever wanted it all the time since it was appended has a delivery. */
  handled(items: readonly Item[]): void {
    for (const item of items) {
      const at = this.#appendedAt.get(`${item.pk} ${item.sk}`);
      const event = item as unknown as EventRow;
      if (at === undefined || !isTold(event)) continue;
      for (const { id, tenantId } of this.rows.values()) {
        const last = this.#stood.get(id)?.at(-1);
        if (last === undefined || last.from >= at || tenantId !== event.tenantId) continue;
        const { status, events } = last.row;
        if (status !== 'active' || !wants(events, event.type)) continue;
        if (!this.#made.has(`${id} ${eventId(event)}`))
          this.#world.broken('webhooks', `webhook ${id} is never told of ${eventId(event)}, ${event.type}`);
      }
    }
  }

  /** Those of webhooks that stand wait for nothing but the next try. */
  waiting(): readonly DeliveryRow[] {
    return [...this.deliveries.values()].filter(
      ({ status, webhookId }) => status === 'pending' && this.rows.get(webhookId)?.status === 'active',
    );
  }
}
