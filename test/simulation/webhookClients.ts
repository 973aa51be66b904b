/** Those who set webhooks up, change them, and have deliveries sent again. */
import { redeliver } from '../../core/webhooks/deliveries.ts';
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  patchWebhook,
  rotateSecret,
  testWebhook,
} from '../../core/webhooks/service.ts';
import { ANY, type Ask, CALLER, ELSEWHERE, preconditionOf } from './callers.ts';
import type { Operation } from './workload.ts';
import type { Simulation } from './world.ts';

export const WEBHOOK_OPERATIONS = [
  'create_webhook',
  'patch_webhook',
  'switch_webhook',
  'delete_webhook',
  'rotate_secret',
  'test_webhook',
  'redeliver',
] as const;
export type WebhookOperation = (typeof WEBHOOK_OPERATIONS)[number];

/** Most want little, so that their worlds are not much longer than others. */
const WANTED = [['schedule.*'], ['run.failed', 'run.succeeded', 'webhook.*'], ['agent.*', 'vm.*'], ['run.*'], ['*']];

export class WebhookClients {
  readonly #world: Simulation;
  readonly #ask: Ask;

  constructor(world: Simulation, ask: Ask) {
    this.#world = world;
    this.#ask = ask;
  }

  #there = (): readonly string[] =>
    [...this.#world.checker.webhooks.rows.values()].filter(({ status }) => status !== 'deleted').map(({ id }) => id);

  /** @param named which webhook, where that is known */
  async once(operation: Operation & { readonly kind: WebhookOperation }, named?: string) {
    const { kind, pick, how } = operation;
    const { rows } = this.#world.checker.webhooks;
    const there = this.#there();
    if (kind === 'create_webhook') {
      const request = { url: urlOf(how), events: [...(WANTED[how % WANTED.length] ?? ['*'])] };
      const body = await this.#ask(kind, (ports) => createWebhook(ports, CALLER, request));
      if (body !== undefined && rows.get(body.id) === undefined)
        this.#world.broken('I3', `webhook ${body.id} was acknowledged, and is not there`);
      return;
    }
    if (kind === 'redeliver') return this.#redeliver(pick, named);
    const id = named ?? there[pick % there.length];
    if (id === undefined) return;
    const standing = rows.get(id);
    if (how % 11 === 0 && standing?.tenantId !== ELSEWHERE.tenantId) return this.#otherTenant(id);
    const precondition = preconditionOf(operation, standing?.version, true);
    if (kind === 'delete_webhook') await this.#ask(kind, (ports) => deleteWebhook(ports, CALLER, id, precondition));
    else if (kind === 'rotate_secret')
      await this.#ask(kind, (ports) => rotateSecret(ports, CALLER, id, { overlap: (how % 3) * 60 }, precondition));
    else if (kind === 'test_webhook') await this.#ask(kind, (ports) => testWebhook(ports, CALLER, id));
    else {
      const patch =
        kind === 'switch_webhook'
          ? ({ status: standing?.status === 'active' ? 'disabled' : 'active' } as const)
          : how % 2 === 0
            ? { url: urlOf(how + 1) }
            : { events: [...(WANTED[how % WANTED.length] ?? ['*'])] };
      await this.#ask(kind, (ports) => patchWebhook(ports, CALLER, id, patch, precondition));
    }
  }

  async #redeliver(pick: number, named: string | undefined, caller = CALLER): Promise<void> {
    const { deliveries } = this.#world.checker.webhooks;
    const ids = [...deliveries.keys()];
    const delivery = deliveries.get(named ?? ids[pick % ids.length] ?? '');
    if (delivery !== undefined)
      await this.#ask('redeliver', (ports) => redeliver(ports, caller, delivery.webhookId, delivery.id));
  }

  async #otherTenant(id: string): Promise<void> {
    if ((await this.#ask('other_tenant', (ports) => getWebhook(ports, ELSEWHERE, id))) !== undefined)
      this.#world.broken('I12', 'another tenant was answered');
  }

  /** Its endpoint takes what comes now, and something comes. */
  async take(id: string): Promise<void> {
    const webhook = this.#world.checker.webhooks.rows.get(id);
    if (webhook === undefined) return;
    this.#world.webhooks.recover(webhook.url);
    const sent = await this.#ask('test_webhook', (ports) => testWebhook(ports, CALLER, id));
    if (sent !== undefined) this.#world.webhooks.send([sent.id]);
  }

  /** Nothing goes there any more, and what waits for it is found out. */
  async end(id: string): Promise<void> {
    await this.#ask('delete_webhook', (ports) => deleteWebhook(ports, CALLER, id, ANY));
    const { deliveries } = this.#world.checker.webhooks;
    this.#world.webhooks.send(
      [...deliveries.values()].filter(({ webhookId }) => webhookId === id).map((each) => each.id),
    );
  }

  /** At the end of all nobody waits hours for the next try. */
  async redeliverAll(): Promise<void> {
    for (const { id, tenantId, claimedAt, checkAt = 0 } of this.#world.checker.webhooks.waiting())
      if (claimedAt === undefined && checkAt > this.#world.time.now + 60_000)
        await this.#redeliver(0, id, tenantId === ELSEWHERE.tenantId ? ELSEWHERE : CALLER);
  }
}

/** Few, so that two webhooks may have the same one. */
const urlOf = (how: number): string => `https://endpoint-${how % 4}.example.com/hook`;
