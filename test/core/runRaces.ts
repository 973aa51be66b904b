/** Interleavings around runs and their limits; played in `guards.test.ts`. */
import { deleteAgent } from '../../core/agents/service.ts';
import { agentLimitId } from '../../core/limits/model.ts';
import type { Ports } from '../../core/ports.ts';
import { finishRun } from '../../core/runs/finish.ts';
import { createRun, listRuns } from '../../core/runs/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { any, apiRun, eventsOf, finishAs, interleaved, page, runRow } from './support.ts';

async function liveRunsOf(world: World): Promise<number> {
  const found = await listRuns(world.ports, world.caller, { status: 'live' }, page);
  return found.items.length;
}

const verdict = (world: World) =>
  ({
    status: 'succeeded',
    evidence: { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'ended' },
  }) as const;

export const RUN_RACES: readonly Race[] = [
  {
    without: ['limit.free'],
    when: 'another run takes the last place between an admission’s read and its write',
    breaks: 'I10',
    held: async (world) => {
      const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
      const create = (ports: Ports) => createRun(ports, world.caller, agent.id, {});
      const limit = keys.limit(agentLimitId(agent.id));
      await create(interleaved(world, () => create(world.ports), limit));
      return (await world.ports.store.get(limit))?.used === 1;
    },
  },
  {
    without: ['run.agentUnchanged'],
    when: 'the agent is deleted between a run’s look at it and its write',
    breaks: 'I4: a run of an agent whose delete was acknowledged',
    held: async (world) => {
      const agent = await world.agent();
      const rival = () => deleteAgent(world.ports, world.caller, agent.id, any, { cancelRuns: false });
      await tolerant(createRun(interleaved(world, rival), world.caller, agent.id, null));
      return (await liveRunsOf(world)) === 0;
    },
  },
  {
    without: ['run.unchanged', 'event.appendedOnce'],
    when: 'another verdict comes between a finish’s read and its write',
    breaks: 'I3: a terminal state changes',
    held: async (world) => {
      const { id } = await apiRun(world);
      const rival = () => finishAs(world, id, 'succeeded');
      await finishRun(interleaved(world, rival), id, { ...verdict(world), status: 'failed' }, { attempt: 1 });
      return (await runRow(world, id)).status === 'succeeded';
    },
  },
  {
    without: ['event.appendedOnce', 'run.unchanged'],
    when: 'another verdict comes between a finish’s read and its write',
    breaks: 'I13: an event is overwritten',
    held: async (world) => {
      const { id } = await apiRun(world);
      const rival = () => finishAs(world, id, 'succeeded');
      await finishRun(interleaved(world, rival), id, { ...verdict(world), status: 'failed' }, { attempt: 1 });
      return (await eventsOf(world, keys.run(id).pk)).at(-1)?.type === 'run.succeeded';
    },
  },
];
