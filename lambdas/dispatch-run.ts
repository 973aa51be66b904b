/** State `DispatchRun` of provision-vm. */
import * as z from 'zod';
import { dispatchRun } from '../core/vms/provision.ts';
import { lambdaPorts } from './ports.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const DispatchEvent = ExecutionEvent.extend({ vmId: z.string().min(1) });

export const handler = wrap(DispatchEvent, (event) => dispatchRun(lambdaPorts(), event));
