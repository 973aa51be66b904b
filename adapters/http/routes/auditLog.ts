/** `/v1/audit-log`: who changed what. `/v1/system/audit` is another thing: what Candor finds when it looks at itself. */
import { listAuditLog } from '../../../core/auditLog/list.ts';
import { AuditLogEntryBody, AuditLogQuery } from '../../../core/contract/auditLog.ts';
import { ListBody } from '../../../core/contract/common.ts';
import { json } from '../answers.ts';
import { answers } from '../declare.ts';
import { type Route, route } from '../route.ts';

export const auditLogRoutes: readonly Route[] = [
  route({
    operation: 'listAuditLog',
    summary: 'Who changed what, newest first.',
    method: 'GET',
    path: '/v1/audit-log',
    access: 'principal',
    answers: answers.json('A page of it.', ListBody(AuditLogEntryBody)),
    query: AuditLogQuery,
    refusal: 'read only: its entries are written with the changes that they tell of',
    handle: async ({ ports, caller, query }) => json(await listAuditLog(ports, caller, query)),
  }),
];
