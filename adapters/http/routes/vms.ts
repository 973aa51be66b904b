/** `/v1/vms`: what is known of the machines. */
import { PageQuery } from '../../../core/contract/common.ts';
import { requestDrain } from '../../../core/vms/drain.ts';
import { getVm, listVms, vmBody } from '../../../core/vms/service.ts';
import { changed, json, resource } from '../answers.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';

export const vmRoutes: readonly Route[] = [
  route({
    operation: 'listVms',
    method: 'GET',
    path: '/v1/vms',
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listVms(ports, caller, query)),
  }),
  route({
    operation: 'getVm',
    method: 'GET',
    path: '/v1/vms/:vmId',
    access: 'principal',
    handle: async ({ ports, caller, request, param }) => resource(request, await getVm(ports, caller, param('vmId'))),
  }),
  route({
    operation: 'drainVm',
    method: 'POST',
    path: '/v1/vms/:vmId/drain',
    access: 'principal',
    handle: async ({ ports, caller, request, param }) => {
      const vm = await requestDrain(ports, caller, param('vmId'), readIfMatch(request));
      return changed(vmBody(vm, ports.time.now()), 202);
    },
    repeat: { done: async ({ ports, caller, param }) => changed(await getVm(ports, caller, param('vmId')), 202) },
  }),
];
