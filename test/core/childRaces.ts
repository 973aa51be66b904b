import type { Ports } from '../../core/ports.ts';
import { cancelRun } from '../../core/runs/cancel.ts';
import { type ChildrenRow, sealChildren } from '../../core/runs/children.ts';
import { sealFamily } from '../../core/runs/family.ts';
import { nextAttempt } from '../../core/runs/nextAttempt.ts';
import { createRun } from '../../core/runs/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { launchVm } from '../../core/vms/provision.ts';
import type { World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { afterRead, ended, FakeRunner, finishAs, interleaved, running, runningRun, runRow } from './support.ts';

const token = (world: World, runId: string) =>
  ({ kind: 'run', tenantId: world.caller.tenantId, runId, attempt: 1 }) as const;

async function child(world: World, parentId: string, ports: Ports = world.ports): Promise<string> {
  const { agentId } = await runRow(world, parentId);
  return (await createRun(ports, token(world, parentId), agentId, null)).id;
}

const seal = (world: World, runId: string, by: string, ports: Ports = world.ports) =>
  sealFamily(ports, { ...token(world, runId), by }, runId);
const count = async (world: World, runId: string) =>
  (await world.ports.store.get(keys.runChildren(runId))) as unknown as ChildrenRow | undefined;
const told = async (world: World, runId: string) =>
  (await world.ports.store.get(keys.childrenComplete(runId))) !== undefined;

/** A parent with one child that has ended: a further one touches the count, not the parent. */
async function parentOf(world: World) {
  const parent = await runningRun(world, { retry: { afterStart: true, backoff: 'PT0S' } });
  await finishAs(world, await child(world, parent.id));
  return parent;
}

export const CHILD_RACES: readonly Race[] = [
  {
    without: ['children.countedOnce'],
    when: 'the first child begins between a seal’s look at the count and its look at the parent',
    breaks: 'I10',
    held: async (world) => {
      const { id } = await runningRun(world);
      await sealChildren(
        afterRead(world, keys.runChildren(id), () => child(world, id)),
        await runRow(world, id),
        'me',
      );
      return (await count(world, id))?.pending === 1;
    },
  },
  {
    without: ['children.parentLives'],
    when: 'the parent is cancelled between a child’s read and its creation',
    breaks: 'I4',
    held: async (world) => {
      const parent = await parentOf(world);
      const order = { by: 'me', reason: '', cause: 'request' } as const;
      const cancel = () => cancelRun(world.ports, world.caller, parent.id, order);
      await tolerant(child(world, parent.id, interleaved(world, cancel)));
      return (await count(world, parent.id))?.created === 1;
    },
  },
  {
    without: ['children.parentsAttempt'],
    when: 'the parent’s next attempt runs between a child’s read and its creation',
    breaks: 'I7',
    held: async (world) => {
      const parent = await parentOf(world);
      const again = async () => {
        const { evidence } = await runRow(world, parent.id);
        await nextAttempt(world.ports, parent.id, { attempt: 1, reason: 'test', evidence, mayHaveStarted: true });
        const { vmId } = await launchVm(world.ports, { ...parent.input, attempt: 2 });
        const runner = new FakeRunner(world, vmId);
        await runner.register();
        await runner.beat();
        await runner.beat([{ ...running(parent.id), attempt: 2 }]);
      };
      await tolerant(child(world, parent.id, interleaved(world, again)));
      return (await count(world, parent.id))?.created === 1;
    },
  },
  {
    without: ['children.notSealed'],
    when: 'the list is sealed between a child’s read and its creation',
    breaks: 'I3',
    held: async (world) => {
      const parent = await parentOf(world);
      await tolerant(
        child(
          world,
          parent.id,
          interleaved(world, () => seal(world, parent.id, 'me')),
        ),
      );
      return (await count(world, parent.id))?.created === 1;
    },
  },
  {
    without: ['children.room'],
    when: 'another child takes the last place between a child’s read and its creation',
    breaks: 'I10',
    held: async (world) => {
      const parent = await parentOf(world);
      const { maxChildrenPerRun } = world.ports.config;
      const key = keys.runChildren(parent.id);
      await world.ports.store.transact([{ kind: 'update', key, set: { created: maxChildrenPerRun - 1 }, guards: [] }]);
      await tolerant(
        child(
          world,
          parent.id,
          interleaved(world, () => child(world, parent.id)),
        ),
      );
      return (await count(world, parent.id))?.created === maxChildrenPerRun;
    },
  },
  {
    without: ['children.notLastOne'],
    when: 'the list is sealed between the last child’s read and its end',
    breaks: 'I14',
    held: async (world) => {
      const parent = await parentOf(world);
      const last = await child(world, parent.id);
      const ports = interleaved(world, () => seal(world, parent.id, 'me'));
      await finishAs({ ...world, ports }, last);
      return told(world, parent.id);
    },
  },
  {
    without: ['children.pendingAsRead'],
    when: 'the last child ends between a seal’s read and its write',
    breaks: 'I14',
    held: async (world) => {
      const parent = await parentOf(world);
      const last = await child(world, parent.id);
      await seal(
        world,
        parent.id,
        'me',
        interleaved(world, () => finishAs(world, last)),
      );
      return told(world, parent.id);
    },
  },
  {
    without: ['children.createdAsRead'],
    when: 'a child begins and ends between a seal’s read and its write',
    breaks: 'I13',
    held: async (world) => {
      const parent = await parentOf(world);
      const brief = async () => finishAs(world, await child(world, parent.id));
      await seal(world, parent.id, 'me', interleaved(world, brief));
      const note = await world.ports.store.get(keys.childrenComplete(parent.id));
      return (note?.detail as { created?: number } | undefined)?.created === 2;
    },
  },
  {
    without: ['children.sealedOnce'],
    when: 'the parent ends between the read of a seal by order and its write',
    breaks: 'I3',
    held: async (world) => {
      const parent = await parentOf(world);
      await child(world, parent.id);
      await seal(
        world,
        parent.id,
        'me',
        interleaved(world, () => parent.runner.beat([ended(parent.id)])),
      );
      return (await count(world, parent.id))?.sealedBy === 'its end';
    },
  },
];

export const CHILD_GUARDS_COVERED: Readonly<Record<string, string>> = {
  'children.lastOne': 'run.unchanged: nobody else can end the only child that is pending, and none can be added',
  'children.completeOnce': 'children.sealedOnce and children.notLastOne: one write alone sees the end of all of them',
};
