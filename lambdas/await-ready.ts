/** State `AwaitReady` of provision-vm: leaves the task token for the registration to find. */
import * as z from 'zod/mini';
import { awaitReady } from '../core/vms/provision.ts';
import { composed } from './ports/base.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const AwaitReadyEvent = z.extend(ExecutionEvent, {
  vmId: z.string().check(z.minLength(1)),
  taskToken: z.string().check(z.minLength(1)),
});

const ports = composed();

export const handler = wrap(AwaitReadyEvent, (event) => awaitReady(ports(), event));
