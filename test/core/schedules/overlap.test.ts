import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoSecond } from '../../../core/contract/common.ts';
import { OVERLAP_POLICIES, type OverlapPolicy } from '../../../core/contract/schedules.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import type { Store } from '../../../core/ports.ts';
import { finishRun, type Verdict } from '../../../core/runs/finish.ts';
import type { EventRow, RunRow } from '../../../core/runs/model.ts';
import { listScheduleRuns } from '../../../core/runs/scheduleRuns.ts';
import { getRun } from '../../../core/runs/service.ts';
import { pauseSchedule, resumeSchedule } from '../../../core/schedules/actions.ts';
import { advanceSchedule } from '../../../core/schedules/advance.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import { getSchedule, patchSchedule } from '../../../core/schedules/service.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import { MINUTE, running, runRow, startingFrom, storeWith } from '../support.ts';

const STEP = 5 * MINUTE;
const FIRST = MONDAY_NOON + STEP;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

async function scheduled(overlapPolicy: OverlapPolicy, more: Parameters<World['schedule']>[1] = {}) {
  const agent = await world.agent();
  return world.schedule(agent.id, { overlapPolicy, ...more });
}

const fireAt = (scheduleId: string, at: number) => {
  world.now = Math.max(world.now, at);
  return fire(world.ports, { scheduleId, scheduledTime: at });
};
const ledger = async (scheduleId: string) => {
  const list = await listOccurrences(world.ports, world.caller, scheduleId, { limit: 100 });
  return list.items.map((each) => [each.occurrence, each.disposition, each.reason ?? ''] as const).reverse();
};
const body = (scheduleId: string) => getSchedule(world.ports, world.caller, scheduleId);
const runOf = (runId: string) => getRun(world.ports, world.caller, runId);

/** Ends a run; what follows from its event follows when the event is delivered, here twice, as streams do. */
async function end(runId: string, verdict: Partial<Verdict> = {}, deliver = true): Promise<void> {
  const evidence = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' };
  await finishRun(world.ports, runId, { status: 'succeeded', evidence, ...verdict }, { attempt: 1 });
  if (deliver) await deliverEnd(runId);
}

async function deliverEnd(runId: string): Promise<void> {
  const run = (await world.ports.store.get(keys.run(runId))) as unknown as RunRow;
  const event = (await world.ports.store.get(keys.runEvent(runId, run.version))) as unknown as EventRow;
  const events = [event, await latestScheduleEvent(run.scheduleId ?? '')];
  for (const each of [...events, ...events]) if (each !== undefined) await handleEvent(world.ports, each);
}

async function latestScheduleEvent(scheduleId: string): Promise<EventRow | undefined> {
  const schedule = (await world.ports.store.get(keys.schedule(scheduleId))) as unknown as { version: number };
  return (await world.ports.store.get(keys.scheduleEvent(scheduleId, schedule.version))) as unknown as
    | EventRow
    | undefined;
}

const idOf = (result: Awaited<ReturnType<typeof fire>>) => ('runId' in result ? result.runId : '');
const placed = () => new Set(world.executions.map((each) => each.input.runId));

describe('each policy, with a run still live', () => {
  it('skip: the occurrence is skipped and names the run', async () => {
    const { id } = await scheduled('skip');
    const first = idOf(await fireAt(id, FIRST));
    expect(await fireAt(id, FIRST + STEP)).toMatchObject({ outcome: 'skipped', reason: 'overlap' });
    const [second] = (await listOccurrences(world.ports, world.caller, id, { limit: 2 })).items;
    expect(second?.blockingRunId).toBe(first);
  });

  it('buffer_one: one waits, the next ones are skipped, and the one that waited runs after the end', async () => {
    const { id } = await scheduled('buffer_one');
    const first = idOf(await fireAt(id, FIRST));
    expect(await fireAt(id, FIRST + STEP)).toEqual({ outcome: 'buffered', duplicate: false });
    expect(await fireAt(id, FIRST + STEP)).toEqual({ outcome: 'buffered', duplicate: true });
    expect(await fireAt(id, FIRST + 2 * STEP)).toMatchObject({ outcome: 'skipped', reason: 'buffer_full' });
    expect(await body(id)).toMatchObject({ buffered: [isoSecond(FIRST + STEP)], overdue: false, liveRuns: [first] });

    await end(first);

    expect((await ledger(id)).map(([, disposition]) => disposition)).toEqual(['dispatched', 'dispatched', 'skipped']);
    const after = await body(id);
    expect(after.buffered).toEqual([]);
    expect(after.liveRuns).toHaveLength(1);
    expect(placed()).toEqual(new Set([first, ...after.liveRuns]));
  });

  it('buffer_all: all wait in order, at most 50, and run one after the other', async () => {
    const { id } = await scheduled('buffer_all', {
      cadence: { cron: '* * * * *', timezone: 'UTC' },
      catchupWindow: 'P1D',
    });
    let live = idOf(await fireAt(id, MONDAY_NOON + MINUTE));
    await fireAt(id, MONDAY_NOON + 53 * MINUTE);
    const entries = await ledger(id);
    expect(entries.filter(([, disposition]) => disposition === 'buffered')).toHaveLength(50);
    expect(entries.filter(([, , reason]) => reason === 'buffer_full')).toHaveLength(2);
    const order: string[] = [];
    for (let index = 0; index < 50; index++) {
      await end(live);
      const { liveRuns } = await body(id);
      expect(liveRuns).toHaveLength(1);
      live = liveRuns[0] ?? '';
      order.push((await runOf(live)).occurrence ?? '');
    }
    expect(order).toEqual([...order].sort());
    expect((await body(id)).buffered).toEqual([]);
  });

  it.each(['cancel_other', 'terminate_other'] as const)(
    '%s: the new run waits until the other one is gone',
    async (policy) => {
      const { id } = await scheduled(policy);
      const first = idOf(await fireAt(id, FIRST));
      const second = idOf(await fireAt(id, FIRST + STEP));
      // The first had no VM yet: its cancel ends it at once, and the second is let go.
      expect(await runOf(first)).toMatchObject({ status: 'cancelled', reason: 'displaced' });
      expect(await runOf(second)).toMatchObject({ status: 'queued' });
      expect((await runOf(second)).waiting).toBeUndefined();
      expect(await body(id)).toMatchObject({ liveRuns: [second] });
      expect(placed()).toEqual(new Set([first, second]));
    },
  );

  it('allow_all: both run', async () => {
    const { id } = await scheduled('allow_all');
    const first = idOf(await fireAt(id, FIRST));
    const second = idOf(await fireAt(id, FIRST + STEP));
    expect((await body(id)).liveRuns).toEqual([first, second]);
  });
});

/** Each policy in each of the ways, named. */
const each = <Way extends string>(policies: readonly OverlapPolicy[], ways: readonly Way[]) =>
  policies.flatMap((policy) => ways.map((way) => [policy, way] as const));
const watch = () => tick(world.ports, { owner: 'test', budgetMs: 10_000 });

/** Ports of a fire that dies after its commit: before it has told a displaced run, or placed its own. */
const dying = () => ({
  ...world.ports,
  store: storeWith(world.ports.store, { get: () => Promise.reject(new Error('crash')) }),
  workflow: { ...world.ports.workflow, start: () => Promise.reject(new Error('crash')) },
});

describe('each policy, crashed between commit and placement', () => {
  it.each(each(OVERLAP_POLICIES, ['a second delivery', 'the watchdog']))(
    '%s: %s places what was committed, once',
    async (policy, by) => {
      const { id } = await scheduled(policy);
      world.now = FIRST;
      await expect(fire(dying(), { scheduleId: id, scheduledTime: FIRST })).rejects.toThrow('crash');
      expect(placed().size).toBe(0);
      if (by === 'a second delivery')
        expect(await fireAt(id, FIRST)).toMatchObject({ outcome: 'dispatched', duplicate: true });
      else {
        world.now += 20_000;
        expect((await watch()).actions).toMatchObject([{ rule: 'queued_unplaced' }]);
      }
      const { liveRuns } = await body(id);
      expect(liveRuns).toHaveLength(1);
      expect(placed()).toEqual(new Set(liveRuns));
      // Whoever comes after finds it placed.
      await fireAt(id, FIRST);
      world.now += 20_000;
      expect((await watch()).actions).toEqual([]);
      expect(await ledger(id)).toEqual([[isoSecond(FIRST), 'dispatched', '']]);
      expect((await body(id)).liveRuns).toEqual(liveRuns);
    },
  );

  it.each(['cancel_other', 'terminate_other'] as const)(
    '%s: the watchdog tells the displaced run, where the fire died before it could',
    async (policy) => {
      const { id } = await scheduled(policy);
      const first = idOf(await fireAt(id, FIRST));
      world.now = FIRST + STEP;
      await expect(fire(dying(), { scheduleId: id, scheduledTime: world.now })).rejects.toThrow('crash');
      expect(await runOf(first)).toMatchObject({ status: 'queued' });
      const waiting = (await body(id)).liveRuns[1] ?? '';
      expect(await runOf(waiting)).toMatchObject({ waiting: { reason: 'overlap', blockedBy: [first] } });
      expect(placed()).toEqual(new Set([first]));

      world.now += 21_000;
      await watch();

      expect(await runOf(first)).toMatchObject({ status: 'cancelled', reason: 'displaced' });
      expect(placed().has(waiting)).toBe(true);
    },
  );

  it.each(['buffer_one', 'buffer_all'] as const)(
    '%s: the watchdog drains a buffer whose event was lost',
    async (policy) => {
      const { id } = await scheduled(policy);
      const first = idOf(await fireAt(id, FIRST));
      await fireAt(id, FIRST + STEP);
      await end(first, {}, false);
      expect((await body(id)).buffered).toHaveLength(1);
      world.now += 61_000;
      await watch();
      expect(await body(id)).toMatchObject({ buffered: [] });
      expect((await body(id)).liveRuns).toHaveLength(1);
    },
  );
});

describe('each policy, with the run ending at the same instant', () => {
  it.each(OVERLAP_POLICIES)(
    '%s: every occurrence ends with one disposition, and nothing is left waiting',
    async (policy) => {
      for (let round = 0; round < 8; round++) {
        const { id } = await scheduled(policy);
        world.now = Math.ceil((world.now + 1) / STEP) * STEP;
        const first = idOf(await fireAt(id, world.now));
        world.now += STEP;
        await Promise.all([fire(world.ports, { scheduleId: id, scheduledTime: world.now }), end(first)]);
        await advanceSchedule(world.ports, id);
        const after = await body(id);
        expect(after.buffered).toEqual([]);
        expect(after.liveRuns.length).toBeLessThanOrEqual(1);
        for (const runId of after.liveRuns) {
          expect((await runOf(runId)).waiting).toBeUndefined();
          expect(placed().has(runId)).toBe(true);
        }
        const entries = await ledger(id);
        expect(entries).toHaveLength(2);
        expect(entries.every(([, disposition]) => disposition === 'dispatched' || disposition === 'skipped')).toBe(
          true,
        );
        expect((await listScheduleRuns(world.ports, world.caller, id, { limit: 10 })).items).toHaveLength(
          entries.filter(([, disposition]) => disposition === 'dispatched').length,
        );
      }
    },
  );
});

describe('each policy, with the run lost', () => {
  it.each(OVERLAP_POLICIES)('%s: a lost run frees its schedule like any other end', async (policy) => {
    const { id } = await scheduled(policy);
    const first = idOf(await fireAt(id, FIRST));
    await end(first, { status: 'lost', reason: 'vm_terminated' });
    expect(await fireAt(id, FIRST + STEP)).toMatchObject({ outcome: 'dispatched' });
    expect(await body(id)).toMatchObject({ failureStreak: 0 });
  });
});

/** What has become of the first and the second occurrence once the run that was live at the second one is gone. */
const AFTER_LOSS = {
  skip: { second: 'skipped', live: 0 },
  buffer_one: { second: 'dispatched', live: 1 },
  buffer_all: { second: 'dispatched', live: 1 },
  cancel_other: { second: 'dispatched', live: 1 },
  terminate_other: { second: 'dispatched', live: 1 },
  allow_all: { second: 'dispatched', live: 1 },
} as const satisfies Record<OverlapPolicy, { readonly second: string; readonly live: number }>;

describe('each policy, with the run lost while another occurrence is behind it', () => {
  /** A run that is under way on a VM, and the second occurrence decided behind it. */
  async function blocked(policy: OverlapPolicy, dies: boolean) {
    const { id } = await scheduled(policy);
    const first = idOf(await fireAt(id, FIRST));
    const { vmId, runner } = await startingFrom(world, first);
    await runner.beat();
    world.now = FIRST + STEP;
    await runner.beat([running(first)]);
    // A displaced run that was told would end as cancelled: the fire dies before it tells it.
    const second = { scheduleId: id, scheduledTime: world.now };
    if (dies) await expect(fire(dying(), second)).rejects.toThrow('crash');
    else await fire(world.ports, second);
    world.observations.set(vmId, { status: 'terminated', detail: 'spot interruption' });
    return { id, first, vmId };
  }
  const displaces = (policy: OverlapPolicy) => policy === 'cancel_other' || policy === 'terminate_other';

  async function expectGone(policy: OverlapPolicy, id: string, first: string, statuses: readonly string[]) {
    expect(statuses).toContain((await runOf(first)).status);
    const { second, live } = AFTER_LOSS[policy];
    expect((await ledger(id)).map(([, disposition]) => disposition)).toEqual(['dispatched', second]);
    const after = await body(id);
    expect(after.buffered).toEqual([]);
    expect(after.liveRuns).toHaveLength(live);
    expect(after.liveRuns).not.toContain(first);
    for (const runId of after.liveRuns) expect((await runOf(runId)).waiting).toBeUndefined();
    expect(placed()).toEqual(new Set([first, ...after.liveRuns]));
  }

  it.each(each(OVERLAP_POLICIES, ['its event', 'the watchdog alone']))(
    '%s: %s lets go what waits, once',
    async (policy, by) => {
      const { id, first, vmId } = await blocked(policy, displaces(policy));
      if (by === 'its event') {
        await observeVm(world.ports, vmId);
        await deliverEnd(first);
      } else
        for (let round = 0; round < 3; round++) {
          world.now += MINUTE + 1000;
          await watch();
        }
      // The watchdog looks at both at once: either it tells the displaced run first, and its VM's end is what was asked for,
      // or it sees first that the VM is gone.
      const told = displaces(policy) && by === 'the watchdog alone';
      await expectGone(policy, id, first, told ? ['cancelled', 'lost'] : ['lost']);
    },
  );

  it.each(['cancel_other', 'terminate_other'] as const)(
    '%s: a displaced run whose VM dies before it obeys ends as cancelled, and lets go what waits',
    async (policy) => {
      const { id, first, vmId } = await blocked(policy, false);
      expect((await runOf(first)).status).toBe('cancelling');
      await observeVm(world.ports, vmId);
      await deliverEnd(first);
      await expectGone(policy, id, first, ['cancelled']);
    },
  );
});

it('cancel_other: what is let go and not placed is looked at by its queue deadline', async () => {
  const limits = { queueTimeout: 'PT1M', maxConcurrentRuns: 5 };
  const agent = await world.agent({ limits });
  const { id } = await world.schedule(agent.id, { overlapPolicy: 'cancel_other' });
  const first = idOf(await fireAt(id, FIRST));
  world.now = FIRST + STEP;
  await expect(fire(dying(), { scheduleId: id, scheduledTime: world.now })).rejects.toThrow('crash');
  const second = (await body(id)).liveRuns[1] ?? '';
  world.now += 50_000;
  await end(first, {}, false);
  let commits = 0;
  const transact: Store['transact'] = (writes) =>
    commits++ === 0 ? world.ports.store.transact(writes) : Promise.reject(new Error('crash'));
  await advanceSchedule({ ...world.ports, store: storeWith(world.ports.store, { transact }) }, id).catch(
    () => undefined,
  );
  const { waiting, checkAt, deadlineAt } = await runRow(world, second);
  expect({ waiting, checkAt, deadlineAt }).toEqual({ checkAt: deadlineAt, deadlineAt: FIRST + STEP + MINUTE });
});

describe('each policy, with two occurrences decided at the same instant', () => {
  it.each(OVERLAP_POLICIES)('%s: both are decided once, the earlier one first', async (policy) => {
    const { id } = await scheduled(policy);
    world.now = FIRST + STEP + 100;
    await Promise.all(
      [FIRST + STEP, FIRST, FIRST + STEP, FIRST].map((at) => fire(world.ports, { scheduleId: id, scheduledTime: at })),
    );
    await advanceSchedule(world.ports, id);
    const [first, second] = await ledger(id);
    const expected = { skip: 'skipped', buffer_one: 'buffered', buffer_all: 'buffered' } as Record<string, string>;
    expect([first?.[1], second?.[1]]).toEqual(['dispatched', expected[policy] ?? 'dispatched']);
    const { liveRuns } = await body(id);
    expect(liveRuns).toHaveLength(policy === 'allow_all' ? 2 : 1);
  });
});

describe('pause, completion and triggers meet what waits', () => {
  it('settles what is buffered in the transaction of the pause; nothing of it ever runs', async () => {
    const { id } = await scheduled('buffer_all');
    const first = idOf(await fireAt(id, FIRST));
    await fireAt(id, FIRST + STEP);
    await fireAt(id, FIRST + 2 * STEP);
    await pauseSchedule(world.ports, world.caller, id, '', { kind: 'none' });
    await end(first);
    expect((await ledger(id)).map(([, disposition, reason]) => `${disposition} ${reason}`)).toEqual([
      'dispatched ',
      'skipped paused',
      'skipped paused',
    ]);
    await resumeSchedule(world.ports, world.caller, id, { kind: 'none' });
    expect(await body(id)).toMatchObject({ liveRuns: [], buffered: [], status: 'active' });
  });

  it('never resumes into the past: what was due before the pause and not yet decided is recorded, not run', async () => {
    const { id } = await scheduled('allow_all');
    world.now = FIRST + 1000;
    await pauseSchedule(world.ports, world.caller, id, '', { kind: 'none' });
    world.now = FIRST + STEP + 2000;
    await resumeSchedule(world.ports, world.caller, id, { kind: 'none' });
    expect(await fireAt(id, FIRST)).toMatchObject({ outcome: 'skipped', reason: 'paused', duplicate: true });
    expect(await ledger(id)).toEqual([[isoSecond(FIRST), 'skipped', 'paused']]);
  });

  it('completes with the last remaining run, and has no occurrence after it', async () => {
    const { id } = await scheduled('allow_all', { remainingRuns: 2 });
    expect((await body(id)).nextOccurrences).toHaveLength(2);
    await fireAt(id, FIRST);
    expect(await body(id)).toMatchObject({ status: 'active', remainingRuns: 1 });
    await fireAt(id, FIRST + STEP);
    expect(await body(id)).toMatchObject({ status: 'completed', remainingRuns: 0, nextOccurrences: [] });
    expect(await fireAt(id, FIRST + 2 * STEP)).toMatchObject({ outcome: 'ignored' });
    const revived = await patchSchedule(world.ports, world.caller, id, { remainingRuns: 1 }, { kind: 'any' });
    expect(revived).toMatchObject({ status: 'active', remainingRuns: 1 });
    expect(revived.nextOccurrences).toEqual([isoSecond(FIRST + 3 * STEP)]);
  });

  it('does not consume a remaining run by a trigger (I11), and refuses it where an occurrence would have to wait', async () => {
    const { id } = await scheduled('buffer_one', { remainingRuns: 5 });
    const run = await triggerSchedule(world.ports, world.caller, id, {}, { kind: 'none' });
    expect(await body(id)).toMatchObject({ remainingRuns: 5, liveRuns: [run.id] });
    await expect(triggerSchedule(world.ports, world.caller, id, {}, { kind: 'none' })).rejects.toMatchObject({
      code: 'overlap',
    });
  });
});

describe('pauseOnFailure', () => {
  const failed = { status: 'failed', reason: 'exit_code', exitCode: 1 } as const;

  it("pauses after the agent's own failures in a row, with the reason, and nothing fires until somebody resumes", async () => {
    const { id } = await scheduled('skip', { pauseOnFailure: { consecutive: 2 } });
    await end(idOf(await fireAt(id, FIRST)), failed);
    expect(await body(id)).toMatchObject({ status: 'active', failureStreak: 1 });
    await end(idOf(await fireAt(id, FIRST + STEP)), { ...failed, status: 'timed_out', reason: 'run_timeout' });
    expect(await body(id)).toMatchObject({
      status: 'paused',
      pause: { kind: 'auto', reason: '2 failures in a row', by: 'candor' },
      version: 2,
    });
    expect(world.clocks.has(id)).toBe(false);
    expect(await fireAt(id, FIRST + 2 * STEP)).toMatchObject({ outcome: 'ignored' });
    const resumed = await resumeSchedule(world.ports, world.caller, id, { kind: 'none' });
    expect(resumed).toMatchObject({ status: 'active', failureStreak: 0 });
    expect(resumed.pause).toBeUndefined();
  });

  it('does not count infrastructure faults, losses and cancels, and a success clears the count', async () => {
    const { id } = await scheduled('skip', { pauseOnFailure: { consecutive: 2 } });
    const verdicts: Partial<Verdict>[] = [
      failed,
      { status: 'failed', reason: 'capacity' },
      { status: 'failed', reason: 'start_timeout' },
      { status: 'lost', reason: 'vm_terminated' },
      { status: 'cancelled', reason: 'cancelled' },
      { status: 'succeeded' },
      failed,
    ];
    const streaks: number[] = [];
    for (const [index, verdict] of verdicts.entries()) {
      await end(idOf(await fireAt(id, FIRST + index * STEP)), verdict);
      streaks.push((await body(id)).failureStreak);
    }
    expect(streaks).toEqual([1, 1, 1, 1, 1, 0, 1]);
    expect((await body(id)).status).toBe('active');
  });
});
