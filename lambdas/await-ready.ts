/** State `AwaitReady` of provision-vm: leaves the task token for the registration to find. */
import * as z from 'zod';
import { awaitReady } from '../core/vms/provision.ts';
import { lambdaPorts } from './ports.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const AwaitReadyEvent = ExecutionEvent.extend({ vmId: z.string().min(1), taskToken: z.string().min(1) });

export const handler = wrap(AwaitReadyEvent, (event) => awaitReady(lambdaPorts(), event));
