/**
 * What leads to a guard: the requests by which it is met, the rivals from which it protects, and the surroundings in which
 * that happens. Some worlds of every search are drawn so, each for one guard; so are those that look for a guard's removal.
 */
import type { FaultKind, FaultPlan } from './faults.ts';
import { FENCES } from './fences.ts';
import type { Random } from './random.ts';
import type { Theme } from './rivals.ts';
import type { OperationKind, Workload } from './workload.ts';
import type { Weather } from './world.ts';

export interface Aim {
  /** What clients ask for every second time. */
  readonly operations?: readonly OperationKind[];
  /** What rivals do, by what it is about; what is not named stays as the seed draws it. */
  readonly strikes?: Partial<Theme['strikes']>;
  readonly workload?: (workload: Workload) => Partial<Workload>;
  readonly weather?: (weather: Weather) => Partial<Weather>;
  /** At call sites whose names contain `site`, that share of the calls has one of these faults. */
  readonly faults?: { readonly site: string; readonly share: number; readonly kinds: readonly FaultKind[] };
}

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
  idempotency: { operations: ['create_run_once'] },
  principal: { operations: ['revoke'] },
  run: { operations: ['create_run', 'retry_run', 'create_child'] },
  schedule: { operations: ['patch_schedule', 'pause', 'resume', 'delete_schedule', 'create_schedule'] },
  trigger: { operations: ['trigger'] },
  withheld: { operations: ['pause', 'resume', 'delete_schedule'] },
};

export const aimOf = (guard: string): Aim =>
  FENCES[guard]?.aim ?? AIMS[guard] ?? AIMS[guard.slice(0, guard.indexOf('.'))] ?? {};

/** Requests of the first seconds stay: they make what the others are about. */
const FIRST_MS = 5000;

interface World {
  readonly workload: Workload;
  readonly weather: Weather;
  readonly faults: FaultPlan;
}

/** The same world, with all that leads to this guard or fence: every second transaction that carries the guard meets a rival. */
export function aimed(world: World, name: string, random: Random): World {
  const { operations: related, strikes, workload: more, weather, faults } = aimOf(name);
  const { theme, operations } = world.workload;
  const own = FENCES[name] === undefined ? { ...theme, share: 0.5, victims: [], guard: name } : theme;
  const workload: Workload = {
    ...world.workload,
    operations: operations.map((operation, index) =>
      related === undefined || index % 2 === 0 || operation.at < FIRST_MS
        ? operation
        : { ...operation, kind: related[operation.pick % related.length] ?? operation.kind },
    ),
    theme: { ...own, strikes: { ...theme.strikes, ...strikes } },
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
