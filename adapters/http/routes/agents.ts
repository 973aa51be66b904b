/** `/v1/agents` and what is created under an agent. */
import { createAgent, deleteAgent, getAgent, listAgents, patchAgent } from '../../../core/agents/service.ts';
import { AgentBody, AgentCreate, AgentPatch } from '../../../core/contract/agents.ts';
import { ListBody, PageQuery } from '../../../core/contract/common.ts';
import { changed, created, json, noContent, resource } from '../answers.ts';
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';
import { DeleteQuery } from './query.ts';

const ONE = '/v1/agents/:agentId';

export const agentRoutes: readonly Route[] = [
  route({
    operation: 'listAgents',
    summary: 'The agents, newest first.',
    method: 'GET',
    path: '/v1/agents',
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(AgentBody)),
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listAgents(ports, caller, query)),
  }),
  route({
    operation: 'createAgent',
    summary: 'Register an agent.',
    method: 'POST',
    path: '/v1/agents',
    access: 'principal',
    answers: answers.created(AgentBody),
    problems: ['name_taken'],
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
    summary: 'One agent.',
    method: 'GET',
    path: ONE,
    access: 'principal',
    answers: answers.resource(AgentBody),
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getAgent(ports, caller, param('agentId'))),
  }),
  route({
    operation: 'updateAgent',
    summary: 'Change an agent.',
    description:
      'What is left out stays; null takes an optional field back to its default. Runs keep the version that they were created with.',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    ifMatch: 'required',
    answers: answers.changed(AgentBody),
    problems: ['name_taken'],
    body: { schema: AgentPatch },
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await patchAgent(ports, caller, param('agentId'), body, readIfMatch(request))),
  }),
  route({
    operation: 'deleteAgent',
    summary: 'Delete an agent.',
    description: 'Refused while it has schedules, or live runs that are not to be cancelled with it.',
    method: 'DELETE',
    path: ONE,
    access: 'principal',
    ifMatch: 'required',
    answers: answers.none('It is deleted.'),
    problems: ['live_runs', 'live_schedules'],
    query: DeleteQuery,
    handle: async ({ ports, caller, request, param, query }) => {
      await deleteAgent(ports, caller, param('agentId'), readIfMatch(request), query);
      return noContent();
    },
  }),
];
