import { describe, expect, it } from 'vitest';
import { SECOND } from '../core/support.ts';
import { unmended } from './living.ts';
import { OtherRules } from './otherRules.ts';
import { drawn } from './play.ts';
import { MINUTE } from './workload.ts';
import type { Simulation } from './world.ts';

const AUDIT_MS = 10 * MINUTE;
const NOW = Date.UTC(2027, 0, 4, 12);

const HOURLY = { kind: 'every', everySeconds: 3600, startAt: NOW };
const SCHEDULE = {
  id: 'sch_1',
  status: 'active',
  version: 1,
  liveSeq: 0,
  specVersion: 1,
  buffer: [] as readonly number[],
  liveRuns: [] as readonly string[],
  cadence: HOURLY,
  revisions: [{ specVersion: 1, from: NOW - MINUTE, cadence: HOURLY, active: true }],
  decidedThrough: NOW,
  skips: [],
  clock: { status: 'synced' },
};
const VM = { id: 'vm_1', status: 'ready', warmForSeconds: 60 };

interface State {
  readonly schedule?: object;
  readonly look?: string;
  readonly vm?: object;
  readonly restsSince?: number;
  readonly live?: readonly object[];
}

/** As much of a world as is looked at. */
function world({ schedule = {}, look = 'follows', vm = {}, restsSince, live = [] }: State): Simulation {
  const rests = new Map(restsSince === undefined ? [] : [[VM.id, restsSince]]);
  return {
    time: { now: NOW },
    config: { overdueGraceSeconds: 60, watchdogIntervalSeconds: 60 },
    checker: {
      ledger: { rows: new Map([['sch_1', { ...SCHEDULE, ...schedule }]]), history: new Map(), uncalled: [] },
      vms: { rows: new Map([[VM.id, { ...VM, ...vm }]]), restsSince: rests },
      others: new OtherRules({} as Simulation),
    },
    clock: { look: () => ({ kind: look, detail: 'the test says so' }) },
    ec2: { live: () => live },
  } as unknown as Simulation;
}

const found = (state: State) => unmended(world(state), AUDIT_MS, async () => {});

describe('a world that goes on after its faults', () => {
  it('has nothing to be put right where all is well', async () => {
    expect(await found({ restsSince: NOW - 2 * MINUTE })).toBeUndefined();
  });

  it('is told of a clock that does not follow its row, or was never told of it', async () => {
    expect(await found({ look: 'absent' })).toMatch(/the clock of sch_1 is absent/);
    expect(await found({ look: 'differs' })).toMatch(/is differs/);
    expect(await found({ schedule: { clock: { status: 'pending' } } })).toMatch(/is pending/);
    expect(await found({ look: 'absent', schedule: { status: 'paused' } })).toBeUndefined();
  });

  it('is told of what waits for nobody', async () => {
    expect(await found({ schedule: { buffer: [NOW - MINUTE] } })).toMatch(/waits for nobody/);
    expect(await found({ schedule: { buffer: [NOW - MINUTE], liveRuns: ['run_1'] } })).toBeUndefined();
  });

  it('waits for the next look at what the watchdog could not look at, and for a tick or two more', async () => {
    const cadence = { ...HOURLY, startAt: NOW - 90 * MINUTE };
    const from = NOW - 120 * MINUTE;
    const revisions = [{ specVersion: 1, from, cadence, active: true }];
    const due = { cadence, revisions, decidedThrough: from, checkFailures: 3 };
    expect(await found({ schedule: { ...due, checkAt: NOW + 4 * MINUTE } })).toBeUndefined();
    expect(await found({ schedule: { ...due, checkAt: NOW - 4 * MINUTE } })).toMatch(/is undecided/);
    expect(await found({ schedule: { ...due, checkFailures: undefined, checkAt: NOW } })).toMatch(/is undecided/);
    const waiting = { buffer: [NOW - MINUTE], checkFailures: 1 };
    expect(await found({ schedule: { ...waiting, checkAt: NOW + MINUTE } })).toBeUndefined();
    expect(await found({ schedule: { ...waiting, checkAt: NOW - 4 * MINUTE } })).toMatch(/waits for nobody/);
  });

  it('is told of a VM that nobody needs, and of an instance whose VM was called gone', async () => {
    expect(await found({ restsSince: NOW - 60 * MINUTE })).toMatch(/has carried nothing for 60 minutes/);
    const live = [{ id: 'i-1', vmId: VM.id, state: 'running' }];
    expect(await found({ live })).toBeUndefined();
    expect(await found({ live, vm: { terminatedAt: NOW - SECOND } })).toBeUndefined();
    expect(await found({ live, vm: { terminatedAt: NOW - 60 * MINUTE } })).toMatch(/its VM was called gone/);
  });

  it('is one of few, and for a day one of a thousand', () => {
    const lives = Array.from({ length: 3000 }, (_, seed) => drawn(seed + 1).workload.livesOnMs ?? 0);
    expect(lives.filter((ms) => ms > 0).length).toBeGreaterThan(50);
    expect(lives.filter((ms) => ms > 60 * MINUTE).length).toBeGreaterThan(0);
  });
});
