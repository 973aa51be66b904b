/**
 * Worlds that go on for a while after the faults have stopped, with their schedules in service, and some of them for a day: what
 * is put right by itself is, and what comes a day late still meets somebody.
 */
import { clockSpec } from '../../core/schedules/clockSync.ts';
import type { Random } from './random.ts';
import { awaitsItsLook, graceMs, ledgerBehind } from './rest.ts';
import { MINUTE, type Operation, type Workload } from './workload.ts';
import type { Simulation, Weather } from './world.ts';

const HOUR = 60 * MINUTE;
const LIVES_ON_SHARE = 0.03;
const LIVES_FOR_A_DAY_SHARE = 0.001;
const AUDIT_EVERY_MS = 10 * MINUTE;
/** Two audits, and the longest that a start may take before its VM is let go. */
const LIVES_ON_MS = 30 * MINUTE;
/** Beyond what its agent keeps it for, a VM without a run is gone by then, whatever had become of it before. */
const VM_GONE_MS = 22 * MINUTE;

interface World {
  readonly workload: Workload;
  readonly weather: Weather;
}

export function withLife<T extends World>(world: T, random: Random): T {
  const drawn = random.below(1000) / 1000;
  if (drawn < LIVES_FOR_A_DAY_SHARE) return forADay(world, random);
  if (drawn > LIVES_FOR_A_DAY_SHARE + LIVES_ON_SHARE) return world;
  return { ...world, workload: { ...world.workload, auditEveryMs: AUDIT_EVERY_MS, livesOnMs: LIVES_ON_MS } };
}

/** Far between, so that a day is soon over. */
const SELDOM: readonly Partial<NonNullable<Workload['schedules']>>[] = [
  { cadence: { cron: '17 * * * *', timezone: 'Europe/Berlin' } },
  { cadence: { cron: '5 */3 * * *', timezone: 'UTC' } },
  { cadence: { every: 'PT45M' } },
];
const AT_ONCE: ReadonlySet<Operation['kind']> = new Set(['patch_schedule', 'backfill']);

function forADay<T extends World>(world: T, random: Random): T {
  const { workload, weather } = world;
  const stormMs = 20 * HOUR;
  const slower = stormMs / workload.stormMs;
  return {
    ...world,
    workload: {
      ...workload,
      stormMs,
      operations: workload.operations
        .filter(({ kind }) => !AT_ONCE.has(kind))
        .map((each) => (each.kind === 'create_schedule' ? each : { ...each, at: Math.floor(each.at * slower) })),
      schedules: {
        ...workload.schedules,
        ...random.pick(SELDOM),
        catchupWindow: random.pick(['PT1H', 'PT12H', 'P2D']),
      },
      auditEveryMs: 2 * HOUR,
      livesOnMs: 5 * HOUR,
    },
    weather: { ...weather, clock: { ...weather.clock, late: random.pick([0.3, 0.8]) } },
  };
}

/** What should have been put right by now, and stands as it stood a while ago; undefined where there is none. */
export async function unmended(
  world: Simulation,
  auditEveryMs: number,
  pass: (ms: number) => Promise<void>,
): Promise<string | undefined> {
  const before = unsettled(world);
  await pass(graceMs(world));
  const after = unsettled(world);
  const stuck = [...before].find(([id, state]) => after.get(id) === state);
  if (stuck !== undefined) return `schedule ${stuck[0]} ${stuck[1]}`;
  return ledgerBehind(world) ?? clockAdrift(world, auditEveryMs) ?? vmLeft(world);
}

/** What a tick of the watchdog puts right: occurrences that wait without a run to wait for, clocks that are to be put. */
const unsettled = (world: Simulation): ReadonlyMap<string, string> =>
  new Map(
    [...world.checker.ledger.rows.values()].flatMap((schedule) => {
      const { id, status, buffer, liveRuns, liveSeq, version, clock } = schedule;
      if (status !== 'active' || awaitsItsLook(world, schedule)) return [];
      if (buffer.length > 0 && liveRuns.length === 0) return [[id, `waits for nobody since ${liveSeq}: ${buffer}`]];
      return clock.status === 'synced'
        ? []
        : [[id, `has a clock that is ${clock.status}, ${version} ${clock.syncedAt}`]];
    }),
  );

/** A clock that does not fire what its row says, though audits have come by since. */
function clockAdrift({ checker, clock, time }: Simulation, auditEveryMs: number): string | undefined {
  for (const schedule of checker.ledger.rows.values()) {
    const changedAt = checker.ledger.history.get(schedule.id)?.at(-1)?.from ?? 0;
    if (schedule.status !== 'active' || time.now - changedAt < 2 * auditEveryMs) continue;
    const spec = schedule.clock.status === 'synced' ? clockSpec(schedule, time.now) : undefined;
    if (spec === undefined) continue;
    const { kind, detail } = clock.look(spec);
    if (kind !== 'follows') return `the clock of ${schedule.id} is ${kind}: ${detail}`;
  }
  return undefined;
}

/** A VM that nobody keeps, and that nothing is on: its own row, or an instance of it. */
function vmLeft({ checker, ec2, time }: Simulation): string | undefined {
  for (const vm of checker.vms.rows.values()) {
    const restsSince = checker.vms.restsSince.get(vm.id);
    if (restsSince !== undefined && time.now - restsSince > VM_GONE_MS + (vm.warmForSeconds ?? 0) * 1000)
      return `VM ${vm.id} is ${vm.status}, and has carried nothing for ${Math.round((time.now - restsSince) / MINUTE)} minutes`;
  }
  for (const { id, vmId, state } of ec2.live()) {
    const { terminatedAt } = checker.vms.rows.get(vmId) ?? {};
    if (terminatedAt !== undefined && time.now - terminatedAt > VM_GONE_MS)
      return `instance ${id} of ${vmId} is ${state}, and its VM was called gone`;
  }
  return undefined;
}
