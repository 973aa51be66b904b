/** What leads to the guards of what only some worlds have. */
import type { Aim } from './aims.ts';
import { withLittleRoom, withWebhooks } from './extras.ts';
import { KEY_OPERATIONS } from './keyClients.ts';
import type { Strike } from './rivals.ts';
import { WEBHOOK_OPERATIONS } from './webhookClients.ts';
import type { Operation, OperationKind, Workload } from './workload.ts';

/** An id is new, unless a clone has drawn it: those who are quicker do not matter there. */
const repeatedIds = () => ({ ids: { repeats: 0.6 } });

const WEBHOOKS: Aim = {
  operations: WEBHOOK_OPERATIONS,
  workload: (workload) =>
    withWebhooks(workload, WEBHOOK_OPERATIONS, { webhookDisableAfterSeconds: 30, maxWebhooksPerTenant: 3 }),
  weather: () => ({ endpoints: { refuses: 0.4, gone: 0.01, slow: 0.1, outages: 0.3 } }),
};
const NEW_WEBHOOKS: Aim = { operations: ['create_webhook', 'delete_webhook'], weather: repeatedIds };

/** Failures of an endpoint, and what comes between the reading and the writing of one. */
const fares = (rivals: readonly Strike[], more: Aim['at'], refuses = 0.9): Aim => ({
  operations: ['test_webhook'],
  workload: (workload) => withWebhooks(workload, ['test_webhook'], { webhookDisableAfterSeconds: 3600 }),
  weather: () => ({ endpoints: { refuses, gone: 0, slow: 0, outages: 0 } }),
  at: { rivals, share: 0.5, ...more },
});

/** One webhook, which is switched off and on again, and two deliveries, which are asked for again and again. */
function onAndOff(workload: Workload): Partial<Workload> {
  const about = (kind: OperationKind, at: number, pick: number): Operation => ({
    at,
    kind,
    pick,
    how: 5,
    ifMatch: false,
    twice: false,
  });
  const turns = Array.from({ length: 150 }, (_, nth) =>
    about(nth % 5 === 4 ? 'switch_webhook' : 'redeliver', 8000 + nth * 1500, nth),
  );
  return {
    ...withWebhooks(workload, [], {}),
    operations: [
      about('create_webhook', 500, 0),
      about('test_webhook', 3000, 0),
      about('test_webhook', 4000, 0),
      ...turns,
    ],
  };
}

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
  // Others fail meanwhile, more than once.
  'webhook.faresAsRead': fares(['test_webhook'], { heldUpMs: [5000, 30_000] }),
  // Something is taken meanwhile, and then something fails again.
  'webhook.failingAsRead': fares(['test_webhook'], { heldUpMs: [5000, 30_000] }, 0.5),
  'webhook.sameAddress': fares(['patch_webhook'], { untilBroken: true }, 0.5),
  // Its endpoint rests, and somebody asks for it all the same.
  'webhook.sameRound': {
    ...WEBHOOKS,
    operations: ['redeliver'],
    at: { rivals: ['redeliver'], untilBroken: true, share: 0.5 },
    weather: () => ({ endpoints: { refuses: 0.9, gone: 0, slow: 0, outages: 0.5 } }),
  },
  // It was asked for, then its webhook was switched off; that is on again, and it is asked for once more.
  'webhook.stillDue': {
    workload: onAndOff,
    weather: () => ({ endpoints: { refuses: 0.5, gone: 0, slow: 0, outages: 0 } }),
    at: { rivals: ['deliver'], share: 0.8, untilBroken: true, heldUpMs: [20_000, 30_000] },
  },
  'webhook.countUnchanged': {
    operations: ['create_webhook', 'delete_webhook'],
    strikes: { webhook: ['create_webhook'], other: ['create_webhook'] },
    workload: (workload) => withWebhooks(workload, ['create_webhook', 'delete_webhook'], { maxWebhooksPerTenant: 3 }),
  },
};
