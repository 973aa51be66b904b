/** What leads to the guards of what only some worlds have. */
import type { Aim } from './aims.ts';
import { withLittleRoom, withWebhooks } from './extras.ts';
import { KEY_OPERATIONS } from './keyClients.ts';
import { WEBHOOK_OPERATIONS } from './webhookClients.ts';

/** An id is new, unless a clone has drawn it: those who are quicker do not matter there. */
const repeatedIds = () => ({ ids: { repeats: 0.6 } });

const WEBHOOKS: Aim = {
  operations: WEBHOOK_OPERATIONS,
  workload: (workload) =>
    withWebhooks(workload, WEBHOOK_OPERATIONS, { webhookDisableAfterSeconds: 30, maxWebhooksPerTenant: 3 }),
  weather: () => ({ endpoints: { refuses: 0.4, gone: 0.01, slow: 0.1, outages: 0.3 } }),
};
const NEW_WEBHOOKS: Aim = { operations: ['create_webhook', 'delete_webhook'], weather: repeatedIds };

export const EXTRA_AIMS: Readonly<Record<string, Aim>> = {
  'agent.createdOnce': { operations: ['create_agent'], weather: repeatedIds },
  'backfill.createdOnce': { operations: ['backfill', 'cancel_backfill'], weather: repeatedIds },
  key: { operations: KEY_OPERATIONS, weather: repeatedIds },
  'schedule.createdOnce': { operations: ['create_schedule', 'delete_schedule'], weather: repeatedIds },
  'webhook.createdOnce': NEW_WEBHOOKS,
  'webhook.listedOnce': NEW_WEBHOOKS,
  files: {
    operations: ['create_run'],
    strikes: { run: ['again'] },
    workload: withLittleRoom,
    weather: () => ({ deposits: { share: 1, again: 0.5 } }),
  },
  log: {
    operations: ['create_run'],
    strikes: { run: ['again'] },
    weather: ({ machines }) => ({
      deposits: { share: 1, again: 0.5 },
      machines: { ...machines, workMsMax: 400_000 },
    }),
  },
  webhook: WEBHOOKS,
  // It is about to be switched off, and takes something just then.
  'webhook.failingSinceThen': {
    operations: ['test_webhook', 'redeliver', 'create_webhook'],
    strikes: { webhook: ['take'] },
    workload: (workload) => withWebhooks(workload, ['test_webhook', 'redeliver'], { webhookDisableAfterSeconds: 5 }),
    weather: () => ({ endpoints: { refuses: 0.5, gone: 0, slow: 0, outages: 0.5 } }),
  },
  'webhook.countUnchanged': {
    operations: ['create_webhook', 'delete_webhook'],
    strikes: { webhook: ['create_webhook'], other: ['create_webhook'] },
    workload: (workload) => withWebhooks(workload, ['create_webhook', 'delete_webhook'], { maxWebhooksPerTenant: 3 }),
  },
};
