/**
 * What every ScheduleClock keeps, whoever implements it, and what the core makes of what it does: follows late, refuses,
 * forgets, delivers twice or by an old spec. The suite is given a clock in a world whose time it moves: on one machine the
 * real adapter over a real table, on AWS the adapter before a double of EventBridge Scheduler.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ClockSpec, ScheduleClock } from '../../core/ports.ts';
import type { FireResult } from '../../core/schedules/fire.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';

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
  /** While it is true, no call of the core reaches the clock: it fails as a network does. */
  unreachable: boolean;
  /** The clock refuses the next spec that the core puts, for good, in these words. */
  refuseNext(problem: string): void;
  /** The clock is without this schedule, and nobody has been told. */
  lose(scheduleId: string): Promise<void>;
  /** A schedule made by the core, which tells the clock; the spec of its first version. */
  create(cadence: { readonly cron: string }): Promise<ClockSpec>;
  /** An edit by the core, which tells the clock. Fails as the caller's would. */
  change(scheduleId: string, cadence: { readonly cron: string }): Promise<void>;
  /** A delivery made by hand: again, late or by an old spec. It is not among `deliveries`. */
  deliver(delivery: Omit<Delivered, 'at'>): Promise<FireResult>;
  row(scheduleId: string): Promise<ScheduleRow>;
  /** Oldest first, as `12:05 dispatched`, with the reason where there is one. */
  ledger(scheduleId: string): Promise<readonly string[]>;
  /** Waits until the watchdog's next look is due, and lets it look. The clock does nothing meanwhile. */
  watch(): Promise<void>;
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

/**
 * What this clock can do by itself. What it cannot, the harness brings about with a port before it, because the core must
 * bear it from any clock.
 */
export interface ClockTraits {
  readonly refusesSpecs: boolean;
  readonly losesSchedules: boolean;
}

export function scheduleClockContract(name: string, traits: ClockTraits, begin: () => Promise<ClockHarness>): void {
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

  describe(`the core with ${name}`, () => {
    let world: ClockHarness;
    beforeEach(async () => {
      world = await begin();
      return () => world.stop();
    });
    const until = (at: number) => world.advance(at - world.now());
    const clockOf = async ({ scheduleId }: ClockSpec) => {
      const { clock, specVersion } = await world.row(scheduleId);
      return { ...clock, stands: specVersion };
    };
    const timesOf = ({ scheduleId }: ClockSpec) =>
      new Set(world.deliveries.filter((each) => each.scheduleId === scheduleId).map((each) => each.scheduledTime));
    const by = (can: boolean) => (can ? '' : ' (a port before it does that)');

    it('is synced as soon as it has taken the spec', async () => {
      const spec = await world.create({ cron: '*/5 * * * *' });
      expect(await clockOf(spec)).toMatchObject({ status: 'synced', specVersion: 1, stands: 1 });
      await world.change(spec.scheduleId, { cron: '7 * * * *' });
      expect(await clockOf(spec)).toMatchObject({ status: 'synced', specVersion: 2, stands: 2 });
    });

    it('is pending while it cannot be reached; the watchdog puts the newest spec, and it is synced', async () => {
      world.unreachable = true;
      const spec = await world.create({ cron: '*/5 * * * *' });
      await world.change(spec.scheduleId, { cron: '7 * * * *' });
      expect(await clockOf(spec)).toMatchObject({ status: 'pending', stands: 2 });
      await world.watch();
      expect(await clockOf(spec)).toMatchObject({ status: 'pending' });
      world.unreachable = false;
      await world.watch();
      expect(await clockOf(spec)).toMatchObject({ status: 'synced', specVersion: 2, stands: 2 });
      await until(spec.startAt + 2 * MINUTE + PRECISION);
      expect(await world.ledger(spec.scheduleId)).toEqual(['12:07 dispatched']);
    });

    it('has one run for an occurrence that is delivered again', async () => {
      const spec = await world.create({ cron: '*/5 * * * *' });
      await until(spec.startAt + PRECISION);
      const [first] = world.deliveries;
      if (first === undefined) throw new Error('nothing was delivered');
      const again = await Promise.all([world.deliver(first), world.deliver(first)]);
      expect(again).toMatchObject(Array(2).fill({ outcome: 'dispatched', duplicate: true }));
      expect(await world.ledger(spec.scheduleId)).toEqual(['12:05 dispatched']);
    });

    it('changes nothing for a delivery that is hours old', async () => {
      const spec = await world.create({ cron: '5 * * * *' });
      await until(spec.startAt + PRECISION);
      const [first] = world.deliveries;
      await until(spec.startAt + 120 * MINUTE + PRECISION);
      const before = [await world.ledger(spec.scheduleId), await world.row(spec.scheduleId)];
      expect(before[0]).toEqual(['12:05 dispatched', '13:05 dispatched', '14:05 dispatched']);
      expect(await world.deliver(first ?? { scheduleId: '' })).toMatchObject({
        outcome: 'dispatched',
        duplicate: true,
      });
      expect([await world.ledger(spec.scheduleId), await world.row(spec.scheduleId)]).toEqual(before);
    });

    it('starts nothing for a time of the old spec after an edit, and has the clock put right', async () => {
      const old = await world.create({ cron: '*/5 * * * *' });
      await world.change(old.scheduleId, { cron: '7 * * * *' });
      await until(old.startAt);
      const { scheduleId, specVersion } = old;
      expect(await world.deliver({ scheduleId, specVersion, scheduledTime: old.startAt })).toEqual({
        outcome: 'ignored',
        reason: 'unexpected',
      });
      expect(await clockOf(old)).toMatchObject({ status: 'pending' });
      await world.watch();
      expect(await clockOf(old)).toMatchObject({ status: 'synced', specVersion: 2 });
      await until(old.startAt + 2 * MINUTE + PRECISION);
      expect(await world.ledger(scheduleId)).toEqual(['12:07 dispatched']);
    });

    it('takes a time that both specs name from the old one too, once, and has the clock put right', async () => {
      const old = await world.create({ cron: '*/5 * * * *' });
      await world.change(old.scheduleId, { cron: '5 * * * *' });
      // The precision of clocks among each other: this delivery is the first.
      await until(old.startAt - SECOND);
      const { scheduleId, specVersion } = old;
      const delivered = await world.deliver({ scheduleId, specVersion, scheduledTime: old.startAt });
      expect(delivered).toMatchObject({ outcome: 'dispatched', duplicate: false });
      expect(await clockOf(old)).toMatchObject({ status: 'pending' });
      await until(old.startAt + PRECISION);
      await world.watch();
      expect(await clockOf(old)).toMatchObject({ status: 'synced' });
      expect(await world.ledger(scheduleId)).toEqual(['12:05 dispatched']);
    });

    it(`that has lost a schedule: the watchdog settles what came due, and puts it again${by(traits.losesSchedules)}`, async () => {
      const spec = await world.create({ cron: '*/10 * * * *' });
      await until(spec.startAt + PRECISION);
      await world.lose(spec.scheduleId);
      await until(spec.startAt + 14 * MINUTE);
      expect(timesOf(spec)).toEqual(new Set([spec.startAt]));
      await world.watch();
      expect(await world.ledger(spec.scheduleId)).toEqual(['12:10 dispatched', '12:20 dispatched']);
      expect(await clockOf(spec)).toMatchObject({ status: 'pending' });
      await world.watch();
      expect(await clockOf(spec)).toMatchObject({ status: 'synced' });
      await until(spec.startAt + 20 * MINUTE + PRECISION);
      expect(timesOf(spec)).toEqual(new Set([spec.startAt, spec.startAt + 20 * MINUTE]));
      expect(await world.ledger(spec.scheduleId)).toHaveLength(3);
    });

    it(`that refuses a spec: the edit is refused, and the spec before it goes on${by(traits.refusesSpecs)}`, async () => {
      const spec = await world.create({ cron: '*/5 * * * *' });
      world.refuseNext('no such expression');
      await expect(world.change(spec.scheduleId, { cron: '7 * * * *' })).rejects.toMatchObject({
        code: 'invalid_request',
        errors: [{ pointer: '/cadence', message: expect.stringContaining('no such expression') }],
      });
      await world.watch();
      expect(await clockOf(spec)).toMatchObject({ status: 'synced', specVersion: 3, stands: 3 });
      await until(spec.startAt + PRECISION);
      expect(await world.ledger(spec.scheduleId)).toEqual(['12:05 dispatched']);
      const [delivered] = world.deliveries;
      expect(delivered).toMatchObject({ scheduledTime: spec.startAt, specVersion: 3 });
    });
  });
}
