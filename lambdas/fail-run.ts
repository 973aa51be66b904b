/** State `FailRun` of provision-vm. */
import * as z from 'zod/mini';
import { failRun } from '../core/vms/provision.ts';
import { composed } from './ports/base.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const FailEvent = z.extend(ExecutionEvent, {
  failure: z.optional(z.partial(z.object({ Error: z.string(), Cause: z.string() }))),
});

const ports = composed();

export const handler = wrap(FailEvent, (event) => {
  const { Error: error, Cause: cause } = event.failure ?? {};
  const failure = { ...(error !== undefined && { Error: error }), ...(cause !== undefined && { Cause: cause }) };
  return failRun(ports(), { tenantId: event.tenantId, runId: event.runId, attempt: event.attempt, failure });
});
