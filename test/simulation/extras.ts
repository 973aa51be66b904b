/** What only some worlds have, so that the others stay cheap: drawn from a stream of its own, and laid over the rest. */
import { calendarOf } from './calendar.ts';
import { FILES_BYTES_MAX } from './deposits.ts';
import { KEY_OPERATIONS } from './keyClients.ts';
import type { Random } from './random.ts';
import { TENANT_OPERATIONS } from './tenantClients.ts';
import { WEBHOOK_OPERATIONS } from './webhookClients.ts';
import type { Operation, OperationKind, Workload } from './workload.ts';
import type { Weather } from './world.ts';

interface World {
  readonly workload: Workload;
  readonly weather: Weather;
}

const WEBHOOKS_SHARE = 0.12;
const DEPOSITS_SHARE = 0.12;
/** How far the clock of a host may be off. */
const FAR_MS = 5000;
const CLOCKS_SHARE = 0.15;
const EXPIRY_SHARE = 0.06;
const DEPLOYS_SHARE = 0.1;
const CALENDAR_SHARE = 0.08;
const KEYS_SHARE = 0.08;
/** As rare as in life, for a simulation. */
const CLONES_SHARE = 0.04;
const UNKILLABLE_SHARE = 0.04;
const DISKS_SHARE = 0.08;
const SECRETS_SHARE = 0.12;
const NEIGHBOURS_SHARE = 0.1;
/** So many that agents share some. */
const SECRETS = ['password', 'api-key', 'deploy-key'];

/** Requests of the first seconds stay: they make what the others are about. */
const FIRST_MS = 5000;

export function withExtras<T extends World>(world: T, random: Random): T {
  let drawn = world;
  if (random.chance(WEBHOOKS_SHARE)) drawn = webhooksIn(drawn, random);
  if (random.chance(DEPOSITS_SHARE)) drawn = depositsIn(drawn, random);
  if (random.chance(KEYS_SHARE)) drawn = { ...drawn, workload: withMore(drawn.workload, KEY_OPERATIONS) };
  if (random.chance(CLOCKS_SHARE)) drawn = clocksIn(drawn, random);
  if (random.chance(EXPIRY_SHARE)) drawn = expiryIn(drawn, random);
  if (random.chance(DEPLOYS_SHARE)) drawn = { ...drawn, workload: deployed(drawn.workload, random) };
  if (random.chance(CALENDAR_SHARE))
    drawn = { ...drawn, workload: { ...drawn.workload, calendar: calendarOf(random) } };
  if (random.chance(CLONES_SHARE))
    drawn = { ...drawn, weather: { ...drawn.weather, ids: { repeats: random.pick([0.1, 0.4]) } } };
  if (random.chance(UNKILLABLE_SHARE)) drawn = unkillableIn(drawn, random);
  if (random.chance(DISKS_SHARE)) {
    const { weather } = drawn;
    drawn = { ...drawn, weather: { ...weather, machines: { ...weather.machines, disksRead: 1 } } };
  }
  return drawn;
}

/** Agents that name secrets; and a Secrets Manager that is slow, fails, and has not all of them. From a stream of its own. */
export function withSecrets<T extends World>(world: T, random: Random): T {
  if (!random.chance(SECRETS_SHARE)) return world;
  const naming = (agent: Workload['agents'][number]): Workload['agents'][number] => {
    const env = Object.fromEntries(random.subset(SECRETS, 0.5).map((secret, nth) => [`SECRET_${nth}`, { secret }]));
    const repository = { url: 'https://git.example.com/work.git', ref: 'main', secret: random.pick(SECRETS) };
    return { ...agent, env, ...(random.chance(0.3) && { repository }) };
  };
  return {
    ...world,
    workload: { ...world.workload, agents: world.workload.agents.map(naming) },
    weather: {
      ...world.weather,
      secrets: { hasKeys: true, absent: random.pick([0, 0, 0.3]), changed: random.pick([0, 0.3, 0.6]) },
    },
  };
}

/** A second tenant that has agents, schedules and runs, and two that reach for each other's. From a stream of its own. */
export function withNeighbour<T extends World>(world: T, random: Random): T {
  if (!random.chance(NEIGHBOURS_SHARE)) return world;
  const { operations, ...workload } = withMore(world.workload, TENANT_OPERATIONS);
  const settling = [500, 1500, 2500, 4000].map(
    (at): Operation => ({
      at: at + random.below(1000),
      kind: 'settle_elsewhere',
      pick: random.below(1000),
      how: random.below(1000),
      ifMatch: false,
      twice: false,
    }),
  );
  const all = [...operations, ...settling].sort((left, right) => left.at - right.at);
  return { ...world, workload: { ...workload, operations: all } };
}

/** Every third request is one of these. */
function withMore(workload: Workload, kinds: readonly OperationKind[]): Workload {
  const about = (operation: Operation, index: number): Operation =>
    index % 3 !== 0 || operation.at < FIRST_MS || kinds.length === 0
      ? operation
      : { ...operation, kind: kinds[operation.pick % kinds.length] as OperationKind };
  return { ...workload, operations: workload.operations.map(about) };
}

/** Clocks that are set in the middle of a call; and all that are five seconds off, on one side or, where that is allowed, on both. */
function clocksIn<T extends World>(world: T, random: Random): T {
  const wide = random.chance(0.3);
  const side: Weather['skewMs'] = random.chance(0.5) ? [-FAR_MS, 0] : [0, FAR_MS];
  return {
    ...world,
    weather: {
      ...world.weather,
      skewMs: wide ? [-FAR_MS, FAR_MS] : side,
      clockJumps: random.pick([0, 0.05, 0.5]),
    },
    ...(wide && {
      workload: { ...world.workload, config: { ...world.workload.config, maxClockSkewSeconds: (2 * FAR_MS) / 1000 } },
    }),
  };
}

/** Work that nothing ends but the end of its machine, often with other work beside it. */
function unkillableIn<T extends World>(world: T, random: Random): T {
  const { machines } = world.weather;
  return {
    ...world,
    weather: { ...world.weather, machines: { ...machines, unkillable: random.pick([0.1, 0.5]) } },
    workload: withMore(world.workload, ['cancel_run', 'create_run']),
  };
}

/** Records of requests count for seconds only, and are deleted at any time after. */
function expiryIn<T extends World>(world: T, random: Random): T {
  const config = { ...world.workload.config, idempotencyKeySeconds: random.pick([31, 50]) };
  return {
    ...world,
    workload: withMore({ ...world.workload, config }, ['create_run_once']),
    weather: { ...world.weather, ttlLagMsMax: random.pick([1000, 300_000]) },
  };
}

const DEPLOYED = ['api', 'events', 'watchdog', 'fire', 'heartbeat', 'launch', 'dispatch', 'release', 'deliver', ''];

function deployed(workload: Workload, random: Random): Workload {
  const deploys = Array.from({ length: random.between(1, 3) }, () => ({
    at: random.below(workload.stormMs),
    kind: random.pick(DEPLOYED),
  }));
  return { ...workload, deploys };
}

function depositsIn<T extends World>(world: T, random: Random): T {
  return {
    ...world,
    workload: withLittleRoom(world.workload),
    weather: { ...world.weather, deposits: { share: random.pick([0.3, 1]), again: random.pick([0, 0.1, 0.5]) } },
  };
}

/** Not all files of an attempt find room. */
export const withLittleRoom = (workload: Workload): Workload => ({
  ...workload,
  config: { ...workload.config, maxArtifactBytes: FILES_BYTES_MAX },
});

function webhooksIn<T extends World>(world: T, random: Random): T {
  const some = (values: readonly number[]): number => random.pick([0, ...values]);
  const kinds = random.chance(0.5) ? WEBHOOK_OPERATIONS : random.subset(WEBHOOK_OPERATIONS, 0.4);
  return {
    ...world,
    workload: withWebhooks(world.workload, kinds, {
      webhookDisableAfterSeconds: random.pick([30, 300, 3 * 24 * 3600]),
      maxWebhooksPerTenant: random.pick([1, 2, 20]),
      webhookTimeoutSeconds: random.pick([5, 15]),
    }),
    weather: {
      ...world.weather,
      endpoints: {
        refuses: some([0.1, 0.5]),
        gone: some([0.02]),
        slow: some([0.1, 0.4]),
        outages: some([0.1, 0.5]),
      },
    },
  };
}

/** Two endpoints from the beginning, and every third request about them. */
export function withWebhooks(
  workload: Workload,
  kinds: readonly OperationKind[],
  config: Readonly<Record<string, unknown>>,
): Workload {
  const { operations } = withMore(workload, kinds);
  const [first] = operations;
  const made =
    first === undefined
      ? []
      : [0, 1].map(
          (nth): Operation => ({ ...first, at: 500 + nth * 3000, kind: 'create_webhook', how: first.how + nth }),
        );
  return {
    ...workload,
    hasWebhooks: true,
    config: { ...workload.config, ...config },
    operations: [...made, ...operations].sort((left, right) => left.at - right.at),
  };
}
