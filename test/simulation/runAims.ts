/** What leads to the guards of runs, of the runs that they start, of VMs and of the watchdog's looks at them. */
import type { Aim } from './aims.ts';
import { Random } from './random.ts';
import { type Operation, type OperationKind, QUIET, type Workload } from './workload.ts';
import type { Weather } from './world.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Everything happens in so long: what is wanted meets often, and a world is soon over. */
const STORM_MS = 5 * MINUTE;

/**
 * First one run, or some, then these requests, evenly spread.
 * @param more what every agent has besides
 */
const busy =
  (first: number, kinds: readonly OperationKind[], count: number, more: object, config: object = {}) =>
  ({ operations, agents, ...rest }: Workload): Partial<Workload> => {
    const random = new Random(operations.reduce((sum, { pick, how }) => sum * 31 + pick * 1000 + how, 7) >>> 0);
    const operation = (at: number, kind: OperationKind): Operation => ({
      at,
      kind,
      pick: random.below(1000),
      how: random.below(1000),
      ifMatch: false,
      twice: false,
    });
    return {
      operations: [
        ...Array.from({ length: first }, () => operation(random.below(SECOND), 'create_run')),
        ...Array.from({ length: count }, (_, index) =>
          operation(20 * SECOND + Math.floor((index / count) * (STORM_MS - MINUTE)), random.pick(kinds)),
        ),
      ],
      stormMs: STORM_MS,
      agents: agents.slice(0, 1).map((agent) => ({ ...agent, ...more })),
      config: { ...rest.config, ...config },
      watchdogGaps: [],
    };
  };

/** Machines come soon and work well, answers come soon: what happens is what rivals do. */
const calm =
  (machines: Partial<Weather['machines']> = {}) =>
  (weather: Weather): Partial<Weather> => ({
    ec2: { ...QUIET.ec2, bootMsMax: 15_000 },
    machines: { ...QUIET.machines, workMsMax: 300_000, ...machines },
    workflow: QUIET.workflow,
    network: QUIET.network,
    latencyMsMax: Math.min(weather.latencyMsMax, 60),
    indexLagMsMax: 50,
  });

/** Parents at work for a while, with some children beside them and others that wait for their turn. */
const PARENTS = { limits: { maxConcurrentRuns: 3, startTimeout: 'PT15M', runTimeout: 'PT10M' }, warmFor: 'PT5M' };
const NO_LIMITS = { maxConcurrentRunsPerTenant: undefined, maxConcurrentVmsPerTenant: undefined };
const MANY = { ...NO_LIMITS, maxChildrenPerRun: 100 };

const family = (
  rivals: readonly string[],
  { config = MANY, agents = PARENTS, kinds = ['create_child'] as readonly OperationKind[], ...at }: FamilyOptions = {},
): Aim => ({
  workload: busy(2, kinds, 16, agents, config),
  weather: calm({ neverEnds: 0.3 }),
  at: { rivals, share: 0.7, heldUpMs: [500, 8000], ...at },
});

interface FamilyOptions extends Omit<NonNullable<Aim['at']>, 'rivals'> {
  readonly config?: object;
  readonly agents?: object;
  readonly kinds?: readonly OperationKind[];
}

export const RUN_AIMS: Readonly<Record<string, Aim>> = {
  children: family(['children_sealed', 'child_ends', 'own_end', 'child_begins', 'cancel']),
  'children.completeOnce': family(['children_sealed', 'children_end'], {
    guard: 'children.sealedOnce',
    heldUpMs: [500, 3000],
  }),
  // Just as the first child is made, somebody seals the list: between two reads of the seal it is there.
  'children.countedOnce': family(['children_sealed'], {
    kinds: ['create_run', 'create_child'],
    heldUpMs: [5, 200],
  }),
  // All of them end; the seal reads that, and meanwhile one more has come and gone.
  'children.createdAsRead': family(['children_end', 'child_comes_and_goes'], { heldUpMs: [500, 3000] }),
  'children.notLastOne': family(['children_sealed', 'children_end', 'own_end']),
  'children.notSealed': family(['children_sealed', 'own_end']),
  'children.parentLives': family(['cancel']),
  'children.parentsAttempt': family(['is_gone'], {
    agents: { ...PARENTS, retry: { maxAttempts: 3, backoff: 'PT0S', afterStart: true } },
    standsStill: true,
    heldUpMs: [60_000, 240_000],
  }),
  'children.pendingAsRead': family(['children_end', 'child_ends']),
  'children.room': family(['child_begins'], { config: { ...NO_LIMITS, maxChildrenPerRun: 2 } }),
  'children.sealedOnce': family(['children_sealed', 'own_end']),
};
