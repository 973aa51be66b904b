/** `/v1/vms`: what is known of the machines. */
import { ListBody, PageQuery } from '../../../core/contract/common.ts';
import { VmBody } from '../../../core/contract/runs.ts';
import { requestDrain } from '../../../core/vms/drain.ts';
import { getVm, listVms, vmBody } from '../../../core/vms/service.ts';
import { changed, json, resource } from '../answers.ts';
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';

export const vmRoutes: readonly Route[] = [
  route({
    operation: 'listVms',
    summary: 'The machines, newest first.',
    method: 'GET',
    path: '/v1/vms',
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(VmBody)),
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listVms(ports, caller, query)),
  }),
  route({
    operation: 'getVm',
    summary: 'One machine.',
    method: 'GET',
    path: '/v1/vms/:vmId',
    access: 'principal',
    answers: answers.resource(VmBody),
    handle: async ({ ports, caller, request, param }) => resource(request, await getVm(ports, caller, param('vmId'))),
  }),
  route({
    operation: 'drainVm',
    summary: 'Give a machine no further run; when those on it have ended, it goes.',
    method: 'POST',
    path: '/v1/vms/:vmId/drain',
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.changed(VmBody, 202),
    problems: ['illegal_transition'],
    handle: async ({ ports, caller, request, param }) => {
      const vm = await requestDrain(ports, caller, param('vmId'), readIfMatch(request));
      return changed(vmBody(vm, ports.time.now()), 202);
    },
    repeat: { done: async ({ ports, caller, param }) => changed(await getVm(ports, caller, param('vmId')), 202) },
  }),
];
