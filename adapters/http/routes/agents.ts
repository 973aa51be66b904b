/** `/v1/agents` and what is created under an agent. */
import { createAgent, deleteAgent, getAgent, listAgents, patchAgent } from '../../../core/agents/service.ts';
import { AgentCreate, AgentPatch } from '../../../core/contract/agents.ts';
import { PageQuery } from '../../../core/contract/common.ts';
import { changed, created, json, noContent, resource } from '../answers.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';
import { DeleteQuery } from './query.ts';

const ONE = '/v1/agents/:agentId';

export const agentRoutes: readonly Route[] = [
  route({
    operation: 'listAgents',
    method: 'GET',
    path: '/v1/agents',
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listAgents(ports, caller, query)),
  }),
  route({
    operation: 'createAgent',
    method: 'POST',
    path: '/v1/agents',
    access: 'principal',
    body: { schema: AgentCreate },
    handle: async ({ ports, caller, body }) => {
      const agent = await createAgent(ports, caller, body);
      return created(agent, `/v1/agents/${agent.id}`);
    },
    repeat: {
      created: async ({ ports, caller }, id) => created(await getAgent(ports, caller, id), `/v1/agents/${id}`),
    },
  }),
  route({
    operation: 'getAgent',
    method: 'GET',
    path: ONE,
    access: 'principal',
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getAgent(ports, caller, param('agentId'))),
  }),
  route({
    operation: 'updateAgent',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    body: { schema: AgentPatch },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await patchAgent(ports, caller, param('agentId'), body, readIfMatch(request))),
  }),
  route({
    operation: 'deleteAgent',
    method: 'DELETE',
    path: ONE,
    access: 'principal',
    query: DeleteQuery,
    handle: async ({ ports, caller, request, param, query }) => {
      await deleteAgent(ports, caller, param('agentId'), readIfMatch(request), query);
      return noContent();
    },
  }),
];
