/** Whether this process answers, and what the parts of the system have published of themselves. */

import { readAudit } from '../../../core/audit/report.ts';
import { isoTime } from '../../../core/contract/common.ts';
import { readSystem } from '../../../core/system.ts';
import { json } from '../answers.ts';
import { type Route, route } from '../route.ts';

export const systemRoutes: readonly Route[] = [
  route({
    operation: 'getHealth',
    method: 'GET',
    path: '/v1/health',
    access: 'public',
    handle: async ({ ports }) => json({ status: 'ok', asOf: isoTime(ports.time.now()) }),
  }),
  route({
    operation: 'getSystem',
    method: 'GET',
    path: '/v1/system',
    access: 'principal',
    refusal: 'status only: this resource reports, it controls nothing',
    handle: async ({ ports }) => json(await readSystem(ports)),
  }),
  route({
    operation: 'getAudit',
    method: 'GET',
    path: '/v1/system/audit',
    access: 'principal',
    refusal: 'status only: the audit runs by itself, and what it finds it hands to those who own it',
    handle: async ({ ports, caller }) => json(await readAudit(ports, caller)),
  }),
];
