/** Those who ask for what only some worlds have. */

import type { Ask } from './callers.ts';
import { KEY_OPERATIONS, KeyClients, type KeyOperation } from './keyClients.ts';
import { TENANT_OPERATIONS, TenantClients, type TenantOperation } from './tenantClients.ts';
import { WEBHOOK_OPERATIONS, WebhookClients, type WebhookOperation } from './webhookClients.ts';
import type { Operation } from './workload.ts';
import type { Simulation } from './world.ts';

const isOfKeys = (operation: Operation): operation is Operation & { readonly kind: KeyOperation } =>
  (KEY_OPERATIONS as readonly string[]).includes(operation.kind);
const isOfWebhooks = (operation: Operation): operation is Operation & { readonly kind: WebhookOperation } =>
  (WEBHOOK_OPERATIONS as readonly string[]).includes(operation.kind);

const isOfTenants = (operation: Operation): operation is Operation & { readonly kind: TenantOperation } =>
  (TENANT_OPERATIONS as readonly string[]).includes(operation.kind);

export class MoreClients {
  readonly webhooks: WebhookClients;
  readonly #keys: KeyClients;
  readonly #tenants: TenantClients;
  readonly #world: Simulation;

  constructor(world: Simulation, ask: Ask) {
    this.#world = world;
    this.webhooks = new WebhookClients(world, ask);
    this.#keys = new KeyClients(world, ask);
    this.#tenants = new TenantClients(world);
  }

  /**
   * @param id whom it concerns, where somebody has been chosen
   * @returns undefined where it is nothing that these do
   */
  once(operation: Operation, id?: string): Promise<void> | undefined {
    const { rows, deliveries } = this.#world.checker.webhooks;
    if (isOfWebhooks(operation))
      return this.webhooks.once(operation, id !== undefined && (rows.has(id) || deliveries.has(id)) ? id : undefined);
    if (isOfKeys(operation)) return this.#keys.once(operation, id?.startsWith('sac_') ? id : undefined);
    if (isOfTenants(operation)) return this.#tenants.once(operation);
    return undefined;
  }
}
