/** Interleavings around agents and principals; played in `guards.test.ts`. */
import { ensurePrincipal } from '../../core/access/principals.ts';
import { createPrincipal, getPrincipal, patchPrincipal } from '../../core/access/service.ts';
import { createAgent, deleteAgent, getAgent, patchAgent } from '../../core/agents/service.ts';
import { AgentCreate } from '../../core/contract/agents.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { type Race, tolerant } from './race.ts';
import { afterRead, any, interleaved } from './support.ts';

export const OWNER_RACES: readonly Race[] = [
  {
    without: ['agent.noSchedules'],
    when: 'a schedule is created between a delete’s look at the agent and its write',
    breaks: 'no schedule of an agent that is gone',
    held: async (world) => {
      const agent = await world.agent();
      const ports = interleaved(world, () => world.schedule(agent.id));
      await tolerant(deleteAgent(ports, world.caller, agent.id, any, { cancelRuns: false }));
      return (await tolerant(getAgent(world.ports, world.caller, agent.id))) !== undefined;
    },
  },
  {
    without: ['agent.nameFree'],
    when: 'another agent takes the name between a create’s look and its write',
    breaks: 'a name is unique among live siblings',
    held: async (world) => {
      const request = AgentCreate.parse({ name: 'worker', command: ['true'] });
      const rival = () => createAgent(world.ports, world.caller, request);
      return (await tolerant(createAgent(interleaved(world, rival), world.caller, request))) === undefined;
    },
  },
  {
    without: ['agent.unchanged', 'agent.versionOnce', 'event.appendedOnce'],
    when: 'another edit comes between an edit’s read and its write',
    breaks: 'I8: a lost update',
    held: async (world) => {
      const agent = await world.agent();
      const rival = () => patchAgent(world.ports, world.caller, agent.id, { metadata: { kept: 'yes' } }, any);
      const patched = patchAgent(
        interleaved(world, rival),
        world.caller,
        agent.id,
        { command: ['false'] },
        {
          kind: 'version',
          version: 1,
        },
      );
      await tolerant(patched);
      return (await getAgent(world.ports, world.caller, agent.id)).metadata?.kept === 'yes';
    },
  },
  {
    without: ['principal.unchanged', 'event.appendedOnce'],
    when: 'an administrator renames a service account while another revokes it',
    breaks: 'two changes share one version (I8), and one of them leaves no event (I13)',
    held: async (world) => {
      const { ports, caller } = world;
      const { id } = await createPrincipal(ports, caller, { name: 'ci' });
      const any = { kind: 'any' } as const;
      const revoke = () => patchPrincipal(ports, caller, id, { status: 'revoked' }, any);
      const late = afterRead(world, keys.principal(id), revoke);
      await patchPrincipal(late, caller, id, { name: 'builds' }, any);
      const after = await getPrincipal(ports, caller, id);
      return after.version === 3 && (await ports.store.get(keys.principalEvent(id, 3))) !== undefined;
    },
  },
  {
    without: ['principal.createdOnce'],
    when: 'a program that ensures its principal starts again after the principal was revoked',
    breaks: 'a revocation stands',
    held: async (world) => {
      const key = keys.principal(world.caller.principalId);
      await world.ports.store.transact([{ kind: 'update', key, set: { status: 'revoked' }, guards: [] }]);
      await ensurePrincipal(world.ports.store, world.caller.tenantId, world.caller.principalId, 'Admin');
      return (await world.ports.store.get(key))?.status === 'revoked';
    },
  },
];
