/** What leads to the guards of runs, of the runs that they start, of VMs and of the watchdog's looks at them. */
import type { Aim } from './aims.ts';
import { Random } from './random.ts';
import type { Strike } from './rivals.ts';
import { type Operation, type OperationKind, QUIET, type Workload } from './workload.ts';
import type { Weather } from './world.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Everything happens in so long: what is wanted meets often, and a world is soon over. */
const STORM_MS = 5 * MINUTE;

interface Requests {
  readonly kinds: readonly OperationKind[];
  /** So many, each drawn from the kinds; absent: each kind once, in this order. */
  readonly count?: number;
  /** The last one comes by then. */
  readonly untilMs?: number;
  /** What every agent has besides. */
  readonly agents: object;
  readonly config: object;
}

/** First two runs, then these requests, evenly spread. */
const busy =
  ({ kinds, count, untilMs = STORM_MS - MINUTE, agents: own, config }: Requests) =>
  ({ operations, agents, ...rest }: Workload): Partial<Workload> => {
    const random = new Random(operations.reduce((sum, { pick, how }) => sum * 31 + pick * 1000 + how, 7) >>> 0);
    const wanted = count === undefined ? kinds : Array.from({ length: count }, () => random.pick(kinds));
    const operation = (kind: OperationKind, at: number): Operation => ({
      at: Math.floor(at),
      kind,
      pick: random.below(1000),
      how: random.below(1000),
      ifMatch: false,
      twice: false,
    });
    return {
      operations: [
        ...[0, 1].map(() => operation('create_run', random.below(SECOND))),
        ...wanted.map((kind, index) => operation(kind, 20 * SECOND + (index / wanted.length) * untilMs)),
      ],
      stormMs: STORM_MS,
      agents: agents.slice(0, 1).map((agent) => ({ ...agent, ...own })),
      config: { ...rest.config, ...config },
      watchdogGaps: [],
    };
  };

/** Machines come soon and work well, answers come soon: what happens is what rivals do. */
const calm =
  (machines: Partial<Weather['machines']>, ec2: Partial<Weather['ec2']> = {}) =>
  (weather: Weather): Partial<Weather> => ({
    ec2: { ...QUIET.ec2, bootMsMax: 15_000, ...ec2 },
    machines: { ...QUIET.machines, workMsMax: 300_000, ...machines },
    workflow: QUIET.workflow,
    network: QUIET.network,
    latencyMsMax: Math.min(weather.latencyMsMax, 60),
    indexLagMsMax: 50,
  });

type Ambush = Omit<NonNullable<Aim['at']>, 'rivals'>;

const NO_LIMITS = { maxConcurrentRunsPerTenant: undefined, maxConcurrentVmsPerTenant: undefined };

/** Parents at work for a while, with some children beside them and others that wait for their turn. */
const PARENTS = { limits: { maxConcurrentRuns: 3, startTimeout: 'PT15M', runTimeout: 'PT10M' }, warmFor: 'PT5M' };

interface Family extends Ambush {
  readonly kinds?: readonly OperationKind[];
  readonly agents?: object;
  readonly maxChildrenPerRun?: number;
}

const family = (
  rivals: readonly Strike[],
  { kinds = ['create_child'], agents = PARENTS, maxChildrenPerRun = 100, ...at }: Family = {},
): Aim => ({
  workload: busy({ kinds, count: 16, agents, config: { ...NO_LIMITS, maxChildrenPerRun } }),
  weather: calm({ neverEnds: 0.3 }),
  at: { rivals, share: 0.7, heldUpMs: [500, 8000], ...at },
});

const AT_WORK = { limits: { startTimeout: 'PT15M', runTimeout: 'PT10M' }, warmFor: 'PT60S' };

interface Work extends Ambush, Partial<Pick<Requests, 'kinds' | 'count' | 'untilMs' | 'agents'>> {
  readonly machines?: Partial<Weather['machines']>;
  readonly ec2?: Partial<Weather['ec2']>;
  readonly faults?: Aim['faults'];
}

/** Runs at work on VMs. */
const work = (rivals: readonly Strike[], options: Work = {}): Aim => {
  const { kinds, count, untilMs, agents = AT_WORK, machines = {}, ec2, faults, ...at } = options;
  return {
    workload: busy({
      ...(kinds === undefined ? { kinds: ['create_run'], count: 8 } : { kinds, ...(count !== undefined && { count }) }),
      ...(untilMs !== undefined && { untilMs }),
      agents,
      config: NO_LIMITS,
    }),
    weather: calm(machines, ec2),
    ...(faults !== undefined && { faults }),
    at: { rivals, share: 0.8, untilBroken: true, heldUpMs: [10_000, 25_000], ...at },
  };
};

/** Whoever asks there is not answered, mostly. */
const failing = (site: string, share: number): NonNullable<Aim['faults']> => ({ site, share, kinds: ['fail_before'] });

/** VMs that hang soon, one after the other, and clocks that are as far apart as they may be: here farther than by default. */
const silent = (at: readonly number[], silentFleetSeconds: number): Aim => ({
  workload: (workload) => {
    const { operations, ...all } = busy({ kinds: [], agents: AT_WORK, config: { ...NO_LIMITS, silentFleetSeconds } })(
      workload,
    );
    const [first] = operations ?? [];
    return {
      ...all,
      operations: first === undefined ? [] : at.map((seconds) => ({ ...first, at: seconds * SECOND })),
      stormMs: ((at.at(-1) ?? 0) + 60) * SECOND,
      config: { ...all.config, maxClockSkewSeconds: 20 },
    };
  },
  weather: (weather) => ({
    ...calm({ hangs: 1, neverEnds: 1, workMsMax: 900_000 })(weather),
    skewMs: [-10_000, 10_000],
  }),
  at: { share: 0 },
});

export const RUN_AIMS: Readonly<Record<string, Aim>> = {
  children: family(['children_sealed', 'child_ends', 'own_end', 'child_begins', 'cancel']),
  'children.completeOnce': family(['children_sealed', 'children_end'], {
    guard: 'children.sealedOnce',
    heldUpMs: [500, 3000],
  }),
  // Just as the first child is made, somebody seals the list: between two reads of the seal it is there.
  'children.countedOnce': family(['children_sealed'], { kinds: ['create_run', 'create_child'], heldUpMs: [5, 200] }),
  // All of them end; the seal reads that, and meanwhile one more has come and gone.
  'children.createdAsRead': family(['children_end', 'child_comes_and_goes'], {
    kinds: ['create_child', 'create_child', 'create_run'],
    agents: { ...PARENTS, limits: { startTimeout: 'PT15M', runTimeout: 'PT10M' }, warmFor: 'PT0S' },
    heldUpMs: [2000, 9000],
    share: 0.9,
  }),
  // Its runner says the same end again when its answer is overdue.
  'children.lastOne': family(['children_sealed'], { share: 0.9, heldUpMs: [15_000, 27_000] }),
  'children.notLastOne': family(['children_sealed', 'children_end', 'own_end']),
  'children.notSealed': family(['children_sealed', 'own_end']),
  'children.parentLives': family(['cancel']),
  'children.parentsAttempt': family(['is_gone'], {
    agents: { ...PARENTS, retry: { maxAttempts: 3, backoff: 'PT0S', afterStart: true } },
    standsStill: true,
    heldUpMs: [60_000, 240_000],
  }),
  'children.pendingAsRead': family(['children_end', 'child_ends']),
  'children.room': family(['child_begins'], { maxChildrenPerRun: 2 }),
  'children.sealedOnce': family(['children_sealed', 'own_end']),
  // What was looked at because of its lease drains meanwhile, and has less time.
  'check.rowUnchanged': work(['run_ends'], { family: 'vm', agents: { ...AT_WORK, warmFor: 'PT0S' }, share: 0.5 }),
  'check.stillDue': work(['own_end'], { machines: { neverEnds: 0.7 } }),
  // Cut off, its cancel does not reach it; and as EC2 cannot be asked, nobody says meanwhile that it is silent.
  'escalate.noHeartbeatSince': work(['reconnects'], {
    agents: { ...AT_WORK, slots: 2 },
    kinds: ['create_run', 'create_run', 'create_run', 'cancel_run', 'cancel_run', 'cancel_run'],
    untilMs: 80 * SECOND,
    machines: {
      neverEnds: 1,
      partitions: 0.5,
      cutOffAfterMs: [25 * SECOND, 60 * SECOND],
      cutOffForMs: [5 * MINUTE, 10 * MINUTE],
    },
    faults: failing('watchdog: ec2.Describe', 1),
  }),
  // Its machine is cut off, and goes before its end is heard of; what its disk says is told twice at once.
  'correction.once': work(['look'], {
    kinds: ['create_run'],
    count: 16,
    untilMs: 10 * SECOND,
    agents: { ...AT_WORK, slots: 8 },
    machines: {
      disksRead: 1,
      workMsMax: 900_000,
      partitions: 1,
      cutOffAfterMs: [35 * SECOND, 50 * SECOND],
      cutOffForMs: [20 * MINUTE, 30 * MINUTE],
    },
    ec2: { reclaimed: 1 },
    untilBroken: false,
    heldUpMs: [500, 3000],
  }),
  // Another VM has room for it meanwhile.
  'dispatch.noMarker': work(['others_end'], {
    kinds: ['create_run'],
    count: 12,
    agents: { ...AT_WORK, warmFor: 'PT5M' },
  }),
  'heartbeat.sameGeneration': work(['registers_again']),
  // A run on it does not end, so it drains, and is given up once it is silent; before, while it was cut off, other runs have been
  // given to it. As EC2 cannot be asked, nobody says meanwhile that it is silent.
  'heartbeat.sameOrder': work(['is_given_up'], {
    status: 'draining',
    kinds: ['create_run', 'create_run', 'create_run', 'cancel_run'],
    count: 100,
    untilMs: 200 * SECOND,
    agents: { ...AT_WORK, limits: { ...AT_WORK.limits, maxConcurrentVms: 2 }, slots: 4 },
    machines: {
      workMsMax: 10_000,
      unkillable: 0.15,
      partitions: 0.6,
      cutOffAfterMs: [100 * SECOND, 170 * SECOND],
      cutOffForMs: [15 * SECOND, 50 * SECOND],
    },
    faults: failing('watchdog: ec2.Describe', 1),
    standsStill: true,
    heldUpMs: [150_000, 180_000],
    share: 1,
  }),
  'heartbeat.sameStatus': work(['is_gone'], { standsStill: true, heldUpMs: [60_000, 180_000], share: 0.1 }),
  'limit.free': work(['create_run'], {
    kinds: ['create_run'],
    count: 16,
    agents: { limits: { maxConcurrentRuns: 2 }, warmFor: 'PT60S' },
    machines: { workMsMax: 20_000 },
  }),
  // The runner asks again when its answer is overdue, and says by then how the work has ended.
  'missing.runUnchanged': work(['own_end'], {
    machines: { omits: 0.3, neverEnds: 0.5 },
    heldUpMs: [15_000, 27_000],
  }),
  // It hangs, and was told to stop: two watchdogs see it linger before either has moved its check.
  'order.isFirst': work(['tick'], {
    guard: 'check.rowUnchanged',
    family: 'vm',
    kinds: ['create_run', 'drain_vm', 'drain_vm'],
    count: 16,
    machines: { workMsMax: 20_000, hangs: 0.8 },
    untilBroken: false,
    heldUpMs: [3000, 10_000],
  }),
  // Several are launched at once.
  'pace.unchanged': work(['create_run'], { kinds: ['create_run'], count: 16, untilMs: 60 * SECOND }),
  'postpone.checkUnmoved': work(['cancel', 'own_end'], { faults: failing('watchdog: ec2.Describe', 0.8) }),
  // Its VM is gone, and it is tried again.
  'run.sameAttempt': work(['is_gone'], {
    agents: { ...AT_WORK, retry: { maxAttempts: 3, backoff: 'PT0S', afterStart: true } },
    standsStill: true,
    share: 0.3,
    heldUpMs: [60_000, 240_000],
  }),
  'silent.noHeartbeatSince': work(['reconnects'], { machines: { partitions: 1 } }),
  // Others are heard again, and not yet for a lease.
  'skew.heard': silent([1, 2, 3, 180, 330, 480, 630, 780], 900),
  // Nobody is heard any more.
  'skew.silentFleet': silent([1, 10, 20, 30, 300], 260),
  'waiting.runUnchanged': work(['cancel'], { ec2: { noRoom: 0.9 } }),
};
