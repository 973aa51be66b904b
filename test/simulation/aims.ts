/**
 * What leads to a guard: the requests by which it is met, the rivals from which it protects, and the surroundings in which
 * that happens. Some worlds of every search are drawn so, each for one guard; so are those that look for a guard's removal.
 */
import { withLittleRoom, withWebhooks } from './extras.ts';
import { KEY_OPERATIONS } from './keyClients.ts';
import type { Theme } from './rivals.ts';
import { WEBHOOK_OPERATIONS } from './webhookClients.ts';
import type { OperationKind, Workload } from './workload.ts';
import type { Weather } from './world.ts';

export interface Aim {
  /** What clients ask for every second time. */
  readonly operations?: readonly OperationKind[];
  /** What rivals do, by what it is about; what is not named stays as the seed draws it. */
  readonly strikes?: Partial<Theme['strikes']>;
  readonly workload?: (workload: Workload) => Partial<Workload>;
  readonly weather?: (weather: Weather) => Partial<Weather>;
}

/** An id is new, unless a clone has drawn it: those who are quicker do not matter there. */
const repeatedIds = () => ({ ids: { repeats: 0.6 } });

const WEBHOOK_AIM: Aim = {
  operations: WEBHOOK_OPERATIONS,
  workload: (workload) =>
    withWebhooks(workload, WEBHOOK_OPERATIONS, { webhookDisableAfterSeconds: 30, maxWebhooksPerTenant: 3 }),
  weather: () => ({ endpoints: { refuses: 0.4, gone: 0.01, slow: 0.1, outages: 0.3 } }),
};

/** By guard, or by all that comes before the point in its name. */
const AIMS: Readonly<Record<string, Aim>> = {
  advance: { operations: ['backfill', 'trigger', 'create_schedule'] },
  agent: { operations: ['create_agent', 'patch_agent', 'delete_agent'] },
  backfill: { operations: ['backfill', 'cancel_backfill'] },
  buffer: { operations: ['create_schedule', 'trigger'] },
  children: { operations: ['create_child', 'create_run', 'cancel_run'] },
  clock: { operations: ['patch_schedule', 'pause', 'resume', 'skip'] },
  correction: { operations: ['create_run', 'cancel_run'] },
  escalate: { operations: ['cancel_run', 'create_run'] },
  'agent.createdOnce': { operations: ['create_agent'], weather: repeatedIds },
  'backfill.createdOnce': { operations: ['backfill', 'cancel_backfill'], weather: repeatedIds },
  key: { operations: KEY_OPERATIONS, weather: repeatedIds },
  'schedule.createdOnce': { operations: ['create_schedule', 'delete_schedule'], weather: repeatedIds },
  'webhook.createdOnce': { ...WEBHOOK_AIM, operations: ['create_webhook', 'delete_webhook'], weather: repeatedIds },
  'webhook.listedOnce': { ...WEBHOOK_AIM, operations: ['create_webhook', 'delete_webhook'], weather: repeatedIds },
  files: {
    operations: ['create_run'],
    strikes: { run: ['again'] },
    workload: withLittleRoom,
    weather: () => ({ deposits: { share: 1, again: 0.5 } }),
  },
  idempotency: { operations: ['create_run_once'] },
  log: {
    operations: ['create_run'],
    strikes: { run: ['again'] },
    weather: ({ machines }) => ({
      deposits: { share: 1, again: 0.5 },
      machines: { ...machines, workMsMax: 400_000 },
    }),
  },
  principal: { operations: ['revoke'] },
  run: { operations: ['create_run', 'retry_run', 'create_child'] },
  schedule: { operations: ['patch_schedule', 'pause', 'resume', 'delete_schedule', 'create_schedule'] },
  trigger: { operations: ['trigger'] },
  webhook: WEBHOOK_AIM,
  'webhook.countUnchanged': {
    operations: ['create_webhook', 'delete_webhook'],
    strikes: { webhook: ['create_webhook'], other: ['create_webhook'] },
    workload: (workload) => withWebhooks(workload, ['create_webhook', 'delete_webhook'], { maxWebhooksPerTenant: 3 }),
  },
  withheld: { operations: ['pause', 'resume', 'delete_schedule'] },
};

export const aimOf = (guard: string): Aim => AIMS[guard] ?? AIMS[guard.slice(0, guard.indexOf('.'))] ?? {};

/** Requests of the first seconds stay: they make what the others are about. */
const FIRST_MS = 5000;

/** The same world, with all that leads to this guard: every second transaction that carries it meets a rival. */
export function aimed<T extends { readonly workload: Workload; readonly weather: Weather }>(
  world: T,
  guard: string,
): T {
  const { operations: related, strikes, workload: more, weather } = aimOf(guard);
  const { theme, operations } = world.workload;
  const workload: Workload = {
    ...world.workload,
    operations: operations.map((operation, index) =>
      related === undefined || index % 2 === 0 || operation.at < FIRST_MS
        ? operation
        : { ...operation, kind: related[operation.pick % related.length] ?? operation.kind },
    ),
    theme: { share: 0.5, victims: [], guard, strikes: { ...theme.strikes, ...strikes } },
  };
  return {
    ...world,
    workload: { ...workload, ...more?.(workload) },
    weather: { ...world.weather, ...weather?.(world.weather) },
  };
}
