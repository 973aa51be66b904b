import { describe, expect, it } from 'vitest';
import { ChunkConflict } from '../../core/errors.ts';
import { calendarOf } from './calendar.ts';
import { ObjectStore } from './deposits.ts';
import { HostClock } from './hostClock.ts';
import { RandomIds } from './ids.ts';
import { drawn } from './play.ts';
import { Random } from './random.ts';
import type { Simulation } from './world.ts';

const record = (text: string) => [{ atMs: 0, stream: 'stdout' as const, text }];
const address = { tenantId: 'ten', runId: 'run', attempt: 1 };

it('the object store keeps what a chunk was first, and takes the same again', () => {
  const store = new ObjectStore();
  store.putChunk(address, 0, record('first'));
  store.putChunk(address, 0, record('first'));
  expect(() => store.putChunk(address, 0, record('second'))).toThrow(ChunkConflict);
  expect(store.chunks.size).toBe(1);
});

it('a host’s clock is set while a call goes on, to another time within its bounds', () => {
  const skews = [-3000, 4000];
  const world = {
    random: new Random(1),
    time: { now: 100_000 },
    weather: { clockJumps: 1 },
    skewMs: () => skews.shift() ?? 0,
  };
  const clock = new HostClock(world as unknown as Simulation);
  clock.called();
  expect(clock.now()).toBe(97_000);
  world.time.now += 5000;
  expect(clock.now()).toBe(109_000);
});

it('a clone draws ids that were drawn before; without clones each is new', () => {
  const drawnIn = (repeats: number) => {
    const world = { random: new Random(7), isCalm: false, weather: { ids: { repeats } } };
    const ids = new RandomIds(world as unknown as Simulation);
    return new Set(Array.from({ length: 50 }, (_, at) => ids.next('run_', at))).size;
  };
  expect(drawnIn(0)).toBe(50);
  expect(drawnIn(0.5)).toBeLessThan(40);
});

it('a world with a calendar begins where an hour is left out or comes twice within an hour', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { startAt, timezone } = calendarOf(new Random(seed));
    const offset = (at: number) =>
      new Intl.DateTimeFormat('en', { timeZone: timezone, timeZoneName: 'longOffset' }).format(at);
    const [before, after] = [offset(startAt - 3_600_000), offset(startAt + 3_600_000)];
    expect(before.slice(before.indexOf('GMT'))).not.toBe(after.slice(after.indexOf('GMT')));
  }
});

describe('what only some worlds have', () => {
  it('is in some, and not in most', () => {
    const worlds = Array.from({ length: 400 }, (_, seed) => drawn(seed + 1));
    const share = (has: (world: (typeof worlds)[number]) => boolean) => worlds.filter(has).length / worlds.length;
    const shares = [
      share(({ workload }) => workload.hasWebhooks === true),
      share(({ weather }) => weather.deposits.share > 0),
      share(({ weather }) => weather.clockJumps > 0),
      share(({ workload }) => workload.calendar !== undefined),
      share(({ workload }) => workload.deploys !== undefined),
      share(({ weather }) => weather.ttlLagMsMax > 0),
      share(({ weather }) => weather.secrets.hasKeys),
      share(({ workload }) => workload.operations.some(({ kind }) => kind === 'settle_elsewhere')),
    ];
    for (const each of shares) {
      expect(each).toBeGreaterThan(0.01);
      expect(each).toBeLessThan(0.4);
    }
  });
});
