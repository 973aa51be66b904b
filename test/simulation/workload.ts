/** What people and programs ask for in one world, and what its surroundings are like: drawn from the seed, before it begins. */
import type { AgentCreateInput } from '../../core/contract/agents.ts';
import type { ScheduleCreateInput } from '../../core/contract/schedules.ts';
import { OVERLAP_POLICIES } from '../../core/contract/schedules.ts';
import type { Calendar } from './calendar.ts';
import { NO_DEPOSITS } from './deposits.ts';
import { NEW_IDS } from './ids.ts';
import type { KeyOperation } from './keyClients.ts';
import type { Leak } from './leaks.ts';
import type { Random } from './random.ts';
import { type Theme, themeOf } from './rivals.ts';
import { NO_SECRETS } from './secretStore.ts';
import type { TenantOperation } from './tenantClients.ts';
import type { WebhookOperation } from './webhookClients.ts';
import { CALM_ENDPOINTS } from './webhooks.ts';
import type { Weather } from './world.ts';

export const MINUTE = 60_000;

export const OPERATIONS = [
  'create_schedule',
  'patch_schedule',
  'pause',
  'resume',
  'trigger',
  'skip',
  'unskip',
  'backfill',
  'cancel_backfill',
  'delete_schedule',
  'create_run',
  'create_run_once',
  'create_child',
  'cancel_run',
  'retry_run',
  'drain_vm',
  'patch_agent',
  'delete_agent',
  'create_agent',
  'revoke',
  'other_tenant',
] as const;
type CommonOperation = (typeof OPERATIONS)[number];
export type OperationKind = CommonOperation | WebhookOperation | KeyOperation | TenantOperation;

/** One request of a client. `pick` chooses whom it concerns, among what there is by then. */
export interface Operation {
  readonly at: number;
  readonly kind: OperationKind;
  readonly pick: number;
  /** Which of the ways to do it. */
  readonly how: number;
  /** With If-Match of what it has read a moment before, if at all. */
  readonly ifMatch: boolean;
  /** It is sent a second time by a client that does not trust the network. */
  readonly twice: boolean;
}

export interface Workload {
  readonly agents: readonly AgentCreateInput[];
  readonly operations: readonly Operation[];
  /** What all schedules have in common. */
  readonly schedules?: Partial<ScheduleCreateInput>;
  readonly leaks?: readonly Leak[];
  /** The storm's length, milliseconds. */
  readonly stormMs: number;
  readonly config: Readonly<Record<string, unknown>>;
  /** Times since the world's beginning at which the watchdog stands still, and for how long. */
  readonly watchdogGaps: readonly { readonly from: number; readonly until: number }[];
  readonly watchdogTwice: number;
  readonly auditEveryMs: number;
  /** For how long it goes on after the faults, before everything is taken out of service. */
  readonly livesOnMs?: number;
  /** Who is held up just before a commit, and who is quicker then. */
  readonly theme: Theme;
  /** Few worlds have them. */
  readonly hasWebhooks?: boolean;
  /** Functions of which another version is deployed, and when since the first request, milliseconds. */
  readonly deploys?: readonly { readonly at: number; readonly kind: string }[];
  /** Where it does not begin on any ordinary day. */
  readonly calendar?: Calendar;
}

const WEIGHTS: Readonly<Record<CommonOperation, number>> = {
  create_schedule: 4,
  patch_schedule: 4,
  pause: 4,
  resume: 4,
  trigger: 5,
  skip: 2,
  unskip: 1,
  backfill: 2,
  cancel_backfill: 1,
  delete_schedule: 2,
  create_run: 5,
  create_run_once: 1,
  create_child: 3,
  cancel_run: 6,
  retry_run: 2,
  drain_vm: 2,
  patch_agent: 2,
  delete_agent: 1,
  create_agent: 1,
  revoke: 1,
  other_tenant: 1,
};
const WEIGHED = OPERATIONS.flatMap((kind) => Array.from({ length: WEIGHTS[kind] }, () => kind));

export function agentOf(random: Random, index: number): AgentCreateInput {
  const limits = {
    startTimeout: random.pick(['PT2M', 'PT5M', 'PT15M']),
    runTimeout: random.pick(['PT1M', 'PT3M', 'PT10M']),
    ...(random.chance(0.3) && { idleTimeout: random.pick(['PT20S', 'PT2M']) }),
    ...(random.chance(0.2) && { queueTimeout: random.pick(['PT1M', 'PT10M']) }),
    ...(random.chance(0.35) && { maxConcurrentRuns: random.between(1, 2) }),
    ...(random.chance(0.25) && { maxConcurrentVms: random.between(1, 2) }),
  };
  return {
    name: `agent ${index}`,
    command: ['work'],
    limits,
    ...(random.chance(0.6) && {
      retry: {
        maxAttempts: random.between(1, 3),
        backoff: random.pick(['PT0S', 'PT1S', 'PT20S']),
        afterStart: random.chance(0.3),
      },
    }),
    ...(random.chance(0.4) && { warmFor: random.pick(['PT10S', 'PT60S', 'PT5M']) }),
    ...(random.chance(0.25) && { slots: 2 }),
    ...(random.chance(0.2) && { reuse: 'never' as const }),
    ...(random.chance(0.2) && { requirements: { market: random.pick(['spot_first', 'on_demand', 'spot'] as const) } }),
  };
}

export function scheduleOf(random: Random, index: number, now: number): ScheduleCreateInput {
  const minutes = random.pick([1, 1, 1, 2, 3, 5]);
  const at = new Date(Math.ceil((now + random.between(1, 20) * MINUTE) / 1000) * 1000).toISOString();
  const cadence = random.pick([
    { every: `PT${minutes}M` },
    { every: `PT${minutes * 60 + random.below(60)}S` },
    { cron: `*/${minutes} * * * *`, timezone: random.pick(['UTC', 'Europe/Berlin']) },
    ...(random.chance(0.4) ? [{ at }] : []),
  ]);
  return {
    // Few names, so that two may want the same one.
    name: `schedule ${index % 3}`,
    cadence,
    input: { hello: index },
    overlapPolicy: random.pick(OVERLAP_POLICIES),
    confirmFrequency: true,
    ...(random.chance(0.5) && { catchupWindow: random.pick(['PT1M', 'PT5M', 'PT1H']) }),
    ...(random.chance(0.15) && { flexibleWindow: 'PT2M' }),
    ...(random.chance(0.15) && { pauseOnFailure: { consecutive: random.between(1, 2) } }),
    ...(random.chance(0.15) && { remainingRuns: random.between(1, 4) }),
    ...(random.chance(0.1) && { paused: true }),
  };
}

/** How many requests, over how long, and what stands still meanwhile. */
export function workloadOf(random: Random): Workload {
  const stormMs = random.spread(2 * MINUTE, 10 * MINUTE);
  const count = random.spread(4, 30);
  const own = random.subset(OPERATIONS, 0.3);
  const kinds = random.chance(0.5) ? WEIGHED : WEIGHED.filter((kind) => own.includes(kind));
  const drawn = Array.from({ length: count }, (): Operation => operation(random, kinds, stormMs));
  const first = Array.from({ length: random.between(1, 3) }, () => operation(random, ['create_schedule'], 5000));
  return {
    agents: Array.from({ length: random.between(1, 2) }, (_, index) => agentOf(random, index)),
    operations: [...first, ...drawn].sort((left, right) => left.at - right.at),
    stormMs,
    config: {
      // Many small worlds show more than a few long ones: what only repeats is asked for seldom.
      heartbeatActiveSeconds: random.pick([2, 5, 10, 14]),
      heartbeatWarmSeconds: random.pick([5, 14]),
      overdueGraceSeconds: random.pick([61, 61, 120]),
      ...(random.chance(0.2) && { maxConcurrentRunsPerTenant: random.between(1, 3) }),
      ...(random.chance(0.15) && { maxConcurrentVmsPerTenant: random.between(1, 3) }),
      ...(random.chance(0.1) && { runnerTokenSeconds: 120 }),
      ...(random.chance(0.3) && { maxChildrenPerRun: random.between(1, 2) }),
    },
    watchdogGaps: random.chance(0.3) ? [gap(random, stormMs)] : [],
    watchdogTwice: random.pick([0, 0.1, 0.5]),
    auditEveryMs: random.pick([10, 30]) * MINUTE,
    theme: themeOf(random),
  };
}

function gap(random: Random, stormMs: number) {
  const from = random.below(stormMs);
  return { from, until: from + random.spread(2 * MINUTE, 15 * MINUTE) };
}

/** Some come alone; some come in the same moment as others. */
const operation = (random: Random, kinds: readonly OperationKind[], stormMs: number): Operation => ({
  at: random.chance(0.3) ? Math.floor((random.below(8) / 8) * stormMs) + random.below(50) : random.below(stormMs),
  kind: kinds.length === 0 ? 'trigger' : random.pick(kinds),
  pick: random.below(1000),
  how: random.below(1000),
  ifMatch: random.chance(0.4),
  twice: random.chance(0.2),
});

/** What a world's surroundings may do; a quiet one does nothing but be a little slow. */
export const QUIET: Weather = {
  ec2: { noRoom: 0, quota: 0, surplus: 0, lagMsMax: 2000, bootMsMax: 40_000, neverBoots: 0, reclaimed: 0 },
  clock: { late: 0, double: 0, dropped: 0, stray: 0 },
  workflow: { lagMsMax: 1000, double: 0, unheard: 0 },
  stream: { double: 0, delayMsMax: 2000, triesMax: 1000 },
  machines: {
    hangs: 0,
    partitions: 0,
    runnerDies: 0,
    shimDies: 0,
    ignoresSignals: 0,
    neverEnds: 0,
    fails: 0.15,
    workMsMax: 120_000,
    startFails: 0,
  },
  network: { lost: 0, double: 0, late: 0 },
  endpoints: CALM_ENDPOINTS,
  deposits: NO_DEPOSITS,
  ids: NEW_IDS,
  secrets: NO_SECRETS,
  indexLagMsMax: 200,
  latencyMsMax: 60,
  skewMs: [0, 0],
  clockJumps: 0,
  ttlLagMsMax: 0,
};

/** No two clocks are farther apart than may be. */
const SKEWS: readonly Weather['skewMs'][] = [
  [0, 0],
  [-500, 500],
  [-2500, 2500],
];

/** Each world has some of it. */
export function weatherOf(random: Random): Weather {
  const some = (share: number, values: readonly number[]): number => (random.chance(share) ? random.pick(values) : 0);
  const { ec2, workflow, stream, machines } = QUIET;
  const weather: Weather = {
    ec2: {
      noRoom: some(0.4, [0.1, 0.4, 0.8]),
      quota: some(0.15, [0.05, 0.3]),
      surplus: some(0.2, [0.1, 0.5]),
      lagMsMax: random.pick([ec2.lagMsMax, 10_000, 50_000]),
      bootMsMax: random.pick([ec2.bootMsMax, 40_000, 400_000]),
      neverBoots: some(0.3, [0.1, 0.4]),
      reclaimed: some(0.3, [0.1, 0.5]),
    },
    clock: {
      late: some(0.3, [0.05, 0.3]),
      double: some(0.4, [0.1, 0.6]),
      dropped: some(0.3, [0.05, 0.5]),
      stray: 0,
    },
    workflow: {
      lagMsMax: random.pick([workflow.lagMsMax, 20_000]),
      double: some(0.3, [0.1, 0.5]),
      unheard: some(0.3, [0.2, 1]),
    },
    stream: {
      double: some(0.3, [0.1, 0.5]),
      delayMsMax: random.pick([stream.delayMsMax, 30_000, 300_000]),
      triesMax: random.pick([1000, 1000, 3]),
    },
    machines: {
      hangs: some(0.3, [0.1, 0.4]),
      partitions: some(0.3, [0.2, 0.6]),
      runnerDies: some(0.35, [0.2, 0.7]),
      shimDies: some(0.2, [0.1, 0.4]),
      ignoresSignals: some(0.3, [0.2, 0.8]),
      neverEnds: some(0.3, [0.1, 0.5]),
      fails: random.pick([machines.fails, 0.6]),
      workMsMax: random.pick([5000, machines.workMsMax, 400_000]),
      startFails: some(0.2, [0.1, 0.5]),
    },
    network: {
      lost: some(0.35, [0.02, 0.15]),
      double: some(0.3, [0.05, 0.3]),
      late: some(0.3, [0.02, 0.2]),
    },
    endpoints: CALM_ENDPOINTS,
    deposits: NO_DEPOSITS,
    ids: NEW_IDS,
    secrets: NO_SECRETS,
    indexLagMsMax: random.pick([50, 3000, 30_000]),
    latencyMsMax: random.pick([20, 100, 800]),
    skewMs: random.pick(SKEWS),
    clockJumps: 0,
    ttlLagMsMax: 0,
  };
  return { ...weather, clock: { ...weather.clock, stray: some(0.2, [0.1, 0.5]) } };
}
