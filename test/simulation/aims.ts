/**
 * What leads to a guard: the requests by which it is met, the rivals from which it protects, and the surroundings in which
 * that happens. Some worlds of every search are drawn so, each for one guard; so are those that look for a guard's removal.
 */
import { EXTRA_AIMS } from './extraAims.ts';
import type { FaultKind, FaultPlan } from './faults.ts';
import { FENCES } from './fences.ts';
import type { Leak } from './leaks.ts';
import type { Random } from './random.ts';
import type { Strike, Theme } from './rivals.ts';
import { RUN_AIMS } from './runAims.ts';
import { MINUTE, type OperationKind, type Workload } from './workload.ts';
import type { Weather } from './world.ts';

export interface Aim {
  /** What clients ask for every second time. */
  readonly operations?: readonly OperationKind[];
  /** What rivals do, by what it is about; what is not named stays as the seed draws it. */
  readonly strikes?: Partial<Theme['strikes']>;
  /** What rivals do at the very item that carries the guard (or this other one), how long it is held up, and how often. */
  readonly at?: Partial<
    Pick<Theme, 'guard' | 'family' | 'status' | 'rivals' | 'heldUpMs' | 'standsStill' | 'untilBroken' | 'share'>
  >;
  readonly workload?: (workload: Workload) => Partial<Workload>;
  readonly weather?: (weather: Weather) => Partial<Weather>;
  /** At call sites whose names contain `site`, that share of the calls has one of these faults. */
  readonly faults?: { readonly site: string; readonly share: number; readonly kinds: readonly FaultKind[] };
}

/** What brings the live runs of a schedule, and what it has decided, to another state, and no person's change. */
const LIVE: readonly Strike[] = ['fire', 'trigger', 'advance', 'cancel_its_run', 'again'];
/** What people change of a schedule, while its runs come and go. */
const EDITS: readonly Strike[] = ['patch_schedule', 'pause', 'resume', 'skip', 'delete_schedule'];
const LIVE_SET: Aim = { strikes: { schedule: LIVE } };
const UNCHANGED: Aim = { strikes: { schedule: EDITS } };

/** Triggers are never refused, and every finish finds others live. */
const sideBySide = () => ({ schedules: { overlapPolicy: 'allow_all' } }) as const;
/** Each minute something is due, and waits for what is at work. */
const oftenWaiting = ({ theme }: Workload): Partial<Workload> => ({
  schedules: { cadence: { every: 'PT1M' }, overlapPolicy: 'buffer_all' },
  theme: { ...theme, share: 0.9 },
});
const longWork = ({ machines }: Weather): Partial<Weather> => ({
  machines: { ...machines, neverEnds: 0.5, workMsMax: 400_000 },
});
const shortWork = ({ machines, ec2 }: Weather): Partial<Weather> => ({
  ec2: { ...ec2, noRoom: 0, quota: 0, neverBoots: 0, bootMsMax: 20_000 },
  machines: { ...machines, neverEnds: 0, workMsMax: 120_000 },
});
const strayClock = ({ clock }: Weather): Partial<Weather> => ({ clock: { ...clock, stray: 1 } });
/** Most agents have no schedule yet, or none any more. */
const manyAgents = (workload: Workload): Partial<Workload> => ({
  agents: Array.from({ length: 6 }, (_, index) => ({
    ...workload.agents[0],
    name: `agent ${index}`,
    command: ['work'],
  })),
});

const leaking =
  (what: Leak['what']) =>
  ({ agents, stormMs }: Workload): Partial<Workload> => ({
    agents: agents.map((agent) => ({ ...agent, limits: { ...agent.limits, maxConcurrentRuns: 3 } })),
    leaks: [1, 2, 3, 4, 5].map((part) => ({ at: (part / 6) * stormMs, what })),
    auditEveryMs: MINUTE / 2,
  });

/** By guard, by all that comes before the point in its name, and by what comes after it; together, the first one last. By fence, where it has none of its own. */
export const AIMS: Readonly<Record<string, Aim>> = {
  ...RUN_AIMS,
  ...EXTRA_AIMS,
  advance: { operations: ['backfill', 'trigger', 'create_schedule'] },
  'advance.scheduleUnchanged': { strikes: { schedule: ['delete_schedule', 'pause', 'patch_schedule'] } },
  agent: { operations: ['create_agent', 'patch_agent', 'delete_agent'] },
  'agent.noSchedules': {
    operations: ['delete_agent'],
    strikes: { agent: ['create_schedule'] },
    workload: manyAgents,
  },
  align: { operations: ['trigger', 'create_schedule'], workload: oftenWaiting, weather: longWork },
  'align.scheduleUnchanged': {
    operations: ['trigger', 'create_schedule', 'resume'],
    strikes: { schedule: ['pause', 'resume'] },
  },
  'align.liveSetUnchanged': { strikes: { schedule: ['fire'] } },
  backfill: { operations: ['backfill', 'cancel_backfill'] },
  buffer: {
    operations: ['trigger', 'resume', 'create_schedule'],
    strikes: { schedule: ['pause'] },
    workload: oftenWaiting,
    weather: shortWork,
  },
  clock: { operations: ['patch_schedule', 'pause', 'resume', 'skip'] },
  'clock.liveSetUnchanged': { operations: ['patch_schedule', 'trigger', 'resume'], workload: sideBySide },
  correction: { operations: ['create_run', 'cancel_run'] },
  finish: { operations: ['trigger', 'cancel_run', 'create_schedule'] },
  feed: { strikes: { other: ['again'] } },
  'fire.driftOfThisSpec': { operations: ['patch_schedule'], strikes: { schedule: EDITS }, weather: strayClock },
  'fire.driftSeenAtRest': { strikes: { schedule: LIVE }, workload: sideBySide, weather: strayClock },
  'finish.liveSetUnchanged': { workload: sideBySide },
  // The same key comes into use again just as what stood under it is swept away.
  garbage: {
    operations: ['create_run_once'],
    strikes: { other: ['create_run_once'] },
    workload: ({ config }) => ({
      config: { ...config, sweepsGarbage: true, requestSecondsMax: 5, idempotencyKeySeconds: 6 },
    }),
  },
  idempotency: { operations: ['create_run_once'] },
  // A request is soon given up for dead: then what repeats it has its answer stored before the slow one.
  'idempotency.firstAnswer': {
    strikes: { other: ['again'] },
    workload: ({ config }) => ({ config: { ...config, requestSecondsMax: 0.01 } }),
  },
  // It has no effect, and is refused after it tried.
  'idempotency.ours': {
    at: { guard: 'run.agentUnchanged' },
    strikes: { agent: ['delete_agent'] },
    workload: manyAgents,
  },
  // Whoever could look at it again stands still, and it fails once more meanwhile.
  'postpone.sameFailures': {
    at: { share: 0.9, heldUpMs: [600_000, 900_000], standsStill: true, untilBroken: true },
    operations: ['create_run'],
    weather: longWork,
    faults: { site: 'watchdog: store.transact check.rowUnchanged', share: 0.5, kinds: ['fail_before'] },
  },
  principal: { operations: ['revoke'] },
  'principal.asSeen': { strikes: { other: ['again'] } },
  repair: { operations: ['create_run', 'cancel_run'] },
  'repair.nobodyCameOrWent': { strikes: { other: ['one_more'] }, workload: leaking('counter') },
  'repair.placeStillHeld': { strikes: { other: ['repair'] }, workload: leaking('place') },
  run: { operations: ['create_run', 'retry_run', 'create_child'] },
  schedule: { operations: ['patch_schedule', 'pause', 'resume', 'delete_schedule', 'create_schedule'] },
  // The only one that its agent has.
  'schedule.agentCounts': {
    operations: ['create_schedule', 'delete_schedule'],
    at: { guard: 'schedule.nameOurs', rivals: ['delete_schedule'] },
    workload: manyAgents,
  },
  'schedule.agentActive': {
    operations: ['create_schedule'],
    strikes: { agent: ['delete_agent'] },
    workload: manyAgents,
  },
  'schedule.liveSetUnchanged': {
    operations: ['patch_schedule', 'trigger', 'pause', 'resume'],
    workload: sideBySide,
  },
  trigger: { operations: ['trigger'] },
  withheld: { operations: ['pause', 'resume', 'delete_schedule'] },
  liveSetUnchanged: LIVE_SET,
  scheduleUnchanged: UNCHANGED,
};

function aimOf(guard: string): Aim {
  const fence = FENCES[guard];
  if (fence?.leadsAs !== undefined) {
    const aim = aimOf(fence.leadsAs);
    const weather = (before: Weather) => ({ ...aim.weather?.(before), ...fence.aim?.weather?.(before) });
    return { ...aim, weather, at: { guard: fence.leadsAs, ...aim.at } };
  }
  if (fence !== undefined) return fence.aim ?? AIMS[guard] ?? {};
  const [owner = '', what = ''] = guard.split('.');
  return { ...AIMS[what], ...AIMS[owner], ...AIMS[guard] };
}

/** Requests of the first seconds stay: they make what the others are about. */
const FIRST_MS = 5000;

interface World {
  readonly workload: Workload;
  readonly weather: Weather;
  readonly faults: FaultPlan;
}

/** The same world, with all that leads to this guard or fence: every second transaction that it is about meets a rival. */
export function aimed(world: World, name: string, random: Random): World {
  const { operations: related, strikes, at, workload: more, weather, faults } = aimOf(name);
  const { theme, operations } = world.workload;
  const guard = FENCES[name] === undefined ? name : at?.guard;
  const own = guard === undefined ? theme : { ...theme, share: 0.5, victims: [], guard };
  const workload: Workload = {
    ...world.workload,
    operations: operations.map((operation, index) =>
      related === undefined || index % 2 === 0 || operation.at < FIRST_MS
        ? operation
        : { ...operation, kind: related[operation.pick % related.length] ?? operation.kind },
    ),
    theme: { ...own, strikes: { ...theme.strikes, ...strikes }, ...at },
  };
  return {
    workload: { ...workload, ...more?.(workload) },
    weather: { ...world.weather, ...weather?.(world.weather) },
    faults: faults === undefined ? world.faults : often(faults, world.faults, random),
  };
}

function often({ site, share, kinds }: NonNullable<Aim['faults']>, own: FaultPlan, random: Random): FaultPlan {
  return {
    at: (called, call) => {
      const drawn = own.at(called, call);
      return called.name.includes(site) && random.chance(share) ? random.pick(kinds) : drawn;
    },
  };
}
