/** `/v1/vms`: what is known of the machines. */
import { PageQuery } from '../../../core/contract/common.ts';
import { getVm, listVms } from '../../../core/vms/service.ts';
import { json, resource } from '../answers.ts';
import { type Route, route } from '../route.ts';

export const vmRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/vms',
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listVms(ports, caller, query)),
  }),
  route({
    method: 'GET',
    path: '/v1/vms/:vmId',
    access: 'principal',
    handle: async ({ ports, caller, request, param }) => resource(request, await getVm(ports, caller, param('vmId'))),
  }),
];
