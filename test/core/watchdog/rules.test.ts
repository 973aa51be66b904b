/**
 * Every rule that is not in `tick.test.ts`: the stuck state is reached (something is killed, cut off or lost), found, and
 * put right with evidence, an event and a measurement; and its twin, which is almost stuck, is left alone.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { agentLimitId } from '../../../core/limits/model.ts';
import type { Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import { createRun } from '../../../core/runs/service.ts';
import { deleteSchedule } from '../../../core/schedules/actions.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { triggerSchedule } from '../../../core/schedules/trigger.ts';
import { keys, STRAY_INSTANCES } from '../../../core/table/keys.ts';
import type { Write } from '../../../core/table/model.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { executionVerdict } from '../../../core/watchdog/rules/provisioning.ts';
import { decideStray, whyStray } from '../../../core/watchdog/rules/strays.ts';
import { type TickReport, tick } from '../../../core/watchdog/tick.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../../support/world.ts';
import {
  apiRun,
  ended,
  MINUTE,
  running,
  runningRun,
  runRow,
  SECOND,
  scheduleRow,
  startingFrom,
  storeWith,
  vmRow,
} from '../support.ts';

const FIRST = MONDAY_NOON + 5 * MINUTE;
const none = { kind: 'none' } as const;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const look = (ports: Ports = world.ports): Promise<TickReport> => tick(ports, { owner: 'test', budgetMs: 60_000 });

/** Time passes with a tick every ten seconds, so that the watchdog has no gap of its own. */
async function pass(milliseconds: number, each: () => Promise<unknown> = async () => {}): Promise<readonly string[]> {
  const rules: string[] = [];
  const until = world.now + milliseconds;
  while (world.now < until) {
    world.now = Math.min(world.now + 10 * SECOND, until);
    await each();
    rules.push(...(await look()).actions.map(({ rule }) => rule));
  }
  return rules;
}

/** Each recovery says what was seen, beside the events of its subject, and is counted by its rule. */
async function expectTold(rule: string, pk: string, because: RegExp): Promise<void> {
  const notes = await world.ports.store.query({ pk, prefix: 'NOTE#watchdog#', limit: 50 });
  const told = notes.items.filter((note) => note.type === `watchdog.${rule}`);
  expect(told).not.toEqual([]);
  expect(told[0]).toMatchObject({ detail: { because: expect.stringMatching(because) as string } });
  expect(world.measured).toContainEqual({ name: 'Recoveries', value: 1, dimensions: { rule } });
}

const keyOf = (write: Write) => (write.kind === 'put' ? write.item : write.key);

/** A table that loses part of what is written, as a restore from a backup, or a fault of an older program, may leave it. */
const losing = (lost: (write: Write) => boolean): Ports => ({
  ...world.ports,
  store: storeWith(world.ports.store, {
    transact: (writes) => world.ports.store.transact(writes.filter((write) => !lost(write))),
  }),
});

const endWith = (ports: Ports, runId: string) =>
  finishRun(
    ports,
    runId,
    {
      status: 'succeeded',
      evidence: { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' },
    },
    { attempt: 1 },
  );

describe('an execution that is over', () => {
  const over = { status: 'failed', error: 'States.Runtime', detail: 'it failed: States.Runtime' } as const;

  it('and has left a provisioning run behind gives it another attempt, and its VM is released', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    world.executionLooks.set(`${id}-1`, over);
    expect(await pass(50 * SECOND)).toEqual([]);
    expect(await pass(20 * SECOND)).toContain('execution_over');
    expect(await runRow(world, id)).toMatchObject({ status: 'queued', attempt: 2 });
    expect((await vmRow(world, vmId)).status).toBe('draining');
    await expectTold('execution_over', keys.run(id).pk, /States\.Runtime/);
  });

  it('before it could open an intent is found by the run that is queued still', async () => {
    const { id } = await apiRun(world);
    world.executionLooks.set(`${id}-1`, over);
    expect(await pass(40 * SECOND)).toEqual(['execution_over']);
    expect(world.executions.at(-1)?.name).toBe(`${id}-2`);
    expect(await runRow(world, id)).toMatchObject({ attempt: 2 });
  });

  it('fails a run for good with the cause that no other VM would change', async () => {
    const { id } = await apiRun(world);
    world.executionLooks.set(`${id}-1`, { status: 'failed', error: 'LaunchMisconfigured', detail: 'no such image' });
    await pass(30 * SECOND);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'launch_misconfigured' });
  });

  it('is no finding while it is under way, to the start deadline', async () => {
    const { input } = await apiRun(world);
    await launchVm(world.ports, input);
    expect(await pass(14 * MINUTE)).toEqual([]);
  });

  it('means nothing for a run that was dispatched, or went on, before it ended', async () => {
    const { id } = await apiRun(world);
    const run = await runRow(world, id);
    const seen = { attempt: 1 };
    expect(executionVerdict(over, seen, run)).toBe('over');
    expect(executionVerdict(over, seen, { ...run, vmId: 'vm_x' })).toBe('leave');
    expect(executionVerdict(over, seen, { ...run, attempt: 2 })).toBe('leave');
    expect(executionVerdict(over, seen, { ...run, status: 'succeeded' })).toBe('leave');
    expect(executionVerdict(over, seen, undefined)).toBe('leave');
  });

  it('that nobody knows any more is started again; one that is merely too new is not', async () => {
    const { id, input } = await apiRun(world);
    await launchVm(world.ports, input);
    world.executionLooks.set(`${id}-1`, { status: 'unknown', detail: 'no such execution' });
    // It is there, and the description lags behind: the start says so.
    expect(await pass(70 * SECOND)).toEqual([]);
    const { workflow } = world.ports;
    const restarted: Ports = { ...world.ports, workflow: { ...workflow, start: async () => 'started' } };
    world.now += MINUTE;
    expect((await look(restarted)).actions).toMatchObject([
      { rule: 'execution_missing', because: 'no such execution' },
    ]);
  });

  it('is judged only after the lease that follows a gap of the watchdog (I9)', async () => {
    const { id, input } = await apiRun(world);
    await launchVm(world.ports, input);
    await look();
    world.executionLooks.set(`${id}-1`, over);
    world.now += 10 * MINUTE;
    expect(await look()).toMatchObject({ holding: true, actions: [] });
    expect((await runRow(world, id)).status).toBe('provisioning');
    world.now += 46 * SECOND;
    expect((await look()).actions.map(({ rule }) => rule)).toEqual(['execution_over']);
  });
});

describe('a VM whose instance dies while it boots', () => {
  it('is recorded within the minute, and not at the start deadline', async () => {
    const { id, input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    world.observations.set(vmId, { status: 'terminated', detail: 'spot interruption' });
    expect(await pass(70 * SECOND)).toEqual(['vm_died_booting']);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    expect((await runRow(world, id)).status).toBe('provisioning');
    await expectTold('vm_died_booting', keys.vm(vmId).pk, /spot interruption/);
  });

  it.each(['pending', 'running', 'unknown'] as const)('is left alone while the fleet calls it %s', async (status) => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    world.observations.set(vmId, { status, detail: 'slow' });
    expect(await pass(10 * MINUTE)).toEqual([]);
    expect((await vmRow(world, vmId)).status).toBe('booting');
  });
});

describe('an instance that no VM accounts for', () => {
  const instance = (vmId: string) =>
    ({
      instanceId: 'i-late',
      vmId,
      tenantId: 'local',
      status: 'running',
      detail: 'EC2 says that i-late is running',
    }) as const;

  /** A launch is never answered, its run is cancelled, its VM is settled as gone; then the instance appears. */
  async function lateInstance(): Promise<string> {
    const { id, input } = await apiRun(world);
    world.launchFault = new Error('no answer');
    await expect(launchVm(world.ports, input)).rejects.toThrow('no answer');
    const vmId = world.launches[0]?.vmId ?? '';
    world.observations.set(vmId, { status: 'terminated', detail: 'no instance has its tag' });
    await cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
    await pass(2 * MINUTE);
    expect((await vmRow(world, vmId)).status).toBe('terminated');
    world.instances.set('i-late', instance(vmId));
    return vmId;
  }

  it('is marked at a first look and terminated at the next', async () => {
    await lateInstance();
    world.terminations.length = 0;
    await pass(4 * MINUTE);
    expect(world.terminations).toEqual([]);
    const marks = await world.ports.store.query({ pk: STRAY_INSTANCES, limit: 10 });
    expect(marks.items).toMatchObject([{ sk: 'i-late' }]);
    expect(await pass(5 * MINUTE)).toEqual(['instance_stray']);
    expect(world.terminations).toEqual(['i-late']);
    await expectTold('instance_stray', keys.system('strays').pk, /was seen to be gone/);
    expect(world.measured).toContainEqual({ name: 'OrphanInstances', value: 1, dimensions: {} });
    world.instances.clear();
    await pass(5 * MINUTE);
    expect((await world.ports.store.query({ pk: STRAY_INSTANCES, limit: 10 })).items).toEqual([]);
  });

  it('is not terminated right after a gap of the watchdog, though it was marked before it (I9)', async () => {
    await lateInstance();
    await pass(4 * MINUTE);
    world.terminations.length = 0;
    world.now += 20 * MINUTE;
    expect(await look()).toMatchObject({ holding: true, actions: [] });
    expect(world.terminations).toEqual([]);
  });

  it('is not meant where a VM has it, is being launched, or takes it before the second look', async () => {
    const { input } = await apiRun(world);
    const { vmId } = await launchVm(world.ports, input);
    const vm = await vmRow(world, vmId);
    const own = { ...instance(vmId), instanceId: vm.instanceId ?? '' };
    expect(whyStray(own, vm)).toBeUndefined();
    expect(whyStray(instance(vmId), vm)).toContain(vm.instanceId);
    const { instanceId: _none, ...launching } = { ...vm, intent: { ...vm.intent, open: true } };
    expect(whyStray(instance(vmId), launching)).toBeUndefined();
    const view = { now: world.now, holdUntil: 0, config: world.ports.config };
    expect(decideStray(undefined, { firstSeenAt: 0 }, view)).toEqual({ do: 'forget' });
    expect(decideStray('nobody', { firstSeenAt: world.now - 44 * SECOND }, view)).toEqual({ do: 'nothing' });
    expect(decideStray('nobody', { firstSeenAt: world.now - 45 * SECOND }, view)).toMatchObject({ do: 'end' });
    world.instances.set(own.instanceId, own);
    expect(await pass(11 * MINUTE)).toEqual([]);
  });
});

describe('what an end left counted', () => {
  it('a slot is given back, and the VM goes', async () => {
    const { id, vmId, runner } = await runningRun(world);
    await endWith(
      losing((write) => keyOf(write).pk === keys.vm(vmId).pk),
      id,
    );
    expect((await vmRow(world, vmId)).slots).toHaveLength(1);
    expect(await pass(MINUTE, () => runner.beat([]))).toContain('slot_leaked');
    expect(await vmRow(world, vmId)).toMatchObject({ status: 'draining', slots: [] });
    await expectTold('slot_leaked', keys.vm(vmId).pk, /its slot was not given back/);
  });

  it('a slot of a run that is at work is none', async () => {
    const { id, vmId, runner } = await runningRun(world);
    expect(await pass(3 * MINUTE, () => runner.beat([running(id)]))).toEqual([]);
    expect((await vmRow(world, vmId)).slots).toHaveLength(1);
  });

  const limited = async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const create = async () => (await createRun(world.ports, world.caller, agent.id, {})).id;
    const [first, second] = [await create(), await create()];
    expect((await runRow(world, second)).waiting).toMatchObject({ reason: 'agent_limit' });
    return { limitId: agentLimitId(agent.id), first, second };
  };

  it.each([
    ['the place and the counter', () => true],
    ['the counter alone', (write: Write) => keyOf(write).sk === 'META'],
  ])('a limit is put right where %s was lost, and who waits is let in (I10)', async (_what, part) => {
    const { limitId, first, second } = await limited();
    await endWith(
      losing((write) => keyOf(write).pk === keys.limit(limitId).pk && part(write)),
      first,
    );
    expect((await world.ports.store.get(keys.limit(limitId)))?.used).toBe(1);
    expect(await pass(2 * MINUTE)).toContain('place_leaked');
    expect((await runRow(world, second)).admittedAt).toBeDefined();
    expect((await world.ports.store.get(keys.limit(limitId)))?.used).toBe(1);
    const holders = await world.ports.store.query({ ...keys.limit(limitId), prefix: 'HOLD#', limit: 10 });
    expect(holders.items.map((item) => item.runId)).toEqual([second]);
    await expectTold('place_leaked', keys.run(second).pk, /counted it still|place\(s\) are held/);
  });

  it('a limit whose holder is at work is full', async () => {
    const { limitId, first, second } = await limited();
    const { runner } = await startingFrom(world, first);
    await runner.beat();
    expect(await pass(5 * MINUTE, () => runner.beat([running(first)]))).toEqual([]);
    expect((await runRow(world, second)).admittedAt).toBeUndefined();
    expect((await world.ports.store.get(keys.limit(limitId)))?.used).toBe(1);
  });

  const buffering = async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id, { overlapPolicy: 'buffer_one' });
    const live = (await triggerSchedule(world.ports, world.caller, schedule.id, {}, none)).id;
    world.now = FIRST + SECOND;
    await look();
    expect(await fire(world.ports, { scheduleId: schedule.id, scheduledTime: FIRST })).toMatchObject({
      outcome: 'buffered',
    });
    return { schedule, live };
  };

  it('a live run that is none is taken out, and the buffered occurrence gets its turn (I5)', async () => {
    const { schedule, live } = await buffering();
    await endWith(
      losing((write) => keyOf(write).pk === keys.schedule(schedule.id).pk),
      live,
    );
    expect((await scheduleRow(world, schedule.id)).liveRuns).toEqual([live]);
    expect(await pass(70 * SECOND)).toContain('live_run_leaked');
    const row = await scheduleRow(world, schedule.id);
    expect(row.buffer).toEqual([]);
    expect(row.liveRuns).not.toContain(live);
    await expectTold('live_run_leaked', keys.schedule(schedule.id).pk, /counted it as live still/);
  });

  it('a delete that waits for a run which is over comes to its end', async () => {
    const agent = await world.agent();
    const schedule = await world.schedule(agent.id);
    const live = (await triggerSchedule(world.ports, world.caller, schedule.id, {}, none)).id;
    await startingFrom(world, live);
    await deleteSchedule(world.ports, world.caller, schedule.id, { kind: 'any' }, { cancelRuns: true });
    await endWith(
      losing((write) => keyOf(write).pk === keys.schedule(schedule.id).pk),
      live,
    );
    expect((await scheduleRow(world, schedule.id)).status).toBe('deleting');
    await pass(2 * MINUTE);
    expect((await scheduleRow(world, schedule.id)).status).toBe('deleted');
  });

  it('a buffered occurrence with no live run is called, where the fan-out of the end was lost', async () => {
    const { schedule, live } = await buffering();
    await endWith(world.ports, live);
    expect(await pass(70 * SECOND)).toContain('waiting_uncalled');
    expect((await scheduleRow(world, schedule.id)).buffer).toEqual([]);
    await expectTold('waiting_uncalled', keys.schedule(schedule.id).pk, /nothing that it waited for was live/);
  });

  it('a buffered occurrence behind a live run waits on', async () => {
    const { schedule, live } = await buffering();
    const { runner } = await startingFrom(world, live);
    await runner.beat();
    await pass(3 * MINUTE, () => runner.beat([running(live)]));
    expect((await scheduleRow(world, schedule.id)).buffer).toEqual([FIRST]);
    await runner.beat([ended(live)]);
  });
});
