/** Runs that a run has started (design.md §5.6): counted once, complete once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Ports } from '../../../core/ports.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import type { ChildrenRow } from '../../../core/runs/children.ts';
import { listChildren, sealFamily } from '../../../core/runs/family.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import type { EventRow } from '../../../core/runs/model.ts';
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { ended, eventsOf, finishAs, interleaved, page, runningRun, runRow, upTo } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const tokenOf = (runId: string, attempt = 1) =>
  ({ kind: 'run', tenantId: world.caller.tenantId, runId, attempt }) as const;

async function child(parentId: string, ports: Ports = world.ports) {
  const { agentId } = await runRow(world, parentId);
  return createRun(ports, tokenOf(parentId), agentId, { of: parentId });
}
const countOf = async (runId: string) =>
  (await world.ports.store.get(keys.runChildren(runId))) as unknown as ChildrenRow | undefined;
const completion = async (runId: string) =>
  (await world.ports.store.get(keys.childrenComplete(runId))) as unknown as EventRow | undefined;
const seal = (runId: string) => sealFamily(world.ports, { ...tokenOf(runId), by: runId }, runId);

describe('a run that starts runs', () => {
  it('is their parent: they say so, it lists and counts them', async () => {
    const parent = await runningRun(world);
    const [one, two] = [await child(parent.id), await child(parent.id)];
    expect(one).toMatchObject({ parentRunId: parent.id, trigger: { kind: 'run', by: parent.id }, status: 'queued' });
    expect(await listChildren(world.ports, world.caller, parent.id, page)).toMatchObject({
      items: [one.id, two.id].sort().map((id) => ({ id })),
      created: 2,
      pending: 2,
      sealed: false,
    });
    await finishAs(world, one.id);
    const after = await listChildren(world.ports, world.caller, parent.id, page);
    expect(after).toMatchObject({ created: 2, pending: 1 });
    expect(after.completedAt).toBeUndefined();
    const sequence = (await eventsOf(world, keys.run(parent.id).pk)).map((event) => event.sequence);
    expect(sequence).toEqual(upTo(sequence.length));
  });

  it('ends: its list is sealed with it, and the last child says that all are complete, once', async () => {
    const parent = await runningRun(world);
    const [one, two] = [await child(parent.id), await child(parent.id)];
    await parent.runner.beat([ended(parent.id)]);
    expect(await countOf(parent.id)).toMatchObject({ pending: 2, sealedBy: 'its end' });
    await finishAs(world, one.id);
    expect(await completion(parent.id)).toBeUndefined();
    world.now += 1000;
    await finishAs(world, two.id, 'failed');
    expect(await completion(parent.id)).toMatchObject({
      type: 'run.children_complete',
      subjectId: parent.id,
      detail: { created: 2 },
      at: world.now,
    });
    expect(await countOf(parent.id)).toMatchObject({ pending: 0, completedAt: world.now });
  });

  it('is not complete before it is sealed, even while nothing is pending', async () => {
    const parent = await runningRun(world);
    await finishAs(world, (await child(parent.id)).id);
    expect(await completion(parent.id)).toBeUndefined();
    const second = await child(parent.id);
    expect(await seal(parent.id)).toMatchObject({ created: 2, pending: 1, sealed: true });
    await finishAs(world, second.id);
    expect(await completion(parent.id)).toMatchObject({ detail: { created: 2 } });
  });

  it('seals by order, any number of times; then it starts no further run', async () => {
    const parent = await runningRun(world);
    const only = await child(parent.id);
    await seal(parent.id);
    const first = await countOf(parent.id);
    world.now += 1000;
    await seal(parent.id);
    expect(await countOf(parent.id)).toEqual(first);
    await expect(child(parent.id)).rejects.toMatchObject({ code: 'illegal_transition' });
    await finishAs(world, only.id);
    expect(await completion(parent.id)).toBeDefined();
  });

  it('may seal before its first child: complete at once, and closed', async () => {
    const parent = await runningRun(world);
    expect(await seal(parent.id)).toMatchObject({ created: 0, pending: 0, sealed: true });
    expect(await completion(parent.id)).toMatchObject({ detail: { created: 0 } });
    await expect(child(parent.id)).rejects.toMatchObject({ code: 'illegal_transition' });
    await parent.runner.beat([ended(parent.id)]);
    expect((await runRow(world, parent.id)).status).toBe('succeeded');
  });

  it('starts none once it has ended, is being cancelled, or is at another attempt', async () => {
    const done = await runningRun(world);
    await done.runner.beat([ended(done.id)]);
    await expect(child(done.id)).rejects.toMatchObject({ code: 'run_ended' });
    const leaving = await runningRun(world);
    await cancelRun(world.ports, world.caller, leaving.id, { by: 'me', reason: '', cause: 'request' });
    await expect(child(leaving.id)).rejects.toMatchObject({ code: 'illegal_transition' });
    const other = await runningRun(world);
    const { agentId } = await runRow(world, other.id);
    await expect(createRun(world.ports, tokenOf(other.id, 2), agentId, null)).rejects.toMatchObject({
      code: 'forbidden',
    });
    await expect(
      createRun(world.ports, { ...tokenOf(other.id), tenantId: 'another' }, agentId, null),
    ).rejects.toMatchObject({ code: 'not_found' });
  });

  it('has a limit, in number and in depth', async () => {
    world = await engine.world({ maxChildrenPerRun: 2, maxRunDepth: 1 });
    const parent = await runningRun(world);
    await child(parent.id);
    await child(parent.id);
    await expect(child(parent.id)).rejects.toMatchObject({ code: 'children_limit' });
    expect(await countOf(parent.id)).toMatchObject({ created: 2 });
  });
});

describe('at the same moment', () => {
  it.each([
    [2, 'two'],
    [8, 'eight'],
  ])('the last %i children end: the event comes once', async (count) => {
    const parent = await runningRun(world);
    const ids: string[] = [];
    for (let index = 0; index < count; index++) ids.push((await child(parent.id)).id);
    await parent.runner.beat([ended(parent.id)]);
    await Promise.all(ids.map((id) => finishAs(world, id)));
    expect(await countOf(parent.id)).toMatchObject({ pending: 0, created: count });
    expect(await completion(parent.id)).toBeDefined();
    // Whatever is delivered twice counts once.
    for (const id of ids) await finishAs(world, id, 'failed');
    expect(await countOf(parent.id)).toMatchObject({ pending: 0 });
  });

  it('many are started: each is counted', async () => {
    const parent = await runningRun(world);
    await Promise.all(Array.from({ length: 12 }, () => child(parent.id)));
    expect(await countOf(parent.id)).toMatchObject({ created: 12, pending: 12 });
    expect((await listChildren(world.ports, world.caller, parent.id, page)).items).toHaveLength(12);
  });

  it('the parent ends and a child is started: it is counted and waited for, or refused', async () => {
    for (const first of [false, true]) {
      const parent = await runningRun(world);
      if (!first) await finishAs(world, (await child(parent.id)).id);
      const end = () => parent.runner.beat([ended(parent.id)]);
      const late = child(parent.id, interleaved(world, end));
      await expect(late).rejects.toMatchObject({ code: 'run_ended' });
      expect((await countOf(parent.id))?.pending ?? 0).toBe(0);
      expect((await completion(parent.id)) !== undefined).toBe(!first);

      const other = await runningRun(world);
      if (!first) await finishAs(world, (await child(other.id)).id);
      const born = () => child(other.id);
      const verdict = { status: 'succeeded', evidence: (await runRow(world, other.id)).evidence } as const;
      await finishRun(interleaved(world, born), other.id, verdict, { attempt: 1 });
      expect(await countOf(other.id)).toMatchObject({ pending: 1, sealedBy: 'its end' });
      expect(await completion(other.id)).toBeUndefined();
    }
  });

  it('the list is sealed and its last child ends', async () => {
    const parent = await runningRun(world);
    const only = await child(parent.id);
    await finishAs(world, only.id);
    const last = await child(parent.id);
    await sealFamily(
      interleaved(world, () => finishAs(world, last.id)),
      { ...tokenOf(parent.id), by: parent.id },
      parent.id,
    );
    expect(await countOf(parent.id)).toMatchObject({ pending: 0, sealedBy: parent.id });
    expect(await completion(parent.id)).toBeDefined();
  });
});

it('is carried over by a child that is a parent itself', async () => {
  const parent = await runningRun(world);
  const middle = await child(parent.id);
  const agent = await runRow(world, middle.id);
  expect(agent.depth).toBe(1);
  await finishAs(world, middle.id);
  await parent.runner.beat([ended(parent.id)]);
  expect(await completion(parent.id)).toBeDefined();
  expect(await completion(middle.id)).toBeUndefined();
});
