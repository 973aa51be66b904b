/** Whether this process answers, and what the parts of the system have published of themselves. */

import { readAudit } from '../../../core/audit/report.ts';
import { isoTime } from '../../../core/contract/common.ts';
import { AuditBody, HealthBody, SystemBody } from '../../../core/contract/system.ts';
import { readSystem } from '../../../core/system.ts';
import { json } from '../answers.ts';
import { answers } from '../declare.ts';
import { type Route, route } from '../route.ts';

export const systemRoutes: readonly Route[] = [
  route({
    operation: 'getHealth',
    summary: 'Whether this process answers at all.',
    method: 'GET',
    path: '/v1/health',
    access: 'public',
    answers: answers.json('It does.', HealthBody),
    handle: async ({ ports }) => json({ status: 'ok', asOf: isoTime(ports.time.now()) }),
  }),
  route({
    operation: 'getSystem',
    summary: 'The parts of the system, each with its own last proof of life.',
    description: 'Status only: nothing here can be written.',
    method: 'GET',
    path: '/v1/system',
    access: 'principal',
    answers: answers.json('What each part has published.', SystemBody),
    refusal: 'status only: this resource reports, it controls nothing',
    handle: async ({ ports }) => json(await readSystem(ports)),
  }),
  route({
    operation: 'getAudit',
    summary: 'What the last whole audit found of your tenant.',
    method: 'GET',
    path: '/v1/system/audit',
    access: 'principal',
    answers: answers.json('The last audit.', AuditBody),
    refusal: 'status only: the audit runs by itself, and what it finds it hands to those who own it',
    handle: async ({ ports, caller }) => json(await readAudit(ports, caller)),
  }),
];
