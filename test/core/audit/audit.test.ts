/** The self-audit: what it finds, that it leaves alone what is well, and that it goes on where it was cut short. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readAudit } from '../../../core/audit/report.ts';
import { expectedBetween, twice, unaccounted } from '../../../core/audit/schedules.ts';
import { type AuditProgress, auditSlice, following } from '../../../core/audit/slice.ts';
import { occurrenceRunId } from '../../../core/ids.ts';
import { agentLimitId } from '../../../core/limits/model.ts';
import { handleEvent } from '../../../core/notifications/fanOut.ts';
import type { Ports } from '../../../core/ports.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import { createRun } from '../../../core/runs/service.ts';
import { deleteSchedule, pauseSchedule } from '../../../core/schedules/actions.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { listOccurrences } from '../../../core/schedules/ledgerLists.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import type { Write } from '../../../core/table/model.ts';
import { observeVm } from '../../../core/vms/release.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  eventsOf,
  MINUTE,
  page,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  storeWith,
  upTo,
} from '../support.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const options = { owner: 'test', budgetMs: 600_000 };
const audit = (ports: Ports = world.ports): Promise<AuditProgress> => auditSlice(ports, options);
const report = () => readAudit(world.ports, world.caller);
const keyOf = (write: Write) => (write.kind === 'put' ? write.item : write.key);
const losing = (lost: (write: Write) => boolean): Ports => ({
  ...world.ports,
  store: storeWith(world.ports.store, {
    transact: async (writes) => {
      const kept = writes.filter((write) => !lost(write));
      if (kept.length > 0) await world.ports.store.transact(kept);
    },
  }),
});
const sum = (name: string) =>
  world.measured.filter((each) => each.name === name).reduce((all, each) => all + each.value, 0);

describe('an audit', () => {
  it('says that there was none before there was one, and what it compared where all is well', async () => {
    expect(await report()).toMatchObject({ status: 'never', findings: [] });
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    for (const index of upTo(3)) {
      world.now = MONDAY_NOON + index * 5 * MINUTE;
      await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now });
    }
    const { id, runner } = await runningRun(world);
    world.now += 3 * MINUTE;
    await runner.beat([running(id)]);
    expect(await audit()).toBe('through');
    expect(await report()).toMatchObject({
      status: 'clean',
      counts: { missing: 0, double: 0, orphans: 0, leaks: 0, drifted: 0 },
      checked: { schedules: 1, occurrences: 3, runs: 2, vms: 1 },
    });
    expect(sum('AuditCycles')).toBe(1);
    expect([
      ...new Set(world.measured.filter(({ name }) => name.startsWith('Audit')).map(({ name }) => name)),
    ]).toHaveLength(7);
    expect(await audit()).toBe('resting');
    world.now += 61 * MINUTE;
    expect(await audit()).toBe('through');
  });

  it('fires what nobody decided, once its grace is over and not before', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    world.now = FIRST + 119 * SECOND;
    await audit();
    expect(await report()).toMatchObject({ status: 'clean' });
    world.now += 61 * MINUTE;
    expect(await audit()).toBe('through');
    const found = await report();
    expect(found).toMatchObject({ status: 'not_clean', counts: { double: 0, orphans: 0 } });
    expect(found.counts?.missing).toBeGreaterThan(0);
    expect(found.findings[0]).toMatchObject({
      kind: 'missing',
      subject: schedule.id,
      did: expect.stringMatching(/^fired it/),
    });
    const ledger = await listOccurrences(world.ports, world.caller, schedule.id, page);
    expect(ledger.items.length).toBeGreaterThan(0);
    world.now += 61 * MINUTE;
    await audit();
    // What was found and fired is in the ledger now; only what has come due since then is missing again.
    expect((await report()).findings.every(({ detail }) => !detail.includes('12:05:00Z'))).toBe(true);
  });

  it('finds an entry that the ledger has lost, though the schedule says that it was decided', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    world.now = FIRST;
    await fire(
      losing((write) => keyOf(write).sk.startsWith('OCC#')),
      { scheduleId: schedule.id, scheduledTime: FIRST },
    );
    world.now += 4 * MINUTE;
    await audit();
    expect(await report()).toMatchObject({
      counts: { missing: 1 },
      findings: [{ kind: 'missing', detail: expect.stringContaining('12:05:00Z'), did: 'fired it: ignored' }],
    });
  });

  it('compares what fell due since the last one began, however long ago that was', async () => {
    const cadence = { cron: '5 12 * * *', timezone: 'UTC' };
    const schedule = await world.schedule((await world.agent()).id, { cadence });
    await audit();
    world.now = FIRST;
    await fire(
      losing((write) => keyOf(write).sk.startsWith('OCC#')),
      { scheduleId: schedule.id, scheduledTime: FIRST },
    );
    world.now += 10 * 60 * MINUTE;
    await audit();
    expect(await report()).toMatchObject({ counts: { missing: 1 }, checked: { occurrences: 1 } });
    world.now += 10 * 60 * MINUTE;
    await audit();
    expect(await report()).toMatchObject({ status: 'clean', checked: { occurrences: 0 } });
  });

  it('finds nothing missing in a pause', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    await pauseSchedule(world.ports, world.caller, schedule.id, '', { kind: 'none' });
    world.now += 60 * MINUTE;
    await audit();
    expect(await report()).toMatchObject({ status: 'clean' });
  });

  it('puts a clock again that was lost or changed by hand, and leaves one that follows', async () => {
    const agent = await world.agent();
    const [lost, kept] = [await world.schedule(agent.id), await world.schedule(agent.id)];
    const spec = world.clocks.get(kept.id);
    world.clocks.delete(lost.id);
    await audit();
    expect(await report()).toMatchObject({ counts: { drifted: 1 }, findings: [{ kind: 'drifted', subject: lost.id }] });
    expect(world.clocks.get(lost.id)).toMatchObject({ specVersion: 1 });
    expect(world.clocks.get(kept.id)).toBe(spec);
  });

  it('deletes a clock that has no row, and one whose schedule is paused', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    const spec = world.clocks.get(schedule.id);
    if (spec === undefined) throw new Error('no clock');
    await pauseSchedule(world.ports, world.caller, schedule.id, '', { kind: 'none' });
    // A put that was long on its way arrives after the pause; another belongs to a table that was restored.
    world.clocks.set(schedule.id, spec);
    world.clocks.set('sch_gone', { ...spec, scheduleId: 'sch_gone' });
    await audit();
    expect([...world.clocks.keys()]).toEqual([]);
    expect(sum('AuditOrphans')).toBe(2);
    // What names no tenant is shown to none.
    expect((await report()).findings).toMatchObject([{ subject: schedule.id }]);
  });

  it.each([
    ['completed', async (id: string) => fire(world.ports, { scheduleId: id, scheduledTime: FIRST })],
    [
      'deleted',
      async (id: string) => deleteSchedule(world.ports, world.caller, id, { kind: 'any' }, { cancelRuns: false }),
    ],
  ] satisfies [string, (id: string) => Promise<unknown>][])(
    'deletes a clock that was left over from a schedule that is %s',
    async (status, end) => {
      const agent = await world.agent();
      const { id } = await world.schedule(agent.id, { remainingRuns: 1 });
      const spec = world.clocks.get(id);
      if (spec === undefined) throw new Error('no clock');
      world.now = FIRST;
      await end(id);
      for (const event of await eventsOf(world, keys.schedule(id).pk)) await handleEvent(world.ports, event);
      expect((await scheduleRow(world, id)).status).toBe(status);
      expect([...world.clocks.keys()]).toEqual([]);
      // A put that was long on its way arrives after all.
      world.clocks.set(id, spec);
      await audit();
      expect([...world.clocks.keys()]).toEqual([]);
      expect(await report()).toMatchObject({ counts: { orphans: 1 }, findings: [{ subject: id }] });
    },
  );

  it('ends a run whose VM is gone and did not take it along', async () => {
    const { id, vmId } = await runningRun(world);
    world.observations.set(vmId, { status: 'terminated', detail: 'spot interruption' });
    // All that would end the run is acknowledged and lost.
    const { store } = world.ports;
    const forgetful = storeWith(store, {
      transact: async (writes) => {
        if (!writes.some((write) => keyOf(write).pk === keys.run(id).pk)) await store.transact(writes);
      },
    });
    await observeVm({ ...world.ports, store: forgetful }, vmId);
    expect((await runRow(world, id)).status).toBe('running');
    await audit();
    expect(await report()).toMatchObject({ counts: { orphans: 1 }, findings: [{ kind: 'orphans', subject: id }] });
    expect((await runRow(world, id)).status).toBe('lost');
  });

  it('is not clean where it could not read something: its clock may be gone (never say more than is proven)', async () => {
    const cadence = { cron: '0 0 1 1 *', timezone: 'UTC' };
    const { id } = await world.schedule((await world.agent()).id, { cadence });
    await world.ports.store.transact([
      { kind: 'update', key: keys.schedule(id), set: { schemaVersion: 99 }, guards: [] },
    ]);
    world.clocks.delete(id);
    await audit();
    expect(await report()).toMatchObject({ status: 'not_clean', unread: 1, counts: { missing: 0, drifted: 0 } });
    expect(sum('AuditUnread')).toBe(1);
    expect(await readAudit(world.ports, { tenantId: 'another' })).toMatchObject({ status: 'clean', unread: 0 });
    await world.ports.store.transact([
      { kind: 'update', key: keys.schedule(id), set: { schemaVersion: 1 }, guards: [] },
    ]);
    world.now += 61 * MINUTE;
    await audit();
    expect(await report()).toMatchObject({ unread: 0, counts: { drifted: 1 } });
  });

  it('goes on past a clock whose row a newer Candor wrote, and counts it', async () => {
    const agent = await world.agent();
    const [unreadable, left] = [await world.schedule(agent.id), await world.schedule(agent.id)];
    await world.ports.store.transact([
      { kind: 'update', key: keys.schedule(unreadable.id), set: { schemaVersion: 99 }, guards: [] },
      { kind: 'delete', key: keys.schedule(left.id), guards: [] },
    ]);
    expect(await audit()).toBe('through');
    // The unreadable one may want its clock: only what has no row at all is deleted.
    expect([...world.clocks.keys()]).toEqual([unreadable.id]);
    expect(await world.ports.store.get(keys.system('audit'))).toMatchObject({ detail: { orphans: 1, unread: 2 } });
  });

  it('finds a place that nobody holds', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 2 } });
    const [first, second] = [
      await createRun(world.ports, world.caller, agent.id, {}),
      await createRun(world.ports, world.caller, agent.id, {}),
    ];
    const limitId = agentLimitId(agent.id);
    const found = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: '' };
    await finishRun(
      losing((write) => keyOf(write).pk === keys.limit(limitId).pk),
      first.id,
      { status: 'failed', evidence: found },
      { attempt: 1 },
    );
    await audit();
    expect(await report()).toMatchObject({ counts: { leaks: 1 }, findings: [{ subject: limitId }] });
    const holders = await world.ports.store.query({ ...keys.limit(limitId), prefix: 'HOLD#', limit: 10 });
    expect(holders.items.map((item) => item.runId)).toEqual([second.id]);
  });
});

describe('a slice', () => {
  it('does bounded work, and the next call goes on from there to the same report', async () => {
    const agent = await world.agent();
    for (const _each of upTo(60)) await world.schedule(agent.id);
    world.clocks.clear();
    const slices: AuditProgress[] = [];
    do slices.push(await auditSlice(world.ports, { owner: 'test', budgetMs: -1 }));
    while (slices.at(-1) !== 'through');
    expect(slices.length).toBeGreaterThan(10);
    expect(await report()).toMatchObject({ checked: { schedules: 60 }, counts: { drifted: 60 } });
    expect((await report()).findings).toHaveLength(50);
  });

  it('that dies half way is gone on with, and shows the last whole report until then', async () => {
    const agent = await world.agent();
    const lost = await world.schedule(agent.id);
    world.clocks.delete(lost.id);
    await audit();
    world.now += 61 * MINUTE;
    await auditSlice(world.ports, { owner: 'test', budgetMs: -1 });
    expect(await report()).toMatchObject({ counts: { drifted: 1 }, running: { stage: 'schedules' } });
  });

  it('at the same time as another counts nothing twice', async () => {
    const agent = await world.agent();
    await world.schedule(agent.id);
    await Promise.all([audit(), audit(), audit()]);
    while ((await audit()) === 'going_on');
    expect(await report()).toMatchObject({ checked: { schedules: 1 } });
    expect(sum('AuditCycles')).toBe(1);
  });

  it('tells a tenant nothing of another one (I12)', async () => {
    const agent = await world.agent();
    const { id } = await world.schedule(agent.id);
    world.clocks.delete(id);
    await audit();
    const other = await readAudit(world.ports, { tenantId: 'another' });
    expect(other).toMatchObject({ status: 'clean', findings: [], checked: { schedules: 0 } });
  });
});

describe('the pure parts', () => {
  it('walk all stages and shards, and come to an end', () => {
    const steps: string[] = [];
    let at: ReturnType<typeof following> = { stage: 'schedules', shard: 0 };
    while (at !== undefined) {
      steps.push(`${at.stage} ${at.shard}`);
      at = following(at, undefined, 2);
    }
    expect(steps).toEqual([
      'schedules 0',
      'schedules 1',
      'runs 0',
      'runs 1',
      'vms 0',
      'vms 1',
      'clocks 0',
      'instances 0',
    ]);
  });

  it('compare what was expected with entries and ranges', () => {
    const revisions = [
      {
        specVersion: 1,
        from: 0,
        active: true,
        cadence: { kind: 'every', everySeconds: 60, startAt: 0 } as const,
        by: 'me',
      },
    ];
    const expected = expectedBetween({ revisions }, 0, 5 * MINUTE);
    expect(expected).toEqual([0, 1, 2, 3, 4, 5].map((index) => index * MINUTE));
    const range = { at: MINUTE, through: 3 * MINUTE };
    expect(unaccounted(expected, [{ at: 0 }, range, { at: 5 * MINUTE }])).toEqual([4 * MINUTE]);
    expect(twice('sch_x', [range, { at: 2 * MINUTE }])).toHaveLength(1);
    expect(
      twice('sch_x', [
        { at: 0, runId: occurrenceRunId('sch_x', 0) },
        { at: MINUTE, runId: 'run_x' },
      ]),
    ).toHaveLength(1);
  });
});
