/**
 * What every ScheduleClock keeps, whoever implements it. The suite is given a clock in a world whose time it moves: on one
 * machine the real adapter over a real table, on AWS the adapter before a double of EventBridge Scheduler.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ClockSpec, ScheduleClock } from '../../core/ports.ts';

export interface Delivered {
  readonly scheduleId: string;
  readonly scheduledTime?: number | undefined;
  readonly specVersion?: number | undefined;
  readonly agentId?: string | undefined;
  readonly principalId?: string | undefined;
  /** When it came, on the harness's clock. */
  readonly at: number;
}

export interface ClockHarness {
  readonly clock: ScheduleClock;
  /** All calls of `fire`, failed ones included, oldest first. */
  readonly deliveries: readonly Delivered[];
  /** The next so many calls of `fire` fail, and settle nothing. */
  failing: number;
  now(): number;
  /** A schedule as the row says it, without the clock having been told: the spec that `put` is to be called with. */
  schedule(cadence: { readonly cron: string }, more?: { readonly flexibleWindow?: string }): Promise<ClockSpec>;
  /** An edit of its row; the spec of the new version. */
  edit(scheduleId: string, cadence: { readonly cron: string }): Promise<ClockSpec>;
  /** The row is gone from service: what the clock is told by `delete`. */
  retire(scheduleId: string): Promise<void>;
  /** Moves time on, and lets the clock do all that it does in it. */
  advance(milliseconds: number): Promise<void>;
  /** The process that holds the clock dies, and another one begins with what is stored. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** EventBridge Scheduler's precision: a delivery is due within the minute of its time. */
const PRECISION = MINUTE;

export function scheduleClockContract(name: string, begin: () => Promise<ClockHarness>): void {
  describe(`${name} keeps the contract of a schedule clock`, () => {
    let world: ClockHarness;
    beforeEach(async () => {
      world = await begin();
      return () => world.stop();
    });
    const of = (spec: ClockSpec) => world.deliveries.filter((each) => each.scheduleId === spec.scheduleId);
    const times = (spec: ClockSpec) => [...new Set(of(spec).map((each) => each.scheduledTime))];
    const until = (at: number) => world.advance(at - world.now());

    it('delivers what is due at least once, with its nominal time, the version of the spec and the ids', async () => {
      const spec = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.put(spec);
      await until(spec.startAt + PRECISION);
      expect(times(spec)).toEqual([spec.startAt]);
      const { scheduleId, agentId, principalId, specVersion } = spec;
      expect(of(spec)[0]).toMatchObject({ scheduleId, agentId, principalId, specVersion });
    });

    it('never delivers before the time', async () => {
      const spec = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.put(spec);
      await until(spec.startAt - 1);
      expect(of(spec)).toEqual([]);
      await until(spec.startAt + 11 * MINUTE);
      expect(times(spec)).toEqual([spec.startAt, spec.startAt + 5 * MINUTE, spec.startAt + 10 * MINUTE]);
      expect(of(spec).filter((each) => each.at < (each.scheduledTime ?? 0))).toEqual([]);
    });

    it('follows the newer spec after another put: no time of the old one is delivered for it', async () => {
      const old = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.put(old);
      const edited = await world.edit(old.scheduleId, { cron: '7 * * * *' });
      await world.clock.put(edited);
      await until(edited.startAt + PRECISION);
      expect(times(edited)).toEqual([edited.startAt]);
      expect(of(edited).map((each) => each.specVersion)).toEqual(of(edited).map(() => edited.specVersion));
    });

    it('takes the same put again', async () => {
      const spec = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.put(spec);
      await world.clock.put(spec);
      await until(spec.startAt + PRECISION);
      expect(times(spec)).toEqual([spec.startAt]);
    });

    it('delivers nothing more after a delete', async () => {
      const spec = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.put(spec);
      await until(spec.startAt + PRECISION);
      const before = of(spec).length;
      await world.retire(spec.scheduleId);
      await world.clock.delete(spec.scheduleId);
      await world.advance(15 * MINUTE);
      expect(of(spec)).toHaveLength(before);
    });

    it('calls the delete of what it does not have success', async () => {
      const spec = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.delete('sch_00000000000000000000000000');
      await world.retire(spec.scheduleId);
      await world.clock.delete(spec.scheduleId);
      await world.clock.delete(spec.scheduleId);
    });

    it('delivers again what failed, with the same time', async () => {
      const spec = await world.schedule({ cron: '0 13 * * *' });
      await world.clock.put(spec);
      await until(spec.startAt - 1);
      world.failing = 2;
      await world.advance(10 * MINUTE);
      expect(of(spec).length).toBeGreaterThanOrEqual(3);
      expect(times(spec)).toEqual([spec.startAt]);
      expect(world.failing).toBe(0);
    });

    it('keeps two schedules apart', async () => {
      const one = await world.schedule({ cron: '*/5 * * * *' });
      const other = await world.schedule({ cron: '*/3 * * * *' });
      await world.clock.put(one);
      await world.clock.put(other);
      await world.retire(one.scheduleId);
      await world.clock.delete(one.scheduleId);
      await until(other.startAt + 4 * MINUTE);
      expect(of(one)).toEqual([]);
      expect(times(other)).toEqual([other.startAt, other.startAt + 3 * MINUTE]);
    });

    it('fires within the flexible window; the identity stays the nominal time', async () => {
      const spec = await world.schedule({ cron: '0 13 * * *' }, { flexibleWindow: 'PT10M' });
      await world.clock.put(spec);
      await until(spec.startAt + 10 * MINUTE + PRECISION);
      expect(times(spec)).toEqual([spec.startAt]);
      expect(of(spec)[0]?.at).toBeGreaterThanOrEqual(spec.startAt);
    });

    it('delivers after a restart what came due before and during it', async () => {
      const spec = await world.schedule({ cron: '*/5 * * * *' });
      await world.clock.put(spec);
      await until(spec.startAt - 1);
      await world.restart();
      await until(spec.startAt + PRECISION);
      expect(times(spec)).toEqual([spec.startAt]);
    });
  });
}
