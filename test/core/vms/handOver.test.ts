import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { patchAgent } from '../../../core/agents/service.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { nextAttempt } from '../../../core/runs/nextAttempt.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { CapacityUnavailable } from '../../../core/vms/launchErrors.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { RunMovedOn } from '../../../core/vms/stateErrors.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { afterQuery, any, ended, MINUTE, running, runRow, SECOND, startingFrom, storeWith, vmRow } from '../support.ts';
import {
  atWork,
  CANCEL,
  dies,
  endOf,
  freeMarks,
  newRun,
  passes,
  placed,
  refusalOf,
  runsOn,
  wantMarks,
  watchdog,
} from './support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world({ checkShards: 1 });
});

const NO_ROOM = new CapacityUnavailable('no room', [
  { type: 'small', availabilityZone: 'a', code: 'InsufficientInstanceCapacity' },
]);
const EVIDENCE = { source: 'test', observedAt: '2027-03-01T12:00:00.000Z', detail: '' };
const executionOf = (runId: string, attempt = 1) => ({ tenantId: world.caller.tenantId, runId, attempt });

/** A run whose launch has been tried in vain: it waits for capacity. */
async function wantingRun(agentId: string): Promise<string> {
  const id = await newRun(world, agentId);
  world.launchFault = NO_ROOM;
  await expect(launchVm(world.ports, executionOf(id))).rejects.toThrow('no room');
  world.launchFault = undefined;
  return id;
}

/** Warm VMs are looked for from the first placement on; the agent says with its slots that they may be shared. */
const shared = (of = world) => of.agent({ slots: 2 });
const kept = (of = world) => of.agent({ warmFor: 'PT10M' });

describe('a VM whose last run ends', () => {
  it('is not given to the next attempt of a run that has waited for one: its time has not come', async () => {
    const agent = await kept();
    const at = await atWork(world, agent.id);
    const id = await wantingRun(agent.id);
    const fault = { attempt: 1, reason: 'provisioning_failed', evidence: EVIDENCE, mayHaveStarted: false };
    const hasEnded = async () => (await runRow(world, at.id)).status === 'succeeded';
    const ports = afterQuery(world, keys.agent(agent.id).pk, () => nextAttempt(world.ports, id, fault), hasEnded);
    await at.runner.beat([ended(at.id)], ports);
    expect(await runRow(world, id)).toMatchObject({
      status: 'queued',
      attempt: 2,
      waiting: { reason: 'retry_backoff' },
    });
    expect(await runsOn(world, at.vmId)).toEqual([]);
  });

  it('goes over to a run that waits for a place before it is let go, though nothing says warmFor', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    expect((await runRow(world, second)).waiting?.reason).toBe('agent_limit');
    await endOf(first.runner, first.id);
    expect(await runRow(world, second)).toMatchObject({ status: 'starting', vmId: first.vmId });
    expect(placed(world)).toEqual([`${first.id}-1`]);
    expect(await vmRow(world, first.vmId)).toMatchObject({ status: 'ready', slots: [{ runId: second }] });
    await first.runner.beat();
    await endOf(first.runner, second);
    expect(await vmRow(world, first.vmId)).toMatchObject({ status: 'draining', slots: [] });
    expect(await freeMarks(world, agent.id)).toEqual([]);
  });

  it('is let go where nobody waits', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const first = await atWork(world, agent.id);
    await endOf(first.runner, first.id);
    expect((await vmRow(world, first.vmId)).status).toBe('draining');
  });

  it('is let go where the one that waited is another agent’s', async () => {
    const tenant = await engine.world({ checkShards: 1, maxConcurrentRunsPerTenant: 1 });
    world = tenant;
    const [agent, other] = [await world.agent(), await world.agent()];
    const first = await atWork(world, agent.id);
    const second = await newRun(world, other.id);
    await endOf(first.runner, first.id);
    expect((await vmRow(world, first.vmId)).status).toBe('draining');
    expect(placed(world)).toContain(`${second}-1`);
  });

  it('goes over to no run where its agent says reuse: never', async () => {
    const agent = await world.agent({ reuse: 'never', limits: { maxConcurrentRuns: 1 } });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    await endOf(first.runner, first.id);
    expect((await vmRow(world, first.vmId)).status).toBe('draining');
    expect(placed(world)).toContain(`${second}-1`);
  });
});

describe('a run that waits for capacity', () => {
  it('takes the VM that becomes free; what was under way for it ends, and so does its own VM item', async () => {
    const agent = await kept();
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    expect(await wantMarks(world, agent.id)).toEqual([second]);
    const own = (await world.ports.store.query({ pk: `RUN#${second}`, prefix: 'EVT#', limit: 10 })).items
      .map((item) => (item.detail as { vmId?: string }).vmId)
      .find((vmId) => vmId !== undefined);
    await endOf(first.runner, first.id);
    const run = await runRow(world, second);
    expect(run).toMatchObject({ status: 'starting', vmId: first.vmId });
    expect(run.waiting).toBeUndefined();
    expect(await wantMarks(world, agent.id)).toEqual([]);
    expect(world.stopped).toEqual([`${second}-1`]);
    await expect(launchVm(world.ports, executionOf(second))).rejects.toThrow(RunMovedOn);
    expect((await vmRow(world, own ?? '')).status).toBe('draining');
    dies(world, own ?? '');
    await first.runner.beat();
    await passes(world, 40, first.runner, () => [running(second)]);
    expect((await vmRow(world, own ?? '')).status).toBe('terminated');
    expect((await runRow(world, second)).status).toBe('running');
  });

  it('does not wait any more when the answer to its launch comes after it was given a VM', async () => {
    const agent = await kept();
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    const fleet = {
      ...world.ports.fleet,
      launch: async () => {
        await endOf(first.runner, first.id);
        throw NO_ROOM;
      },
    };
    await expect(launchVm({ ...world.ports, fleet }, executionOf(second))).rejects.toThrow('no room');
    const run = await runRow(world, second);
    expect(run).toMatchObject({ status: 'starting', vmId: first.vmId });
    expect(run.waiting).toBeUndefined();
    expect(await wantMarks(world, agent.id)).toEqual([]);
  });

  it('keeps no instance that is launched after it was given a VM', async () => {
    const agent = await kept();
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    const fleet = {
      ...world.ports.fleet,
      launch: async () => {
        await endOf(first.runner, first.id);
        return { instanceId: 'i-late' };
      },
    };
    await expect(launchVm({ ...world.ports, fleet }, executionOf(second))).rejects.toThrow(RunMovedOn);
    expect(world.terminations).toHaveLength(1);
    expect((await runRow(world, second)).vmId).toBe(first.vmId);
  });

  it('is served in order, and one that was cancelled is not', async () => {
    const agent = await kept();
    const first = await atWork(world, agent.id);
    const waiting = [await wantingRun(agent.id), await wantingRun(agent.id), await wantingRun(agent.id)];
    expect(await wantMarks(world, agent.id)).toEqual(waiting);
    await cancelRun(world.ports, world.caller, waiting[0] ?? '', CANCEL);
    expect(await wantMarks(world, agent.id)).toEqual(waiting.slice(1));
    await endOf(first.runner, first.id);
    expect(await runsOn(world, first.vmId)).toEqual([waiting[1]]);
    expect(await wantMarks(world, agent.id)).toEqual([waiting[2]]);
  });

  it('is not held up by an older one of another version', async () => {
    const agent = await kept();
    const old = await wantingRun(agent.id);
    await patchAgent(world.ports, world.caller, agent.id, { command: ['false'] }, any);
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    await endOf(first.runner, first.id);
    expect(await runsOn(world, first.vmId)).toEqual([second]);
    expect(await wantMarks(world, agent.id)).toEqual([old]);
  });

  it('takes no VM where its agent says reuse: never', async () => {
    const agent = await world.agent({ reuse: 'never', warmFor: 'PT10M' });
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    await endOf(first.runner, first.id);
    expect((await runRow(world, second)).vmId).toBeUndefined();
    expect((await vmRow(world, first.vmId)).status).toBe('draining');
  });

  it('takes the slot that becomes free beside another run', async () => {
    const agent = await shared();
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    const third = await wantingRun(agent.id);
    await first.runner.beat([running(first.id)]);
    await first.runner.beat([running(first.id), running(second)]);
    await endOf(first.runner, first.id);
    expect(await runsOn(world, first.vmId)).toEqual([second, third]);
    expect(await wantMarks(world, agent.id)).toEqual([]);
  });

  it('takes the second slot of a VM that has just come', async () => {
    const agent = await shared();
    const first = await newRun(world, agent.id);
    const second = await wantingRun(agent.id);
    const { vmId } = await startingFrom(world, first);
    expect(await runsOn(world, vmId)).toEqual([first, second]);
  });

  it('is marked once, and no more when its attempt is given up', async () => {
    const agent = await kept();
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    world.launchFault = NO_ROOM;
    await expect(launchVm(world.ports, executionOf(second))).rejects.toThrow('no room');
    expect(await wantMarks(world, agent.id)).toEqual([second]);
    await endOf(first.runner, first.id);
    await first.runner.beat();
    await refusalOf(first.runner, second);
    expect(await runRow(world, second)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(await wantMarks(world, agent.id)).toEqual([]);
  });
});

describe('a crash between the end of a run and the hand-over of its VM', () => {
  /** What follows the transaction that ends the run fails: as if the process had gone right after it. */
  async function endThenCrash(first: Awaited<ReturnType<typeof atWork>>): Promise<void> {
    let ended = false;
    const crash = () => Promise.reject(new Error('crash'));
    const store = storeWith(world.ports.store, {
      transact: async (writes) => {
        if (ended) return crash();
        await world.ports.store.transact(writes);
        ended = writes.some((write) => write.kind === 'update' && write.set?.status === 'succeeded');
      },
      query: (range) => (ended ? crash() : world.ports.store.query(range)),
    });
    const registry = [{ runId: first.id, attempt: 1, state: 'ended' as const, exitCode: 0 }];
    await first.runner.beat(registry, { ...world.ports, store }).catch(() => undefined);
    expect(ended).toBe(true);
    expect((await runRow(world, first.id)).status).toBe('succeeded');
  }

  it('is made up for by the watchdog where the VM is kept warm', async () => {
    const agent = await kept();
    const first = await atWork(world, agent.id);
    const second = await wantingRun(agent.id);
    await endThenCrash(first);
    expect((await runRow(world, second)).vmId).toBeUndefined();
    world.now += 30 * SECOND;
    await first.runner.beat();
    world.now += 21 * SECOND;
    await watchdog(world);
    expect((await runRow(world, second)).vmId).toBe(first.vmId);
  });

  it('lets go of a VM that is not, and the run that waited for a place is placed', async () => {
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const first = await atWork(world, agent.id);
    const second = await newRun(world, agent.id);
    await endThenCrash(first);
    expect((await vmRow(world, first.vmId)).status).toBe('ready');
    world.now += MINUTE / 2;
    await first.runner.beat();
    world.now += MINUTE / 2 + SECOND;
    await watchdog(world);
    await watchdog(world);
    const run = await runRow(world, second);
    expect(placed(world).includes(`${second}-1`) || run.vmId === first.vmId).toBe(true);
    await passes(world, 60, first.runner);
    expect(await world.ports.store.get(keys.freeVm(agent.id, 1, first.vmId))).toBeUndefined();
  });
});
