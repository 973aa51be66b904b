/** State `FailRun` of provision-vm. */
import * as z from 'zod';
import { failRun } from '../core/vms/provision.ts';
import { lambdaPorts } from './ports.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const FailEvent = ExecutionEvent.extend({
  failure: z.object({ Error: z.string(), Cause: z.string() }).partial().optional(),
});

export const handler = wrap(FailEvent, (event) => {
  const { Error: error, Cause: cause } = event.failure ?? {};
  const failure = { ...(error !== undefined && { Error: error }), ...(cause !== undefined && { Cause: cause }) };
  return failRun(lambdaPorts(), { tenantId: event.tenantId, runId: event.runId, attempt: event.attempt, failure });
});
